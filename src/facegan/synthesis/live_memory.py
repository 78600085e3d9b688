"""Measures how many bytes of tensors are alive at once while a network runs."""

import weakref
from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


class LiveMemory(TorchDispatchMode):
    """Counts the tensors that operators make, until nothing refers to them; on any device.

    Attributes:
        live: Bytes of those that are alive.
        peak: The most of them so far.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.live: int = 0
        self.peak: int = 0
        self.known: set[int] = set()  # memory that is counted; several tensors may share it

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Run an operator, and count what it makes."""
        made = func(*args, **(kwargs or {}))
        for tensor in made if isinstance(made, tuple | list) else (made,):
            if isinstance(tensor, Tensor):
                self.count(tensor)
        return made

    def count(self, tensor: Tensor) -> None:
        """Count a tensor's memory, unless it is known, until it is freed."""
        memory = tensor.untyped_storage()
        key, size = memory._cdata, memory.nbytes()
        if key not in self.known:
            self.known.add(key)
            self.live += size
            self.peak = max(self.peak, self.live)
            weakref.finalize(memory, self.free, key, size)

    def free(self, key: int, size: int) -> None:
        """Forget memory that was freed."""
        self.known.discard(key)
        self.live -= size
