"""How much memory one batch of a network takes, without its numbers."""

from typing import Any

import torch
from torch import Tensor, nn

from facegan.artifact import Artifact
from facegan.synthesis.company import LARGE, MOST

# While a layer computes, its input, its output and the kernel's own room are there: oneDNN unfolds
# or repacks about as much as it reads and writes.
LIVE = 2


def activation_bytes(empty: Artifact) -> int:
    """What one batch takes beside the weights, by drawing one image with no numbers in particular.

    The network's memory has not been written to, so reading it takes none.
    """
    count = 1 if empty.card.resolution >= LARGE else MOST
    options: dict[str, Any] = {}
    if empty.classes:
        options["labels"] = torch.zeros(1, dtype=torch.int64)
    latents = torch.zeros(1, empty.card.latent_dim)
    return LIVE * count * widest_step(empty.generator.eval(), latents, **options)


@torch.inference_mode()
def widest_step(network: nn.Module, *inputs: Tensor, **options: Tensor) -> int:
    """The most bytes that any innermost module of a network reads and writes."""
    widest = 0

    def measure(module: nn.Module, taken: tuple[Any, ...], made: Any) -> None:
        nonlocal widest
        widest = max(widest, sum(map(bytes_of, (*taken, made))))

    innermost = [module for module in network.modules() if not any(module.children())]
    hooks = [module.register_forward_hook(measure) for module in innermost]
    try:
        network(*inputs, **options)
    finally:
        for hook in hooks:
            hook.remove()
    return widest


def bytes_of(value: Any) -> int:
    """The size of a tensor; nothing for anything else."""
    return value.numel() * value.element_size() if isinstance(value, Tensor) else 0
