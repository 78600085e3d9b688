"""What a caller may ask for, checked at birth: which faces, how typical, arranged how."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)

from facegan.errors import RequestError, nearest

MAX_SEED = 2**32 - 1
EXAMPLE = 'Example: {"seeds": [1, 2, 3], "truncation_psi": 1.0}'
CLASSES_EXAMPLE = 'Example: {"seeds": [1, 2], "classes": [0, "glasses"]}; or one class for all.'
LATENTS_EXAMPLE = 'Example: {"latents": [[0.3, -1.2, …], …]}, each as long as the model asks.'

Layout = Literal["grid", "row", "column", "single"]
Seed = Annotated[int, Field(strict=True, ge=0, le=MAX_SEED)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Columns = Annotated[int, Field(strict=True, ge=1)]
# Without FailFast, a body of a million wrong items makes a million error records.
ROWS = TypeAdapter(
    Annotated[list[Annotated[list[Number], Field(fail_fast=True)]], Field(fail_fast=True)]
)


class GenerateRequest(BaseModel):
    """A request for N ≥ 1 images, by seeds or by latents.

    Attributes:
        seeds: N whole numbers, 0 … 2**32 - 1; or None.
        latents: (N, width) finite numbers, float32 or float64; or None.
        truncation_psi: 0 … 2; 1 is the model as it is (StyleGAN's truncation trick).
        classes: Of a conditional model, by number (0 …) or name: N, or one for all; or None.
        layout: How a PNG arranges the images; "single" is exactly one.
        columns: Columns of the grid; as square as possible where None.

    Raises:
        RequestError: any field is wrong; the message names it. Never pydantic's own error.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    seeds: Annotated[list[Seed], Field(fail_fast=True)] | None = None
    latents: npt.NDArray[np.floating[Any]] | None = None
    truncation_psi: Annotated[Number, Field(ge=0, le=2)] = 1.0
    classes: list[int | str] | None = None
    layout: Layout = "grid"
    columns: Columns | None = None

    @property
    def count(self) -> int:
        """The number of images asked for."""
        images = self.seeds if self.seeds is not None else self.latents
        return 0 if images is None else len(images)

    @property
    def fields_of_note(self) -> set[str]:
        """The names of the fields that differ from their defaults."""
        return {
            name
            for name, field in type(self).model_fields.items()
            if (value := getattr(self, name)) is not None
            and (name == "latents" or value != field.default)
        }

    @field_validator("latents", mode="before")
    @classmethod
    def latents_to_array(cls, value: Any) -> npt.NDArray[np.floating[Any]] | None:
        """Nested lists, or an array, as a checked array (N, width)."""
        if value is None:
            return None
        return check_array(value if isinstance(value, np.ndarray) else array_of_lists(value))

    @field_validator("classes", mode="before")
    @classmethod
    def check_classes(cls, value: Any) -> list[int | str] | None:
        """A list of numbers and names, as it is: whether the model knows them, it alone can say."""
        if value is None:
            return None
        if not isinstance(value, list):
            raise RequestError("classes: input should be a list.", CLASSES_EXAMPLE)
        for index, wanted in enumerate(value):
            if not is_class(wanted):
                told = f"classes[{index}] is neither a number from 0 nor a name."
                raise RequestError(told, CLASSES_EXAMPLE)
        return list(value)

    @model_validator(mode="after")
    def check_whole(self) -> Self:
        """What no field can know alone."""
        if (self.seeds is None) == (self.latents is None):
            raise RequestError("Give either seeds or latents, not both or neither.", EXAMPLE)
        if self.count == 0:
            raise RequestError("Give at least one seed or latent.", EXAMPLE)
        if self.classes is not None and len(self.classes) not in (1, self.count):
            told = f"classes: {len(self.classes)} of them do not fit {self.count} images."
            raise RequestError(told, CLASSES_EXAMPLE)
        if self.layout == "single" and self.count != 1:
            raise RequestError(f'layout: "single" takes one image, not {self.count}.', EXAMPLE)
        if self.columns is not None and self.layout != "grid":
            raise RequestError(f'columns: goes with "grid", not {self.layout!a}.', EXAMPLE)
        return self

    @model_validator(mode="wrap")
    @classmethod
    def speak_plainly(cls, values: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """Turn pydantic's list of errors into one sentence about the first."""
        try:
            return handler(values)
        except ValidationError as cause:
            raise request_error(cause) from cause

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, GenerateRequest):
            return NotImplemented
        # Equal arrays compare to an array, which pydantic's own `==` cannot take.
        return all(
            np.array_equal(getattr(self, name), getattr(other, name))
            for name in type(self).model_fields
        )


def is_class(value: Any) -> bool:
    """Whether it can name a class: a whole number from 0 to 2**32 - 1, or a text of 1 to 1,000."""
    if isinstance(value, str):
        return 0 < len(value) <= 1000
    return type(value) is int and 0 <= value <= MAX_SEED


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
    return f"{place}: {lowered(details['msg'])}" if place else lowered(details["msg"])


def request_error(cause: ValidationError) -> RequestError:
    """An error of pydantic's as a sentence that names the field, and a hint that shows a mend."""
    details = first_of(cause)
    field = "".join(f"[{p}]" if isinstance(p, int) else shortened(p) for p in details["loc"])
    if details["type"] == "extra_forbidden":
        hint = nearest(field, tuple(GenerateRequest.model_fields), "field")
        return RequestError(f"Unknown field {field!a} in the request.", hint)
    told = lowered(details["msg"])
    return RequestError(f"{field}: {told}." if field else f"The request is wrong: {told}.", EXAMPLE)


def first_of(cause: ValidationError) -> Mapping[str, Any]:
    """The first of pydantic's errors: where (``loc``), which (``type``), and in words (``msg``)."""
    return cause.errors(include_url=False, include_context=False, include_input=False)[0]


def lowered(sentence: str) -> str:
    """Pydantic's message, to follow a colon."""
    return sentence[:1].lower() + sentence[1:]


def shortened(name: str) -> str:
    """A stranger's field name, cut so that an answer stays readable."""
    return name if len(name) <= 40 else name[:40] + "…"
