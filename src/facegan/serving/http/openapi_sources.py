"""Describes the requests of models that take images or label maps, for the OpenAPI document."""

import base64
from typing import Any

import numpy as np

from facegan.wire import MULTIPART, NPY, ModelSignature
from facegan.wire.source_images import encode_pixels
from facegan.wire.text_fields import TEXT_FIELDS

Json = dict[str, Any]
FORM_FIELDS = {"images": "image", "label_maps": "label_map", "styles": "style"}
ARRAYS = {
    "images": "uint8 images (N, H, W, 3), written by numpy.save.",
    "label_maps": "The class of each pixel, uint8 (N, H, W), written by numpy.save.",
}
FILES = {
    "images": "One image.",
    "label_maps": "One label map, without loss: palette or 8-bit grey of class numbers, or RGB in "
    "the classes' own colours.",
}


def json_example(signature: ModelSignature) -> Json:
    """Return an example of a JSON request."""
    if signature.source is None:
        return {"seeds": [1, 2, 3, 4]}
    image = base64.b64encode(encode_pixels(np.full((2, 2, 3), 128, np.uint8))).decode()
    example: Json = {"images": [image], "label_maps": [[[0, 1], [1, 0]]]}
    example = {signature.source: example[signature.source]}
    if "latents" in signature.names:
        example["seeds"] = [7]
    if signature.directions:
        example["direction"] = signature.directions[0]
    return example


def source_media(content_type: str, signature: ModelSignature) -> Json:
    """Return the schema of a body other than JSON."""
    source = str(signature.source)
    if content_type == MULTIPART:
        return form_schema(signature)
    text = ARRAYS[source]
    if content_type != NPY:
        names = ", ".join(name for name in TEXT_FIELDS if name in signature.request_fields)
        text = f"{FILES[source]} Parameters of the content type: {names}."
    return {"type": "string", "contentMediaType": content_type, "description": text}


def form_schema(signature: ModelSignature) -> Json:
    """Return the schema of a form."""
    files = {
        FORM_FIELDS[name]: {"type": "array", "items": {"type": "string", "format": "binary"}}
        for name in signature.names
        if name in FORM_FIELDS
    }
    texts = {name: {"type": "string"} for name in TEXT_FIELDS if name in signature.request_fields}
    return {
        "type": "object",
        "description": "A form, as browsers and curl -F send it.",
        "properties": {**files, **texts},
        "required": [FORM_FIELDS[str(signature.source)]],
    }
