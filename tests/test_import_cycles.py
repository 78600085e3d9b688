"""No two files of the package import one another, directly or through others."""

import ast
import graphlib
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src"
FILES = sorted((SOURCE / "facegan").rglob("*.py"))
# The cloud is rewritten as a whole (see CHANGELOG.md); until then only its late imports are exempt.
EXEMPT = ("facegan/cloud/", "facegan/cli/cloud/")


def module_name(file: Path) -> str:
    parts = file.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(file): file for file in FILES}


def imported_modules(file: Path) -> set[str]:
    """Return our modules that a file imports: at the top, in functions and for type checkers."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                found.add(submodule if submodule in MODULES else node.module)
    return found & MODULES.keys()


def test_no_relative_import_hides_an_arrow() -> None:
    for file in FILES:
        relative = [node for node in ast.walk(ast.parse(file.read_text()))
                    if isinstance(node, ast.ImportFrom) and node.level]  # fmt: skip
        assert not relative, file


def test_files_import_one_another_without_a_cycle() -> None:
    graph = {name: imported_modules(file) - {name} for name, file in MODULES.items()}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        pytest.fail("A cycle of files: " + " ← ".join(error.args[1]))


REASON = "# Imports inside functions: "  # once in a file, for all of them


def late_imports(node: ast.AST, is_explained: bool = False) -> Iterator[ast.stmt]:
    """Yield imports inside functions, except those whose reason the code itself gives.

    That are imports of optional packages (``try … except ImportError``), and functions whose
    docstring says that they import.
    """
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            explained = is_explained or "import" in (ast.get_docstring(child) or "").lower()
            for statement in child.body:
                yield from late_statements(statement, explained)
        else:
            yield from late_imports(child, is_explained)


def late_statements(node: ast.AST, is_explained: bool) -> Iterator[ast.stmt]:
    if isinstance(node, ast.Import | ast.ImportFrom) and not is_explained:
        yield node
    if isinstance(node, ast.Try):
        handled = " ".join(ast.unparse(handler.type) for handler in node.handlers if handler.type)
        is_explained |= "ImportError" in handled or "ModuleNotFoundError" in handled
    for child in ast.iter_child_nodes(node):
        yield from late_statements(child, is_explained)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(SOURCE)))
def test_imports_inside_functions_give_their_reason(file: Path) -> None:
    """A comment right above or beside the first of several, or one for the whole file."""
    text = file.read_text()
    if str(file.relative_to(SOURCE)).startswith(EXEMPT) or REASON in text:
        return
    lines = text.splitlines()
    explained = 0
    for node in late_imports(ast.parse(text)):
        above, beside = lines[node.lineno - 2].strip(), lines[node.lineno - 1].partition("  # ")[2]
        has_comment = above.startswith("#") or (beside and not beside.startswith("noqa"))
        assert has_comment or explained == node.lineno - 1, f"{file}:{node.lineno}"
        explained = node.end_lineno or node.lineno
