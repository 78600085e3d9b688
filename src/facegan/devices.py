"""Choosing a torch device, and moving tensors to it."""

import torch
from torch import Tensor

from facegan.errors import ConfigError


def find_device(name: str) -> torch.device:
    """Return the device of a name; "auto" is a GPU if there is one.

    A GPU always has an index (cuda:0): ``torch.cuda.set_device`` refuses one without.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return torch.empty(1, device=torch.device(name)).device
    except (RuntimeError, AssertionError):
        hint = "Use auto, cpu, or a GPU that torch sees (cuda, cuda:1)."
        raise ConfigError(f"The device {name!r} cannot be used here.", hint) from None


def to_device(x: Tensor, device: torch.device) -> Tensor:
    """Move a tensor to a device; from pinned memory to a GPU, so that the host does not wait."""
    if device.type != "cuda":
        return x.to(device)
    return x.pin_memory().to(device, non_blocking=True)
