"""Which square of a picture is kept: the crops by name, each with where its numbers come from."""

from collections.abc import Callable
from typing import Any

from PIL import Image

from facegan.data.prepare.faces import face_square, require_detector
from facegan.data.prepare.pixels import Box, UnusableError, middle
from facegan.errors import ConfigError, did_you_mean

CELEBA_SIZE = (178, 218)  # of every picture in img_align_celeba
CELEBA_BOX = (0, 20, 178, 198)  # the rows that a centre crop keeps: (218 - 178) / 2 = 20


def centre(picture: Image.Image) -> Box:
    """The square in the middle."""
    return middle(picture.size)


def celeba(picture: Image.Image) -> Box:
    """CelebA's aligned faces: the centred 178x178 of 178x218, as StarGAN and PyTorch's DCGAN do.

    StarGAN: ``CenterCrop(178)``, then resized (github.com/yunjey/stargan, data_loader.py);
    PyTorch's DCGAN tutorial: ``Resize``, then ``CenterCrop``, nearly the same square. ProGAN and
    StyleGAN take another, the 128x128 around (89, 121): figures on one are not those on the other.

    Raises:
        UnusableError: another size, so that it is no aligned CelebA picture.
    """
    if picture.size != CELEBA_SIZE:
        raise UnusableError(f"it has {picture.width}x{picture.height} pixels, CelebA's 178x218")
    return CELEBA_BOX


def ffhq(picture: Image.Image) -> Box:
    """FFHQ's pictures are aligned squares: as they are.

    Raises:
        UnusableError: it is no square.
    """
    if picture.width != picture.height:
        raise UnusableError(f"it has {picture.width}x{picture.height} pixels, FFHQ's are squares")
    return middle(picture.size)


CROPS: dict[str, Callable[[Image.Image], Box]] = {
    "centre": centre,
    "celeba": celeba,
    "ffhq": ffhq,
    "faces": face_square,
}


def check_crop(name: str) -> None:
    """Refuse a crop that is unknown, or lacks its package.

    Raises:
        ConfigError: it is or does.
    """
    if name not in CROPS:
        raise ConfigError(f"crop is {name!r}.", did_you_mean(name, list(CROPS), "crops"))
    if name == "faces":
        require_detector()


def describe_crop(name: str) -> dict[str, Any]:
    """What a manifest says of a crop."""
    if name == "faces":
        from facegan.data.prepare.faces import describe_detector

        return {"crop": name, **describe_detector()}
    return {"crop": name, **({"crop_box": list(CELEBA_BOX)} if name == "celeba" else {})}


def draft_size(crop: str, resolution: int) -> int | None:
    """How many pixels a JPEG must keep if it is decoded at 1/2, 1/4 or 1/8; None: as it is.

    Twice the target leaves the resize its choice. Other crops count pixels of the whole picture.
    """
    return 2 * resolution if crop == "centre" else None


def partner_box(box: Box, size: tuple[int, int], partner: tuple[int, int]) -> Box:
    """The box in a partner of a picture that keeps what a box keeps in the picture.

    Args:
        box: In the picture.
        size: The picture's width and height.
        partner: Its partner's, larger or smaller, of the same shape.

    Raises:
        UnusableError: it is of another shape, by more than sizes are rounded.
    """
    (width, height), (its_width, its_height) = size, partner
    off = abs(width * its_height - height * its_width)
    if off >= min(max(width, its_width), max(height, its_height)):
        raise UnusableError(
            f"it has {its_width}x{its_height} pixels, another shape than its picture's "
            f"{width}x{height}"
        )
    across, down = its_width / width, its_height / height
    left, top, right, bottom = box
    return round(left * across), round(top * down), round(right * across), round(bottom * down)
