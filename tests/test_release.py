"""A release: which versions may be, what is written where, and when it is refused."""

import importlib.util
import subprocess
from pathlib import Path
from typing import Any

import pytest

from facegan import __version__

ROOT = Path(__file__).parents[1]
LOG = """# Changelog

## [Unreleased]

### Added
- Faces.

## [0.1.0] - 2026-01-01

### Added
- A beginning.
"""


@pytest.fixture
def release(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """The script, over a repository of its own with one commit."""
    spec = importlib.util.spec_from_file_location("release", ROOT / ".ci" / "release.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "src/facegan").mkdir(parents=True)
    (tmp_path / module.VERSION_FILE).write_text('"""A package."""\n\n__version__ = "0.1.0"\n')
    (tmp_path / module.CHANGELOG).write_text(LOG)
    (tmp_path / module.CITATION).write_text("cff-version: 1.2.0\nversion: 0.1.0\n")
    (tmp_path / ".gitignore").write_text("runs/\n")
    identity = ("-c", "user.name=a", "-c", "user.email=a@b.c")
    for words in (["init", "-q"], ["add", "-A"], [*identity, "commit", "-qm", "first"]):
        subprocess.run(["git", *words], cwd=tmp_path, check=True)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    return module


def note_that_it_passed(release: Any) -> None:
    (release.ROOT / "runs").mkdir()
    (release.ROOT / release.CHECKED).write_text(release.git("rev-parse", "HEAD^{tree}"))


def test_a_checked_clean_commit_may_be_released(release: Any) -> None:
    note_that_it_passed(release)
    release.check_state("0.2.0", False)


@pytest.mark.parametrize(
    ("version", "told"),
    [
        ("1.2", "is not a version"),
        ("v1.2.3", "is not a version"),
        ("01.2.3", "is not a version"),
        ("0.0.9", "is below 0.1.0"),
        ("0.3.0", "there is a tag v0.3.0 already"),
    ],
)
def test_a_version_that_cannot_be_next_is_refused(release: Any, version: str, told: str) -> None:
    with pytest.raises(release.Refused, match=told):
        release.check_version(version, "0.1.0", ["v0.3.0"])


def test_versions_are_compared_as_numbers(release: Any) -> None:
    release.check_version("0.10.0", "0.9.1", [])


def test_a_change_that_is_not_committed_is_named(release: Any) -> None:
    note_that_it_passed(release)
    (release.ROOT / "new.py").write_text("")
    with pytest.raises(release.Refused, match=r"(?s)not committed.*new\.py"):
        release.check_state("0.2.0", False)


def test_a_commit_whose_tests_did_not_pass_is_refused_but_may_be_tried(release: Any) -> None:
    with pytest.raises(release.Refused, match="make check"):
        release.check_state("0.2.0", False)
    release.check_state("0.2.0", True)


def test_the_version_is_written_into_a_copy_and_nowhere_else(release: Any, tmp_path: Path) -> None:
    copy = tmp_path / "runs" / "copy"
    copy.parent.mkdir()
    release.copy_commit(copy)
    release.write_version(copy, "0.2.0", "2026-02-03")
    assert (
        "## [Unreleased]\n\n## [0.2.0] - 2026-02-03\n\n### Added\n- Faces."
        in (copy / "CHANGELOG.md").read_text()
    )
    assert '__version__ = "0.2.0"' in (copy / release.VERSION_FILE).read_text()
    cited = (copy / release.CITATION).read_text()
    assert cited == "cff-version: 1.2.0\nversion: 0.2.0\ndate-released: '2026-02-03'\n"
    assert not release.git("status", "--porcelain")
    assert "+version: 0.2.0" in release.changes(copy)


def test_a_second_release_replaces_the_day(release: Any) -> None:
    once = release.cited("version: 0.1.0\n", "0.2.0", "2026-02-03")
    assert release.cited(once, "0.3.0", "2026-04-05") == (
        "version: 0.3.0\ndate-released: '2026-04-05'\n"
    )


@pytest.mark.parametrize(
    ("log", "told"),
    [
        (LOG.replace("- Faces.\n", ""), "nothing stands under"),
        (LOG.replace("Unreleased", "Next"), "has no line"),
        (LOG.replace("0.1.0", "0.2.0"), "has a section 0.2.0 already"),
    ],
)
def test_a_changelog_that_does_not_tell_what_is_new_is_refused(
    release: Any, log: str, told: str
) -> None:
    with pytest.raises(release.Refused, match=told):
        release.released_changelog(log, "0.2.0", "2026-02-03")


def test_our_own_files_can_be_released(release: Any) -> None:
    log = (ROOT / "CHANGELOG.md").read_text()
    assert log.count(release.UNRELEASED) == 1
    source = (ROOT / release.VERSION_FILE).read_text()
    assert f'"{__version__}"' in source and '"9.0.0"' in release.with_version(source, "9.0.0")
    assert "version: 9.0.0" in release.cited((ROOT / release.CITATION).read_text(), "9.0.0", "x")
