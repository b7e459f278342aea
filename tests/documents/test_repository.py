"""CI, hooks and templates agree with pyproject.toml."""

import re

import pytest
import yaml


@pytest.fixture(scope="module")
def pyproject(root):
    return (root / "pyproject.toml").read_text()


@pytest.fixture(scope="module")
def workflow(root):
    return yaml.safe_load((root / ".github" / "workflows" / "ci.yml").read_text())


def test_ci_runs_on_every_python_in_the_classifiers(workflow, pyproject):
    named = re.findall(r'"Programming Language :: Python :: (\d+\.\d+)"', pyproject)
    assert len(named) >= 4
    (job,) = workflow["jobs"].values()
    assert job["strategy"]["matrix"]["python"] == named


def test_ci_begins_with_the_oldest_supported_python(workflow, pyproject):
    (job,) = workflow["jobs"].values()
    oldest = job["strategy"]["matrix"]["python"][0]
    assert f'requires-python = ">={oldest}"' in pyproject


def test_ci_runs_the_script_that_developers_run(workflow, root):
    (job,) = workflow["jobs"].values()
    assert [step["run"] for step in job["steps"] if "run" in step] == [".ci/run"]
    assert (root / ".ci" / "run").stat().st_mode & 0o111


def test_ci_has_a_time_limit_and_may_only_read(workflow):
    (job,) = workflow["jobs"].values()
    assert job["timeout-minutes"] == 90
    assert workflow["permissions"] == {"contents": "read"}
    assert "permissions" not in job


def test_ci_uses_actions_of_a_fixed_major_version(workflow):
    (job,) = workflow["jobs"].values()
    used = [step["uses"] for step in job["steps"] if "uses" in step]
    assert used
    for action in used:
        assert re.fullmatch(r"actions/[\w-]+@v\d+", action)


def test_each_hook_calls_a_tool_of_the_dev_extra(root, pyproject):
    config = yaml.safe_load((root / ".pre-commit-config.yaml").read_text())
    (repository,) = config["repos"]
    assert repository["repo"] == "local"
    dev = re.search(r"^dev = \[(.*?)^\]", pyproject, re.DOTALL | re.MULTILINE)[1]
    packages = {"lint-imports": "import-linter"}
    tools = [hook["entry"].split()[0] for hook in repository["hooks"]]
    assert tools == ["ruff", "ruff", "mypy", "lint-imports"]
    for hook, tool in zip(repository["hooks"], tools, strict=True):
        assert hook["language"] == "system"
        assert f'"{packages.get(tool, tool)}' in dev


def test_each_issue_form_has_what_github_requires(root):
    forms = sorted((root / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
    assert [form.name for form in forms] == ["bug.yml", "config.yml", "feature.yml"]
    for path in forms:
        form = yaml.safe_load(path.read_text())
        if path.name == "config.yml":
            continue
        assert {"name", "description", "body"} <= set(form)
        ids = [part["id"] for part in form["body"] if part["type"] != "markdown"]
        assert len(set(ids)) == len(ids) > 1
        assert all(part["attributes"] for part in form["body"])


def test_a_bug_report_asks_for_the_output_of_doctor(root):
    form = yaml.safe_load((root / ".github" / "ISSUE_TEMPLATE" / "bug.yml").read_text())
    (doctor,) = [part for part in form["body"] if part.get("id") == "doctor"]
    assert "pprofplus doctor" in doctor["attributes"]["label"]
    assert doctor["validations"]["required"]


def test_the_pull_request_template_is_a_checklist(documents):
    lines = documents[".github/PULL_REQUEST_TEMPLATE.md"].text.splitlines()
    assert len([line for line in lines if line.startswith("- [ ] ")]) >= 5


def test_no_document_has_an_address_of_a_person(documents):
    for document in documents.values():
        assert not re.search(r"[\w.]+@[\w-]+\.[a-z]{2,}", document.text), document.name
