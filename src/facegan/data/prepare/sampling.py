"""`facegan data show`: some images of a prepared data set, spread over all of it, to look at."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import ImageColor

from facegan.data.prepare.packed_format import open_shard, read_companions, read_packed
from facegan.data.prepare.pixels import Pixels
from facegan.errors import ConfigError, DatasetError


def sample(folder: Path, count: int) -> Pixels:
    """Up to `count` images (N, R, R, 3) of a data set, evenly spread from first to last.

    Beside each come its companions, if it has any, (N, R, S * R, 3) of S sides; label maps in
    their colours.

    Raises:
        ConfigError: the count is not a positive number.
        DatasetError: it is no prepared data set, is empty, or a shard is damaged.
    """
    if count < 1:
        raise ConfigError(f"images is {count}; at least 1 is shown.")
    manifest = read_packed(folder)
    total = manifest["images"]
    if not total:
        raise DatasetError(f"{folder} holds no images.")
    wanted = np.unique(np.linspace(0, total - 1, min(count, total)).round().astype(int))
    places = ((folder, manifest), *read_companions(folder, manifest).values())
    images = [colourize(read_selected(*place, wanted), place[1]) for place in places]
    return np.concatenate(images, axis=2)


def read_selected(folder: Path, manifest: dict[str, Any], wanted: np.ndarray) -> Pixels:
    """Some images (n, R, R, channels) of a data set, by their indices in order."""
    found, start = [], 0
    for shard in manifest["shards"]:
        here = wanted[(wanted >= start) & (wanted < start + shard["images"])] - start
        if len(here):
            size = manifest["resolution"], manifest.get("channels", 3)
            found.append(open_shard(folder / shard["file"], shard["images"], *size)[here])
        start += shard["images"]
    return np.concatenate(found)


def colourize(pixels: Pixels, manifest: dict[str, Any]) -> Pixels:
    """Images as RGB: images as they are, label maps (n, R, R, 1) in their palette."""
    if "palette" not in manifest:
        return pixels
    colours = np.zeros((256, 3), np.uint8)
    for number, colour in enumerate(manifest["palette"]):
        colours[number] = ImageColor.getrgb(colour)
    found: Pixels = colours[pixels[..., 0]]
    return found
