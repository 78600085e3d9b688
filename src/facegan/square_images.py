"""Turns images of any mode and size into upright RGB squares, in data sets and in requests."""

from PIL import Image

Box = tuple[int, int, int, int]  # left, top, right, bottom

TURNS = {  # by EXIF's orientation
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def turned(image: Image.Image, orientation: int) -> Image.Image:
    """Return an image turned by EXIF's orientation, 1 … 8."""
    turn = TURNS.get(orientation)
    return image if turn is None else image.transpose(turn)


def to_rgb(image: Image.Image) -> Image.Image:
    """Convert an image of any mode to RGB; transparent pixels are blended with white.

    Raises:
        ValueError: it has 16 bits or more.
    """
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        raise ValueError(f"images of mode {image.mode} (16 bits or more) are not supported")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
    return image.convert("RGB")  # a copy: the file may be closed before its pixels are read


def raw_mode(image: Image.Image) -> str:
    """Return how a file stores its pixels; ``L;2`` is 2-bit grey, which Pillow widens to 8."""
    tile = getattr(image, "tile", [])
    args = tile[0][3] if tile else ""
    return args if isinstance(args, str) else str(args[0])


def centre_square(size: tuple[int, int]) -> Box:
    """Return the largest centred square of a width and height."""
    side = min(size)
    left, top = (size[0] - side) // 2, (size[1] - side) // 2
    return left, top, left + side, top + side


def cut(image: Image.Image, box: Box, resolution: int, resample: Image.Resampling) -> Image.Image:
    """Crop an image to a box and resize it to (resolution, resolution)."""
    # resize(box=…) would let the filter read pixels beyond the box.
    kept = image.crop(box)
    if kept.size == (resolution, resolution):
        return kept
    return kept.resize((resolution, resolution), resample)
