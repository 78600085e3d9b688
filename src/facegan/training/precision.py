"""Which device and which number format a run computes in, decided once and said."""

import torch

from facegan.errors import ConfigError
from facegan.training.world import ALONE, World


def choose_device(name: str, world: World = ALONE) -> torch.device:
    """The device a name asks for; "auto" takes a GPU where there is one, a process its own.

    Raises:
        ConfigError: no such device here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and world.size > 1:
        name = f"cuda:{world.local_rank}"
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError):
        message = f"The device {name!r} cannot be used here."
        raise ConfigError(
            message, "Use auto, cpu, or a GPU that torch sees (cuda, cuda:1)."
        ) from None
    return device


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
