"""Every image from elsewhere is opened by one function, with a list of formats that run nothing."""

import ast
import io
import os
from pathlib import Path

import pytest
from PIL import Image, UnidentifiedImageError

from facegan.data.prepare.pixels import FORMATS, supported_formats
from facegan.safe_images import SAFE, TooManyPixelsError, open_image

SOURCE = Path(__file__).parents[1] / "src" / "facegan"
ROOTS = [SOURCE, *(SOURCE.parents[1] / name for name in ("container", "infra", "docker"))]
# Names by which packages open a file of any format, some of them by starting a program.
OPENERS = {"imread", "imdecode", "read_image", "decode_image", "open_lazy"}
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n"


def calls_in(file: Path) -> list[str]:
    """What a file calls, as ``Image.open``."""
    calls = (
        node.func for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)
    )
    return [ast.unparse(call) for call in calls]


def test_one_file_alone_opens_images() -> None:
    files = [file for root in ROOTS for file in root.rglob("*.py")]
    assert len(files) > 200
    opening = {
        str(file.relative_to(SOURCE.parents[1]))
        for file in files
        for call in calls_in(file)
        if call.endswith("Image.open") or call.rpartition(".")[2] in OPENERS
    }
    assert opening == {"src/facegan/safe_images.py"}


def test_none_of_the_formats_starts_a_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for Ghostscript notes that it was called."""
    program = tmp_path / "gs"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/called\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    for content in (EPS, b"\xc5\xd0\xd3\xc6" + EPS, EPS.replace(b"PS-Adobe", b"PS")):
        with pytest.raises(UnidentifiedImageError):
            open_image(content, supported_formats())
    assert not (tmp_path / "called").exists()
    assert not {"EPS", "WMF", "FPX", "MIC", "PSD", "PDF"} & {*SAFE, *FORMATS} and set(
        FORMATS
    ) <= set(SAFE)


def test_a_format_that_is_not_known_to_be_safe_cannot_be_asked_for() -> None:
    for formats in (["EPS"], ["PNG", "WMF"]):
        with pytest.raises(ValueError, match="safe"):
            open_image(EPS, formats)


def test_one_format_is_not_taken_for_another() -> None:
    stream = io.BytesIO()
    Image.new("RGB", (4, 4)).save(stream, "GIF")
    with pytest.raises(UnidentifiedImageError):
        open_image(stream.getvalue(), ["PNG"])


@pytest.mark.parametrize("size", [(10_000, 9_000), (20_000, 9_000)])
def test_too_many_pixels_are_refused_unread(size: tuple[int, int]) -> None:
    stream = io.BytesIO()
    Image.new("1", size).save(stream, "PNG")
    with pytest.raises(TooManyPixelsError, match="a bomb"):
        open_image(stream.getvalue(), ["PNG"])
