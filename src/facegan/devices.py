"""Where tensors are computed, and how they get there; for training and serving alike."""

import torch
from torch import Tensor

from facegan.errors import ConfigError


def find_device(name: str) -> torch.device:
    """Return the device a name asks for; "auto" takes a GPU where there is one.

    A GPU has its number, as in cuda:0: ``torch.cuda.set_device`` refuses one without.

    Raises:
        ConfigError: no such device here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return torch.empty(1, device=torch.device(name)).device
    except (RuntimeError, AssertionError):
        hint = "Use auto, cpu, or a GPU that torch sees (cuda, cuda:1)."
        raise ConfigError(f"The device {name!r} cannot be used here.", hint) from None


def send(x: Tensor, device: torch.device) -> Tensor:
    """A tensor on its way to a device: to a GPU from pinned memory, so that nobody waits for it."""
    if device.type != "cuda":
        return x.to(device)
    return x.pin_memory().to(device, non_blocking=True)
