"""Autocast by a device, which is nothing where the device has none (``meta``)."""

from contextlib import AbstractContextManager, nullcontext

import torch


def autocast(device: torch.device, dtype: torch.dtype) -> AbstractContextManager[object]:
    """Operations that gain by it compute in `dtype`; float32 switches autocast off."""
    if not torch.amp.is_autocast_available(device.type):
        return nullcontext()
    return torch.autocast(device.type, dtype, enabled=dtype is not torch.float32)


def in_own_type(device: torch.device) -> AbstractContextManager[object]:
    """Every operation computes in the type of its inputs."""
    return autocast(device, torch.float32)
