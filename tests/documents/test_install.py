"""The `pip install` commands of documents and messages install from where the project is."""

import re

import pytest

from pprofplus_tui.model import installation

PIP = re.compile(r"pip install ((?:-\S+ )*)('[^']+'|\"[^\"]+\"|[^\s`'\"]+)")
OURS = re.compile(r"(?:\.|pprofplus)(?:\[(\w+)\])?$")
NOT_PUBLISHED = "pprofplus is not on a package index yet"
USERS_DOCUMENTS = ("README.md", "collector/README.md", "pprofplus_tui/README.md")


def installs(text):
    """Return (command without options, requirement) of each command that installs pprofplus."""
    for _, what in PIP.findall(text):
        bare = what.strip("'\"")
        if OURS.fullmatch(bare):
            yield f"pip install {what}", bare


def test_a_command_names_the_source_and_the_extra(monkeypatch):
    assert installation.install_command("tui") == f"pip install '{installation.SOURCE}[tui]'"
    assert installation.install_command() == f"pip install {installation.SOURCE}"
    monkeypatch.setattr(installation, "SOURCE", "pprofplus")
    assert installation.install_command("tui") == "pip install 'pprofplus[tui]'"
    assert installation.install_line("tui") == "pip install 'pprofplus[tui]'"
    assert installation.how_to_install("tui") == "pip install 'pprofplus[tui]'"


def test_a_command_for_a_clone_names_the_clone(monkeypatch):
    monkeypatch.setattr(installation, "SOURCE", ".")
    assert installation.install_line() == "pip install .  # in a clone of pprofplus"
    assert installation.how_to_install("tui") == "pip install '.[tui]'  in a clone of pprofplus"


@pytest.mark.parametrize("name", USERS_DOCUMENTS)
def test_every_install_command_for_users_is_that_of_the_messages(name, documents):
    commands = [
        command
        for marker, code in documents[name].blocks("sh")
        if marker.startswith("install")
        for command, _ in installs(code)
    ]
    assert commands
    assert set(commands) <= {installation.install_command(extra) for extra in ("", "tui", "serve")}


@pytest.mark.parametrize("name", USERS_DOCUMENTS)
def test_a_document_says_that_no_index_has_the_project_while_that_is_true(name, documents):
    unpublished = installation.SOURCE == "."
    assert (NOT_PUBLISHED in documents[name].text) == unpublished


def test_no_document_or_message_installs_from_an_index_before_the_first_release(documents, root):
    if installation.SOURCE != ".":
        pytest.skip("the project is on an index")
    texts = {name: document.text for name, document in documents.items()}
    for package in ("collector", "pprofplus_tui"):
        for path in (root / package).rglob("*.py"):
            if path.name != "installation.py":
                texts[str(path)] = path.read_text()
    for name, text in texts.items():
        for command, bare in installs(text):
            assert not bare.startswith("pprofplus"), (name, command)


def test_every_named_extra_exists(documents, root):
    extras = set(re.findall(r"^(\w+) = \[", (root / "pyproject.toml").read_text(), re.MULTILINE))
    for document in documents.values():
        for _, bare in installs(document.text):
            extra = OURS.fullmatch(bare)[1]
            assert extra is None or extra in extras, (document.name, bare)


def test_the_image_installs_from_the_source_of_the_project(collector_readme):
    block = collector_readme.block_of("docker", "dockerfile")
    (what,) = re.findall(r"^RUN pip install (\S+)", block, re.MULTILINE)
    copied = re.findall(r"^COPY pprofplus (\S+)$", block, re.MULTILINE)
    assert [what] == (copied if installation.SOURCE == "." else [installation.SOURCE])
