"""The images of a reply with their provenance and arrangement, and what a content type can hold."""

from math import ceil, sqrt
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from facegan.errors import RequestError
from facegan.wire.content_types import JPEG, WEBP
from facegan.wire.generate_request import ANIMATION_EXAMPLE, GenerateRequest
from facegan.wire.provenance import Provenance

Images = npt.NDArray[np.uint8]

DAMAGED_HINT = "The reply was cut off or changed on its way, or it is not from facegan; try again."
LOSSY = (JPEG, WEBP)  # the types that have a quality
MAX_SIDE = {JPEG: 65_535, WEBP: 16_383}  # pixels that the formats can count
GAP = 2  # white pixels between the images of a grid
QUALITY = 90
FRAME_MS = 60


class ImageReply(NamedTuple):
    """Images, where they come from, and how one image of them all is arranged."""

    images: Images  # (N, H, W, 3)
    provenance: Provenance
    layout: str = "grid"
    columns: int | None = None  # None is as square as possible
    quality: int | None = None  # 1 … 100
    frame_ms: int | None = None


def check_reply_type(
    request: GenerateRequest, content_type: str, image_shape: tuple[int, ...] | None = None
) -> None:
    """Raise if a content type cannot hold the reply to a request.

    Args:
        request: The request.
        content_type: A key of ``IMAGE_CODECS``.
        image_shape: (3, H, W) of the model's images, if it is known.

    Raises:
        RequestError: A quality for a lossless type, an animation that is not WebP, or an image
            with more pixels to a side than its format can count.
    """
    if request.quality is not None and content_type not in LOSSY:
        message = f"quality: goes with {' and '.join(LOSSY)}, not {content_type}."
        raise RequestError(message, "Leave quality out, or ask for one of these in Accept.")
    if request.layout == "animation":
        if content_type != WEBP:
            message = f"layout: an animation is {WEBP}, not {content_type}."
            raise RequestError(message, ANIMATION_EXAMPLE)
    elif image_shape is not None and content_type in MAX_SIDE:
        check_sides(request, content_type, image_shape)


def check_sides(request: GenerateRequest, content_type: str, image_shape: tuple[int, ...]) -> None:
    """Raise if a grid has more pixels to a side than its format can count."""
    count, (_, height, width) = request.count, image_shape
    columns = min(request.grid_columns or ceil(sqrt(count)), count)
    high, wide = -(-count // columns) * (height + GAP) - GAP, columns * (width + GAP) - GAP
    if max(high, wide) > MAX_SIDE[content_type]:
        raise RequestError(
            f"The image would be {wide} by {high} pixels; {content_type} has at most "
            f"{MAX_SIDE[content_type]:,} to a side.",
            'Ask for fewer images, the layout "grid", or image/png.',
        )
