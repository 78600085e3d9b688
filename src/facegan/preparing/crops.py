"""Which square of a picture is kept: the crops by name, each with where its numbers come from."""

from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from facegan.errors import ConfigError, nearest
from facegan.preparing.faces import face_square, require_detector
from facegan.preparing.pixels import Pixels, UnusableError, open_picture, square, upright_rgb

CELEBA_SIZE = (178, 218)  # of every picture in img_align_celeba
CELEBA_BOX = (0, 20, 178, 198)  # the rows that a centre crop keeps: (218 - 178) / 2 = 20


def centre(picture: Image.Image) -> Image.Image:
    """The square in the middle, which :func:`square` takes anyway."""
    return picture


def celeba(picture: Image.Image) -> Image.Image:
    """CelebA's aligned faces: the centred 178x178 of 178x218, as StarGAN and PyTorch's DCGAN do.

    StarGAN: ``CenterCrop(178)``, then resized (github.com/yunjey/stargan, data_loader.py);
    PyTorch's DCGAN tutorial: ``Resize``, then ``CenterCrop``, nearly the same square. ProGAN and
    StyleGAN take another, the 128x128 around (89, 121): figures on one are not those on the other.

    Raises:
        UnusableError: another size, so that it is no aligned CelebA picture.
    """
    if picture.size != CELEBA_SIZE:
        raise UnusableError(f"it has {picture.width}x{picture.height} pixels, CelebA's 178x218")
    return picture.crop(CELEBA_BOX)


def ffhq(picture: Image.Image) -> Image.Image:
    """FFHQ's pictures are aligned squares: as they are.

    Raises:
        UnusableError: it is no square.
    """
    if picture.width != picture.height:
        raise UnusableError(f"it has {picture.width}x{picture.height} pixels, FFHQ's are squares")
    return picture


CROPS: dict[str, Callable[[Image.Image], Image.Image]] = {
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
        raise ConfigError(f"crop is {name!r}.", nearest(name, list(CROPS), "crops"))
    if name == "faces":
        require_detector()


def describe_crop(name: str) -> dict[str, Any]:
    """What a manifest says of a crop."""
    if name == "faces":
        from facegan.preparing.faces import describe_detector

        return {"crop": name, **describe_detector()}
    return {"crop": name, **({"crop_box": list(CELEBA_BOX)} if name == "celeba" else {})}


def prepare_picture(content: bytes, resolution: int, crop: str) -> Pixels:
    """A picture's bytes as uint8 (resolution, resolution, 3).

    With ``centre`` these are the very pixels that :class:`facegan.data.ImageFolderDataset` reads.

    Raises:
        Exception: of any kind, where a decoder meets a broken file; UnusableError where we do.
    """
    with open_picture(content) as picture:
        if crop == "centre":
            # A JPEG can be decoded at 1/2, 1/4 or 1/8; twice the target leaves the resize its
            # choice. Other crops count pixels of the whole picture.
            picture.draft("RGB", (2 * resolution, 2 * resolution))
        kept = CROPS[crop](upright_rgb(picture))
        return np.asarray(square(kept, resolution))
