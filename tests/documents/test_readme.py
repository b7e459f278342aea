"""The main README is a short page for new users, and its code works."""

import re
import subprocess
import sys

from pprofplus_tui.sources.local.catalog import Catalog

MAX_LINES = 150
QUANTITY = re.compile(r"\b[\d.,]+ (?:µs|ms|kB|MB|%)")


def test_it_is_short(readme):
    assert len(readme.text.splitlines()) <= MAX_LINES


def test_it_begins_with_one_sentence_a_picture_and_two_commands(readme):
    title, sentence, picture, *_ = [part for part in readme.text.split("\n\n") if part]
    assert title == "# pprofplus"
    assert sentence.count(". ") == 0
    assert picture.startswith("![")
    assert [marker for marker, _ in readme.blocks("sh")][:2] == ["demo command", "test command"]


def test_its_python_code_records_a_service(readme, tmp_path, monkeypatch):
    monkeypatch.setenv("PPROFPLUS_DIR", str(tmp_path / "logs"))
    ((_, code),) = readme.blocks("python")
    assert len([line for line in code.splitlines() if line]) == 2
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    catalog = Catalog([str(tmp_path / "logs")])
    catalog.refresh()
    assert [(info.service, info.state) for info in catalog.runs] == [("api", "exited")]


def test_it_links_to_every_document_for_users(readme):
    assert set(readme.links()) >= {
        "collector/README.md",
        "collector/PROMISES.md",
        "pprofplus_tui/README.md",
        "tests/benchmarks/README.md",
        ".github/CONTRIBUTING.md",
        ".github/SECURITY.md",
        "CHANGELOG.md",
        "LICENSE",
    }


def test_measured_quantities_are_in_one_document(documents, benchmarks_readme):
    measured = set(QUANTITY.findall(benchmarks_readme.text))
    assert len(measured) > 100
    for name in ("README.md", "collector/README.md", "pprofplus_tui/README.md"):
        assert not measured & set(QUANTITY.findall(documents[name].text)), name
