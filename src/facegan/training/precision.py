"""Chooses and prepares a run's device and number format (bf16 or fp32)."""

import platform
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from facegan.devices import find_device
from facegan.errors import ConfigError
from facegan.training.distributed.process_group import SINGLE_PROCESS, ProcessGroup


def choose_device(name: str, group: ProcessGroup = SINGLE_PROCESS) -> torch.device:
    """Return the device of a name; "auto" is a GPU if there is one, each process its own."""
    if group.size > 1 and name in ("auto", "cuda") and torch.cuda.is_available():
        return find_device(f"cuda:{group.local_rank}")
    return find_device(name)


def has_fast_bf16(device: torch.device) -> bool:
    """Return whether the device has bfloat16 in hardware; emulation is slower than fp32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    found = torch.cpu.get_capabilities()
    return bool(found.get("avx512_bf16") or found.get("amx_bf16") or found.get("bf16"))


def choose_dtype(precision: str, device: torch.device) -> torch.dtype:
    """Return the autocast type, float32 for none; raise ConfigError if bf16 is not in hardware."""
    if precision == "fp32":
        return torch.float32
    if has_fast_bf16(device):
        return torch.bfloat16
    if precision == "bf16":
        raise ConfigError(
            f"precision is bf16, but this {device.type} has no bf16 arithmetic.",
            "Use --precision fp32, or leave it at auto.",
        )
    return torch.float32


def place(player: nn.Module, device: torch.device) -> nn.Module:
    """Move a player, in place; on a GPU to channels-last memory, for the tensor cores."""
    if device.type != "cuda":
        return player.to(device)
    channels_last: Any = player.to  # torch's types lack this argument
    moved: nn.Module = channels_last(device, memory_format=torch.channels_last)
    return moved


def prepare_device(device: torch.device) -> None:
    """Select a GPU for this process, and turn TF32 off, as the papers do: gradient penalties need
    float32, and TF32 has 10 of its 23 bits.
    """
    if device.type != "cuda":
        return
    torch.cuda.set_device(device)  # for NCCL and random numbers
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False


@contextmanager
def fixed_shapes() -> Iterator[None]:
    """Let cuDNN choose the fastest algorithm per shape, unless torch must be deterministic.

    Two runs may choose different ones (docs/decisions/0022-gpu-numbers.md).
    """
    cudnn = torch.backends.cudnn
    before = cudnn.benchmark
    cudnn.benchmark = not (cudnn.deterministic or torch.are_deterministic_algorithms_enabled())
    try:
        yield
    finally:
        cudnn.benchmark = before


def describe_hardware(device: torch.device) -> dict[str, Any]:
    """Return the device's type and name, and a CPU's threads."""
    if device.type == "cuda":
        return {"device": "cuda", "hardware": torch.cuda.get_device_name(device)}
    threads = torch.get_num_threads()
    return {"device": device.type, "hardware": processor_name(), "threads": threads}


def processor_name() -> str:
    """Return the processor's name on Linux, its architecture elsewhere."""
    try:
        found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.M)
    except OSError:
        found = None
    return found[1] if found else platform.processor() or platform.machine()
