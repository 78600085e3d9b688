"""Counts the memory that a step needs, on fake tensors, for the table in gans/memory.py.

Run it when networks or losses have changed; it prints the table's rows, of all families or of those
that are named.
"""

import sys
import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from facegan.gans import FAMILIES, Gan, build_gan
from facegan.gans.autocast import autocast
from facegan.gans.example_batch import example_batch
from facegan.gans.memory import PRECISIONS, TrainingMemory, table_keys
from facegan.gans.perceptual import lite0_on

MAP_CLASSES = {f"class {number}": "#000000" for number in range(14)}  # as toy faces have
FEW, MORE = 4, 8  # images, of which the difference is what one takes
TYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}


class Peak(TorchDispatchMode):
    """Counts the bytes of the tensors that are alive, and their maximum."""

    def __init__(self) -> None:
        super().__init__()
        self.alive: set[int] = set()
        self.now = self.most = 0

    def __torch_dispatch__(
        self, function: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                self.note(tensor.untyped_storage())
        return result

    def note(self, storage: torch.UntypedStorage) -> None:
        """Count a storage once, until it is freed."""
        key, size = storage._cdata, storage.nbytes()
        if key not in self.alive:
            self.alive.add(key)
            weakref.finalize(storage, self.forget, key, size)
            self.now += size
            self.most = max(self.most, self.now)

    def forget(self, key: int, size: int) -> None:
        """Stop counting a storage."""
        self.alive.discard(key)
        self.now -= size


def count_need(
    family: str, preset: str, side: int, precisions: tuple[str, ...] = PRECISIONS
) -> TrainingMemory:
    """Return what a preset's step needs, counted at two batch sizes.

    Args:
        family: Name of the family.
        preset: Name of the preset.
        side: Side of the images in pixels.
        precisions: Precisions to count.
    """
    images, fixed = [], []
    with FakeTensorMode(allow_non_fake_inputs=True):
        classes = {"a": 1, "b": 1}
        gan = build_gan(family, preset, (3, side, side), classes=classes, map_classes=MAP_CLASSES)
        for precision in precisions:
            few, more = (peaks(gan, rows, TYPES[precision]) for rows in (FEW, MORE))
            each = [(b - a) / (MORE - FEW) for a, b in zip(few, more, strict=True)]
            images.append(max(each))
            fixed.append(max(a - FEW * one for a, one in zip(few, each, strict=True)))
    sizes = {name: sum(p.numel() for p in it.parameters()) for name, it in gan.players.items()}
    averaged = sum(sizes[name] for name in gan.served)
    return TrainingMemory(sum(sizes.values()), averaged, max(sizes.values()),
                tuple(round(it / 2**20, 2) for it in images),
                tuple(round(max(it, 0) / 2**20) for it in fixed))  # fmt: skip


def peaks(gan: Gan, rows: int, dtype: torch.dtype) -> list[int]:
    """Return each phase's peak bytes besides weights, for a batch of `rows` images."""
    cpu, found = torch.device("cpu"), []
    batch = example_batch(gan, rows)
    for phase in gan.family.phases(gan.preset):
        for name, player in gan.players.items():
            player.requires_grad_(name in phase.players).zero_grad()
        with Peak() as peak:
            with autocast(cpu, dtype):
                terms = phase.loss(gan, batch)
            torch.stack(list(terms.values())).sum().backward()
            del terms
        found.append(peak.most)
    return found


def main() -> None:
    """Print rows of the table in gans/memory.py: of all families, or of those named."""
    lite0_on(torch.device("cpu"))  # of a perceptual loss: loaded before tensors are fake
    for family, preset, side in table_keys(FAMILIES.values()):
        if family in (sys.argv[1:] or FAMILIES):
            need = count_need(family, preset, side)
            sizes = f"{need.parameters:_}, {need.averaged:_}, {need.largest:_}"
            print(f'    ("{family}", "{preset}", {side}): ({sizes}, {need.image_mib}, '
                  f"{need.fixed_mib}),", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
