"""What a page must know of a model before it offers anything: from its front page, or by asking."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any

from facegan.client import FaceClient
from facegan.client.face_client import body_of, checked
from facegan.errors import FaceGANError, InvocationError
from facegan.safe_images import open_image
from facegan.studio.patience import PatientTransport
from facegan.wire import JSON, GenerateRequest, read_provenance

NOT_OURS = "The endpoint's answer is not of a facegan model."
NAME_OURS = "Name an endpoint that `facegan serve` could be."
KNOWING_SEEDS = 32  # of a conditional model without a front page: as many seeds name its classes


@dataclass(frozen=True)
class ModelFacts:
    """What is known of a model behind an endpoint.

    Attributes:
        family: As "dcgan".
        preset: As "toy32".
        resolution: The side of its images, in pixels.
        sha256: The digest of its weights.
        has_truncation: Whether it takes a psi other than 1.
        classes: The names of a conditional model's classes; of one without a front page those
            that some seeds name.
        style_layers: How many layers can be mixed; 0 where none can.
        max_images: How many images a request may ask for.
        others: What else its front page says.
    """

    family: str
    preset: str
    resolution: int
    sha256: str
    has_truncation: bool = False
    classes: tuple[str, ...] = ()
    style_layers: int = 0
    max_images: int = 64
    others: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """A line for a title."""
        return f"{self.family} {self.preset}, {self.resolution} px"

    @property
    def lacks(self) -> str:
        """What the page therefore does not show, in a sentence; empty where it shows all."""
        missing = [
            what
            for what, is_there in (
                ("truncation", self.has_truncation),
                ("classes", self.classes),
                ("styles to mix", self.style_layers),
            )
            if not is_there
        ]
        if not missing:
            return ""
        *most, last = missing
        listed = f"{', '.join(most)} or {last}" if most else last
        return f"This model has no {listed}; what needs them is not shown."


def learn(client: FaceClient) -> ModelFacts:
    """The facts of the model that a client reaches.

    Raises:
        InvocationError: it does not answer, or is no model of ours.
    """
    asked = asked_facts(client)
    told = front_page(client)
    model = told.get("model")
    if not isinstance(model, dict) or model.get("weights_sha256") != asked.sha256:
        return probed(client, asked)
    try:
        return replace(
            asked,
            has_truncation=bool(model["has_truncation"]),
            classes=tuple(str(name) for name in model["classes"]),
            style_layers=int(model["style_layers"]),
            max_images=int(told["max_images"]),
            others={name: model[name] for name in ("kimg", "metrics") if model.get(name)},
        )
    except (KeyError, TypeError, ValueError):  # an older server's, which says less
        return probed(client, asked)


def front_page(client: FaceClient) -> dict[str, Any]:
    """What the endpoint's front page says; nothing where it cannot be read."""
    transport = client.transport
    if not isinstance(transport, PatientTransport):
        return {}
    try:
        told = json.loads(transport.front_page().body)
    except (FaceGANError, ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def asked_facts(client: FaceClient) -> ModelFacts:
    """What one face says of the model that drew it."""
    answer = answer_of(client, GenerateRequest(seeds=[0]))
    try:
        model, image = answer["model"], client_png(answer)
        return ModelFacts(
            family=str(model["family"]),
            preset=str(model["preset"]),
            resolution=open_image(image, ["PNG"]).width,
            sha256=str(model["sha256"]),
        )
    except (KeyError, TypeError, IndexError, ValueError, OSError) as cause:
        raise InvocationError(NOT_OURS, NAME_OURS) from cause


def client_png(answer: Mapping[str, Any]) -> bytes:
    """The first face of a JSON answer, checked to be a PNG."""
    png = base64.b64decode(answer["images"][0]["png"])
    read_provenance(png)
    return png


def answer_of(client: FaceClient, request: GenerateRequest) -> dict[str, Any]:
    """The JSON answer to a request, as it is."""
    return parsed(client.invoke(request, JSON))


def parsed(body: bytes) -> dict[str, Any]:
    """A JSON answer's object.

    Raises:
        InvocationError: it is none.
    """
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        raise InvocationError(NOT_OURS, NAME_OURS)
    return told


def probed(client: FaceClient, asked: ModelFacts) -> ModelFacts:
    """The facts of a model that has no front page, by asking it for what it may not have."""
    return replace(
        asked,
        has_truncation=grants(client, GenerateRequest(seeds=[0], truncation_psi=0.5)) is not None,
        classes=probed_classes(client),
        style_layers=probed_layers(client),
    )


def grants(client: FaceClient, request: GenerateRequest) -> dict[str, Any] | None:
    """The answer to a request; None where the model refuses it, and not where it fails."""
    reply = client.transport.send(*body_of(request), JSON)
    if reply.status == HTTPStatus.BAD_REQUEST:
        return None
    return parsed(checked(reply, JSON).body)


def probed_classes(client: FaceClient) -> tuple[str, ...]:
    """The names of the classes that some seeds name, sorted."""
    answer = grants(client, GenerateRequest(seeds=list(range(KNOWING_SEEDS)))) or {}
    names = {str(image["class"]) for image in answer.get("images", []) if image.get("class")}
    return tuple(sorted(names))


def probed_layers(client: FaceClient) -> int:
    """How many layers can be mixed: the finer half ends with the last."""
    answer = grants(client, GenerateRequest(seeds=[0], mix=[1])) or {}
    layers = answer.get("model", {}).get("mix_layers") or []
    return int(max(layers)) + 1 if layers else 0
