"""The layout: few modules at the top, one meaning for a name, every module in a layer."""

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
MOST_AT_THE_TOP = 8
both = pytest.mark.parametrize("package", [COLLECTOR, MONITOR], ids=lambda package: package.name)


def modules(package):
    return [path for path in package.rglob("*.py") if path.stem not in {"__init__", "__main__"}]


def packages(package):
    return [path.parent for path in package.rglob("__init__.py")]


@both
def test_few_modules_stand_at_the_top_of_a_package(package):
    at_the_top = sorted(path.stem for path in modules(package) if path.parent == package)
    assert len(at_the_top) <= MOST_AT_THE_TOP, at_the_top


@both
def test_a_module_name_stands_once_in_a_package(package):
    counted = Counter(path.stem for path in modules(package))
    assert [name for name, count in counted.items() if count > 1] == []


def test_a_public_type_name_stands_once_in_the_tree():
    counted = Counter(
        node.name
        for package in (COLLECTOR, MONITOR)
        for path in package.rglob("*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    assert [name for name, count in counted.items() if count > 1] == []


@both
def test_each_package_says_what_lives_there_and_what_it_may_import(package):
    for found in packages(package):
        if found in {COLLECTOR, MONITOR}:
            continue
        said = ast.get_docstring(ast.parse((found / "__init__.py").read_text()))
        assert said, found
        assert "import" in said.lower(), (found, said)


@both
def test_each_module_says_in_its_first_line_why_it_exists(package):
    silent = [
        path for path in modules(package) if not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert silent == []


@both
def test_each_package_with_modules_has_exhaustive_layers(package):
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    layered = {
        container
        for contract in settings["tool"]["importlinter"]["contracts"]
        if contract.get("exhaustive")
        for container in contract["containers"]
    }
    wanted = {
        ".".join(found.relative_to(package.parent).parts)
        for found in packages(package)
        if len([path for path in modules(found) if path.parent == found]) > 1
    }
    assert wanted <= layered
