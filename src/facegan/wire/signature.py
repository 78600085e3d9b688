"""What a model takes, as far as requests must know: it decides what a bare image or array is."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from facegan.errors import RequestError
from facegan.model_inputs import LATENTS, ModelInput, input_names
from facegan.wire.content_types import CSV, FORMATS, JSON, JSON_LINES, MULTIPART, NPY, PNG, WEBP
from facegan.wire.error_text import EXAMPLE, FIELD_EXAMPLES
from facegan.wire.generate_request import GenerateRequest
from facegan.wire.sources import SOURCE_FIELDS

PLAIN_TYPES = (JSON, NPY, CSV, JSON_LINES)  # of models without source images
SOURCE_TYPES = (*FORMATS, JSON, MULTIPART, NPY, JSON_LINES)  # of the others
LATENT_FIELDS = ("seeds", "latents", "interpolate", "mix", "mix_layers")
DEFAULT_SEED = 0  # of a label map that comes without a seed


class Card(Protocol):
    """The fields of a model card that a signature takes."""

    @property
    def resolution(self) -> int:
        """The side of the images."""

    @property
    def inputs(self) -> tuple[ModelInput, ...]:
        """What the network takes."""

    @property
    def directions(self) -> tuple[str, ...]:
        """The directions of a model that translates both ways."""

    @property
    def map_classes(self) -> tuple[tuple[str, str], ...]:
        """Names and colours of the classes of label maps."""


@dataclass(frozen=True)
class ModelSignature:
    """What a model takes.

    Attributes:
        inputs: As its family declares them.
        side: Of its images and label maps, in pixels.
        directions: Of a model that translates both ways; the first is the default.
        map_classes: Name and colour "#rrggbb" of each class of its label maps, in order.
    """

    inputs: tuple[ModelInput, ...] = (LATENTS,)
    side: int = 0
    directions: tuple[str, ...] = ()
    map_classes: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, card: Card) -> "ModelSignature":
        """Return the signature of a model with this card."""
        return cls(card.inputs, card.resolution, card.directions, card.map_classes)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of the inputs."""
        return input_names(self.inputs)

    @cached_property
    def source(self) -> str | None:
        """Which field the image of a bare body is: images or label_maps; None if neither."""
        return next((name for name in self.names if name in ("images", "label_maps")), None)

    @cached_property
    def request_types(self) -> tuple[str, ...]:
        """The content types of requests."""
        if self.source is None:
            return PLAIN_TYPES
        maps_only = "images" not in self.names
        return tuple(t for t in SOURCE_TYPES if not (maps_only and t == "image/jpeg"))

    @cached_property
    def request_fields(self) -> tuple[str, ...]:
        """The fields of a request that are worth naming to callers of this model."""
        unused = {name for name in SOURCE_FIELDS if name not in self.names}
        if not self.directions:
            unused.add("direction")
        if self.source is not None:
            unused |= {"mix", "mix_layers"}
            if "latents" not in self.names:
                unused |= {*LATENT_FIELDS, "truncation_psi"}
            if "labels" not in self.names:
                unused.add("classes")
        return tuple(name for name in GenerateRequest.model_fields if name not in unused)

    @cached_property
    def purpose(self) -> str:
        """What the model does, as a clause without a subject."""
        return {
            None: "generates images from seeds or latents",
            "images": "translates images",
            "label_maps": "paints label maps",
        }[self.source]

    @cached_property
    def usage(self) -> str:
        """What to send instead of a wrong request."""
        if self.source is None:
            return EXAMPLE
        files = (PNG, WEBP) if self.source == "label_maps" else tuple(FORMATS)
        return f"Send {' or '.join(files)}, or as JSON. {FIELD_EXAMPLES[self.source]}"

    def to_request(self, fields: Mapping[str, Any]) -> GenerateRequest:
        """Validate the fields of a request; without any source, say what the model takes."""
        known = GenerateRequest.model_fields.keys() - set(SOURCE_FIELDS)
        if self.source is not None and fields.keys() <= known:
            raise self.missing()
        return GenerateRequest.model_validate(fields)

    def missing(self) -> RequestError:
        """Build the error of a request without the source that the model takes."""
        message = f"This model {self.purpose}; the request has no {self.source}."
        return RequestError(message, self.usage)

    def complete(self, request: GenerateRequest) -> GenerateRequest:
        """Check the inputs of a request; add the default direction and seed where they count.

        Raises:
            RequestError: The request lacks an input, or has one that the model does not take.
        """
        self.check(request)
        added: dict[str, object] = {}
        if self.directions and request.direction is None:
            added["direction"] = self.directions[0]
        has_noise = request.input_count or request.styles is not None
        if "latents" in self.names and not has_noise:
            added["seeds"] = [DEFAULT_SEED]
        return request.with_fields(**added) if added else request

    def check(self, request: GenerateRequest) -> None:
        """Raise RequestError if a request does not fit the inputs."""
        for name in request.sources:
            if name == "styles" and self.source == "label_maps" and name not in self.names:
                message = "styles: this model has no style encoder."
                raise RequestError(message, "Leave styles out, or give seeds.")
            if name not in self.names:
                raise RequestError(f"{name}: this model {self.purpose}.", self.usage)
        if self.source is not None and self.source not in request.sources:
            raise self.missing()
        if "latents" not in self.names:
            self.check_noiseless(request)
        if request.direction is not None and not self.directions:
            message = "direction: this model does not translate both ways."
            raise RequestError(message, "Leave direction out.")

    def check_noiseless(self, request: GenerateRequest) -> None:
        """Raise RequestError if a request has seeds, for a model without latents."""
        given = [name for name in LATENT_FIELDS if getattr(request, name) is not None]
        if given or request.truncation_psi != 1.0:
            message = f"{(given or ['truncation_psi'])[0]}: this model has no latents."
            hint = "Leave it out: the same input always has the same result."
            raise RequestError(message, hint)


LATENTS_ONLY = ModelSignature()
