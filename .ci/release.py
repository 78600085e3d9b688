"""Makes a release: notes under their version, files tried in a clean environment, the tag to set.

Everything happens in a copy of the commit first. Only what has held there comes back: the
changelog, the version, dist/. Nothing is committed, tagged or uploaded: the commands are printed.
"""

import argparse
import difflib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import venv
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parents[1]
CHECKED = "runs/checked"  # `make check` writes the tree that passed into it
CHANGELOG = "CHANGELOG.md"
VERSION_FILE = "src/facegan/__init__.py"
CITATION = "CITATION.cff"
UNRELEASED = "## [Unreleased]"
# Those that are wheels everywhere, by what fits together.
EXTRAS = ("training,serving,serving-gpu,streaming,faces,cloud,notebook", "studio")


class Refused(Exception):
    """A release that cannot be; the message says why, and what to do."""


def main() -> None:
    """Check, make, try, hand over."""
    options = parse_options()
    today = datetime.now(UTC).date().isoformat()
    try:
        check_state(options.version, options.dry_run)
        with tempfile.TemporaryDirectory(prefix="release-") as folder:
            copy = Path(folder, "copy")
            copy_commit(copy)
            write_version(copy, options.version, today)
            say("What changes", changes(copy))
            files = build(copy, Path(folder, "dist"))
            try_wheel(next(file for file in files if file.suffix == ".whl"), Path(folder, "clean"))
            if not options.dry_run:
                hand_over(copy, files)
    except Refused as reason:
        sys.exit(f"Error: {reason}")
    except subprocess.CalledProcessError as failed:
        words = " ".join(map(str, failed.cmd))
        sys.exit(f"Error: `{words}` failed (exit code {failed.returncode}). Nothing was changed.")
    print(ending(options.version, options.dry_run))


def parse_options() -> argparse.Namespace:
    """Which version, and whether for real."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("version", help="x.y.z, above the last")
    parser.add_argument("--dry-run", action="store_true", help="do all of it in the copy only")
    return parser.parse_args()


def say(what: str, more: str = "") -> None:
    """A headline, and what belongs below it."""
    print(f"— {what}", flush=True)
    if more.strip():
        print(more.rstrip(), flush=True)


# --- may it be? -----------------------------------------------------------------------------------


def check_state(version: str, is_dry: bool) -> None:
    """The commit is whole, has passed its tests, and the version is the next one.

    Raises:
        Refused: it is not so. In a dry run the tests' state is only said.
    """
    check_version(version, current_version(), git("tag", "--list").split())
    if changed := git("status", "--porcelain"):
        raise Refused(f"files are not committed:\n{changed}\nCommit them, or put them aside.")
    file, tree = ROOT / CHECKED, git("rev-parse", "HEAD^{tree}").strip()
    if not file.exists() or file.read_text().strip() != tree:
        told = "this commit has not passed `make check` here."
        if not is_dry:
            raise Refused(f"{told} Run it, and then this again.")
        say(f"Only because this is a dry run: {told}")


def check_version(version: str, current: str, tags: list[str]) -> None:
    """A version is three numbers, above the current one or equal to it where it has no tag yet.

    Raises:
        Refused: it is not.
    """
    if not re.fullmatch(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)", version):
        raise Refused(
            f"{version!r} is not a version. Give three numbers: make release VERSION=1.2.3"
        )
    if f"v{version}" in tags:
        raise Refused(f"there is a tag v{version} already. Released files do not change.")
    if numbers(version) < numbers(current):
        raise Refused(f"{version} is below {current}, the version in {VERSION_FILE}.")


def numbers(version: str) -> tuple[int, ...]:
    """A version as numbers, which compare as they should."""
    return tuple(map(int, version.split(".")))


def current_version() -> str:
    """The version in the source."""
    found = re.search(r'__version__ = "(.*)"', (ROOT / VERSION_FILE).read_text())
    if not found:
        raise Refused(f"{VERSION_FILE} says no __version__.")
    return found[1]


# --- what is written ------------------------------------------------------------------------------


def copy_commit(copy: Path) -> None:
    """The commit's files, and nothing that git does not know."""
    archive = copy.with_suffix(".tar")
    git("archive", "--format=tar", f"--output={archive}", "HEAD")
    copy.mkdir()
    subprocess.run(["tar", "-xf", str(archive), "-C", str(copy)], check=True)


def write_version(folder: Path, version: str, date: str) -> None:
    """The version and its date, in the three files that say them.

    Raises:
        Refused: there is nothing to release.
    """
    for name, change in (
        (CHANGELOG, lambda text: released_changelog(text, version, date)),
        (VERSION_FILE, lambda text: with_version(text, version)),
        (CITATION, lambda text: cited(text, version, date)),
    ):
        file = folder / name
        file.write_text(change(file.read_text()))


def changes(copy: Path) -> str:
    """What the version changes in the tree, as a diff."""
    lines: list[str] = []
    for name in (CHANGELOG, VERSION_FILE, CITATION):
        before, after = ((folder / name).read_text().splitlines() for folder in (ROOT, copy))
        lines += difflib.unified_diff(before, after, name, name, n=1, lineterm="")
    return "\n".join(lines)


def released_changelog(text: str, version: str, date: str) -> str:
    """A changelog whose unreleased entries stand under a version; above it room for the next.

    Raises:
        Refused: there are no entries, no place for them, or the version is there already.
    """
    if f"## [{version}]" in text:
        raise Refused(f"{CHANGELOG} has a section {version} already.")
    head, found, rest = text.partition(f"{UNRELEASED}\n")
    if not found:
        raise Refused(f"{CHANGELOG} has no line {UNRELEASED!r}.")
    entries = re.split(r"^## ", rest, maxsplit=1, flags=re.M)[0]
    if not re.search(r"^- ", entries, re.M):
        raise Refused(f"nothing stands under {UNRELEASED!r} in {CHANGELOG}. What is new?")
    return f"{head}{UNRELEASED}\n\n## [{version}] - {date}\n{rest}"


def with_version(text: str, version: str) -> str:
    """The source of ``__version__`` with another one."""
    return substituted(r'^__version__ = ".*"$', f'__version__ = "{version}"', text)


def cited(text: str, version: str, date: str) -> str:
    """CITATION.cff with a version and the day of its release."""
    text = substituted(r"^version: .*$", f"version: {version}", text)
    text = re.sub(r"^date-released: .*\n", "", text, flags=re.M)
    return substituted(r"^(version: .*)$", rf"\1\ndate-released: '{date}'", text)


def substituted(pattern: str, new: str, text: str) -> str:
    """Exactly one line replaced.

    Raises:
        Refused: it is there more or less than once.
    """
    text, count = re.subn(pattern, new, text, flags=re.M)
    if count != 1:
        raise Refused(f"{pattern} matches {count} lines, not one.")
    return text


# --- what is made, and tried ----------------------------------------------------------------------


def build(copy: Path, dist: Path) -> list[Path]:
    """The source distribution and, out of it, the wheel; both as an index wants them."""
    say("Building, and checking what an index would show")
    run(sys.executable, "-m", "build", "--outdir", dist, copy, is_quiet=True)
    files = sorted(dist.iterdir())
    run(sys.executable, "-m", "twine", "check", "--strict", *files)
    return files


def try_wheel(wheel: Path, folder: Path) -> None:
    """Install the wheel where nothing else is, and use it; resolve what its extras want."""
    say("In a clean environment: the wheel alone")
    venv.create(folder, with_pip=True)
    programs = folder / ("Scripts" if os.name == "nt" else "bin")
    pip = (programs / "python", "-m", "pip", "--quiet", "--disable-pip-version-check")
    facegan = programs / "facegan"
    run(*pip, "install", wheel)
    run(*pip, "check")
    run(facegan, "--version")
    run(facegan, "--help", is_quiet=True)
    run(facegan, "data", "--help", is_quiet=True)
    make_pictures(programs / "python", folder / "photos")
    run(facegan, "data", "prepare", folder / "photos", "--out", folder / "set", "--resolution", 32)
    if not (folder / "set" / "dataset.json").exists():
        raise Refused("`facegan data prepare` of the wheel alone left no data set.")
    check_sentence(facegan, folder)
    for extras in EXTRAS:
        say(f"What these extras want, can it be had together? {extras}")
        run(*pip, "install", "--dry-run", f"{wheel}[{extras}]", is_quiet=True)


def make_pictures(python: Path, folder: Path) -> None:
    """A few pictures to prepare, by the environment's own Pillow."""
    drawing = (
        "import sys; from pathlib import Path; from PIL import Image\n"
        "folder = Path(sys.argv[1]); folder.mkdir()\n"
        "for k in range(8):\n"
        "    Image.new('RGB', (40 + k, 50), (k * 30, 90, 9)).save(folder / f'{k}.png')"
    )
    run(python, "-c", drawing, folder)


def check_sentence(facegan: Path, folder: Path) -> None:
    """What the wheel alone cannot do, it says in a sentence.

    Raises:
        Refused: it does it, or shows a traceback.
    """
    words = (facegan, "data", "toy", "--out", folder / "toy", "--images", 4, "--resolution", 32)
    told = subprocess.run([*map(str, words)], capture_output=True, text=True, cwd=folder,
                          env=clean_environment()).stderr  # fmt: skip
    if "facegan[training]" not in told or "Traceback" in told:
        raise Refused(f"without torch `facegan data toy` says:\n{told}")


def clean_environment() -> dict[str, str]:
    """This environment without what would let the tree's own code in."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


def hand_over(copy: Path, files: list[Path]) -> None:
    """Bring back what has held: three files of the tree, and dist/."""
    for name in (CHANGELOG, VERSION_FILE, CITATION):
        shutil.copyfile(copy / name, ROOT / name)
    (ROOT / "dist").mkdir(exist_ok=True)
    for file in files:
        shutil.copyfile(file, ROOT / "dist" / file.name)


def ending(version: str, is_dry: bool) -> str:
    """What to do now."""
    if is_dry:
        return f"\n{version} could be released. Nothing was changed (dry run)."
    return f"""
{version} is in dist/; {CHANGELOG}, {VERSION_FILE} and {CITATION} say so. Look at them, then:

  git commit --all --message 'Release {version}'
  git tag --annotate v{version} --message 'Release {version}'
  git push --follow-tags
  .venv/bin/twine upload dist/facegan-{version}*
"""


def run(*words: object, is_quiet: bool = False) -> None:
    """Run a program outside the tree; its own words say why it fails.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    out = subprocess.DEVNULL if is_quiet else None
    command = [*map(str, words)]
    subprocess.run(
        command, check=True, stdout=out, cwd=tempfile.gettempdir(), env=clean_environment()
    )


def git(*words: str) -> str:
    """Ask git about this repository."""
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise Refused(f"git {words[0]}: {done.stderr.strip()}")
    return done.stdout


if __name__ == "__main__":
    main()
