"""Measures the generator without a server: the upper limit of a server, and the expected pixels.

A program of its own, so that neither torch nor its threads stay in the process that measures:
``write FOLDER`` writes the model, ``measure FOLDER`` prints its speed and saves its pixels.
"""

import argparse
import json
import time
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch import nn

from facegan.artifact import load_artifact, save_artifact
from facegan.export import export_graphs
from facegan.gans import build_gan
from facegan.synthesis import Synthesizer

SIZES = (1, 2, 4, 8, 16, 32)
SEEDS = [1, 2, 3, 4]
SECONDS_A_SIZE = 1.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("verb", choices=["write", "measure"])
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    if options.verb == "write":
        return write_model(options.folder)
    artifact = load_artifact(options.folder)
    np.save(options.folder / "expected.npy", Synthesizer(artifact).generate(seeds=SEEDS))
    print(json.dumps(speeds(artifact.generator)))


def write_model(folder: Path) -> None:
    """A 64 px DCGAN of the article's widths with random weights, whose pictures have contrast.

    As they are drawn, such weights give one grey: batch norm's statistics are those of a network
    that was never run, and what a PNG of grey costs says nothing.
    """
    gan = build_gan("dcgan", "tiny", (3, 64, 64), seed=0, conv_dim=64, latent_dim=100)
    generator = gan.generator_ema
    for module in generator.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the mean over all batches
    latents = torch.randn(8, 32, 100, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for batch in latents:
            deviation = torch.atanh(generator(batch).clamp(-0.999, 0.999)).std()
        generator.to_rgb.weight.mul_(0.7 / deviation)
    save_artifact(gan, folder)
    export_graphs(folder)


@torch.inference_mode()
def speeds(generator: nn.Module) -> dict[str, float]:
    """Return images per second by batch size, and the median milliseconds of a single image."""
    found = {}
    for size in SIZES:
        times = times_of(generator, torch.randn(size, 100))
        found[str(size)] = size / median(times)
        if size == 1:
            found["one_ms"] = 1e3 * median(times)
    return found


def times_of(generator: nn.Module, latents: torch.Tensor) -> list[float]:
    """Return the seconds of every call for a while, without the first few."""
    for _ in range(3):
        generator(latents)
    times, ends = [], time.perf_counter() + SECONDS_A_SIZE
    while not times or time.perf_counter() < ends:
        started = time.perf_counter()
        generator(latents)
        times.append(time.perf_counter() - started)
    return times


if __name__ == "__main__":
    main()
