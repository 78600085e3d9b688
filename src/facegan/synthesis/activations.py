"""Computes how much memory one batch of a network takes, without its weights' values."""

from typing import Any

import torch
from torch import Tensor, nn

from facegan.artifact import Artifact
from facegan.synthesis.batch_sizes import LARGE_RESOLUTION, MAX_SIZE
from facegan.synthesis.examples import example_arrays
from facegan.synthesis.live_memory import LiveMemory
from facegan.synthesis.network_inputs import PixelNetwork, pixel_network

# While a layer runs, its input, its output and the kernel's scratch memory are allocated: oneDNN
# unfolds or repacks about as much as it reads and writes.
SCRATCH_FACTOR = 2
# Networks with feature maps up to this many bytes really run, which saves a second; larger ones run
# on the device "meta", with shapes alone.
SMALL_MAP = 16 << 20


def activation_bytes(empty: Artifact) -> int:
    """Return the bytes that one batch takes beside the weights, measured on a single image.

    Args:
        empty: Its weights are uninitialised; memory that was never written takes no room.
    """
    card = empty.card
    count = 1 if card.resolution >= LARGE_RESOLUTION else MAX_SIZE
    device = "meta" if largest_map(empty) > SMALL_MAP else "cpu"
    largest = 0
    for name in card.networks:
        network = pixel_network(empty, name).eval()
        inputs = [torch.from_numpy(x).to(device) for x in example_arrays(card, name, 1).values()]
        largest = max(largest, largest_layer(network, device, *inputs))
        if isinstance(network, PixelNetwork):  # it may hold maps for later layers
            largest = max(largest, call_on(network, device, *inputs))
    return SCRATCH_FACTOR * count * largest


def largest_map(empty: Artifact) -> int:
    """Return an upper bound of a feature map's bytes: the most channels at full resolution.

    A small file can describe a network that needs gigabytes.
    """
    tensors = (x for network in empty.networks.values() for x in network.state_dict().values())
    sizes = (side for tensor in tensors for side in tensor.shape[:2])
    return 4 * max(sizes, default=1) * empty.card.resolution**2


@torch.inference_mode()
def largest_layer(network: nn.Module, device: str, *inputs: Tensor) -> int:
    """Return the most bytes that any innermost module of a network reads and writes."""
    largest = 0

    def measure(module: nn.Module, taken: tuple[Any, ...], made: Any) -> None:
        nonlocal largest
        tensors = [x for x in (*taken, made) if isinstance(x, Tensor)]
        largest = max(largest, sum(x.numel() * x.element_size() for x in tensors))

    innermost = [module for module in network.modules() if not any(module.children())]
    hooks = [module.register_forward_hook(measure) for module in innermost]
    try:
        call_on(network, device, *inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return largest


@torch.inference_mode()
def call_on(network: nn.Module, device: str, *inputs: Tensor) -> int:
    """Call a network on a device; return the most bytes beside its weights that are alive."""
    tensors = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    moved = {name: tensor.to(device) for name, tensor in tensors.items()}
    memory = LiveMemory()
    with memory:
        torch.func.functional_call(network, moved, inputs)
    return memory.peak
