"""Compares `facegan data prepare` with plain decoding, and measures its memory.

The pictures are toy faces with grain, 178x218 JPEGs as CelebA's. *Bare* decodes and resizes the
same files with the same library in as many processes, and throws the pixels away. For the memory a
generator of tiny pictures, each another, feeds prepare until the time is over, or to a million.
"""

import argparse
import json
import multiprocessing
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from facegan.data.prepare import StreamSource, prepare

RESOLUTION, SIZE = 64, (178, 218)
KINDS = 100  # faces drawn; the grain makes each picture another
MILLION = 1_000_000


def draw_photos(folder: Path, count: int) -> int:
    """Write JPEGs of 178x218; return the mean size of a file."""
    from facegan.data.toy_faces import write_toy_faces

    write_toy_faces(folder / "toy", KINDS, 218)
    faces = [np.asarray(Image.open(f))[:, 20:198] for f in (folder / "toy").rglob("*.png")]
    numbers, photos = np.random.default_rng(0), folder / "photos"
    photos.mkdir()
    for k in range(count):
        grain = numbers.normal(0, 4, (218, 178, 1))
        pixels = np.clip(faces[k % KINDS] + grain, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(photos / f"{k:06d}.jpg", quality=85)
    return sum(f.stat().st_size for f in photos.iterdir()) // count


def bare(files: list[Path]) -> int:
    """Decode, crop and resize as prepare does, and nothing else."""
    for file in files:
        with Image.open(file) as picture:
            picture.draft("RGB", (2 * RESOLUTION, 2 * RESOLUTION))
            middle = picture.convert("RGB").crop((0, 20, 178, 198))
            np.asarray(middle.resize((RESOLUTION, RESOLUTION), Image.Resampling.LANCZOS))
    return len(files)


def time_bare(files: list[Path], workers: int) -> float:
    """Return images per second, once the processes have started."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, spawn) as pool:
        list(pool.map(bare, [files[:8]] * (4 * workers)))
        started = time.perf_counter()
        sum(pool.map(bare, [files[k : k + 32] for k in range(0, len(files), 32)]))
        return len(files) / (time.perf_counter() - started)


def time_prepare(folder: Path, out: Path, workers: int, count: int) -> tuple[float, float]:
    """Return images per second with and without the start of the processes."""
    begun = time.perf_counter()
    first: list[float] = []

    def on_progress(done: int, expected: int | None) -> None:
        if done and not first:
            first.append(time.perf_counter())

    prepare(folder, out, RESOLUTION, workers=workers, on_progress=on_progress)
    ended = time.perf_counter()
    shutil.rmtree(out)
    return count / (ended - begun), count / (ended - first[0])


def tiny_images(seconds: float, most: int) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Yield names and 4x4 images in PPM, which needs no encoder, until the time is over."""
    ends = time.monotonic() + seconds
    for k in range(most):
        if time.monotonic() > ends:
            return
        yield f"{k:09d}.ppm", partial(tiny_picture, k)


def tiny_picture(number: int) -> bytes:
    return b"P6 4 4 255\n" + number.to_bytes(8, "big").rjust(48, b"\x55")


def memory() -> int:
    """Return the private bytes of this process and its children, without files."""
    own = os.getpid()
    pids = [own, *map(int, Path(f"/proc/self/task/{own}/children").read_text().split())]
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                total += int(line.split()[1]) * 1024
    return total


def memory_slope(out: Path, seconds: float, workers: int) -> tuple[int, float, float]:
    """Return images prepared, bytes per image by a linear fit, and peak MiB."""
    samples: list[tuple[int, int]] = []

    def on_progress(done: int, expected: int | None) -> None:
        if done % 2000 == 0:
            samples.append((done, memory()))

    source = StreamSource("generator", partial(tiny_images, seconds, MILLION))
    manifest = prepare(source, out, 4, workers=workers, on_progress=on_progress)
    counts, sizes = np.array(samples[len(samples) // 5 :]).T  # without the start
    slope = float(np.polyfit(counts, sizes, 1)[0])
    return manifest["written"], slope, float(sizes.max() / 2**20)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=8000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory-seconds", type=float, default=60)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        size = draw_photos(folder, options.images)
        files = sorted((folder / "photos").iterdir())
        print(
            f"{len(files):,} JPEGs of {SIZE[0]}x{SIZE[1]}, {size:,} bytes each, to {RESOLUTION} px"
        )
        rounds = []
        for _ in range(options.rounds):
            plain = time_bare(files, options.workers)
            ours, warm = time_prepare(
                folder / "photos", folder / "out", options.workers, len(files)
            )
            print(f"bare {plain:,.0f}/s; prepare {ours:,.0f}/s, {warm:,.0f}/s without the start")
            rounds.append((plain, ours, warm))
        plain, ours, warm = (float(np.median(column)) for column in zip(*rounds, strict=True))
        written, slope, most = memory_slope(
            folder / "many", options.memory_seconds, options.workers
        )
        print(f"{written:,} tiny pictures: {slope:+.2f} bytes a picture, at most {most:,.0f} MiB")
    print(json.dumps({
        "prepare_images_per_second": round(ours, 1),
        "bare_images_per_second": round(plain, 1),
        "share": round(ours / plain, 3),
        "share_without_start": round(warm / plain, 3),
        "memory_images": written,
        "memory_bytes_per_image": round(slope, 2),
    }))  # fmt: skip


if __name__ == "__main__":
    main()
