"""The tables in the documents are up to date with the code."""

import re
from pathlib import Path

import pytest

from kit.scripts import load_script

made = load_script(Path(__file__).with_name("document_tables.py"))


@pytest.mark.parametrize("where", made.TABLES, ids=": ".join)
def test_a_table_made_from_code_is_up_to_date(where, documents):
    document, name = where
    assert made.table_in(documents[document].text, name)[1] == made.TABLES[where](), (
        "run  python tests/documents/document_tables.py"
    )


def test_every_marker_of_a_table_from_code_is_known(documents):
    found = {
        (document.name, name)
        for document in documents.values()
        for name in re.findall(r"<!-- made from code: ([^>]*) -->", document.text)
    }
    assert found == set(made.TABLES)
