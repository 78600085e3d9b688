"""torch.autocast for any device; it does nothing on devices that lack it (``meta``)."""

from contextlib import AbstractContextManager, nullcontext

import torch


def autocast(device: torch.device, dtype: torch.dtype) -> AbstractContextManager[object]:
    """Compute in `dtype` where autocast does so, within the block; float32 switches it off."""
    if not torch.amp.is_autocast_available(device.type):
        return nullcontext()
    return torch.autocast(device.type, dtype, enabled=dtype is not torch.float32)


def without_autocast(device: torch.device) -> AbstractContextManager[object]:
    """Compute every operation in the type of its inputs, within the block."""
    return autocast(device, torch.float32)
