"""uint8 images ⇄ a zip of pictures, each named by its seed."""

import io
import json
import zipfile
from collections import Counter

import numpy as np

from facegan.errors import InvocationError
from facegan.pictures import SOURCE_TYPE
from facegan.wire.content_types import ZIP
from facegan.wire.face_codecs import facts_of, images_of, model_of
from facegan.wire.picture_codecs import encode_png
from facegan.wire.provenance import Provenance
from facegan.wire.sheet import BROKEN, Images, Sheet

LIST = "provenance.json"  # the file of a zip that says what the others are
NO_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest that zip knows: the same request, the same bytes


def encode_zip(sheet: Sheet) -> bytes:
    """A PNG an image, named by its seed, and a list of them; packed, but not pressed again."""
    origins = [sheet.provenance.of_image(index) for index in range(len(sheet.images))]
    names = file_names(origins)
    files = [{"file": n, **facts_of(o)} for n, o in zip(names, origins, strict=True)]
    told = {
        "digital_source_type": SOURCE_TYPE,
        "model": model_of(sheet.provenance),
        "images": files,
    }
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, origin, image in zip(names, origins, sheet.images, strict=True):
            add_file(archive, name, encode_png(Sheet(image[np.newaxis], origin)))
        add_file(archive, LIST, json.dumps(told, indent=1).encode())
    return stream.getvalue()


def file_names(origins: list[Provenance]) -> list[str]:
    """A name for each image: of its seed, and if that is asked for again, with a number."""
    seen: Counter[str] = Counter()
    names = []
    for index, origin in enumerate(origins):
        name = origin.file_name(index)
        seen[name] += 1
        again = f"-{seen[name]}.png" if seen[name] > 1 else ".png"
        names.append(name.removesuffix(".png") + again)
    return names


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
