"""What the code asks of AWS, found in its source: every ``Call("service", "Action", …)``."""

import ast
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import cfnlint

SOURCE = Path(__file__).parents[2] / "src/facegan"
PLACES = ("cloud", "cli")

# boto3 clients that are used without a Call. A new one goes here, with all that it calls.
DIRECT: dict[str, tuple[tuple[str, str], ...]] = {
    "cloud/aws.py": (),  # carries Calls out
    "cloud/invoke_endpoint.py": (
        ("sagemaker-runtime", "InvokeEndpoint"),
        ("sagemaker-runtime", "InvokeEndpointWithResponseStream"),
    ),
}


@cache
def calls() -> dict[tuple[str, str], str]:
    """Service and action of every call in the source → where one is, as "cloud/check.py:12"."""
    found: dict[tuple[str, str], str] = {}
    for place in PLACES:
        for file in sorted((SOURCE / place).rglob("*.py")):
            name = file.relative_to(SOURCE).as_posix()
            for line, service, action in literals(file):
                found.setdefault((service, action), f"{name}:{line}")
            for service, action in DIRECT.get(name, ()):
                found.setdefault((service, action), name)
    return found


def literals(file: Path) -> Iterator[tuple[int, str, str]]:
    """Line, service and action of a file's calls; "?" where one is no literal."""
    for node in ast.walk(parsed(file)):
        if isinstance(node, ast.Call) and name_of(node.func) == "Call":
            given = dict(zip(("service", "action"), node.args, strict=False))
            given |= {word.arg: word.value for word in node.keywords if word.arg}
            for service in texts(given.get("service")):
                for action in texts(given.get("action")):
                    yield node.lineno, service, action


@cache
def parsed(file: Path) -> ast.Module:
    """A file's syntax."""
    return ast.parse(file.read_text())


def texts(node: ast.AST | None) -> list[str]:
    """The literals that an argument may be: one, or one of two."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value]
    if isinstance(node, ast.IfExp):
        return texts(node.body) + texts(node.orelse)
    return ["?"]


def name_of(node: ast.AST) -> str:
    """The last part of what is called."""
    return str(getattr(node, "id", getattr(node, "attr", "")))


def clients() -> dict[str, int]:
    """Files that use a boto3 client themselves → a line of it."""
    found = {}
    for file in (it for place in PLACES for it in sorted((SOURCE / place).rglob("*.py"))):
        tree = parsed(file)
        idle = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            is_client = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
            if is_client and node.func.attr in ("client", "resource") and id(node) not in idle:
                found[file.relative_to(SOURCE).as_posix()] = node.lineno
    return found


@cache
def authorization() -> dict[str, Any]:
    """AWS's Service Authorization Reference, as cfn-lint has it.

    Service → "Actions": name in small letters → "Resources": the kinds that it can be restricted to
    (none: to no resource); "Resources": kind in small letters → its "ARNFormats".
    """
    file = Path(cfnlint.__file__).parent / "data/AdditionalSpecs/Policies.json"
    told: dict[str, Any] = json.loads(file.read_text())
    return told


def action_of(permission: str) -> dict[str, Any] | None:
    """What AWS tells of a permission; None where there is none of this name."""
    service, _, name = permission.partition(":")
    found: dict[str, Any] | None = (
        authorization().get(service, {}).get("Actions", {}).get(name.lower())
    )
    return found


def formats_of(permission: str) -> list[str]:
    """The ARNs that a permission can be restricted to, as AWS writes them."""
    service = permission.partition(":")[0]
    kinds = authorization()[service]["Resources"]
    return [
        arn
        for kind in (action_of(permission) or {}).get("Resources", ())
        for arn in kinds[kind.lower()]["ARNFormats"]
    ]
