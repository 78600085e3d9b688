"""How much memory a model will take, known before it is loaded."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from facegan.artifact import CARD_NAME, WEIGHTS_NAME, Artifact, build_empty, read_card
from facegan.errors import ArtifactError, ConfigError
from facegan.synthesis.company import LARGE, MOST

MAX_HEADER_BYTES = 100_000_000  # safetensors' own limit
# While a layer computes, its input, its output and the kernel's own room are there: oneDNN unfolds
# or repacks about as much as it reads and writes.
LIVE = 2
OVERHEAD = 4 << 20  # modules, a thread, what an allocator keeps
UNKNOWN_ACTIVATIONS = 64 << 20  # of a model whose own code loads it: nobody can say


@dataclass(frozen=True)
class Footprint:
    """What one model needs, in bytes.

    Attributes:
        weights: As long as it is loaded.
        activations: While it draws a batch; models that draw in turn share this room.
    """

    weights: int
    activations: int


def foresee(model_dir: Path) -> Footprint:
    """The footprint of the model in a folder; reads its card and its weights' header only.

    A folder without a card is one whose own code loads it: all of its files count.

    Raises:
        ArtifactError: a card or weights that are damaged, or of an unknown family.
    """
    if not (model_dir / CARD_NAME).is_file():
        sizes = (path.stat().st_size for path in model_dir.rglob("*") if path.is_file())
        return Footprint(sum(sizes) + OVERHEAD, UNKNOWN_ACTIVATIONS)
    try:
        empty = build_empty(read_card(model_dir))
    except (ConfigError, RuntimeError) as cause:
        raise ArtifactError(f"{model_dir}: the generator cannot be rebuilt: {cause}") from cause
    weights = weights_bytes(model_dir / WEIGHTS_NAME) + OVERHEAD
    return Footprint(weights, activation_bytes(empty))


def weights_bytes(path: Path) -> int:
    """The bytes of all tensors in a safetensors file, by its header.

    Format: huggingface.co/docs/safetensors, "Format".

    Raises:
        ArtifactError: the header is none, or tells another length than the file's.
    """
    try:
        with path.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if length > MAX_HEADER_BYTES:
                raise ValueError(f"a header of {length} bytes")
            header = json.loads(stream.read(length))
        ends = [value["data_offsets"][1] for name, value in header.items() if name[:2] != "__"]
        told = max(ends, default=0)
        if path.stat().st_size != 8 + length + told:
            raise ValueError("another length than its header tells")
    except (OSError, ValueError, TypeError, KeyError, IndexError, AttributeError) as cause:
        raise ArtifactError(
            f"{path} is no file of weights: {cause}.", "It is truncated or damaged; copy it again."
        ) from cause
    return int(told)


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


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there was no memory; torch has one more for processors."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
