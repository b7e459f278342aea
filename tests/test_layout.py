"""The layout: few top-level modules, unique names, and a layer for every module."""

import ast
import sys
from collections import Counter
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
COLLECTOR, MONITOR = ROOT / "collector" / "pprofplus", ROOT / "pprofplus_tui"
MAX_TOP_LEVEL = 8
both = pytest.mark.parametrize("package", [COLLECTOR, MONITOR], ids=lambda package: package.name)


def modules(package):
    return [path for path in package.rglob("*.py") if path.stem not in {"__init__", "__main__"}]


def packages(package):
    return [path.parent for path in package.rglob("__init__.py")]


@both
def test_a_package_has_few_top_level_modules(package):
    top_level = sorted(path.stem for path in modules(package) if path.parent == package)
    assert len(top_level) <= MAX_TOP_LEVEL, top_level


@both
def test_a_module_name_is_unique_in_a_package(package):
    counted = Counter(path.stem for path in modules(package))
    assert [name for name, count in counted.items() if count > 1] == []


def test_a_public_type_name_is_unique_in_the_tree():
    counted = Counter(
        node.name
        for package in (COLLECTOR, MONITOR)
        for path in package.rglob("*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    assert [name for name, count in counted.items() if count > 1] == []


@both
def test_each_package_documents_its_content_and_its_imports(package):
    for found in packages(package):
        if found in {COLLECTOR, MONITOR}:
            continue
        docstring = ast.get_docstring(ast.parse((found / "__init__.py").read_text()))
        assert docstring, found
        assert "import" in docstring.lower(), (found, docstring)


@both
def test_each_module_has_a_docstring(package):
    undocumented = [
        path for path in modules(package) if not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert undocumented == []


@both
def test_each_package_with_modules_has_exhaustive_layers(package):
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    layered = {
        container
        for contract in settings["tool"]["importlinter"]["contracts"]
        if contract.get("exhaustive")
        for container in contract["containers"]
    }
    expected = {
        ".".join(found.relative_to(package.parent).parts)
        for found in packages(package)
        if len([path for path in modules(found) if path.parent == found]) > 1
    }
    assert expected <= layered
