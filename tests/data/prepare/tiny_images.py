"""Small images for the tests of preparing, and a look at what came of them."""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image


def picture(number: int, size: tuple[int, int] = (12, 10), format: str = "PNG") -> bytes:
    """An image that no other number has."""
    numbers = np.random.default_rng(number)
    pixels = numbers.integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format)
    return stream.getvalue()


def saved(image: Image.Image, format: str = "PNG", **how: Any) -> bytes:
    """An image as a file's bytes."""
    stream = io.BytesIO()
    image.save(stream, format, **how)
    return stream.getvalue()


def write_files(folder: Path, contents: Mapping[str, bytes]) -> Path:
    """Files at any depth below a folder."""
    for name, content in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def photos(folder: Path, count: int = 7) -> Path:
    """A folder of `count` images, some of them below others."""
    return write_files(folder, {f"{'ab'[k % 2]}/{k:03d}.png": picture(k) for k in range(count)})


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, to compare folders byte for byte."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def lines_of(path: Path) -> list[dict[str, Any]]:
    """The records of a file with one a line."""
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def names_of(folder: Path, name: str = "sources.jsonl") -> list[str]:
    """The names in one of a data set's lists."""
    return [record["file"] for record in lines_of(folder / name)]


def pixels_of(folder: Path) -> np.ndarray:
    """All images of a data set, in order."""
    manifest = json.loads((folder / "dataset.json").read_text())
    shards = [np.load(folder / s["file"], allow_pickle=False) for s in manifest["shards"]]
    return np.concatenate(shards)
