"""Validates the latents of a request: equally long rows of finite numbers."""

from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field, TypeAdapter, ValidationError

from facegan.errors import RequestError
from facegan.wire.error_text import expected_and_got, first_error

LATENTS_EXAMPLE = 'Example: {"latents": [[0.3, -1.2, …], …]}, each as long as the model asks.'
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
# Without fail_fast, a body of a million wrong items makes a million error records.
ROWS = TypeAdapter(
    Annotated[list[Annotated[list[Number], Field(fail_fast=True)]], Field(fail_fast=True)]
)


def lists_to_array(value: Any) -> npt.NDArray[np.float64]:
    """Convert a list of equally long lists of finite numbers to an array (N, width)."""
    try:
        rows = ROWS.validate_python(value)
    except ValidationError as error:
        details = first_error(error)
        names = zip(("latent", "number"), details["loc"], strict=False)
        position = ", ".join(f"{name} {index}" for name, index in names)
        raise latents_error(f"{position} {expected_and_got(details)}".lstrip()) from error
    for index, row in enumerate(rows):
        if len(row) != len(rows[0]):
            raise latents_error(f"latent {index} is {len(row)} long, latent 0 is {len(rows[0])}")
    return np.array(rows, np.float64).reshape(len(rows), -1) if rows else np.empty((0, 1))


def check_array(array: npt.NDArray[Any]) -> npt.NDArray[np.floating[Any]]:
    """Return an array (N, width) of finite floats; real types but float32 become float64."""
    if array.ndim != 2 or array.shape[1] == 0 or array.dtype.kind not in "fiu":
        raise latents_error(
            f"an array of shape {array.shape} and type {array.dtype} is not (N, width) numbers"
        )
    kept = np.float32 if array.dtype.newbyteorder("=") == np.float32 else np.float64
    with np.errstate(over="ignore"):  # what becomes infinite is refused below, without a warning
        floats: npt.NDArray[np.floating[Any]] = array.astype(kept)
    if not np.isfinite(floats).all():
        raise latents_error("NaN and infinite numbers are not allowed")
    return floats


def latents_error(message: str) -> RequestError:
    """Build the error for wrong latents."""
    return RequestError(f"latents: {message}.", LATENTS_EXAMPLE)
