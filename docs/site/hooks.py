"""Lays the repository's documents out for mkdocs as they lie here, and writes the reference."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "facegan"
BESIDE_DOCS = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")
FOLDERS = ("docs", "container", "docker", "local_test", "infra", "notebooks")  # with documents
SHOWN = {".md", ".svg", ".png", ".gif", ".webp", ".jpg", ".css"}
COMMANDS = "reference/commands.md"
LINK = re.compile(r"\]\(([^)#\s:]+)(?:#[^)]*)?\)")


def on_files(files: Files, config: Any) -> Files:
    """Pages by their path in the repository, what they link to beside them, and the reference."""
    laid_out = Files(
        [one for one in files if one.generated_by or not one.abs_src_path or is_theme(one)]
    )
    pages = list(documents())
    for path in sorted({*pages, *linked(pages), *pictures()}):
        name = path.relative_to(ROOT).as_posix()
        laid_out.append(File.generated(config, name, abs_src_path=str(path)))
    reference = {COMMANDS: commands(), **dict(rooms())}
    for name, text in reference.items():
        laid_out.append(File.generated(config, name, content=text))
    config.nav = with_all_pages(config.nav, [*map(relative, pages)], list(reference))
    return laid_out


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links to folders, which GitHub lists, lead to the folder's README."""
    here = (ROOT / page.file.src_uri).parent
    for target in re.findall(r"\]\(([^)#\s:]+/)\)", markdown):
        if (here / target / "README.md").exists():
            markdown = markdown.replace(f"]({target})", f"]({target}README.md)")
    return markdown


def is_theme(file: File) -> bool:
    """Whether a file is none of ours."""
    return not Path(file.abs_src_path or "").is_relative_to(ROOT / "docs")


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def documents() -> Iterator[Path]:
    """Every document of the repository."""
    yield from (ROOT / name for name in BESIDE_DOCS if (ROOT / name).exists())
    for folder in FOLDERS:
        yield from (ROOT / folder).rglob("*.md")


def pictures() -> Iterator[Path]:
    """What pages show."""
    return (path for path in (ROOT / "docs").rglob("*") if path.suffix in SHOWN - {".md"})


def linked(pages: list[Path]) -> Iterator[Path]:
    """Files of the repository that pages link to, such as scripts; shown as they are."""
    for page in pages:
        for target in LINK.findall(page.read_text()):
            path = (page.parent / target).resolve()
            if path.is_file() and path.is_relative_to(ROOT):
                yield path


def with_all_pages(nav: list[Any], pages: list[str], reference: list[str]) -> list[Any]:
    """The contents of mkdocs.yml, its folders filled, with pages that they do not name."""
    folder = "docs/decisions/"
    decisions = sorted(name for name in pages if name.startswith(folder))
    decisions.sort(key=lambda name: not name.endswith("README.md"))
    modules = [name for name in reference if name != COMMANDS]
    filled = fill(nav, {"Python modules": modules, "Decisions": decisions})
    named = re.findall(r"[\w./-]+\.md", str(filled))
    others = [name for name in pages if name not in named]
    return [*filled, {"More": others}] if others else filled


def fill(nav: list[Any], lists: dict[str, list[str]]) -> list[Any]:
    """Contents with lists of pages in the places that are named like them and empty."""
    filled = []
    for part in nav:
        if isinstance(part, dict):
            ((title, below),) = part.items()
            if isinstance(below, list):
                part = {title: fill(below, lists) or lists.get(title, [])}
        filled.append(part)
    return filled


def commands() -> str:
    """The help of every command, as it is printed."""
    from facegan.cli.__main__ import facegan

    helps = helps_of(facegan, click.Context(facegan, info_name="facegan"))
    parts = [f"## {path}\n\n```text\n{text}\n```\n" for path, text in helps]
    return "# Commands\n\nWhat `--help` prints, command by command.\n\n" + "\n".join(parts)


def helps_of(command: click.Command, context: click.Context) -> Iterator[tuple[str, str]]:
    """Path and help of a command and of those below it."""
    context.help_option_names = ["-h", "--help"]
    context.max_content_width = context.terminal_width = 96
    yield context.command_path, command.get_help(context)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            if below is not None:
                yield from helps_of(below, click.Context(below, context, name))


def rooms() -> Iterator[tuple[str, str]]:
    """A page a room: path and text, which mkdocstrings fills from the docstrings."""
    for place in sorted(SOURCE.iterdir()):
        if place.name.startswith("_") or place.name == "cli":
            continue
        files = sorted(place.rglob("*.py")) if place.is_dir() else [place]
        if files and (place.suffix == ".py" or place.is_dir()):
            modules = [module_of(file) for file in files]
            text = "\n\n".join(f"::: {module}" for module in modules)
            yield f"reference/{place.stem}.md", f"# {place.stem}\n\n{text}\n"


def module_of(file: Path) -> str:
    """A file's name for import."""
    parts = file.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
