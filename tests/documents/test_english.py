"""The documents are written in plain technical English."""

import re

import pytest

# archaic words and metaphors, which are hard to read for non-native speakers
AVOIDED = (
    *("a great many", "at their hours", "behind", "beside", "dear", "dearest", "for ever"),
    *("hardly ever", "is out for", "lest", "of late", "passed over", "stumbled", "to be had"),
    *("told", "whoever", "whose like", "to the letter", "last words"),
)


@pytest.mark.parametrize("words", AVOIDED)
def test_no_document_has_a_word_that_is_not_plain(words, documents):
    pattern = re.compile(rf"\b{words}\b", re.IGNORECASE)
    found = [
        (name, line)
        for name, document in documents.items()
        for line in document.prose().splitlines()
        if pattern.search(line)
    ]
    assert found == []


def test_no_sentence_is_very_long(documents):
    for name, document in documents.items():
        for line in document.prose().splitlines():
            if line.startswith("|"):
                continue
            for sentence in re.split(r"(?<=[.:;?!])\s", line):
                assert len(sentence.split()) <= 45, (name, sentence)
