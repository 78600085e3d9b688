"""The first 1,024 characters of a failure are enough for a person."""

from pathlib import Path

import pytest

from facegan.artifact import load_artifact
from facegan.errors import ArtifactError
from facegan.failure_reason import failure_reason
from facegan.square_images import centre_square


def test_a_mistake_is_its_sentence_and_its_hint_alone(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError) as caught:
        load_artifact(tmp_path / "none")
    assert failure_reason(caught.value) == f"{caught.value.message} {caught.value.hint}"


def test_a_fault_names_our_innermost_line_before_its_traceback() -> None:
    with pytest.raises(TypeError) as caught:
        centre_square(None)  # type: ignore[arg-type]
    reason = failure_reason(caught.value)
    first, _, trace = reason.partition("\n\n")
    at = "facegan/square_images.py"
    assert first.startswith(f"facegan failed because of a bug, at {at}")
    assert "in centre_square: TypeError: 'NoneType' object is not iterable" in first
    assert trace.startswith("Traceback") and "side = min(size)" in trace


@pytest.mark.parametrize("text", ["line\n" * 10_000, "x" * 10_000, ""])
def test_whatever_an_exception_says_its_name_and_place_are_shown(text: str) -> None:
    try:
        raise UnicodeError(text)
    except UnicodeError as error:
        shown = failure_reason(error)[:1024]
    assert "\n" not in shown.partition("\n\n")[0]
    assert "in test_whatever" in shown and "UnicodeError" in shown and "Traceback" in shown


def test_an_exception_that_was_never_raised_has_a_reason_too() -> None:
    assert failure_reason(ValueError("odd")).startswith("facegan failed because of a bug, out")
