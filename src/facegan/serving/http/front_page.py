"""What is served, in JSON: for people at ``GET /``, and for programs that post {"about": true}."""

import flask

from facegan.serving.http.contract import routes_of
from facegan.serving.limits import ServingLimits
from facegan.serving.model.served_model import REPLY_TYPES, ServedModel
from facegan.synthesis import Synthesizer
from facegan.wire import ModelSignature


def describe(served: ServedModel, limits: ServingLimits) -> dict[str, object]:
    """Describe what is served, with an example of a request."""
    synthesizer, signature = served.synthesizer, served.signature
    url = flask.request.host_url.rstrip("/")
    purpose = "draws faces" if signature.source is None else signature.purpose
    return {
        "what": f"facegan: a generative adversarial network that {purpose}",
        "model": None if synthesizer is None else facts_of(synthesizer, signature),
        "routes": routes_of(flask.current_app),
        "content_types": list(signature.request_types),
        "accept": list(REPLY_TYPES),
        "max_images": limits.max_images,
        "max_pixels": limits.max_pixels,
        "example": f"curl {url}/invocations {example_of(signature)} -o faces.png",
    }


def facts_of(synthesizer: Synthesizer, signature: ModelSignature) -> dict[str, object]:
    """Return a model's facts for callers."""
    card = synthesizer.card
    return {
        "family": card.family,
        "preset": card.preset,
        "resolution": card.resolution,
        "latent_dim": card.latent_dim,
        "classes": [name for name, _ in card.classes],
        "weights_sha256": card.weights_sha256,
        "has_truncation": synthesizer.backend.has_truncation,
        "style_layers": synthesizer.backend.style_layers,
        "kimg": card.kimg,
        "metrics": card.metrics,
        "inputs": [
            {"name": its.name, "kind": its.kind, "optional": its.optional}
            for its in signature.inputs
        ],
        "directions": list(signature.directions),
        "map_classes": [{"name": name, "colour": colour} for name, colour in signature.map_classes],
    }


def example_of(signature: ModelSignature) -> str:
    """Return curl's options for an example request."""
    if signature.source is None:
        return "-H 'Content-Type: application/json' -d '{\"seeds\": [1, 2, 3, 4]}'"
    options = ";seeds=1,2,3,4" if "latents" in signature.names else ""
    if signature.directions:
        options = f";direction={signature.directions[-1]}"
    body = "photo.png" if signature.source == "images" else "map.png"
    return f"-H 'Content-Type: image/png{options}' --data-binary @{body}"
