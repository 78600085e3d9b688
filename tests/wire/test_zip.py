"""A zip of pictures: their names, their list, and archives that want to swell."""

import io
import json
import zipfile

import numpy as np
import pytest

from facegan.errors import InvocationError
from facegan.image_encoding import SOURCE_TYPE
from facegan.wire import ZIP, Provenance, decode_images, encode_images, read_provenance

IMAGES = np.random.default_rng(0).integers(0, 255, (3, 4, 4, 3), dtype=np.uint8)


def packed(origin: Provenance) -> zipfile.ZipFile:
    body = encode_images(IMAGES, ZIP, provenance=origin)
    return zipfile.ZipFile(io.BytesIO(body))


@pytest.mark.parametrize(
    ("facts", "names"),
    [
        ({"seeds": (7, 0, 123456)}, ["seed0007", "seed0000", "seed123456"]),
        ({"seeds": (7, 7, 7)}, ["seed0007", "seed0007-2", "seed0007-3"]),
        ({"seeds": None}, ["latent0000", "latent0001", "latent0002"]),
        ({"seeds": (3, 8), "interpolate": 2}, ["seed0003", "frame0001", "seed0008"]),
        (
            {"seeds": (1,), "mix": (2, 3, 2)},
            ["seed0001-mix0002", "seed0001-mix0003", "seed0001-mix0002-2"],
        ),
    ],
)
def test_every_picture_is_named_by_its_seed(facts: dict[str, object], names: list[str]) -> None:
    """No two by one name."""
    archive = packed(Provenance("ab", "dcgan", "tiny", **facts))  # type: ignore[arg-type]
    assert archive.namelist() == [*(f"{name}.png" for name in names), "provenance.json"]
    assert archive.testzip() is None


def test_the_list_says_what_each_file_is() -> None:
    """For programs that read no PNG."""
    origin = Provenance("ab", "dcgan", "tiny", (3, 8, 9), 0.5, classes=("a", "b", "c"))
    archive = packed(origin)
    told = json.loads(archive.read("provenance.json"))
    assert told["digital_source_type"] == SOURCE_TYPE
    assert told["model"] == {
        "sha256": "ab", "family": "dcgan", "preset": "tiny", "truncation_psi": 0.5,
    }  # fmt: skip
    assert told["images"][1] == {"file": "seed0008.png", "seed": 8, "class": "b"}
    for image in told["images"]:
        said = read_provenance(archive.read(image["file"]))
        assert said["facegan:seeds"] == str(image["seed"])


def test_a_zip_whose_files_are_compressed_is_refused() -> None:
    """Ours are not; one that is may swell a thousandfold."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("seed0000.png", bytes(10_000_000))
    with pytest.raises(InvocationError, match="not a readable archive"):
        decode_images(stream.getvalue(), ZIP)


def test_a_zip_without_pictures_is_refused() -> None:
    """An archive of something else."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("notes.txt", b"hello")
    with pytest.raises(InvocationError, match="no images"):
        decode_images(stream.getvalue(), ZIP)
