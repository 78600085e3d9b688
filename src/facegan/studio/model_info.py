"""Asks an endpoint what its model takes and supports."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from facegan.client import FaceClient
from facegan.client.face_client import ABOUT, check_reply
from facegan.errors import InvocationError
from facegan.safe_images import open_image
from facegan.wire import JSON, GenerateRequest, read_provenance

NOT_OURS = "The endpoint's answer is not of a facegan model."
NOT_OURS_HINT = "Give the address of a server that `facegan serve` or `facegan cloud` started."


@dataclass(frozen=True)
class ModelInfo:
    """What is known of the model behind an endpoint.

    Attributes:
        family: As "dcgan".
        preset: As "toy32".
        resolution: The side of its images, in pixels.
        sha256: The digest of its weights.
        has_truncation: Whether psi may differ from 1.
        classes: The class names of a conditional model.
        style_layers: How many layers can be mixed; 0 if none can.
        max_images: The most images per request.
        inputs: The names of its inputs; see :mod:`facegan.model_inputs`.
        directions: Of a model that translates both ways.
        map_classes: The name and colour "#rrggbb" of each class of its label maps.
        others: What else the endpoint says.
    """

    family: str
    preset: str
    resolution: int
    sha256: str
    has_truncation: bool = False
    classes: tuple[str, ...] = ()
    style_layers: int = 0
    max_images: int = 64
    inputs: tuple[str, ...] = ("latents",)
    directions: tuple[str, ...] = ()
    map_classes: tuple[tuple[str, str], ...] = ()
    others: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The model in a title."""
        return f"{self.family} {self.preset}, {self.resolution} px"

    @property
    def translates(self) -> bool:
        """Whether it takes images."""
        return "images" in self.inputs

    @property
    def paints(self) -> bool:
        """Whether it takes label maps."""
        return "label_maps" in self.inputs

    @property
    def needs_only_seeds(self) -> bool:
        """Whether a seed is all that an image needs."""
        return not (self.translates or self.paints)


def fetch_model_info(client: FaceClient) -> ModelInfo:
    """Return what a client's endpoint serves.

    Raises:
        InvocationError: it does not answer, or is not a facegan server.
    """
    reply = client.transport.send(ABOUT, JSON, JSON)
    if reply.status == HTTPStatus.BAD_REQUEST:  # custom inference code, which takes no such request
        return basic_info(client)
    about = parse_object(check_reply(reply, JSON).body)
    model = about.get("model")
    if not isinstance(model, dict):
        return basic_info(client)
    try:
        return ModelInfo(
            family=str(model["family"]),
            preset=str(model["preset"]),
            resolution=int(model["resolution"]),
            sha256=str(model["weights_sha256"]),
            has_truncation=bool(model["has_truncation"]),
            classes=tuple(str(name) for name in model["classes"]),
            style_layers=int(model["style_layers"]),
            max_images=int(about["max_images"]),
            inputs=tuple(str(its["name"]) for its in model["inputs"]),
            directions=tuple(str(name) for name in model["directions"]),
            map_classes=tuple(
                (str(its["name"]), str(its["colour"])) for its in model["map_classes"]
            ),
            others={name: model[name] for name in ("kimg", "metrics") if model.get(name)},
        )
    except (KeyError, TypeError, ValueError) as cause:
        raise InvocationError(NOT_OURS, NOT_OURS_HINT) from cause


def basic_info(client: FaceClient) -> ModelInfo:
    """Return what one image says of its model, for endpoints that say nothing of themselves."""
    answer = parse_object(client.invoke(GenerateRequest(seeds=[0]), JSON))
    try:
        model, png = answer["model"], base64.b64decode(answer["images"][0]["png"])
        read_provenance(png)  # raises if it is not a PNG
        return ModelInfo(
            family=str(model["family"]),
            preset=str(model["preset"]),
            resolution=open_image(png, ["PNG"]).width,
            sha256=str(model["sha256"]),
        )
    except (KeyError, TypeError, IndexError, ValueError, OSError) as cause:
        raise InvocationError(NOT_OURS, NOT_OURS_HINT) from cause


def parse_object(body: bytes) -> dict[str, Any]:
    """Parse a JSON object; raise InvocationError if it is not one."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise InvocationError(NOT_OURS, NOT_OURS_HINT)
    return value
