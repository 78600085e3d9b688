"""Check of bench_gpu.py: the served generator's speed, its CUDA graph, and its pixels."""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from gpu_checks import Cells, Network

from facegan.artifact import Artifact, load_artifact, save_artifact
from facegan.gans import build_gan
from facegan.synthesis import (
    MAX_SEED,
    BackendConfig,
    InputBatch,
    Synthesizer,
    latents_of_seeds,
    open_synthesizer,
)
from facegan.synthesis.device_context import DeviceContext
from facegan.synthesis.torch_backend import TorchBackend

BATCH = 16  # images a request


def measure(earlier: Cells, network: Network, seconds: float) -> Iterator[tuple[str, Any]]:
    """Measure a generator of random weights as a server runs it, and compare it with a CPU's."""
    gan = build_gan(network.family, network.preset, network.image_shape, seed=0, **network.numbers)
    with tempfile.TemporaryDirectory() as folder:
        save_artifact(gan, folder)
        served = open_synthesizer(Path(folder), BackendConfig("torch", network.device))
        yield "p50_ms_one_image", 1e3 * median(times_of(served, 1, seconds))
        yield "images_per_second", BATCH / median(times_of(served, BATCH, seconds))
        yield "graph_difference", graph_difference(load_artifact(folder), network.device)
        yield from compare_pixels(Path(folder), network.device)


def times_of(served: Synthesizer, count: int, seconds: float) -> list[float]:
    """Return the seconds of every request of ``count`` images for a while, after a warm-up."""
    served.generate(range(count))
    times, ends = [], time.perf_counter() + seconds
    while not times or time.perf_counter() < ends:
        first = len(times) * count % MAX_SEED
        started = time.perf_counter()
        served.generate(range(first, first + count))
        times.append(time.perf_counter() - started)
    return times


@torch.inference_mode()
def graph_difference(artifact: Artifact, device: str) -> float:
    """Return the largest difference of a replayed CUDA graph's images from the eager forward's.

    On a CPU nothing is recorded, and both are the eager forward.
    """
    backend = TorchBackend(artifact, DeviceContext.choose(device))
    batch = InputBatch({"latents": latents_of_seeds(artifact.card, range(BATCH))})
    inputs = backend.to_tensors(tuple(batch.arrays.values()))

    def draw(latents: torch.Tensor) -> torch.Tensor:
        return backend.images_of(batch, latents)

    backend.context.run(draw, *(x + 1 for x in inputs))  # records, from other latents
    replayed = backend.context.run(draw, *inputs)
    eager = backend.context.run(draw, *inputs, use_graph=False)
    return float((replayed.float() - eager.float()).abs().max())


def compare_pixels(folder: Path, device: str) -> Iterator[tuple[str, Any]]:
    """Compare the device's pixels with a CPU's in float32, in levels of 255."""
    expected = pixels_of(folder, BackendConfig("torch", "cpu"))
    exact = pixels_of(folder, BackendConfig("torch", device, "fp32"))
    yield "cpu_levels_fp32", int(np.abs(exact - expected).max())
    as_served = np.abs(pixels_of(folder, BackendConfig("torch", device)) - expected)
    yield "cpu_levels", int(as_served.max())
    yield "cpu_unequal_share", float((as_served > 0).mean())


def pixels_of(folder: Path, config: BackendConfig) -> Any:
    """Return a batch's pixels, signed so that they can be subtracted."""
    return open_synthesizer(folder, config).generate(range(BATCH)).astype(np.int16)
