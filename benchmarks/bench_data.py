"""Measures how fast images reach a training step: packed shards, ImageFolder, streams.

All of them deliver the same: shuffled float32 batches (128, 3, 64, 64) in [-1, 1]. ImageFolder
reads 178x218 JPEGs (toy faces, the size of CelebA's), crops them square and resizes them, with none
and with two workers. Packed shards hold such pixels prepared, so many that no processor's cache
holds them; one row leaves out the conversion to floats, which a GPU does itself. The stream is
webdataset over tars of 64 px PNGs, alone, with its own shuffling, and then in our order. Rows
take turns, round by round, and the best round counts. The share of a step that waits for its
pictures is that of the preset article32 on packed shards at 32 px.
"""

import argparse
import io
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from bench_train import write_photos
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader

from facegan.data import ImageFolderDataset, PackedDataset, reading_order, to_float
from facegan.data.packed_files import Pixels, write_packed
from facegan.data.streamed import StreamedDataset, write_streamed
from facegan.gans import build_gan
from facegan.metrics.fidelity import load_torchvision
from facegan.training import Trainer, TrainingConfig

BATCH, SIDE = 128, 64
WARM_UP = 4  # batches or steps
Batches = Callable[[], Iterator[Tensor]]


def main() -> None:
    options = parse_options()
    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, "
        f"torch {torch.__version__}, {torch.get_num_threads()} threads"
    )
    with tempfile.TemporaryDirectory(dir=options.folder) as made:
        folder = Path(made)
        (folder / "photos").mkdir()
        photos = write_photos(folder / "photos", options.pictures)
        pixels = ImageFolderDataset(photos, SIDE).images
        rows = list_rows(folder, photos, pixels, options)
        rates = measure(rows, options.seconds, options.rounds)
        share = wait_share(folder / "small", photos, options.steps)
    for name, rate in rates.items():
        print(f"{name:46} {rate:12,.0f} images/s")
    print(f"{'article32: a step waits for its pictures':46} {share:12.2%}")
    print(json.dumps(last_line(rates, share)))


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=2048, help="JPEGs")
    parser.add_argument("--packed", type=int, default=65536, help="images in the packed shards")
    parser.add_argument("--seconds", type=float, default=1.0, help="a row has in a round")
    parser.add_argument("--rounds", type=int, default=8, help="rounds, the best of which counts")
    parser.add_argument("--steps", type=int, default=20, help="steps of article32")
    parser.add_argument("--folder", type=Path, help="where files are made for the while")
    return parser.parse_args()


PACKED, STREAM = "packed shards", "webdataset over PNGs, alone"
AS_BYTES, OUR_STREAM = "packed shards, as uint8", "streamed shards, in our order"
FOLDERS = {0: "ImageFolder, DataLoader without workers", 2: "ImageFolder, DataLoader, 2 workers"}


def list_rows(
    folder: Path, photos: Path, pixels: Pixels, options: argparse.Namespace
) -> dict[str, Batches]:
    """Return the readers that are compared."""
    write_packed(folder / "packed", np.resize(pixels, (options.packed, *pixels.shape[1:])))
    packed = PackedDataset(folder / "packed", SIDE)
    rows = {PACKED: batches_of(packed, to_float), AS_BYTES: batches_of(packed, lambda x: x)}
    for workers, name in FOLDERS.items():
        rows[name] = folder_batches(photos, workers)
    try:
        rows[STREAM] = stream_batches(folder / "tars", pixels)
        write_streamed(folder / "streamed", pixels, images_per_shard=len(pixels) // 16)
        rows[OUR_STREAM] = batches_of(StreamedDataset(folder / "streamed", SIDE), to_float)
    except ModuleNotFoundError as cause:
        print(f"{STREAM} is left out: {cause.name} is not installed (pip install webdataset).")
    return rows


def measure(rows: dict[str, Batches], seconds: float, rounds: int) -> dict[str, float]:
    """Return the images per second of every row."""
    best = dict.fromkeys(rows, 0.0)
    for _ in range(rounds):
        for name, batches in rows.items():
            best[name] = max(best[name], rate_of(batches, seconds))
    return best


def rate_of(batches: Batches, seconds: float) -> float:
    """Return images per second over some seconds, after a warm-up in which workers start."""
    stream, images = batches(), 0
    for _ in range(WARM_UP):
        next(stream)
    started = time.perf_counter()
    while time.perf_counter() - started < seconds:
        images += len(next(stream))
    return images / (time.perf_counter() - started)


# --- the rows -------------------------------------------------------------------------------------


def batches_of(dataset: PackedDataset, delivered: Callable[[Tensor], Tensor]) -> Batches:
    """Read images as the trainer does."""

    def batches() -> Iterator[Tensor]:
        first = 0
        while True:
            yield delivered(dataset.read(reading_order(dataset, 0, first, BATCH)))
            first += BATCH

    return batches


def folder_batches(photos: Path, workers: int) -> Batches:
    """Read images as in PyTorch's tutorials."""
    load_torchvision()
    from torchvision import datasets, transforms

    steps = [
        transforms.CenterCrop(178),
        transforms.Resize(SIDE),
        transforms.ToTensor(),
        transforms.Normalize([0.5] * 3, [0.5] * 3),
    ]
    data = datasets.ImageFolder(str(photos), transforms.Compose(steps))

    def batches() -> Iterator[Tensor]:
        loader = DataLoader(data, BATCH, shuffle=True, num_workers=workers, drop_last=True,
                            persistent_workers=workers > 0)  # fmt: skip
        while True:
            for images, _ in loader:
                yield images

    return batches


def stream_batches(folder: Path, pixels: Pixels) -> Batches:
    """Read images by webdataset as in its documentation: shuffled shards, a shuffle buffer."""
    import webdataset

    folder.mkdir()
    pattern = str(folder / "%05d.tar")
    with webdataset.ShardWriter(pattern, maxcount=512, verbose=0) as writer:
        for number, image in enumerate(pixels):
            writer.write({"__key__": f"{number:09d}", "png": as_png(image)})
    files = sorted(map(str, folder.iterdir()))

    def batches() -> Iterator[Tensor]:
        while True:
            data: Any = webdataset.WebDataset(files, shardshuffle=len(files), seed=0)
            for rows in data.shuffle(1000).decode("rgb8").to_tuple("png").batched(BATCH, None):
                images = torch.from_numpy(np.stack([row[0] for row in rows]))
                yield to_float(images.permute(0, 3, 1, 2))

    return batches


def as_png(image: Pixels) -> bytes:
    """Encode one image (H, W, 3) as PNG."""
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "png")
    return stream.getvalue()


# --- a step ---------------------------------------------------------------------------------------


def wait_share(folder: Path, photos: Path, steps: int) -> float:
    """Return the share of a step's time spent waiting for images."""
    write_packed(folder, ImageFolderDataset(photos, 32).images)
    dataset = PackedDataset(folder, 32)
    gan = build_gan("dcgan", "article32", dataset.image_shape, seed=0)
    trainer = Trainer(gan, dataset, TrainingConfig(batch_size=BATCH, total_kimg=1e6))
    for _ in range(WARM_UP):
        trainer.step()
    waited, started = 0.0, time.perf_counter()
    for _ in range(steps):
        trainer.step()
        waited += trainer.batches.waited
    return waited / (time.perf_counter() - started)


def last_line(rates: dict[str, float], share: float) -> dict[str, float | None]:
    """Return the last line's figures."""
    best_folder = max(rates[name] for name in FOLDERS.values())
    stream = rates.get(STREAM)
    return {
        "packed_images_per_second": round(rates[PACKED]),
        "streaming_images_per_second": round(stream) if stream else None,
        "imagefolder_images_per_second": round(best_folder),
        "ratio": round(rates[PACKED] / best_folder, 1),
        "wait_share": round(share, 4),
    }


if __name__ == "__main__":
    main()
