"""uint8 images ⇄ many pictures in JSON, each with its own seed: at once, or one a line."""

import base64
import json
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from facegan.errors import InvocationError
from facegan.wire.content_types import JSON, JSON_LINES
from facegan.wire.picture_codecs import decode_png, encode_png
from facegan.wire.provenance import Provenance
from facegan.wire.sheet import BROKEN, Images, Sheet

DAMAGE = (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError)


class Face(NamedTuple):
    """One face of an answer."""

    seed: int | None  # None where it was drawn from a latent, or between two seeds
    png: bytes
    class_name: str | None = None  # None where the model is not conditional
    interpolated_from: tuple[int, int] | None = None  # of a face between two seeds
    share: float | None = None  # how much of the way from one to the next is behind it
    mixed_with: int | None = None  # the seed whose styles it took


def facts_of(origin: Provenance) -> dict[str, Any]:
    """What JSON says of one image, given its own provenance."""
    facts: dict[str, Any] = {
        "seed": origin.seeds[0] if origin.seeds else None,
        "class": origin.classes[0] if origin.classes else None,
    }
    if origin.between is not None:
        facts["interpolated_from"] = list(origin.between)
    if origin.share is not None:
        facts["share"] = origin.share
    if origin.mix is not None:
        facts["mixed_with"] = origin.mix[0]
    return facts


def model_of(origin: Provenance) -> dict[str, Any]:
    """What JSON says of the model."""
    model: dict[str, Any] = {
        "sha256": origin.model_sha256,
        "family": origin.family,
        "preset": origin.preset,
        "truncation_psi": origin.truncation_psi,
    }
    if origin.mix_layers is not None:
        model["mix_layers"] = list(origin.mix_layers)
    return model


def face_object(image: Images, origin: Provenance) -> dict[str, Any]:
    """One image (H, W, 3) as JSON: what it is, and a PNG in base64."""
    png = encode_png(Sheet(image[np.newaxis], origin))
    return {**facts_of(origin), "png": base64.b64encode(png).decode()}


def encode_json(sheet: Sheet) -> bytes:
    """A PNG an image, each with its own provenance, in base64."""
    return json.dumps(answer_object(sheet)).encode()


def answer_object(sheet: Sheet) -> dict[str, Any]:
    """The JSON answer to one request."""
    origin = sheet.provenance
    faces = [face_object(image, origin.of_image(i)) for i, image in enumerate(sheet.images)]
    return {"images": faces, "model": model_of(origin)}


def decode_faces(body: bytes) -> list[Face]:
    """The faces of a JSON answer, still as PNG.

    Raises:
        InvocationError: the body is no such answer.
    """
    try:
        return faces_of(json.loads(body))
    except DAMAGE as cause:
        raise InvocationError(f"The {JSON} answer holds no list of images.", BROKEN) from cause


def faces_of(answer: Any) -> list[Face]:
    """The faces of a JSON answer; one of ``DAMAGE`` if it is none."""
    return [face_of(image) for image in answer["images"]]


def face_of(image: dict[str, Any]) -> Face:
    """One image of a JSON answer."""
    kind, ends, share = image.get("class"), image.get("interpolated_from"), image.get("share")
    if not (kind is None or isinstance(kind, str)):
        raise ValueError(f"class {kind!r}")
    first, second = (None, None) if ends is None else map(whole, ends)
    return Face(
        seed=None if image["seed"] is None else whole(image["seed"]),
        png=base64.b64decode(image["png"], validate=True),
        class_name=kind,
        interpolated_from=None if first is None or second is None else (first, second),
        share=None if share is None else float(share),
        mixed_with=None if image.get("mixed_with") is None else whole(image["mixed_with"]),
    )


def whole(number: Any) -> int:
    """A whole number, or ValueError."""
    if type(number) is not int:
        raise ValueError(f"{number!r} is no whole number")
    return number


def decode_json(body: bytes) -> Images:
    """The images of all PNGs, which are of one size."""
    return images_of([face.png for face in decode_faces(body)], JSON)


def images_of(pngs: Iterable[bytes], content_type: str) -> Images:
    """PNGs of one size as (N, H, W, 3), N ≥ 1."""
    pictures = [decode_png(png) for png in pngs]
    if len({picture.shape for picture in pictures}) != 1:
        raise InvocationError(f"The {content_type} answer holds no images of one size.", BROKEN)
    return np.concatenate(pictures)


# --- one face a line ----------------------------------------------------------------------------


def stream_images(
    images: Iterable[Images], provenance: Provenance, count: int, start: int = 0
) -> Iterator[bytes]:
    """A line of JSON an image, each as soon as it is taken.

    Args:
        images: (H, W, 3) each.
        provenance: Of all images of the request.
        count: How many there are in all: a reader knows by it whether the end is the end.
        start: The place of the first of `images` among them.
    """
    for index, image in enumerate(images, start):
        place = {"index": index, "count": count}
        face = face_object(image, provenance.of_image(index))
        yield json.dumps({**place, **face}).encode() + b"\n"


def encode_json_lines(sheet: Sheet) -> bytes:
    """A line of JSON an image."""
    return b"".join(stream_images(sheet.images, sheet.provenance, len(sheet.images)))


def read_faces(chunks: Iterable[bytes]) -> Iterator[Face]:
    """The faces of a JSON Lines answer, each as soon as its line is there.

    Args:
        chunks: The answer's bytes in pieces of any size.

    Raises:
        InvocationError: the answer is none, ends early, or ends with an error of the server's.
    """
    seen, count = 0, None
    for line in lines_of(chunks):
        face, index, told = face_of_line(line)
        if index != seen or count not in (None, told):
            raise InvocationError(f"The {JSON_LINES} answer is out of order.", BROKEN)
        yield face
        seen, count = seen + 1, told
    if seen == 0 or seen != count:
        raise InvocationError(f"The answer ended after {seen} of {count or '?'} images.", BROKEN)


def face_of_line(line: bytes) -> tuple[Face, int, int]:
    """The face of one line, its place, and how many there will be."""
    try:
        told = json.loads(line)
        if "error" in told:
            raise InvocationError(f"The answer broke off: {told['message']}", str(told["hint"]))
        return face_of(told), whole(told["index"]), whole(told["count"])
    except DAMAGE as cause:
        raise InvocationError(f"A line of the {JSON_LINES} answer is no image.", BROKEN) from cause


def lines_of(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The lines that pieces of any size make up, each ended by a line feed."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines
    if rest:
        raise InvocationError(f"The {JSON_LINES} answer ends within a line.", BROKEN)


def decode_json_lines(body: bytes) -> Images:
    """The images of all lines, which are of one size."""
    return images_of([face.png for face in read_faces([body])], JSON_LINES)
