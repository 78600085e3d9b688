"""The crops: which square of an image is kept, with the source of each."""

from collections.abc import Callable
from typing import Any

from PIL import Image

from facegan.data.prepare.pixels import UnusableError
from facegan.errors import ConfigError, did_you_mean
from facegan.square_images import Box, centre_square

CELEBA_SIZE = (178, 218)  # of every image in img_align_celeba
CELEBA_BOX = (0, 20, 178, 198)  # the rows that a centre crop keeps: (218 - 178) / 2 = 20


def centre(image: Image.Image) -> Box:
    """Return the square in the middle."""
    return centre_square(image.size)


def celeba(image: Image.Image) -> Box:
    """Return the box of CelebA's aligned faces: the centred 178x178 of 178x218.

    StarGAN uses ``CenterCrop(178)``, then resizes (github.com/yunjey/stargan, data_loader.py).
    PyTorch's DCGAN tutorial uses ``Resize``, then ``CenterCrop``: nearly the same square. ProGAN
    and StyleGAN use the 128x128 square around (89, 121); FIDs on the two are not comparable.
    """
    if image.size != CELEBA_SIZE:
        raise UnusableError(f"it has {image.width}x{image.height} pixels, not CelebA's 178x218")
    return CELEBA_BOX


def ffhq(image: Image.Image) -> Box:
    """Return the whole image: FFHQ's are aligned squares."""
    if image.width != image.height:
        raise UnusableError(f"it has {image.width}x{image.height} pixels; FFHQ images are square")
    return centre_square(image.size)


CROPS: dict[str, Callable[[Image.Image], Box]] = {"centre": centre, "celeba": celeba, "ffhq": ffhq}


def find_crop(name: str) -> str:
    """Return the name in ``CROPS`` that a user means, in British or American spelling."""
    name = "centre" if name == "center" else name
    if name == "faces":
        raise ConfigError(
            "--crop faces was removed: facegan ships no face detector.",
            "Crop the faces with another program first, or use --crop center.",
        )
    if name not in CROPS:
        raise ConfigError(f"crop is {name!r}.", did_you_mean(name, list(CROPS), "crops"))
    return name


def describe_crop(name: str) -> dict[str, Any]:
    """Return the manifest's description of a crop."""
    return {"crop": name, **({"crop_box": list(CELEBA_BOX)} if name == "celeba" else {})}


def draft_size(crop: str, resolution: int) -> int | None:
    """Return the smallest side to which a JPEG may be reduced while decoding; None: full size.

    Twice the resolution leaves enough detail for the resize. The other crops use coordinates of
    the full-size image.
    """
    return 2 * resolution if crop == "centre" else None


def partner_box(box: Box, size: tuple[int, int], partner: tuple[int, int]) -> Box:
    """Return a box of an image, scaled to the image's partner.

    Args:
        box: The box in the image.
        size: The image's width and height.
        partner: The partner's width and height, of the same aspect ratio up to rounding.

    Raises:
        UnusableError: the aspect ratio differs.
    """
    (width, height), (its_width, its_height) = size, partner
    off = abs(width * its_height - height * its_width)
    if off >= min(max(width, its_width), max(height, its_height)):
        raise UnusableError(
            f"it has {its_width}x{its_height} pixels, not the aspect ratio of its image's "
            f"{width}x{height}"
        )
    across, down = its_width / width, its_height / height
    left, top, right, bottom = box
    return round(left * across), round(top * down), round(right * across), round(bottom * down)
