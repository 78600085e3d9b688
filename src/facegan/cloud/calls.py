"""A call of AWS's API as data: what ``--dry-run`` prints, what tests compare, what is carried out.

A verb on AWS (launch, deploy, …) is a list of calls, built without AWS; one function carries lists
out, and takes back what was made when a later call of the list fails.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from facegan.errors import CloudError, FaceGANError

Ask = Callable[["Call"], Any]  # Aws.ask, or local mode's stand-in


@dataclass(frozen=True)
class Call:
    """One request to one service.

    Args:
        service: boto3's name of it, as "sagemaker".
        action: The API's name, as "CreateModel".
        request: Its arguments.
        on: What it is about, for people: a name, an address.
        undo: The call that takes back what this one made.
    """

    service: str
    action: str
    request: dict[str, Any]
    on: str
    undo: Call | None = None

    def described(self) -> dict[str, Any]:
        """The call as ``--dry-run`` prints it."""
        return {"service": self.service, "action": self.action, "request": self.request}


def carry_out(
    ask: Ask, calls: Sequence[Call], on_done: Callable[[Call], object] = lambda call: None
) -> list[Any]:
    """Make calls in their order; if one fails, or is interrupted, what was made goes again.

    Args:
        ask: Makes one call.
        calls: What to do.
        on_done: Called after each.

    Returns:
        Their answers.

    Raises:
        CloudError: a call failed. What could not be taken back is named.
    """
    left: list[str] = []
    answers = []
    try:
        with ExitStack() as undoing:
            for call in calls:
                answers.append(ask(call))
                if call.undo:
                    undoing.callback(undo, ask, call.undo, left)
                on_done(call)
            undoing.pop_all()
    except FaceGANError as error:
        if left:
            raise CloudError(
                error.message, f"{error.hint} Left behind, delete by hand: {', '.join(left)}."
            ) from error
        raise
    return answers


def undo(ask: Ask, call: Call, left: list[str]) -> None:
    """Take back one thing; note it if that fails, and go on with the others."""
    try:
        ask(call)
    except FaceGANError:
        left.append(f"{call.on} ({call.service}:{call.action})")
