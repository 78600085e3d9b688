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
    ValidationError,
    field_validator,
    model_validator,
)

from facegan.errors import RequestError, did_you_mean, normalize_name
from facegan.wire.latents import Number, array_of_lists, check_array
from facegan.wire.wording import (
    ALIASES,
    EXAMPLE,
    FIELD_EXAMPLES,
    KINDS,
    first_of,
    seen,
    shortened,
    told_of,
    written_right,
)

MAX_SEED = 2**32 - 1
CLASSES_EXAMPLE = 'Example: {"seeds": [1, 2], "classes": [0, "glasses"]}; or one class for all.'

MIX_EXAMPLE = 'Example: {"seeds": [1, 2], "mix": [7, 8, 9]} is six images.'
WALK_EXAMPLE = 'Example: {"seeds": [3, 8], "interpolate": 10} is eleven images.'
FILM_EXAMPLE = (
    'Example: {"seeds": [3, 8], "interpolate": 24, "layout": "animation"}, as image/webp.'
)

Layout = Literal["grid", "row", "column", "single", "animation"]
Seed = Annotated[int, Field(strict=True, ge=0, le=MAX_SEED)]
Columns = Annotated[int, Field(strict=True, ge=1)]
Frames = Annotated[int, Field(strict=True, ge=1, le=65_536)]
Layers = Annotated[int, Field(strict=True, ge=0, le=1_000)]
Quality = Annotated[int, Field(strict=True, ge=1, le=100)]
Milliseconds = Annotated[int, Field(strict=True, ge=10, le=60_000)]


class GenerateRequest(BaseModel):
    """A request for images, by N ≥ 1 seeds or latents.

    Attributes:
        seeds: N whole numbers, 0 … 2**32 - 1; or None.
        latents: (N, width) finite numbers, float32 or float64; or None.
        truncation_psi: 0 … 2; 1 is the model as it is (StyleGAN's truncation trick).
        classes: Of a conditional model, by number (0 …) or name: one for all; or one a seed or
            latent, and then one a seed of `mix`; or None.
        interpolate: Frames from each seed or latent to the next, 1 … 65536: S of them make
            (S - 1) * interpolate + 1 images.
        mix: M other seeds whose styles each of N seeds takes: N * M images, seed by seed.
        mix_layers: Which layers' styles follow `mix`, from 0, the coarsest; the finer half
            where None.
        layout: How a picture arranges the images; "single" is exactly one, "animation" two or more.
        columns: Columns of the grid; where None one a seed of `mix`, or as square as possible.
        quality: 1 … 100, of JPEG and WebP; where None 90, and an animation is lossless.
        frame_ms: How long an animation shows each image, 10 … 60000 milliseconds; None is 60.

    Raises:
        RequestError: any field is wrong; the message names it. Never pydantic's own error.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    seeds: Annotated[list[Seed], Field(fail_fast=True)] | None = None
    latents: npt.NDArray[np.floating[Any]] | None = None
    truncation_psi: Annotated[Number, Field(ge=0, le=2)] = 1.0
    classes: list[int | str] | None = None
    interpolate: Frames | None = None
    mix: Annotated[list[Seed], Field(fail_fast=True)] | None = None
    mix_layers: Annotated[list[Layers], Field(fail_fast=True)] | None = None
    layout: Layout = "grid"
    columns: Columns | None = None
    quality: Quality | None = None
    frame_ms: Milliseconds | None = None

    @property
    def count(self) -> int:
        """The number of images that come back."""
        if self.interpolate is not None:
            return (self.given - 1) * self.interpolate + 1
        return self.given if self.mix is None else self.given * len(self.mix)

    @property
    def given(self) -> int:
        """The number of seeds or latents."""
        images = self.seeds if self.seeds is not None else self.latents
        return 0 if images is None else len(images)

    @property
    def everyone(self) -> list[int] | None:
        """Whom classes are given to: the seeds, and after them those of `mix`; None for latents."""
        return None if self.seeds is None else [*self.seeds, *(self.mix or [])]

    @property
    def classified(self) -> int:
        """How many classes there can be: one a seed or latent, and one a seed of `mix`."""
        return self.given + len(self.mix or [])

    @property
    def wish(self) -> dict[str, Any]:
        """The fields that a model draws by; the others say how its images are written."""
        names = (
            "seeds",
            "latents",
            "truncation_psi",
            "classes",
            "interpolate",
            "mix",
            "mix_layers",
        )
        return {name: getattr(self, name) for name in names}

    @property
    def arranged_columns(self) -> int | None:
        """Columns of a grid: those asked for, or one a seed of `mix`."""
        if self.mix is not None and self.columns is None and self.layout == "grid":
            return len(self.mix)
        return self.columns

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
            told = f"classes: must be a list, not {seen(value)}."
            raise RequestError(told, CLASSES_EXAMPLE)
        for index, wanted in enumerate(value):
            if not is_class(wanted):
                told = f"classes[{index}] is neither a number from 0 nor a name."
                raise RequestError(told, CLASSES_EXAMPLE)
        return list(value)

    @model_validator(mode="after")
    def check_whole(self) -> Self:
        """What no field can know alone."""
        if (self.seeds is None) == (self.latents is None):
            told = "neither is there" if self.seeds is None else "both are there"
            raise RequestError(f"Give either seeds or latents: {told}.", EXAMPLE)
        if self.given == 0:
            raise RequestError("Give at least one seed or latent.", EXAMPLE)
        self.check_mix()
        self.check_walk()
        self.check_number_of_classes()
        self.check_arrangement()
        return self

    def check_mix(self) -> None:
        """Styles are mixed of seeds with seeds."""
        if self.mix is None:
            if self.mix_layers is not None:
                raise RequestError("mix_layers: goes with mix, the seeds to mix with.", MIX_EXAMPLE)
            return
        if self.seeds is None:
            raise RequestError("mix: goes with seeds, not with latents.", MIX_EXAMPLE)
        for name, values in (("mix", self.mix), ("mix_layers", self.mix_layers)):
            if values == []:
                raise RequestError(f"{name}: is empty; leave it out.", MIX_EXAMPLE)

    def check_walk(self) -> None:
        """A way leads from one to another, and mixes nothing."""
        if self.interpolate is None:
            return
        if self.mix is not None:
            raise RequestError("interpolate: does not go with mix.", WALK_EXAMPLE)
        if self.given < 2:
            told = "interpolate: needs two or more seeds or latents, not one."
            raise RequestError(told, WALK_EXAMPLE)

    def check_number_of_classes(self) -> None:
        """One for all, or one for each."""
        if self.classes is None or len(self.classes) in (1, self.classified):
            return
        what = "seeds or latents" if self.interpolate or self.mix else "images"
        told = f"classes: {len(self.classes)} of them do not fit {self.classified} {what}."
        raise RequestError(told, CLASSES_EXAMPLE)

    def check_arrangement(self) -> None:
        """Layout, columns, frames and the number of images fit together."""
        if self.layout == "single" and self.count != 1:
            raise RequestError(f'layout: "single" takes one image, not {self.count}.', EXAMPLE)
        if self.layout == "animation" and self.count < 2:
            raise RequestError('layout: "animation" takes two images or more.', FILM_EXAMPLE)
        if self.columns is not None and self.layout != "grid":
            raise RequestError(f'columns: goes with "grid", not {self.layout!a}.', EXAMPLE)
        if self.frame_ms is not None and self.layout != "animation":
            raise RequestError(
                f'frame_ms: goes with "animation", not {self.layout!a}.', FILM_EXAMPLE
            )

    @model_validator(mode="wrap")
    @classmethod
    def speak_plainly(cls, values: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """Turn pydantic's list of errors into one sentence about the first."""
        try:
            return handler(values)
        except ValidationError as cause:
            raise request_error(cause, values) from cause

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


def request_error(cause: ValidationError, values: Any = None) -> RequestError:
    """An error of pydantic's as a sentence that names the field, and a hint that shows a mend."""
    details = first_of(cause)
    top, *_ = details["loc"] or ("",)
    field = "".join(f"[{p}]" if isinstance(p, int) else shortened(p) for p in details["loc"])
    if details["type"] == "extra_forbidden":
        hint = did_you_mean(field, tuple(GenerateRequest.model_fields), "fields")
        hint = ALIASES.get(normalize_name(field), hint)
        if "seed" in field:
            hint = written_right("seeds", details["input"]) or hint
        return RequestError(f"Unknown field {field!a} in the request.", hint)
    told = told_of(details)
    if not field:
        return RequestError(f"The request {told}.", EXAMPLE)
    is_other_form = details["type"] in KINDS and isinstance(values, Mapping)
    hint = written_right(str(top), values.get(top)) if is_other_form else ""
    return RequestError(f"{field}: {told}.", hint or FIELD_EXAMPLES.get(str(top), EXAMPLE))
