"""`facegan data show`: some pictures of a prepared data set, spread over all of it, to look at."""

from pathlib import Path

import numpy as np

from facegan.errors import ConfigError, DatasetError
from facegan.preparing.layout import open_shard, read_packed
from facegan.preparing.pixels import Pixels


def sample(folder: Path, count: int) -> Pixels:
    """Up to `count` images (N, R, R, 3) of a data set, evenly spread from first to last.

    Raises:
        ConfigError: the count is none.
        DatasetError: it is no prepared data set, is empty, or a shard is damaged.
    """
    if count < 1:
        raise ConfigError(f"images is {count}; at least 1 is shown.")
    manifest = read_packed(folder)
    total, resolution = manifest["images"], manifest["resolution"]
    if not total:
        raise DatasetError(f"{folder} holds no images.")
    wanted = np.unique(np.linspace(0, total - 1, min(count, total)).round().astype(int))
    found, start = [], 0
    for shard in manifest["shards"]:
        here = wanted[(wanted >= start) & (wanted < start + shard["images"])] - start
        if len(here):
            found.append(open_shard(folder, shard, resolution)[here])
        start += shard["images"]
    return np.concatenate(found)
