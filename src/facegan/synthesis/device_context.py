"""The device and number format that a generator runs in; CUDA graphs on GPUs."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from facegan.devices import find_device
from facegan.errors import ConfigError

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
WARM_UPS = 3  # before a graph is recorded, as torch's documentation of CUDA graphs asks

Function = Callable[..., Tensor]


@dataclass(frozen=True)
class CudaGraph:
    """A recorded CUDA graph and the memory that it reads and writes."""

    graph: Any  # torch.cuda.CUDAGraph
    inputs: tuple[Tensor, ...]
    output: Tensor

    def replay(self, inputs: tuple[Tensor, ...]) -> Tensor:
        """Run it on inputs of the same shapes; the next run overwrites the output."""
        for memory, value in zip(self.inputs, inputs, strict=True):
            memory.copy_(value, non_blocking=True)
        self.graph.replay()
        return self.output


@dataclass
class DeviceContext:
    """A device and a precision to compute in; used by one thread at a time.

    Attributes:
        device: A CPU, or a GPU.
        dtype: The precision of computations (autocast); weights stay float32.
        graphs: CUDA graphs by the name of their function and the shapes of its inputs.
    """

    device: torch.device
    dtype: torch.dtype = torch.float32
    graphs: dict[tuple[str, tuple[torch.Size, ...]], CudaGraph] = field(default_factory=dict)

    @classmethod
    def choose(cls, device: str = "auto", precision: str = "auto") -> "DeviceContext":
        """Return the context of two options.

        Args:
            device: "auto" (a GPU if there is one), "cpu", "cuda", "cuda:1" …
            precision: "fp32", "bf16", "fp16"; "auto" is bf16 on GPUs that support it, else fp32.
                CPUs always compute in float32, so that images are the same on all of them.
        """
        found = find_device(device)
        return cls(found, find_dtype(precision, found))

    @property
    def is_gpu(self) -> bool:
        """Whether the device is a GPU."""
        return self.device.type == "cuda"

    def place(self, network: nn.Module) -> None:
        """Move a network here, in place, with channels-last kernels like its feature maps.

        GPUs' tensor cores need that. On CPUs, kernels in the other layout would be reordered in
        every call, which takes longer than one image's arithmetic.
        """
        move: Any = network.to
        move(self.device, memory_format=torch.channels_last)

    def fetch(self, pixels: Tensor) -> npt.NDArray[np.uint8]:
        """Return pixels as an array; from a GPU through pinned memory."""
        if self.is_gpu:
            pinned = torch.empty(pixels.shape, dtype=pixels.dtype, pin_memory=True)
            pinned.copy_(pixels, non_blocking=True)
            torch.cuda.current_stream(self.device).synchronize()
            pixels = pinned
        array: npt.NDArray[np.uint8] = pixels.numpy()
        return array

    def autocast(self) -> AbstractContextManager[object]:
        """Return the context manager that networks are called under."""
        if self.dtype is torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, self.dtype)

    def run(
        self, function: Function, *inputs: Tensor, use_graph: bool = True, name: str = ""
    ) -> Tensor:
        """Call a function of a batch.

        On a GPU, its kernels are recorded at the first batch of a size and replayed from then on:
        one launch instead of one per kernel. Set `use_graph` only for common calls: a graph keeps
        its memory for ever. Functions of different kernels need different names.
        """
        if not (self.is_gpu and use_graph):
            with self.autocast():
                return function(*inputs)
        key = name, tuple(x.shape for x in inputs)
        if key not in self.graphs:
            self.graphs[key] = self.record(function, inputs)
        return self.graphs[key].replay(inputs).clone()

    def record(self, function: Function, inputs: tuple[Tensor, ...]) -> CudaGraph:
        """Record a function's kernels for inputs of these shapes (torch.cuda.graph)."""
        static_inputs = tuple(x.clone() for x in inputs)
        side_stream = torch.cuda.Stream(self.device)
        side_stream.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(side_stream), self.autocast():
            for _ in range(WARM_UPS):
                function(*static_inputs)
        torch.cuda.current_stream(self.device).wait_stream(side_stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph), self.autocast():
            output = function(*static_inputs)
        return CudaGraph(graph, static_inputs, output)


def find_dtype(precision: str, device: torch.device) -> torch.dtype:
    """Return the number format of a precision option; CPUs have float32 only."""
    if precision == "auto":
        has_bf16 = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if has_bf16 else torch.float32
    if precision not in PRECISIONS:
        known = ", ".join(("auto", *PRECISIONS))
        raise ConfigError(f"The precision is {precision!r}.", f"It must be one of {known}.")
    if precision != "fp32" and device.type != "cuda":
        raise ConfigError(f"{precision} is for GPUs.", "Leave the precision at auto.")
    return PRECISIONS[precision]
