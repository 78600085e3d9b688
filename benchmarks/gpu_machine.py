"""Checks of bench_gpu.py: what the machine is, and two processes against one."""

import shutil
import tempfile
from collections.abc import Iterator
from typing import Any

import torch
from bench_distributed import Order, run_one, run_two
from gpu_checks import NOT_RUN, Cells, Network

from facegan.training.precision import processor_name


def describe(earlier: Cells, device: str) -> Iterator[tuple[str, Any]]:
    """Name the device and the versions that computed."""
    yield "torch", torch.__version__
    yield "compiler", next(filter(shutil.which, ("gcc", "clang", "g++", "clang++")), "none")
    if device == "cpu":
        yield "device", processor_name()
        yield "devices", 0
        for cell in ("memory_gib", "cuda", "cudnn"):
            yield cell, f"{NOT_RUN}of GPUs only"
        return
    found = torch.cuda.get_device_properties(device)
    yield "device", found.name
    yield "devices", torch.cuda.device_count()
    yield "memory_gib", found.total_memory / 2**30
    yield "cuda", torch.version.cuda
    yield "cudnn", torch.backends.cudnn.version()


def share(earlier: Cells, network: Network, batch: int, steps: int) -> Iterator[tuple[str, Any]]:
    """Measure one batch trained by one process and by two, each with a GPU of its own."""
    if network.device == "cuda" and torch.cuda.device_count() < 2:
        for cell in ("images_per_second_one", "images_per_second_two", "ratio"):
            yield cell, f"{NOT_RUN}there is one GPU, and two processes take two"
        return
    with tempfile.TemporaryDirectory() as folder:
        order = Order(
            network.family, network.preset, steps, folder,
            resolution=network.side, batch=batch, device=network.device, precision="auto",
        )  # fmt: skip
        one = batch / run_one(order).seconds
        yield "images_per_second_one", one
        two = batch / run_two(order).seconds
    yield "images_per_second_two", two
    yield "ratio", two / one
