"""The repository's own habits: hooks, templates and citation say what is so."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from facegan import __version__

ROOT = Path(__file__).parents[1]
GITHUB = ROOT / ".github"
FORMS = ("bug", "feature")


def read(file: Path) -> Any:
    return yaml.safe_load(file.read_text())


def hooks() -> list[dict[str, Any]]:
    return [hook for repo in read(ROOT / ".pre-commit-config.yaml")["repos"]
            for hook in repo["hooks"]]  # fmt: skip


def test_hooks_need_no_network() -> None:
    assert {repo["repo"] for repo in read(ROOT / ".pre-commit-config.yaml")["repos"]} == {"local"}
    assert {hook["language"] for hook in hooks()} == {"system"}


@pytest.mark.parametrize("hook", hooks(), ids=lambda hook: str(hook["id"]))
def test_a_hook_is_a_tool_that_setup_installs(hook: dict[str, Any]) -> None:
    program = hook["entry"].split()[0]
    assert program.startswith(".venv/bin/")
    tool = Path(program).name
    dev = (ROOT / "pyproject.toml").read_text()
    package = tool if tool in ("ruff", "mypy") else "pre-commit-hooks"
    assert f'"{package}>=' in dev


@pytest.mark.parametrize("name", FORMS)
def test_an_issue_form_is_one_that_github_reads(name: str) -> None:
    """Its required keys, by GitHub's syntax for issue forms; ids differ."""
    form = read(GITHUB / "ISSUE_TEMPLATE" / f"{name}.yml")
    assert {"name", "description", "body"} <= form.keys()
    fields = [field for field in form["body"] if field["type"] != "markdown"]
    assert all({"id", "type", "attributes"} <= field.keys() for field in fields)
    assert all(field["attributes"]["label"] for field in fields)
    assert {field["type"] for field in fields} <= {"textarea", "input", "dropdown", "checkboxes"}
    assert len({field["id"] for field in fields}) == len(fields)
    assert any(field.get("validations", {}).get("required") for field in fields)


def test_the_change_template_asks_for_what_contributing_wants() -> None:
    asked = (GITHUB / "PULL_REQUEST_TEMPLATE.md").read_text()
    for word in ("make check", "CHANGELOG.md", "docs/results.md", "no photo of a person"):
        assert word in asked


@pytest.mark.parametrize("document", ["SECURITY.md", ".github/PULL_REQUEST_TEMPLATE.md"])
def test_what_they_link_to_is_there(document: str) -> None:
    text = (ROOT / document).read_text()
    for target in re.findall(r"\]\(([^)#]+)|\b(docs/[\w/.-]+\.md)", text):
        assert (ROOT / next(filter(None, target))).exists(), target


def test_the_citation_is_whole_and_of_this_version() -> None:
    """By the schema of CFF 1.2.0: what it requires, and that it knows nothing else at the top."""
    citation = read(ROOT / "CITATION.cff")
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    known = "cff-version message title type authors version date-released license abstract keywords"
    assert citation.keys() <= {*known.split(), "references"}
    assert citation["cff-version"] == "1.2.0" and citation["type"] == "software"
    assert citation["version"] == __version__ and citation["license"] == "Apache-2.0"
    for reference in citation["references"]:
        assert {"type", "title", "authors"} <= reference.keys()
        assert re.fullmatch(r"arXiv:\d{4}\.\d{5}", reference["identifiers"][0]["value"])
