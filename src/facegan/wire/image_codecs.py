"""uint8 images ⇄ bytes: one row per content type, written by the server and read by the client."""

import base64
import json
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from facegan.errors import InvocationError, NotAcceptable
from facegan.pictures import encode_png as encode_picture
from facegan.pictures import montage
from facegan.wire.content_types import JSON, NPY, PNG
from facegan.wire.negotiation import bare_type
from facegan.wire.npy import read_npy, write_npy
from facegan.wire.provenance import Provenance, open_png

Images = npt.NDArray[np.uint8]

BROKEN = "The answer was cut off or changed on its way, or its sender is not facegan; ask again."


class Sheet(NamedTuple):
    """Images, where they come from, and how a single picture of them is arranged."""

    images: Images  # (N, H, W, 3)
    provenance: Provenance
    layout: str = "grid"
    columns: int | None = None


class Face(NamedTuple):
    """One face of a JSON answer."""

    seed: int | None  # None where it was drawn from a latent
    png: bytes
    class_name: str | None = None  # None where the model is not conditional


def encode_images(
    images: Images,
    accept: str,
    *,
    provenance: Provenance,
    layout: str = "grid",
    columns: int | None = None,
) -> bytes:
    """Write images.

    Args:
        images: uint8 (N, H, W, 3), N ≥ 1.
        accept: A content type of ``IMAGE_CODECS``, as :func:`negotiate` returns it.
        provenance: What every PNG says about its origin; one seed and class an image, or None.
        layout: "grid", "row", "column" or "single"; shapes image/png only.
        columns: Columns of a grid; as square as possible where None.

    Raises:
        NotAcceptable: `accept` is not in the table.
    """
    if accept not in IMAGE_CODECS:
        offered = ", ".join(IMAGE_CODECS)
        raise NotAcceptable(f"No images are written as {accept[:100]!a}.", f"Ask for {offered}.")
    return IMAGE_CODECS[accept].encode(Sheet(images, provenance, layout, columns))


def decode_images(body: bytes, content_type: str) -> Images:
    """Read images back as uint8 (N, H, W, 3).

    A PNG is one picture whatever it shows: a montage comes back whole, as (1, H, W, 3).

    Raises:
        InvocationError: the content type is not in the table, or the body is damaged.
    """
    name = bare_type(content_type)
    if name not in IMAGE_CODECS:
        known = ", ".join(IMAGE_CODECS)
        raise InvocationError(f"The answer is {name[:100]!a}, not one of {known}.", BROKEN)
    return IMAGE_CODECS[name].decode(body)


def encode_png(sheet: Sheet) -> bytes:
    """One picture of all images."""
    picture = montage(sheet.images, columns_of(sheet))
    return encode_picture(picture, sheet.provenance.facts())


def columns_of(sheet: Sheet) -> int | None:
    """How many images stand side by side; None is as square as possible."""
    return {"row": len(sheet.images), "column": 1}.get(sheet.layout, sheet.columns)


def decode_png(body: bytes) -> Images:
    """The whole picture as (1, H, W, 3)."""
    return np.asarray(open_png(body).convert("RGB"))[np.newaxis]


def encode_json(sheet: Sheet) -> bytes:
    """A PNG an image, each with its own provenance, in base64."""
    origin = sheet.provenance
    faces = []
    for index, image in enumerate(sheet.images):
        own = origin.of_image(index)
        png = encode_png(Sheet(image[np.newaxis], own))
        seed = own.seeds[0] if own.seeds else None
        kind = own.classes[0] if own.classes else None
        faces.append({"seed": seed, "class": kind, "png": base64.b64encode(png).decode()})
    model = {
        "sha256": origin.model_sha256,
        "family": origin.family,
        "preset": origin.preset,
        "truncation_psi": origin.truncation_psi,
    }
    return json.dumps({"images": faces, "model": model}).encode()


def decode_faces(body: bytes) -> list[Face]:
    """The faces of a JSON answer, still as PNG.

    Raises:
        InvocationError: the body is no such answer.
    """
    try:
        images = json.loads(body)["images"]
        return [face_of(image) for image in images]
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as cause:
        raise InvocationError(f"The {JSON} answer holds no list of images.", BROKEN) from cause


def face_of(image: dict[str, Any]) -> Face:
    """One image of a JSON answer."""
    kind = image.get("class")
    if not (kind is None or isinstance(kind, str)):
        raise ValueError(f"class {kind!r}")
    return Face(seed_of(image), base64.b64decode(image["png"], validate=True), kind)


def seed_of(image: dict[str, Any]) -> int | None:
    """The seed of one image in a JSON answer."""
    seed = image["seed"]
    if not (seed is None or type(seed) is int):
        raise ValueError(f"seed {seed!r}")
    return seed


def decode_json(body: bytes) -> Images:
    """The images of all PNGs, which are of one size."""
    pictures = [decode_png(face.png) for face in decode_faces(body)]
    if len({picture.shape for picture in pictures}) != 1:
        raise InvocationError(f"The {JSON} answer holds no images of one size.", BROKEN)
    return np.concatenate(pictures)


def encode_npy(sheet: Sheet) -> bytes:
    """The bare array (N, H, W, 3)."""
    return write_npy(sheet.images)


def decode_npy(body: bytes) -> Images:
    """The bare array (N, H, W, 3)."""
    try:
        images = read_npy(body)
    except ValueError as cause:
        raise InvocationError(f"The {NPY} answer {cause}.", BROKEN) from cause
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3:
        told = f"The {NPY} answer is {images.dtype} of shape {images.shape}, not images."
        raise InvocationError(told, BROKEN)
    return images


class ImageCodec(NamedTuple):
    """Both directions of one content type."""

    encode: Callable[[Sheet], bytes]
    decode: Callable[[bytes], Images]


IMAGE_CODECS: dict[str, ImageCodec] = {
    PNG: ImageCodec(encode_png, decode_png),
    JSON: ImageCodec(encode_json, decode_json),
    NPY: ImageCodec(encode_npy, decode_npy),
}
