"""Measures how fast toy faces are drawn: images per second on all cores.

Run: python benchmarks/bench_toy_faces.py [--images 4000]

"Drawing" is draw_faces in one process, times the cores, since chunks share nothing; "with files" is
write_toy_faces from nothing to a finished folder, the start of its processes left out by measuring
a short run and a long one.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from facegan.data.toy_faces import draw_faces, write_toy_faces


def seconds(work: Callable[[], object]) -> float:
    """Return the wall time of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def drawing_rate(resolution: int, images: int) -> float:
    """Return images per second and core, without saving them."""
    draw_faces(0, 32, resolution)  # the first call loads kernels
    return images / seconds(lambda: draw_faces(0, images, resolution))


def writing_times(resolution: int, images: int) -> tuple[float, float]:
    """Return the seconds for a data set of ``images`` and for one a quarter as large."""
    with tempfile.TemporaryDirectory() as folder:
        long, short = (
            seconds(lambda n=n: write_toy_faces(Path(folder) / str(n), n, resolution))
            for n in (images, images // 4)
        )
    return long, short


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=4000, help="at 32 pixels; a quarter at 64")
    images_32: int = parser.parse_args().images
    cores = os.cpu_count() or 1
    print(f"{cores} cores; images per second, 2x supersampled")
    print(f"{'pixels':>6} {'drawing':>9} {'with files':>11} {'with files and start':>21}")
    rates = {}
    for resolution, images in ((32, images_32), (64, images_32 // 4)):
        drawing = drawing_rate(resolution, images // 4) * cores
        long, short = writing_times(resolution, images)
        writing = (images - images // 4) / (long - short)
        print(f"{resolution:>6} {drawing:>9.0f} {writing:>11.0f} {images / long:>21.0f}")
        rates[f"images_per_second_{resolution}"] = round(writing, 1)
    print(json.dumps(rates))


if __name__ == "__main__":
    main()
