"""uint8 images ⇄ JSON with one PNG per image, in one object or in one line per image."""

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from facegan.errors import InvocationError
from facegan.wire.content_types import JSON, JSON_LINES
from facegan.wire.image_reply import DAMAGED_HINT, ImageReply, Images
from facegan.wire.provenance import Provenance
from facegan.wire.raster_codecs import decode_png, encode_png

PARSE_ERRORS = (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError)


class GeneratedImage(NamedTuple):
    """One image of a reply."""

    seed: int | None  # None if it was generated from a latent, or between two seeds
    png: bytes
    class_name: str | None = None  # None if the model is not conditional
    interpolated_from: tuple[int, int] | None = None  # the seeds on either side
    share: float | None = None  # of the way from the first of them to the second
    mixed_with: int | None = None  # the seed whose styles it took
    # Of the source image or label map: its "sha256", and its "index" in the request.
    input: Mapping[str, Any] | None = None
    style: Mapping[str, Any] | None = None  # the "sha256" of the style image
    direction: str | None = None


def image_metadata(provenance: Provenance) -> dict[str, Any]:
    """Return the JSON fields that describe one image, given its own provenance."""
    metadata: dict[str, Any] = {
        "seed": provenance.seeds[0] if provenance.seeds else None,
        "class": provenance.classes[0] if provenance.classes else None,
    }
    if provenance.between is not None:
        metadata["interpolated_from"] = list(provenance.between)
    if provenance.share is not None:
        metadata["share"] = provenance.share
    if provenance.mix is not None:
        metadata["mixed_with"] = provenance.mix[0]
    if provenance.source_sha256:
        index, (digest, *_) = provenance.source_index, provenance.source_sha256
        metadata["input"] = {"index": index, "sha256": digest}
    if "styles" in provenance.sources:
        metadata["style"] = {"sha256": provenance.sources["styles"][0]}
    if provenance.direction is not None:
        metadata["direction"] = provenance.direction
    return metadata


def model_metadata(provenance: Provenance) -> dict[str, Any]:
    """Return the JSON fields that describe the model."""
    metadata: dict[str, Any] = {
        "sha256": provenance.model_sha256,
        "family": provenance.family,
        "preset": provenance.preset,
        "truncation_psi": provenance.truncation_psi,
    }
    if provenance.mix_layers is not None:
        metadata["mix_layers"] = list(provenance.mix_layers)
    return metadata


def image_object(image: Images, provenance: Provenance) -> dict[str, Any]:
    """Return one image (H, W, 3) as a JSON object: its metadata, and a PNG in base64."""
    png = encode_png(ImageReply(image[np.newaxis], provenance))
    return {**image_metadata(provenance), "png": base64.b64encode(png).decode()}


def encode_json(reply: ImageReply) -> bytes:
    """Encode one PNG per image, each with its own provenance, in base64."""
    origin = reply.provenance
    images = [image_object(image, origin.of_image(i)) for i, image in enumerate(reply.images)]
    return json.dumps({"images": images, "model": model_metadata(origin)}).encode()


def parse_images(body: bytes) -> list[GeneratedImage]:
    """Parse a JSON reply into its images, still as PNG.

    Raises:
        InvocationError: The body is not such a reply.
    """
    try:
        return images_from_json(json.loads(body))
    except PARSE_ERRORS as error:
        message = f"The {JSON} reply holds no list of images."
        raise InvocationError(message, DAMAGED_HINT) from error


def images_from_json(reply: Any) -> list[GeneratedImage]:
    """Convert a reply's JSON value; raise one of ``PARSE_ERRORS`` if it is something else."""
    return [image_from_json(image) for image in reply["images"]]


def image_from_json(image: dict[str, Any]) -> GeneratedImage:
    """Convert the JSON object of one image."""
    class_name, between, share = (
        image.get(name) for name in ("class", "interpolated_from", "share")
    )
    if not (class_name is None or isinstance(class_name, str)):
        raise ValueError(f"class {class_name!r}")
    first, second = (None, None) if between is None else map(require_int, between)
    return GeneratedImage(
        seed=None if image["seed"] is None else require_int(image["seed"]),
        png=base64.b64decode(image["png"], validate=True),
        class_name=class_name,
        interpolated_from=None if first is None or second is None else (first, second),
        share=None if share is None else float(share),
        mixed_with=None if image.get("mixed_with") is None else require_int(image["mixed_with"]),
        input=source_from_json(image.get("input")),
        style=source_from_json(image.get("style")),
        direction=None if image.get("direction") is None else str(image["direction"]),
    )


def source_from_json(value: Any) -> Mapping[str, Any] | None:
    """Convert what a reply says of a source; None if it has none."""
    if value is None:
        return None
    return {"index": require_int(value.get("index", 0)), "sha256": str(value["sha256"])}


def require_int(number: Any) -> int:
    """Return an int; raise ValueError for anything else."""
    if type(number) is not int:
        raise ValueError(f"{number!r} is not a whole number")
    return number


def decode_json(body: bytes) -> Images:
    """Decode all PNGs of a reply, which have one size."""
    return decode_pngs([image.png for image in parse_images(body)], JSON)


def decode_pngs(pngs: Iterable[bytes], content_type: str) -> Images:
    """Decode PNGs of one size to (N, H, W, 3), N ≥ 1."""
    images = [decode_png(png) for png in pngs]
    if len({image.shape for image in images}) != 1:
        message = f"The {content_type} reply holds no images of one size."
        raise InvocationError(message, DAMAGED_HINT)
    return np.concatenate(images)


# --- one line per image -------------------------------------------------------------------------


def image_lines(
    images: Iterable[Images], provenance: Provenance, count: int, start: int = 0
) -> Iterator[bytes]:
    """Yield one line of JSON per image.

    Args:
        images: (H, W, 3) each.
        provenance: Of all images of the request.
        count: How many images the request has; a reader knows by it whether lines are missing.
        start: The index of the first of `images` among them.
    """
    for index, image in enumerate(images, start):
        line = {"index": index, "count": count} | image_object(image, provenance.of_image(index))
        yield json.dumps(line).encode() + b"\n"


def encode_json_lines(reply: ImageReply) -> bytes:
    """Encode one line of JSON per image."""
    return b"".join(image_lines(reply.images, reply.provenance, len(reply.images)))


def iter_images(chunks: Iterable[bytes]) -> Iterator[GeneratedImage]:
    """Yield the images of a JSON Lines reply, each as soon as its line is complete.

    Args:
        chunks: The bytes of the reply, in pieces of any size.

    Raises:
        InvocationError: The reply is something else, ends early, or ends with a server's error.
    """
    received, expected = 0, None
    for line in split_lines(chunks):
        image, index, count = parse_image_line(line)
        if index != received or expected not in (None, count):
            raise InvocationError(f"The {JSON_LINES} reply is out of order.", DAMAGED_HINT)
        yield image
        received, expected = received + 1, count
    if received == 0 or received != expected:
        message = f"The reply ended after {received} of {expected or '?'} images."
        raise InvocationError(message, DAMAGED_HINT)


def parse_image_line(line: bytes) -> tuple[GeneratedImage, int, int]:
    """Parse one line into its image, its index, and the number of images of the request."""
    try:
        value = json.loads(line)
        if "error" in value:
            raise InvocationError(f"The reply broke off: {value['message']}", str(value["hint"]))
        return image_from_json(value), require_int(value["index"]), require_int(value["count"])
    except PARSE_ERRORS as error:
        message = f"A line of the {JSON_LINES} reply is not an image."
        raise InvocationError(message, DAMAGED_HINT) from error


def split_lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield lines from pieces of any size; each line must end with a line feed."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines
    if rest:
        raise InvocationError(f"The {JSON_LINES} reply ends within a line.", DAMAGED_HINT)


def decode_json_lines(body: bytes) -> Images:
    """Decode the PNGs of all lines, which have one size."""
    return decode_pngs([image.png for image in iter_images([body])], JSON_LINES)
