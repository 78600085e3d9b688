"""uint8 images ⇄ a zip of PNGs, each named by its seed or its source."""

import io
import json
import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from facegan.errors import InvocationError
from facegan.wire.content_types import ZIP
from facegan.wire.image_reply import DAMAGED_HINT, ImageReply, Images
from facegan.wire.json_codecs import decode_pngs, image_metadata, model_metadata
from facegan.wire.raster_codecs import encode_png

LIST_NAME = "provenance.json"
NO_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest that zip knows: equal requests give equal bytes


def encode_zip(reply: ImageReply) -> bytes:
    """Encode one PNG per image, by seed or source, and a list of them; nothing is compressed."""
    origins = [reply.provenance.of_image(index) for index in range(len(reply.images))]
    metadata = [image_metadata(origin) for origin in origins]
    names = file_names(metadata)
    listing = {
        "digital_source_type": reply.provenance.source_type,
        "model": model_metadata(reply.provenance),
        "images": [{"file": name, **it} for name, it in zip(names, metadata, strict=True)],
    }
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, origin, image in zip(names, origins, reply.images, strict=True):
            add_file(archive, name, encode_png(ImageReply(image[np.newaxis], origin)))
        add_file(archive, LIST_NAME, json.dumps(listing, indent=1).encode())
    return stream.getvalue()


def file_names(images: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a file name for each image: its seed or source, and a number if that comes again.

    Args:
        images: The metadata of each: "seed", and perhaps "share", "mixed_with" and "input".
    """
    seen: Counter[str] = Counter()
    names = []
    for index, image in enumerate(images):
        stem = file_stem(index, image)
        seen[stem] += 1
        names.append(f"{stem}-{seen[stem]}.png" if seen[stem] > 1 else f"{stem}.png")
    return names


def file_stem(index: int, image: Mapping[str, Any]) -> str:
    """Return the name of the index-th image by its source and seed, or else by its index."""
    if (source := image.get("input")) is not None:
        stem = f"input{source['index']:04d}"
        if image.get("share") is not None:
            return f"{stem}-frame{index:04d}"
        return stem if image["seed"] is None else f"{stem}-seed{image['seed']:04d}"
    if image["seed"] is None:
        return f"{'latent' if image.get('share') is None else 'frame'}{index:04d}"
    mixed = image.get("mixed_with")
    return f"seed{image['seed']:04d}" + ("" if mixed is None else f"-mix{mixed:04d}")


def add_file(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    """Add a file without the time and the system it was packed on."""
    entry = zipfile.ZipInfo(name, NO_DATE)
    entry.create_system, entry.external_attr = 3, 0o644 << 16  # as on Unix, from everywhere
    archive.writestr(entry, content)


def decode_zip(body: bytes) -> Images:
    """Decode all PNGs of a zip in their order; they have one size."""
    return decode_pngs(read_pngs(body).values(), ZIP)


def read_pngs(body: bytes) -> dict[str, bytes]:
    """Return the PNGs of a zip by name; compressed files are refused, as they could expand."""
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            entries = archive.infolist()
            if any(e.compress_type != zipfile.ZIP_STORED or e.flag_bits & 1 for e in entries):
                raise ValueError("a compressed or encrypted file")
            return {e.filename: archive.read(e) for e in entries if e.filename.endswith(".png")}
    except Exception as error:  # zipfile raises many for bytes that are not an archive
        raise InvocationError(
            f"The {ZIP} reply is not a readable archive.", DAMAGED_HINT
        ) from error
