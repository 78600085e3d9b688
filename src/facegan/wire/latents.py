"""Reads the latents of a request: equally long rows of finite numbers, or the reason why not."""

from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field, TypeAdapter, ValidationError

from facegan.errors import RequestError
from facegan.wire.wording import first_of, told_of

LATENTS_EXAMPLE = 'Example: {"latents": [[0.3, -1.2, …], …]}, each as long as the model asks.'
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
# Without FailFast, a body of a million wrong items makes a million error records.
ROWS = TypeAdapter(
    Annotated[list[Annotated[list[Number], Field(fail_fast=True)]], Field(fail_fast=True)]
)


def array_of_lists(value: Any) -> npt.NDArray[np.float64]:
    """A list of equally long lists of finite numbers as an array."""
    try:
        rows = ROWS.validate_python(value)
    except ValidationError as cause:
        raise latents_error(place_of(cause)) from cause
    for index, row in enumerate(rows):
        if len(row) != len(rows[0]):
            raise latents_error(f"latent {index} is {len(row)} long, latent 0 is {len(rows[0])}")
    return np.array(rows, np.float64).reshape(len(rows), -1) if rows else np.empty((0, 1))


def check_array(array: npt.NDArray[Any]) -> npt.NDArray[np.floating[Any]]:
    """An array (N, width) of finite floats; other real types become float64."""
    if array.ndim != 2 or array.shape[1] == 0 or array.dtype.kind not in "fiu":
        told = f"an array of shape {array.shape} and type {array.dtype} is not (N, width) numbers"
        raise latents_error(told)
    kept = np.float32 if array.dtype.newbyteorder("=") == np.float32 else np.float64
    with np.errstate(over="ignore"):  # what becomes infinite is refused below, without a warning
        floats: npt.NDArray[np.floating[Any]] = array.astype(kept)
    if not np.isfinite(floats).all():
        raise latents_error("NaN and infinite numbers are none")
    return floats


def latents_error(told: str) -> RequestError:
    """An error about the latents."""
    return RequestError(f"latents: {told}.", LATENTS_EXAMPLE)


def place_of(cause: ValidationError) -> str:
    """Which latent, and which of its numbers, is wrong."""
    details = first_of(cause)
    words = ("latent", "number")
    place = ", ".join(f"{word} {index}" for word, index in zip(words, details["loc"], strict=False))
    return f"{place} {told_of(details)}" if place else told_of(details)
