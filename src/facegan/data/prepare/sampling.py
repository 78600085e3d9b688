"""Picks evenly spaced images of a prepared data set for `facegan data show`."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageColor

from facegan.data.prepare.packed_format import open_shard, read_companions, read_packed
from facegan.data.prepare.pixels import Pixels
from facegan.errors import ConfigError, DatasetError


def sample(folder: Path, count: int) -> Pixels:
    """Return up to `count` images of a data set, evenly spaced from first to last.

    Returns:
        uint8 (N, R, R, 3). With aligned companions (N, R, S * R, 3): the S modalities of each
        example side by side, label maps in their colours.

    Raises:
        ConfigError: `count` is less than 1.
        DatasetError: the folder is not a prepared data set or is empty, or a shard is damaged.
    """
    if count < 1:
        raise ConfigError(f"images is {count}; it must be at least 1.")
    manifest = read_packed(folder)
    total = manifest["images"]
    if not total:
        raise DatasetError(f"{folder} holds no images.")
    wanted = np.unique(np.linspace(0, total - 1, min(count, total)).round().astype(int))
    places = ((folder, manifest), *read_companions(folder, manifest).values())
    images = [colourize(read_selected(*place, wanted), place[1]) for place in places]
    return np.concatenate(images, axis=2)


def read_selected(folder: Path, manifest: dict[str, Any], wanted: np.ndarray) -> Pixels:
    """Return the images (n, R, R, channels) at sorted indices."""
    found, start = [], 0
    for shard in manifest["shards"]:
        here = wanted[(wanted >= start) & (wanted < start + shard["images"])] - start
        if len(here):
            size = manifest["resolution"], manifest.get("channels", 3)
            found.append(open_shard(folder / shard["file"], shard["images"], *size)[here])
        start += shard["images"]
    return np.concatenate(found)


def colourize(pixels: Pixels, manifest: dict[str, Any]) -> Pixels:
    """Return images unchanged, and label maps (n, R, R, 1) as RGB in their palette."""
    if "palette" not in manifest:
        return pixels
    colours = np.zeros((256, 3), np.uint8)
    for number, colour in enumerate(manifest["palette"]):
        colours[number] = ImageColor.getrgb(colour)
    found: Pixels = colours[pixels[..., 0]]
    return found


def read_label_map(folder: Path, index: int) -> Image.Image:
    """Return one label map of a data set as a palette image: class numbers, in their colours.

    Raises:
        ConfigError: There is none of that index.
        DatasetError: The data set has no label maps, or a shard is damaged.
    """
    place = read_companions(folder, read_packed(folder)).get("label_maps")
    if place is None:
        hint = "Prepare one with them: facegan data prepare … --label-maps DIR"
        raise DatasetError(f"{folder} has no label maps.", hint)
    total = place[1]["images"]
    if index >= total:
        raise ConfigError(f"map is {index}; {folder} has {total:,}, from 0 to {total - 1}.")
    numbers = read_selected(*place, np.array([index]))[0, ..., 0]
    image = Image.fromarray(numbers, "L")
    image.putpalette([level for it in place[1]["palette"] for level in ImageColor.getrgb(it)])
    return image
