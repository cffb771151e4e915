"""The files that people look for at a repository's root: they are there, can be read, and agree with the package."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

import tomokit

ROOT = Path(__file__).parents[2]
TEMPLATES = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
DOCUMENTS = ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", ".github/PULL_REQUEST_TEMPLATE.md")


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    """The table ``project`` of ``pyproject.toml``."""
    found: dict[str, Any] = tomllib.loads(text_of("pyproject.toml"))["project"]
    return found


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_licence_is_the_one_that_the_package_names(project: dict[str, Any]) -> None:
    licence = text_of("LICENSE")
    assert project["license"] == "BSD-3-Clause"
    assert project["license-files"] == ["LICENSE"]
    assert licence.startswith("BSD 3-Clause License\n")
    assert len(re.findall(r"^\d\. ", licence, re.MULTILINE)) == 3
    assert f"Copyright (c) 2026, {project['authors'][0]['name']}" in licence


def test_the_citation_is_of_this_version(project: dict[str, Any]) -> None:
    citation = yaml.safe_load(text_of("CITATION.cff"))
    # What the format requires.
    assert citation["cff-version"] == "1.2.0"
    assert citation["message"]
    assert citation["title"] == project["name"]
    assert citation["authors"] == [{"name": project["authors"][0]["name"]}]
    assert citation["version"] == tomokit.__version__
    assert citation["license"] == project["license"]
    publication = citation["references"][0]
    assert {"type", "title", "authors"} <= set(publication)
    assert publication["authors"][0]["family-names"] == "Wang"
    assert publication["year"] == 2023


def test_the_changelog_begins_with_this_version() -> None:
    released = re.findall(r"^## \[(.+?)\] - (.+)$", text_of("CHANGELOG.md"), re.MULTILINE)
    assert released[0][0] == tomokit.__version__
    for version, when in released:
        assert re.fullmatch(r"\d+\.\d+\.\d+", version)
        assert re.fullmatch(r"Unreleased|\d{4}-\d{2}-\d{2}", when)
    # Only the newest may be without a date, and the newest comes first.
    assert "Unreleased" not in [when for _, when in released[1:]]
    order = [tuple(map(int, version.split("."))) for version, _ in released]
    assert order == sorted(set(order), reverse=True)


def test_the_workflow_runs_ci_on_every_python_of_the_classifiers(project: dict[str, Any]) -> None:
    workflow = yaml.safe_load(text_of(".github/workflows/ci.yml"))
    # YAML 1.1 reads the key "on" as true.
    assert {"push", "pull_request"} <= set(workflow[True])
    job = workflow["jobs"]["test"]
    versions = [name.rsplit(" :: ", 1)[1] for name in project["classifiers"] if re.search(r"Python :: \d+\.\d+$", name)]
    assert job["strategy"]["matrix"]["python-version"] == versions
    assert versions
    steps = job["steps"]
    assert [step["run"] for step in steps if "run" in step] == ["bash .ci/run"]
    assert (ROOT / ".ci" / "run").is_file()
    setup = next(step for step in steps if step.get("uses", "").startswith("actions/setup-python@"))
    assert setup["with"]["python-version"] == "${{ matrix.python-version }}"


def test_the_commit_hooks_run_the_tools_of_the_lint_session() -> None:
    hooks = [hook for repo in yaml.safe_load(text_of(".pre-commit-config.yaml"))["repos"] for hook in repo["hooks"]]
    tools = {re.match(r"python -m (\w+)", hook["entry"])[1] for hook in hooks}
    lint = re.search(r"def lint\(.*?(?=\n\n\n)", text_of("noxfile.py"), re.DOTALL)
    assert lint is not None
    assert tools
    assert tools <= set(re.findall(r'"-m", "(\w+)"', lint[0]))


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_an_issue_form_has_what_such_forms_need(path: Path) -> None:
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert form["name"]
    assert form["description"]
    fields = [field for field in form["body"] if field["type"] != "markdown"]
    assert fields
    assert len({field["id"] for field in fields}) == len(fields)
    for field in fields:
        assert field["type"] in ("textarea", "input", "dropdown", "checkboxes")
        assert field["attributes"]["label"]
        options = field["attributes"].get("options", [])
        assert all(isinstance(option, str) for option in options)
        assert bool(options) == (field["type"] == "dropdown")


def test_there_are_forms_for_bugs_and_features() -> None:
    assert [path.name for path in TEMPLATES] == ["bug_report.yml", "feature_request.yml"]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_sessions_and_links_of_a_document_exist(name: str) -> None:
    text = text_of(name)
    sessions = set(re.findall(r"@nox\.session\ndef (\w+)", text_of("noxfile.py")))
    for session in re.findall(r"nox -s (\w+)", text):
        assert session in sessions
    for target in re.findall(r"\]\(([^)#:]+)[^)]*\)", text):
        if not target.startswith("http"):
            assert ((ROOT / name).parent / target).exists(), target
    for path in re.findall(r"`((?:tests|tomokit|docs|plugins)/[\w./-]+)`", text):
        assert (ROOT / path).exists(), path


def test_contributing_describes_every_session() -> None:
    described = set(re.findall(r"nox -s (\w+)", text_of("CONTRIBUTING.md")))
    sessions = set(re.findall(r"@nox\.session\ndef (\w+)", text_of("noxfile.py")))
    assert sessions
    assert sessions <= described
