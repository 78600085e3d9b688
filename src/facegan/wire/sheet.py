"""Images with all that a reply says of them: where they come from and how they are arranged."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from facegan.errors import RequestError
from facegan.wire.content_types import JPEG, WEBP
from facegan.wire.generate_request import FILM_EXAMPLE, GenerateRequest
from facegan.wire.provenance import Provenance

Images = npt.NDArray[np.uint8]

BROKEN = "The answer was cut off or changed on its way, or its sender is not facegan; ask again."
LOSSY = (JPEG, WEBP)  # the types that have a quality
SIDES = {JPEG: 65_535, WEBP: 16_383}  # the most pixels their formats can count
GAP = 2  # white pixels between the images of one picture
QUALITY = 90
FRAME_MS = 60


class Sheet(NamedTuple):
    """Images, where they come from, and how a single picture of them is arranged."""

    images: Images  # (N, H, W, 3)
    provenance: Provenance
    layout: str = "grid"
    columns: int | None = None
    quality: int | None = None  # 1 … 100
    frame_ms: int | None = None

    @property
    def columns_abreast(self) -> int | None:
        """How many images stand side by side; None is as square as possible."""
        return {"row": len(self.images), "column": 1}.get(self.layout, self.columns)


def check_reply_type(
    request: GenerateRequest, content_type: str, image_shape: tuple[int, ...] | None = None
) -> None:
    """Refuse what a reply of a content type cannot do.

    Args:
        request: What is asked for.
        content_type: A row of ``IMAGE_CODECS``.
        image_shape: (3, H, W) of the model's images, where it is known.

    Raises:
        RequestError: a quality where nothing is lost, an animation that is no WebP, or a picture
            with more pixels to a side than its format can count.
    """
    if request.quality is not None and content_type not in LOSSY:
        told = f"quality: goes with {' and '.join(LOSSY)}, not {content_type}."
        raise RequestError(told, "Leave quality out, or ask for one of these in Accept.")
    if request.layout == "animation":
        if content_type != WEBP:
            told = f"layout: an animation is {WEBP}, not {content_type}."
            raise RequestError(told, FILM_EXAMPLE)
    elif image_shape is not None and content_type in SIDES:
        check_sides(request, content_type, image_shape)


def check_sides(request: GenerateRequest, content_type: str, image_shape: tuple[int, ...]) -> None:
    """Refuse a picture that is too long for its format."""
    count, (_, height, width) = request.count, image_shape
    columns = {"row": count, "column": 1}.get(request.layout, request.arranged_columns)
    columns = min(columns or square_columns(count), count)
    high, wide = -(-count // columns) * (height + GAP) - GAP, columns * (width + GAP) - GAP
    if max(high, wide) > SIDES[content_type]:
        raise RequestError(
            f"The picture would be {wide} by {high} pixels; {content_type} has at most "
            f"{SIDES[content_type]:,} to a side.",
            'Ask for fewer images, the layout "grid", or image/png.',
        )


def square_columns(count: int) -> int:
    """The columns of a grid that is as square as can be."""
    return int(np.ceil(np.sqrt(count)))
