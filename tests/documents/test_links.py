"""Links, tables, blocks and command lines in all documents are valid."""

import re
import shlex

import pytest

from pprofplus.cli import build_parser as collector_parser
from pprofplus_tui.commands.table import build_parser as monitor_parser

# the markers of shell blocks that tests run; "" is for commands of the monitor
MARKERS = {
    "README.md": {"demo command", "test command", "install", "install and look"},
    "collector/README.md": {"install", "commands that only read", "ctl", "run", "watch"},
    "pprofplus_tui/README.md": {"install", ""},
    "tests/benchmarks/README.md": {"benchmarks"},
    ".github/CONTRIBUTING.md": {"set up", "tests"},
}
PATH = re.compile(r"(?:collector|pprofplus_tui|tests|screenshots|\.ci|\.github)/[\w./-]+")
PARSERS = {"pprofplus": collector_parser, "pprofplus-tui": monitor_parser}


def test_every_relative_link_has_a_file_and_a_heading(documents, root):
    broken = []
    for document in documents.values():
        for link in document.links():
            if "://" in link:
                continue
            path, _, anchor = link.partition("#")
            target = (document.path.parent / path).resolve() if path else document.path
            if not target.exists():
                broken.append((document.name, link))
            elif anchor:
                other = documents.get(str(target.relative_to(root)))
                if other is None or anchor not in other.anchors():
                    broken.append((document.name, link))
    assert broken == []


def test_the_documents_are_found(documents):
    assert {"README.md", "collector/README.md", ".github/CONTRIBUTING.md"} <= set(documents)
    assert len(documents) >= 9
    assert sum(len(document.links()) for document in documents.values()) > 40


def test_every_picture_has_a_description(documents):
    for document in documents.values():
        assert not re.search(r"!\[\]\(", document.text), document.name


def test_every_path_named_in_a_document_exists(documents, root):
    missing = [
        (document.name, span)
        for document in documents.values()
        if document.name != "CHANGELOG.md"
        for span in document.code_spans()
        if re.fullmatch(
            r"(?:collector|pprofplus_tui|tests|screenshots|\.ci|\.github)/[\w./-]+", span
        )
        and not (root / span).exists()
    ]
    assert missing == []


def test_every_row_of_a_table_has_as_many_cells_as_its_heading(documents):
    for document in documents.values():
        text = re.sub(r"```.*?```", "", document.text, flags=re.DOTALL)
        for rows in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
            cells = {len(re.findall(r"(?<!\\)\|", row)) for row in rows.splitlines()}
            assert len(cells) == 1, (document.name, rows)


def test_every_shell_block_is_run_by_a_test(documents):
    for document in documents.values():
        found = {marker for marker, _ in document.blocks("sh")}
        assert found == MARKERS.get(document.name, set()), document.name


def command_lines(document):
    """Return the command lines of pprofplus in code spans and in blocks without a language."""
    texts = document.code_spans()
    texts += [
        line
        for token in document.tokens
        if token.type == "fence" and not token.info
        for line in token.content.splitlines()
    ]
    for text in texts:
        found = re.search(r"(?:^|\s)(pprofplus(?:-tui)? [a-z-].*)", text)
        if found:
            yield found[1]


@pytest.mark.parametrize(
    "name", ["README.md", "collector/README.md", "pprofplus_tui/README.md", ".github/SECURITY.md"]
)
def test_every_command_line_in_the_text_is_accepted_by_its_parser(name, documents):
    lines = list(command_lines(documents[name]))
    assert lines
    for line in lines:
        program, *words = shlex.split(line.rstrip(')"'))
        parser = PARSERS[program]()
        if len(words) == 1 and not words[0].startswith("-"):
            words.append("--help")  # the text has only the name of a command
        assert is_accepted(parser, words), line


def is_accepted(parser, words):
    """Return whether a parser accepts the words, or prints help and exits with 0."""
    try:
        parser.parse_args(words)
    except SystemExit as ended:
        return ended.code == 0
    return True
