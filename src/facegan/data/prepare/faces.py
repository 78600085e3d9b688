"""Where the face is: OpenCV's Haar cascade, whose weights come in the wheel (extra ``faces``)."""

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from facegan.data.prepare.pixels import Box, UnusableError
from facegan.errors import ConfigError

CASCADE = "haarcascade_frontalface_default.xml"
SEARCHED_SIDE = 640  # pixels: a larger picture is searched at this size
SMALLEST = 24  # pixels of the picture that is searched: the size that the cascade was trained at
MARGIN = 1.6  # the square's side by the detected face's: from hair to chin
INSTALL = "pip install 'facegan[faces]'"


def require_detector() -> None:
    """See that the detector is there.

    Raises:
        ConfigError: OpenCV is not installed, or is one without the cascade.
    """
    try:
        load_detector()
    except ImportError as cause:
        raise ConfigError("--crop faces needs OpenCV, which is not installed.", INSTALL) from cause
    except AttributeError as cause:
        raise ConfigError(
            "--crop faces needs OpenCV 4: version 5 has moved its cascades to other wheels.",
            INSTALL,
        ) from cause


@lru_cache(maxsize=1)
def load_detector() -> Any:
    """The cascade, once a process, on one thread: each core has a process of its own."""
    import cv2.data

    cv2.setNumThreads(1)
    detector = cv2.CascadeClassifier(str(Path(cv2.data.haarcascades) / CASCADE))
    if detector.empty():
        raise AttributeError(CASCADE)
    return detector


def describe_detector() -> dict[str, Any]:
    """What a manifest says of the detector."""
    import cv2

    return {"detector": f"OpenCV {cv2.__version__} {CASCADE}", "face_margin": MARGIN}


def face_square(picture: Image.Image) -> Box:
    """The square around a picture's largest face, as far as the picture reaches.

    Raises:
        UnusableError: no face is found.
    """
    scale = max(max(picture.size) / SEARCHED_SIDE, 1.0)
    size = (max(round(picture.width / scale), 1), max(round(picture.height / scale), 1))
    grey = np.asarray(picture.convert("L").resize(size, Image.Resampling.BOX))
    found = load_detector().detectMultiScale(
        grey, scaleFactor=1.1, minNeighbors=5, minSize=(SMALLEST, SMALLEST)
    )
    if len(found) == 0:
        raise UnusableError("no face was found in it")
    # The largest; of equals the leftmost, so that the choice is always the same.
    left, top, side = max(((x, y, w) for x, y, w, _ in found), key=lambda f: (f[2], -f[0], -f[1]))
    centre = ((left + side / 2) * scale, (top + side / 2) * scale)
    return square_around(centre, side * scale * MARGIN, picture.size)


def square_around(centre: tuple[float, float], side: float, size: tuple[int, int]) -> Box:
    """A square box around a point, made smaller and moved so that it lies in the picture."""
    whole = min(round(side), *size)
    left = min(max(round(centre[0] - whole / 2), 0), size[0] - whole)
    top = min(max(round(centre[1] - whole / 2), 0), size[1] - whole)
    return left, top, left + whole, top + whole
