"""Compares our trainer with the article's loop: the same JPEGs, networks and batch, in turns.

Each row has a process of its own, in which ours sets malloc as `facegan train` does.
Rows of ours add one choice at a time. The article's algorithm (its own fakes for each update,
float32) is the preset's default with --precision fp32; sharing the fakes is the one choice that
changes the algorithm. Every figure of ours includes reading the JPEGs.
"""

import argparse
import json
import os
import platform
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from reference_article import ReferenceLoop

from facegan.data import ImageFolderDataset
from facegan.data.toy_faces import draw_faces
from facegan.gans import build_gan
from facegan.training import Trainer, TrainingConfig
from facegan.training.allocator import keep_freed_memory

BATCH = 128
WARM_UP_STEPS = 2


def main() -> None:
    options = parse_options()
    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, "
        f"torch {torch.__version__}, {torch.get_num_threads()} threads"
    )
    with tempfile.TemporaryDirectory() as folder:
        photos = write_photos(Path(folder), options.pictures)
        rows = measure(photos, options.steps, options.rounds)
    reference = rows[REFERENCE]
    print(f"\n{'at 32 px, batch 128':46} {'images/s':>9} {'ratio':>6}")
    for name, rate in rows.items():
        print(f"{name:46} {rate:9.1f} {rate / reference:6.2f}")
    ours = rows[HEADLINE]
    print(json.dumps({
        "ours_images_per_second": round(ours, 1),
        "reference_images_per_second": round(reference, 1),
        "ratio": round(ours / reference, 2),
    }))  # fmt: skip


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=2560, help="JPEGs to train on")
    parser.add_argument("--steps", type=int, default=20, help="steps of 128 images in a round")
    parser.add_argument("--rounds", type=int, default=3, help="rounds, the best of which counts")
    return parser.parse_args()


def write_photos(folder: Path, count: int) -> Path:
    """Write toy faces as 178x218 JPEGs, the size of CelebA's, in one class folder."""
    faces = folder / "faces"
    faces.mkdir()
    for first in range(0, count, 64):
        images, _ = draw_faces(first, min(64, count - first), 64)
        for index, image in enumerate(images.permute(0, 2, 3, 1).numpy()):
            picture = Image.fromarray(np.ascontiguousarray(image)).resize((178, 218))
            picture.save(faces / f"{first + index:06d}.jpg", quality=90)
    return folder


REFERENCE = "article's loop"
# What the last line reports: the preset as it is, the article's algorithm unchanged.
HEADLINE = "ours: the article's algorithm, bf16 (default)"
# Name, hyperparameters, precision; each row adds a choice to the one before.
OURS: list[tuple[str, dict[str, object], str]] = [
    ("ours: the article's algorithm, fp32", {}, "fp32"),
    (HEADLINE, {}, "auto"),
    ("ours: bf16 and shared fakes (changes it)", {"share_fakes": True}, "auto"),
]


def measure(photos: Path, steps: int, rounds: int) -> dict[str, float]:
    """Return the images per second of every row: the best of some rounds, taken in turns."""
    best = dict.fromkeys([REFERENCE, *(name for name, *_ in OURS)], 0.0)
    with ExitStack() as stack:
        processes = {
            name: stack.enter_context(
                ProcessPoolExecutor(1, get_context("spawn"), prepare, (name, photos))
            )
            for name in best
        }
        for _ in range(rounds):
            for name, process in processes.items():
                best[name] = max(best[name], process.submit(images_per_second, steps).result())
    return best


def prepare(name: str, photos: Path) -> None:
    """Build a row's step in the process that will take it."""
    global _step, _reading
    torch.manual_seed(0)
    if name == REFERENCE:
        _step, _reading = ReferenceLoop(photos, BATCH).step, 0.0
    else:
        keep_freed_memory(os.environ)
        numbers, precision = next(row[1:] for row in OURS if row[0] == name)
        _step, _reading = ours(photos, numbers, precision)


def images_per_second(steps: int) -> float:
    """Take some steps of this process's row; reading the images counts."""
    return 1 / (1 / rate_of(_step, steps) + _reading)


def ours(photos: Path, numbers: dict[str, object], precision: str) -> tuple[object, float]:
    """Our step, and what reading costs an image: one epoch's decoding over one epoch's images.

    Our data set is decoded once; a run of one epoch pays that once an image, later epochs nothing.
    To be fair to a short run it is charged here as if every run were ten epochs, the article's.
    """
    started = time.perf_counter()
    dataset = ImageFolderDataset(photos, 32)
    decoding = (time.perf_counter() - started) / len(dataset) / ARTICLE_EPOCHS
    gan = build_gan("dcgan", "article32", dataset.image_shape, seed=0, **numbers)
    config = TrainingConfig(batch_size=BATCH, total_kimg=1e6, precision=precision)
    return Trainer(gan, dataset, config).step, decoding


ARTICLE_EPOCHS = 10


def rate_of(step: object, steps: int) -> float:
    """Return the images per second over some steps, after a warm-up."""
    for _ in range(WARM_UP_STEPS):
        step()
    started = time.perf_counter()
    for _ in range(steps):
        step()
    return steps * BATCH / (time.perf_counter() - started)


if __name__ == "__main__":
    main()
