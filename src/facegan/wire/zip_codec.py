"""uint8 images ⇄ a zip of pictures, each named by its seed."""

import io
import json
import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from facegan.errors import InvocationError
from facegan.pictures import SOURCE_TYPE
from facegan.wire.content_types import ZIP
from facegan.wire.face_codecs import facts_of, images_of, model_of
from facegan.wire.picture_codecs import encode_png
from facegan.wire.sheet import BROKEN, Images, Sheet

LIST = "provenance.json"  # the file of a zip that says what the others are
NO_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest that zip knows: the same request, the same bytes


def encode_zip(sheet: Sheet) -> bytes:
    """A PNG an image, named by its seed, and a list of them; packed, but not pressed again."""
    origins = [sheet.provenance.of_image(index) for index in range(len(sheet.images))]
    facts = [facts_of(origin) for origin in origins]
    names = file_names(facts)
    told = {
        "digital_source_type": SOURCE_TYPE,
        "model": model_of(sheet.provenance),
        "images": [{"file": name, **fact} for name, fact in zip(names, facts, strict=True)],
    }
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, origin, image in zip(names, origins, sheet.images, strict=True):
            add_file(archive, name, encode_png(Sheet(image[np.newaxis], origin)))
        add_file(archive, LIST, json.dumps(told, indent=1).encode())
    return stream.getvalue()


def file_names(faces: Sequence[Mapping[str, Any]]) -> list[str]:
    """A name for each face's file: of its seed, and if that is asked for again, with a number.

    Args:
        faces: What JSON says of each: "seed", and perhaps "share" and "mixed_with".
    """
    seen: Counter[str] = Counter()
    names = []
    for index, face in enumerate(faces):
        stem = stem_of(index, face)
        seen[stem] += 1
        names.append(f"{stem}-{seen[stem]}.png" if seen[stem] > 1 else f"{stem}.png")
    return names


def stem_of(index: int, face: Mapping[str, Any]) -> str:
    """What the index-th face is called: by its seed, or by its place."""
    if face["seed"] is None:
        return f"{'latent' if face.get('share') is None else 'frame'}{index:04d}"
    mixed = face.get("mixed_with")
    return f"seed{face['seed']:04d}" + ("" if mixed is None else f"-mix{mixed:04d}")


def add_file(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    """A file that says nothing of when and where it was packed."""
    entry = zipfile.ZipInfo(name, NO_DATE)
    entry.create_system, entry.external_attr = 3, 0o644 << 16  # as on Unix, from everywhere
    archive.writestr(entry, content)


def decode_zip(body: bytes) -> Images:
    """The images of all PNGs in their order, which are of one size."""
    return images_of(pngs_of_zip(body).values(), ZIP)


def pngs_of_zip(body: bytes) -> dict[str, bytes]:
    """The PNGs of a zip by name; ours are stored as they are, so that nothing can swell."""
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            entries = archive.infolist()
            if any(e.compress_type != zipfile.ZIP_STORED or e.flag_bits & 1 for e in entries):
                raise ValueError("a compressed or encrypted file")
            return {e.filename: archive.read(e) for e in entries if e.filename.endswith(".png")}
    except Exception as cause:  # zipfile has many for bytes that are no archive
        raise InvocationError(f"The {ZIP} answer is no readable archive.", BROKEN) from cause
