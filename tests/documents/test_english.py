"""The documents are written in plain technical English."""

import re

import pytest

# archaic words and metaphors, which are hard for readers with another mother tongue
AVOIDED = (
    *("a great many", "at their hours", "behind", "beside", "dear", "dearest", "for ever"),
    *("hardly ever", "is out for", "lest", "of late", "passed over", "stumbled", "to be had"),
    *("told", "whoever", "whose like", "to the letter", "last words"),
)
HISTORY = "CHANGELOG.md"


@pytest.mark.parametrize("words", AVOIDED)
def test_no_document_has_words_that_are_not_plain(words, documents):
    pattern = re.compile(rf"\b{words}\b", re.IGNORECASE)
    found = [
        (name, line)
        for name, document in documents.items()
        if name != HISTORY
        for line in document.prose().splitlines()
        if pattern.search(line)
    ]
    assert found == []


def test_no_sentence_is_very_long(documents):
    for name, document in documents.items():
        if name == HISTORY:
            continue
        for line in document.prose().splitlines():
            if line.startswith("|"):
                continue
            for sentence in re.split(r"(?<=[.:;?!])\s", line):
                assert len(sentence.split()) <= 45, (name, sentence)
