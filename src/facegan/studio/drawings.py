"""Images that the page posts as text, and label maps in the colours of their classes.

The page takes no uploads (:mod:`facegan.studio.guard`): the browser posts an image as a data URL.
"""

import base64
import binascii
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from facegan.errors import RequestError
from facegan.safe_images import open_image
from facegan.wire import encode_pixels

Pixels = npt.NDArray[np.uint8]
MapClasses = Sequence[tuple[str, str]]  # name and colour "#rrggbb" of each class


def parse_data_url(text: object) -> bytes:
    """Return the bytes of an image's data URL, `data:image/png;base64,…`.

    Raises:
        RequestError: it is not one.
    """
    head, _, data = str(text or "").partition(",")
    try:
        if not (head.startswith("data:image/") and head.endswith(";base64") and data):
            raise ValueError(head)
        return base64.b64decode(data, validate=True)
    except (ValueError, binascii.Error) as cause:
        hint = "Drop a PNG, JPEG or WebP file onto the field, or choose one."
        raise RequestError("There is no image yet.", hint) from cause


def parse_drawing(text: object, side: int) -> Pixels:
    """Return the pixels of the canvas (side, side, 3).

    Raises:
        RequestError: it is not a PNG of this size.
    """
    try:
        image = open_image(parse_data_url(text), ["PNG"])
        if image.size != (side, side):
            raise ValueError(image.size)
        return np.asarray(image.convert("RGB"))
    except (RequestError, ValueError, OSError) as cause:
        raise RequestError("There is no drawing.", "Reload the page.") from cause


def snap_to_classes(pixels: Pixels, classes: MapClasses) -> Pixels:
    """Return the class (H, W) whose colour is nearest to each pixel (H, W, 3), the first of equals.

    The edges of strokes are smooth: they have colours between those of two classes.
    """
    colours, places = np.unique(pixels.reshape(-1, 3), axis=0, return_inverse=True)
    distances = colours.astype(int)[:, None] - palette_of(classes).astype(int)
    nearest: Pixels = (distances**2).sum(-1).argmin(-1).astype(np.uint8)
    label_map: Pixels = nearest[places.reshape(pixels.shape[:2])]
    return label_map


def colour_map(label_map: Pixels, classes: MapClasses) -> bytes:
    """Return a PNG of a label map (H, W) in the classes' colours.

    Raises:
        RequestError: it has more classes than the model.
    """
    if label_map.max(initial=0) >= len(classes):
        message = f"The data set's label maps have the class {label_map.max()}"
        hint = "Start with --data of the data set that the model was trained on."
        raise RequestError(f"{message}; the model's last is {len(classes) - 1}.", hint)
    return encode_pixels(palette_of(classes)[label_map])


def palette_of(classes: MapClasses) -> Pixels:
    """Return the colours of classes, uint8 (K, 3)."""
    numbers = b"".join(bytes.fromhex(colour[1:]) for _, colour in classes)
    return np.frombuffer(numbers, np.uint8).reshape(-1, 3)


def mean_difference(image: Pixels, other: Pixels) -> float:
    """Return the mean absolute difference of two images, in levels of 0 to 255."""
    return float(np.abs(image.astype(int) - other).mean())


def data_url(png: bytes) -> str:
    """Return a PNG as a data URL."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
