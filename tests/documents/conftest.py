"""The documents of the repository: their text, code blocks, headings and links."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]


class Document:
    """One Markdown file.

    Attributes:
        name: its path in the repository.
        text: its content.
    """

    def __init__(self, name):
        self.name = name
        self.path = ROOT / name
        self.text = self.path.read_text()
        self.tokens = MarkdownIt("commonmark").enable("table").parse(self.text)

    def blocks(self, language):
        """Return (marker before it or "", code) of each fenced block in a language."""
        return re.findall(
            rf"(?:<!-- ([^>]*) -->\n)?```{language}\n(.*?)```", self.text, flags=re.DOTALL
        )

    def lines_of(self, marker):
        """Return the lines of all shell blocks with a marker."""
        return [
            line
            for found, code in self.blocks("sh")
            if found == marker
            for line in code.strip().splitlines()
        ]

    def block_of(self, marker, language):
        """Return the code of the one block with a marker."""
        (code,) = [code for found, code in self.blocks(language) if found == marker]
        return code

    def table_of(self, marker):
        """Return the rows of the table after a marker, each as a list of cells."""
        _, found, rest = self.text.partition(f"<!-- {marker} -->\n")
        assert found, f"{self.name} has no <!-- {marker} -->"
        rows = re.match(r"(?:\|.*\n)*", rest)[0].splitlines()[2:]
        return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]

    def code_spans(self):
        """Return the texts in backticks."""
        return [
            child.content
            for token in self.tokens
            for child in token.children or ()
            if child.type == "code_inline"
        ]

    def prose(self):
        """Return the text without code and without tables that are made from code."""
        text = re.sub(r"```.*?```", "", self.text, flags=re.DOTALL)
        text = re.sub(r"<!-- made from code: [^>]* -->\n(?:\|.*\n)*", "", text)
        return re.sub(r"`[^`\n]*`", "", text)

    def links(self):
        """Return the targets of all links and pictures."""
        return [
            child.attrs["href" if child.type == "link_open" else "src"]
            for token in self.tokens
            for child in token.children or ()
            if child.type in {"link_open", "image"}
        ]

    def anchors(self):
        """Return the anchors that GitHub makes of the headings."""
        found = set()
        for token, after in zip(self.tokens, self.tokens[1:], strict=False):
            if token.type != "heading_open":
                continue
            title = "".join(
                child.content for child in after.children if child.type in {"text", "code_inline"}
            )
            base = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
            anchor, number = base, 0
            while anchor in found:
                number += 1
                anchor = f"{base}-{number}"
            found.add(anchor)
        return found


def _names():
    """Return the paths of all Markdown files, except those of tools and environments."""
    for directory, below, files in os.walk(ROOT):
        below[:] = [name for name in below if not name.startswith(".") or name == ".github"]
        for name in files:
            if name.endswith(".md"):
                yield str(Path(directory, name).relative_to(ROOT))


@pytest.fixture(scope="session")
def documents():
    """All documents, by their paths in the repository."""
    return {name: Document(name) for name in sorted(_names())}


@pytest.fixture(scope="session")
def root():
    return ROOT


@pytest.fixture(scope="session")
def readme(documents):
    return documents["README.md"]


@pytest.fixture(scope="session")
def collector_readme(documents):
    return documents["collector/README.md"]


@pytest.fixture(scope="session")
def monitor_readme(documents):
    return documents["pprofplus_tui/README.md"]


@pytest.fixture(scope="session")
def benchmarks_readme(documents):
    return documents["tests/benchmarks/README.md"]


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A directory with a service and with the commands that the documents call, on PATH."""
    commands = tmp_path / "bin"
    commands.mkdir()
    python = f'#!/bin/sh\nexec "{sys.executable}" '
    app = "import pprofplus\nassert pprofplus.start().running\n"
    for name, text in {
        "pprofplus": python + '-m pprofplus "$@"\n',
        "python": python + '"$@"\n',
        "gunicorn": f"#!{sys.executable}\nimport sys\nassert sys.argv[1:] == ['app:app']\n{app}",
    }.items():
        (commands / name).write_text(text)
        (commands / name).chmod(0o755)
    (tmp_path / "app.py").write_text(app)
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__main__.py").write_text(app)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{commands}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PPROFPLUS_DIR", str(tmp_path / "logs"))
    return tmp_path


@pytest.fixture
def run_quietly():
    """Run a command that must exit 0 and print nothing on stderr; return its stdout."""

    def run(words):
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stderr) == (0, ""), words
        return done.stdout

    return run
