"""Finds out what a model supports: from the server's front page, or by trying requests."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any

from facegan.client import FaceClient
from facegan.client.face_client import check_reply, encode_body
from facegan.errors import FaceGANError, InvocationError
from facegan.safe_images import open_image
from facegan.studio.timeout_transport import TimeoutTransport
from facegan.wire import JSON, GenerateRequest, read_provenance

NOT_OURS = "The endpoint's answer is not of a facegan model."
NOT_OURS_HINT = "Give the address of a server that `facegan serve` or `facegan cloud` started."
PROBED_SEEDS = 32  # whose classes are read where there is no front page


@dataclass(frozen=True)
class ModelInfo:
    """What is known of the model behind an endpoint.

    Attributes:
        family: As "dcgan".
        preset: As "toy32".
        resolution: The side of its images, in pixels.
        sha256: The digest of its weights.
        has_truncation: Whether psi may differ from 1.
        classes: The class names of a conditional model; without a front page, those that some
            seeds have.
        style_layers: How many layers can be mixed; 0 if none can.
        max_images: The most images per request.
        others: What else the front page says.
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
        """The model in a title."""
        return f"{self.family} {self.preset}, {self.resolution} px"


def fetch_model_info(client: FaceClient) -> ModelInfo:
    """Return what a client's endpoint serves.

    Raises:
        InvocationError: it does not answer, or is not a facegan server.
    """
    basic = basic_info(client)
    page = front_page(client)
    model = page.get("model")
    if not isinstance(model, dict) or model.get("weights_sha256") != basic.sha256:
        return probe(client, basic)
    try:
        return replace(
            basic,
            has_truncation=bool(model["has_truncation"]),
            classes=tuple(str(name) for name in model["classes"]),
            style_layers=int(model["style_layers"]),
            max_images=int(page["max_images"]),
            others={name: model[name] for name in ("kimg", "metrics") if model.get(name)},
        )
    except (KeyError, TypeError, ValueError):  # an older server's front page says less
        return probe(client, basic)


def front_page(client: FaceClient) -> dict[str, Any]:
    """Return the endpoint's front page; empty if it cannot be read."""
    transport = client.transport
    if not isinstance(transport, TimeoutTransport):
        return {}
    try:
        page = json.loads(transport.front_page().body)
    except (FaceGANError, ValueError, RecursionError):
        return {}
    return page if isinstance(page, dict) else {}


def basic_info(client: FaceClient) -> ModelInfo:
    """Return what one image says of its model."""
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


def probe(client: FaceClient, basic: ModelInfo) -> ModelInfo:
    """Complete the information without a front page, by requests that the model may refuse."""
    truncated = GenerateRequest(seeds=[0], truncation_psi=0.5)
    seeds = GenerateRequest(seeds=list(range(PROBED_SEEDS)))
    images = (try_request(client, seeds) or {}).get("images", [])
    mixed = try_request(client, GenerateRequest(seeds=[0], mix=[1])) or {}
    layers = mixed.get("model", {}).get("mix_layers") or []  # the finer half, up to the last
    return replace(
        basic,
        has_truncation=try_request(client, truncated) is not None,
        classes=tuple(sorted({str(image["class"]) for image in images if image.get("class")})),
        style_layers=int(max(layers)) + 1 if layers else 0,
    )


def try_request(client: FaceClient, request: GenerateRequest) -> dict[str, Any] | None:
    """Return the answer to a request; None if the model refuses it. Failures are raised."""
    reply = client.transport.send(*encode_body(request), JSON)
    if reply.status == HTTPStatus.BAD_REQUEST:
        return None
    return parse_object(check_reply(reply, JSON).body)
