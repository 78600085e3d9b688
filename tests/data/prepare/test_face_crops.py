"""`--crop faces`: OpenCV finds the face; a picture without one is named."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFilter
from tiny_images import lines_of, names_of, picture, pixels_of, saved, write_files

from facegan.data.prepare import prepare
from facegan.data.prepare.faces import square_around
from facegan.errors import ConfigError


def drawn_face(size: tuple[int, int], centre: tuple[int, int], radius: int) -> Image.Image:
    """A face as the cascade sees one: bright skin, dark eyes and brows, a mouth. No photograph."""
    image = Image.new("L", size, 90)
    draw, (x, y), r = ImageDraw.Draw(image), centre, radius

    def oval(dx: float, dy: float, rx: float, ry: float, grey: int) -> None:
        box = (x + (dx - rx) * r, y + (dy - ry) * r, x + (dx + rx) * r, y + (dy + ry) * r)
        draw.ellipse(box, fill=grey)

    oval(0, -0.1, 0.95, 1.25, 40)  # hair
    oval(0, 0.05, 0.78, 1.05, 205)  # skin
    for side in (-1, 1):
        oval(side * 0.34, -0.12, 0.24, 0.13, 110)  # the eye's hollow
        oval(side * 0.34, -0.3, 0.24, 0.06, 60)  # brow
        oval(side * 0.34, -0.1, 0.1, 0.08, 30)  # eye
        oval(side * 0.4, 0.3, 0.2, 0.15, 225)  # cheek
    oval(0, 0.15, 0.1, 0.28, 225)  # nose
    oval(0, 0.38, 0.15, 0.05, 130)
    oval(0, 0.62, 0.3, 0.09, 100)  # mouth
    return image.filter(ImageFilter.GaussianBlur(radius / 30)).convert("RGB")


def test_the_square_is_around_the_face_and_a_picture_without_one_is_named(tmp_path: Path) -> None:
    pytest.importorskip("cv2", reason="the extra faces is not installed")
    folder = write_files(tmp_path / "x", {
        "left.png": saved(drawn_face((600, 300), (150, 150), 80)),
        "right.png": saved(drawn_face((600, 300), (450, 150), 80)),
        "wall.png": picture(1, (300, 300)),
    })  # fmt: skip
    manifest = prepare(folder, tmp_path / "out", 32, "faces", workers=1)
    assert names_of(tmp_path / "out") == ["left.png", "right.png"]
    (skipped,) = lines_of(tmp_path / "out" / "skipped.jsonl")
    assert (skipped["file"], skipped["reason"]) == ("wall.png", "no face was found in it")
    assert "haarcascade" in manifest["protocol"]["detector"]
    left, right = pixels_of(tmp_path / "out").astype(int)
    assert np.abs(left - right).mean() < 12  # wherever it was, it is in the middle now
    assert left[16, 14:18].mean() > 150 and left[0, 0].mean() < 130  # nose, background


def test_without_opencv_the_mend_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from facegan.data.prepare import faces

    faces.load_detector.cache_clear()
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(ConfigError, match=r"facegan\[faces\]"):
        prepare(tmp_path, tmp_path / "out", 32, "faces", workers=1)


@given(
    st.floats(-50, 250), st.floats(-50, 250), st.floats(1, 400),
    st.tuples(st.integers(1, 200), st.integers(1, 200)),
)  # fmt: skip
def test_a_square_always_lies_in_the_picture(
    x: float, y: float, side: float, size: tuple[int, int]
) -> None:
    left, top, right, bottom = square_around((x, y), side, size)
    assert right - left == bottom - top
    assert 0 <= left <= right <= size[0] and 0 <= top <= bottom <= size[1]
