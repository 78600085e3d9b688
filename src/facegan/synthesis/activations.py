"""How much memory one batch of a network takes, without its numbers."""

from typing import Any

import torch
from torch import Tensor, nn

from facegan.artifact import Artifact
from facegan.synthesis.batch_sizes import LARGE_RESOLUTION, MOST

# While a layer computes, its input, its output and the kernel's own room are there: oneDNN unfolds
# or repacks about as much as it reads and writes.
LIVE = 2
SMALL = 16 << 20  # a map's bytes up to which a network is drawn with in earnest: it saves a second


def activation_bytes(empty: Artifact) -> int:
    """Return what one batch takes beside the weights, by drawing one image with any numbers.

    The network's memory has not been written to, so reading it takes none. A network that could
    take much is drawn with shapes alone.
    """
    count = 1 if empty.card.resolution >= LARGE_RESOLUTION else MOST
    device = "meta" if widest_map(empty) > SMALL else "cpu"
    options: dict[str, Any] = {}
    if empty.classes:
        options["labels"] = torch.zeros(1, dtype=torch.int64, device=device)
    latents = torch.zeros(1, empty.card.latent_dim, device=device)
    return LIVE * count * widest_step(empty.generator.eval(), device, latents, **options)


def widest_map(empty: Artifact) -> int:
    """Return more bytes than any map of an image has: all channels of its widest layer, at the end.

    A small file can describe a network that draws with gigabytes.
    """
    sizes = (side for tensor in empty.generator.state_dict().values() for side in tensor.shape[:2])
    return 4 * max(sizes, default=1) * empty.card.resolution**2


@torch.inference_mode()
def widest_step(network: nn.Module, device: str, *inputs: Tensor, **options: Tensor) -> int:
    """Return the most bytes that any innermost module of a network reads and writes."""
    widest = 0

    def measure(module: nn.Module, taken: tuple[Any, ...], made: Any) -> None:
        nonlocal widest
        widest = max(widest, sum(map(bytes_of, (*taken, made))))

    innermost = [module for module in network.modules() if not any(module.children())]
    hooks = [module.register_forward_hook(measure) for module in innermost]
    tensors = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    there = {name: tensor.to(device) for name, tensor in tensors.items()}
    try:
        torch.func.functional_call(network, there, inputs, options)
    finally:
        for hook in hooks:
            hook.remove()
    return widest


def bytes_of(value: Any) -> int:
    """The size of a tensor; nothing for anything else."""
    return value.numel() * value.element_size() if isinstance(value, Tensor) else 0
