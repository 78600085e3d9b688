"""The request for images: its fields, and their validation."""

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from facegan.errors import RequestError, did_you_mean, normalize_name
from facegan.wire.error_text import (
    EXAMPLE,
    FIELD_ALIASES,
    FIELD_EXAMPLES,
    KINDS,
    describe,
    expected_and_got,
    first_error,
    shorten,
    suggest_value,
)
from facegan.wire.latents import Number, check_array, lists_to_array
from facegan.wire.sources import SOURCE_FIELDS, Source, equal_sources, to_sources

MAX_SEED = 2**32 - 1
CLASSES_EXAMPLE = 'Example: {"seeds": [1, 2], "classes": [0, "glasses"]}; or one class for all.'
MIX_EXAMPLE = 'Example: {"seeds": [1, 2], "mix": [7, 8, 9]} is six images.'
INTERPOLATION_EXAMPLE = 'Example: {"seeds": [3, 8], "interpolate": 10} is eleven images.'
ANIMATION_EXAMPLE = (
    'Example: {"seeds": [3, 8], "interpolate": 24, "layout": "animation"}, as image/webp.'
)
GENERATION_FIELDS = (
    "seeds", "latents", "truncation_psi", "classes", "interpolate", "mix", "mix_layers"
)  # fmt: skip

Layout = Literal["grid", "row", "column", "single", "animation"]
Seed = Annotated[int, Field(strict=True, ge=0, le=MAX_SEED)]
Columns = Annotated[int, Field(strict=True, ge=1)]
Frames = Annotated[int, Field(strict=True, ge=1, le=65_536)]
Layers = Annotated[int, Field(strict=True, ge=0, le=1_000)]
Quality = Annotated[int, Field(strict=True, ge=1, le=100)]
Milliseconds = Annotated[int, Field(strict=True, ge=10, le=60_000)]
FILE_SCHEMA = {"type": "string", "contentEncoding": "base64"}
ROWS_SCHEMA = {
    "type": "array",
    "items": {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1},
    "minItems": 1,
}
ImageSource = Annotated[Any, WithJsonSchema(FILE_SCHEMA)]
MapSource = Annotated[Any, WithJsonSchema({"anyOf": [FILE_SCHEMA, ROWS_SCHEMA]})]


class GenerateRequest(BaseModel):
    """A request for images: by N ≥ 1 seeds or latents, or from source images or label maps.

    Of several inputs each is there once, for all, or as often as the largest: one label map and
    five seeds make five images, five maps and one seed as well, five maps and five seeds are pairs.

    Attributes:
        seeds: N whole numbers, 0 … 2**32 - 1; or None.
        latents: (N, width) finite numbers, float32 or float64; or None.
        truncation_psi: 0 … 2; 1 is the model as it is (StyleGAN's truncation trick).
        classes: Of a conditional model, by number (0 …) or name: one for all; or one per seed or
            latent, and then one per seed of `mix`; or None.
        interpolate: Frames from each seed or latent to the next, 1 … 65536: S of them make
            (S - 1) * interpolate + 1 images.
        mix: M other seeds whose styles each of N seeds takes: N * M images, seed by seed.
        mix_layers: Which layers' styles follow `mix`, from 0, the coarsest; the finer half
            if None.
        layout: How one image arranges all; "single" is exactly one, "animation" two or more.
        columns: Columns of the grid; if None, one per seed of `mix`, or as square as possible.
        quality: 1 … 100, of JPEG and WebP; if None, 90, and an animation is lossless.
        frame_ms: How long an animation shows each image, 10 … 60000 milliseconds; None is 60.
        images: Source images, each the bytes of a PNG, JPEG or WebP, or uint8 (H, W, 3).
        label_maps: Each the bytes of a PNG or lossless WebP, or class numbers (H, W).
        styles: Images that take the place of seeds, for a model with a style encoder.
        direction: Of a model that translates both ways; its first if None.

    Raises:
        RequestError: A field is wrong; the message names it. Pydantic's own error is never raised.
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
    images: tuple[ImageSource, ...] | None = None
    label_maps: tuple[MapSource, ...] | None = None
    styles: tuple[ImageSource, ...] | None = None
    direction: Literal["AtoB", "BtoA"] | None = None

    @cached_property
    def count(self) -> int:
        """The number of images in the reply."""
        return max(self.drawn_count, *map(len, self.sources.values()), 0)

    @cached_property
    def drawn_count(self) -> int:
        """The number of latents that seeds or latents, an interpolation and a mix come to."""
        inputs = self.seeds if self.seeds is not None else self.latents
        count = 0 if inputs is None else len(inputs)
        if self.interpolate is not None:
            return (count - 1) * self.interpolate + 1
        return count * (1 if self.mix is None else len(self.mix))

    @cached_property
    def sources(self) -> dict[str, tuple[Source, ...]]:
        """The source images, label maps and styles that the request has, by field."""
        fields = {name: getattr(self, name) for name in SOURCE_FIELDS}
        return {name: value for name, value in fields.items() if value is not None}

    def with_fields(self, **fields: Any) -> Self:
        """Return a copy with some fields changed, which are not checked again."""
        changed = self.model_copy(update=fields)
        for name in ("count", "drawn_count", "sources"):
            changed.__dict__.pop(name, None)
        return changed

    @property
    def input_count(self) -> int:
        """The number of seeds or latents."""
        inputs = self.seeds if self.seeds is not None else self.latents
        return 0 if inputs is None else len(inputs)

    @property
    def label_count(self) -> int:
        """The number of classes if each has its own: one per seed or latent, and per `mix` seed."""
        return self.input_count + len(self.mix or [])

    @property
    def generation_args(self) -> dict[str, Any]:
        """The fields that a model generates from; the others say how its images are encoded."""
        return {name: getattr(self, name) for name in GENERATION_FIELDS}

    @property
    def grid_columns(self) -> int | None:
        """Columns of the one image that shows all; None is as square as possible."""
        if self.layout == "row":
            return self.count
        if self.layout == "column":
            return 1
        if self.mix is not None and self.columns is None and self.layout == "grid":
            return len(self.mix)
        return self.columns

    @property
    def changed_fields(self) -> set[str]:
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
        """Convert nested lists, or an array, to a checked array (N, width)."""
        if value is None:
            return None
        return check_array(value if isinstance(value, np.ndarray) else lists_to_array(value))

    @field_validator(*SOURCE_FIELDS, mode="before")
    @classmethod
    def check_sources(cls, value: Any, info: ValidationInfo) -> tuple[Source, ...] | None:
        """Convert base64 and rows of class numbers; nothing is decoded yet."""
        return None if value is None else to_sources(str(info.field_name), value)

    @field_validator("classes", mode="before")
    @classmethod
    def check_classes(cls, value: Any) -> list[int | str] | None:
        """Check the types of classes; only the model knows whether they exist."""
        if value is None:
            return None
        if not isinstance(value, list):
            raise RequestError(f"classes: must be a list, not {describe(value)}.", CLASSES_EXAMPLE)
        for index, label in enumerate(value):
            if not is_class(label):
                message = f"classes[{index}] is neither a number from 0 nor a name."
                raise RequestError(message, CLASSES_EXAMPLE)
        return list(value)

    @model_validator(mode="wrap")
    @classmethod
    def validate_request(cls, values: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """Check the fields, then their combination; raise RequestError, not pydantic's errors."""
        try:
            request = handler(values)
        except ValidationError as error:
            raise to_request_error(error, values) from error
        if request.sources:
            request.check_pairing()
        elif (request.seeds is None) == (request.latents is None):
            found = "neither is there" if request.seeds is None else "both are there"
            raise RequestError(f"Give either seeds or latents: {found}.", EXAMPLE)
        if request.mix is not None or request.mix_layers is not None:
            request.check_mix()
        if not request.sources and request.drawn_count < 1:
            raise RequestError("Give at least one seed or latent.", EXAMPLE)
        if request.interpolate is not None:
            request.check_interpolation()
        if request.classes is not None:
            request.check_class_count()
        if (request.layout, request.columns, request.frame_ms) != ("grid", None, None):
            request.check_arrangement()
        return request

    def check_pairing(self) -> None:
        """Require that each source goes with one seed, latent or style."""
        hint = FIELD_EXAMPLES[next(iter(self.sources))]
        if self.styles is not None and self.images is None and self.label_maps is None:
            raise RequestError("styles: go with label_maps, which are not there.", hint)
        noise = [name for name in ("seeds", "latents", "styles") if getattr(self, name) is not None]
        if len(noise) > 1:
            message = f"Give one of {' and '.join(noise)}: each would take the other's place."
            raise RequestError(message, hint)
        if self.mix is not None:
            raise RequestError(f"mix: does not go with {next(iter(self.sources))}.", MIX_EXAMPLE)
        if noise and noise[0] != "styles" and self.input_count < 1:
            raise RequestError(f"{noise[0]}: is empty; leave it out, or give one.", hint)
        counts = {name: len(value) for name, value in self.sources.items()}
        if noise and noise[0] not in counts:
            counts["frames" if self.interpolate else noise[0]] = self.drawn_count
        uneven = [f"{count} {name}" for name, count in counts.items() if count != 1]
        if len({text.split()[0] for text in uneven}) > 1:
            message = f"{' and '.join(uneven)} cannot be paired."
            raise RequestError(message, "Give one for all, or as many of each.")

    def check_mix(self) -> None:
        """Require seeds on both sides of a mix."""
        if self.mix is None:
            raise RequestError("mix_layers: goes with mix, the seeds to mix with.", MIX_EXAMPLE)
        if self.seeds is None:
            raise RequestError("mix: goes with seeds, not with latents.", MIX_EXAMPLE)
        for name, values in (("mix", self.mix), ("mix_layers", self.mix_layers)):
            if values == []:
                raise RequestError(f"{name}: is empty; leave it out.", MIX_EXAMPLE)

    def check_interpolation(self) -> None:
        """Require two ends, and no mix."""
        if self.mix is not None:
            raise RequestError("interpolate: does not go with mix.", INTERPOLATION_EXAMPLE)
        if self.input_count < 2:
            message = "interpolate: needs two or more seeds or latents, not one."
            raise RequestError(message, INTERPOLATION_EXAMPLE)

    def check_class_count(self) -> None:
        """Require one class for all, or one for each."""
        given = len(self.classes or [])
        if given not in (1, self.label_count):
            what = "seeds or latents" if self.interpolate or self.mix else "images"
            message = f"classes: {given} of them do not fit {self.label_count} {what}."
            raise RequestError(message, CLASSES_EXAMPLE)

    def check_arrangement(self) -> None:
        """Check layout, columns, frames and the number of images against each other."""
        if self.layout == "single" and self.count != 1:
            raise RequestError(f'layout: "single" takes one image, not {self.count}.', EXAMPLE)
        if self.layout == "animation" and self.count < 2:
            message = 'layout: "animation" takes two images or more.'
            raise RequestError(message, ANIMATION_EXAMPLE)
        if self.columns is not None and self.layout != "grid":
            raise RequestError(f'columns: goes with "grid", not {self.layout!a}.', EXAMPLE)
        if self.frame_ms is not None and self.layout != "animation":
            message = f'frame_ms: goes with "animation", not {self.layout!a}.'
            raise RequestError(message, ANIMATION_EXAMPLE)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, GenerateRequest):
            return NotImplemented
        # Comparing arrays gives an array, which pydantic's own `==` cannot take.
        return self.sources.keys() == other.sources.keys() and all(
            equal_sources(getattr(self, name), getattr(other, name))
            if name in self.sources
            else np.array_equal(getattr(self, name), getattr(other, name))
            for name in type(self).model_fields
        )


def is_class(value: Any) -> bool:
    """Tell whether a value can name a class: 0 … 2**32 - 1, or a text of 1 to 1,000 characters."""
    if isinstance(value, str):
        return 0 < len(value) <= 1000
    return type(value) is int and 0 <= value <= MAX_SEED


def to_request_error(error: ValidationError, values: Any = None) -> RequestError:
    """Convert the first of pydantic's errors to one sentence, with a hint that shows the fix."""
    details = first_error(error)
    top, *_ = details["loc"] or ("",)
    field = "".join(f"[{p}]" if isinstance(p, int) else shorten(p) for p in details["loc"])
    if details["type"] == "extra_forbidden":
        hint = did_you_mean(field, tuple(GenerateRequest.model_fields), "fields")
        hint = FIELD_ALIASES.get(normalize_name(field), hint)
        if "seed" in field:
            hint = suggest_value("seeds", details["input"]) or hint
        return RequestError(f"Unknown field {field!a} in the request.", hint)
    expected = expected_and_got(details)
    if not field:
        return RequestError(f"The request {expected}.", EXAMPLE)
    has_wrong_type = details["type"] in KINDS and isinstance(values, Mapping)
    hint = suggest_value(str(top), values.get(top)) if has_wrong_type else ""
    return RequestError(f"{field}: {expected}.", hint or FIELD_EXAMPLES.get(str(top), EXAMPLE))
