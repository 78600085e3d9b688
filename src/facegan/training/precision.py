"""Which device and which number format a run computes in, decided once and said."""

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
    """The device a name asks for; "auto" takes a GPU where there is one, a process its own.

    Raises:
        ConfigError: no such device here.
    """
    if group.size > 1 and name in ("auto", "cuda") and torch.cuda.is_available():
        return find_device(f"cuda:{group.local_rank}")
    return find_device(name)


def has_fast_bf16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 in hardware; emulation would be slower than fp32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    found = torch.cpu.get_capabilities()
    return bool(found.get("avx512_bf16") or found.get("amx_bf16") or found.get("bf16"))


def choose_dtype(precision: str, device: torch.device) -> torch.dtype:
    """The autocast type: float32 means none.

    Raises:
        ConfigError: bf16 was asked for where the device would only emulate it.
    """
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
    """Move a player, in place; on a GPU its weights lie channels-last, for the tensor cores."""
    if device.type != "cuda":
        return player.to(device)
    channels_last: Any = player.to  # torch's own types forget this argument
    moved: nn.Module = channels_last(device, memory_format=torch.channels_last)
    return moved


def prepare_device(device: torch.device) -> None:
    """Make a GPU this process's own, and float32 on it what it says: TF32 has 10 bits of 23.

    The papers' runs have TF32 off; penalties of gradients are computed in float32 for their sake.
    """
    if device.type != "cuda":
        return
    torch.cuda.set_device(device)  # NCCL's, and that of random numbers
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False


@contextmanager
def fixed_shapes() -> Iterator[None]:
    """Within, shapes recur, so that cuDNN times its algorithms once a shape and takes the quickest.

    Unless torch has been told to be deterministic: two runs may find different ones quickest
    (docs/decisions/0022-gpu-numbers.md).
    """
    cudnn = torch.backends.cudnn
    before = cudnn.benchmark
    cudnn.benchmark = not (cudnn.deterministic or torch.are_deterministic_algorithms_enabled())
    try:
        yield
    finally:
        cudnn.benchmark = before


def describe_hardware(device: torch.device) -> dict[str, Any]:
    """What a run computes on: the device's kind and its name; for a processor, its threads."""
    if device.type == "cuda":
        return {"device": "cuda", "hardware": torch.cuda.get_device_name(device)}
    threads = torch.get_num_threads()
    return {"device": device.type, "hardware": processor_name(), "threads": threads}


def processor_name() -> str:
    """The processor as Linux names it; its architecture elsewhere."""
    try:
        found = re.search(r"^model name\s*: (.+)$", Path("/proc/cpuinfo").read_text(), re.M)
    except OSError:
        found = None
    return found[1] if found else platform.processor() or platform.machine()
