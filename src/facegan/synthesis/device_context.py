"""Where and in which number format a generator computes; on GPUs, recorded once and replayed."""

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

Draw = Callable[..., Tensor]


@dataclass(frozen=True)
class CudaGraph:
    """A CUDA graph and the memory that it reads and writes."""

    graph: Any  # torch.cuda.CUDAGraph
    inputs: tuple[Tensor, ...]
    output: Tensor

    def replay(self, inputs: tuple[Tensor, ...]) -> Tensor:
        """Run it on other inputs of the same shapes; the output is overwritten by the next run."""
        for place, value in zip(self.inputs, inputs, strict=True):
            place.copy_(value, non_blocking=True)
        self.graph.replay()
        return self.output


@dataclass
class DeviceContext:
    """Computes on one device; used by one thread at a time.

    Attributes:
        device: A CPU, or a GPU.
        dtype: What is computed in; weights stay float32, torch casts as it goes (autocast).
        graphs: By the shapes of their inputs, on GPUs.
    """

    device: torch.device
    dtype: torch.dtype = torch.float32
    graphs: dict[tuple[torch.Size, ...], CudaGraph] = field(default_factory=dict)

    @classmethod
    def choose(cls, device: str = "auto", precision: str = "auto") -> "DeviceContext":
        """The context of a wish.

        Args:
            device: "auto" (a GPU where there is one), "cpu", "cuda", "cuda:1" …
            precision: "fp32", "bf16", "fp16"; "auto" is bf16 on GPUs that have it, else fp32. A
                processor's faces are float32 always, so that they are the same on all of them.

        Raises:
            ConfigError: there is no such device or precision here.
        """
        place = find_device(device)
        return cls(place, dtype_of(precision, place))

    @property
    def is_gpu(self) -> bool:
        """Whether it computes on a GPU."""
        return self.device.type == "cuda"

    def place(self, network: nn.Module) -> None:
        """Move a network here, in place, its kernels channels-last as its maps are.

        GPUs' tensor cores ask for that. On processors, kernels of the other layout are put into
        order again in every call, which takes longer than one image's arithmetic.
        """
        moved: Any = network.to
        moved(self.device, memory_format=torch.channels_last)

    def fetch(self, pixels: Tensor) -> npt.NDArray[np.uint8]:
        """Pixels as an array; from a GPU into pinned memory."""
        if not self.is_gpu:
            array: npt.NDArray[np.uint8] = pixels.numpy()
            return array
        pinned = torch.empty(pixels.shape, dtype=pixels.dtype, pin_memory=True)
        pinned.copy_(pixels, non_blocking=True)
        torch.cuda.current_stream(self.device).synchronize()
        fetched: npt.NDArray[np.uint8] = pinned.numpy()
        return fetched

    def computing(self) -> AbstractContextManager[object]:
        """What networks are called under."""
        if self.dtype is torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, self.dtype)

    def run(self, function: Draw, *inputs: Tensor, is_plain: bool = True) -> Tensor:
        """What a function of rows makes of a batch.

        On a GPU it is recorded at the first batch of a size and replayed from then on: one launch
        instead of one a kernel. Only what every caller asks for is (`is_plain`): a graph keeps its
        memory for ever.
        """
        if not (self.is_gpu and is_plain):
            with self.computing():
                return function(*inputs)
        shapes = tuple(x.shape for x in inputs)
        if shapes not in self.graphs:
            self.graphs[shapes] = self.record(function, inputs)
        return self.graphs[shapes].replay(inputs).clone()

    def record(self, function: Draw, inputs: tuple[Tensor, ...]) -> CudaGraph:
        """Record a function's kernels for inputs of these shapes (torch.cuda.graph)."""
        places = tuple(x.clone() for x in inputs)
        beside = torch.cuda.Stream(self.device)
        beside.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(beside), self.computing():
            for _ in range(WARM_UPS):
                function(*places)
        torch.cuda.current_stream(self.device).wait_stream(beside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph), self.computing():
            output = function(*places)
        return CudaGraph(graph, places, output)


def dtype_of(precision: str, device: torch.device) -> torch.dtype:
    """The number format of a wish.

    Raises:
        ConfigError: it is unknown, or half precision was asked of a processor.
    """
    if precision == "auto":
        has_bf16 = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.bfloat16 if has_bf16 else torch.float32
    if precision not in PRECISIONS:
        known = ", ".join(("auto", *PRECISIONS))
        raise ConfigError(f"The precision is {precision!r}.", f"It must be one of {known}.")
    if precision != "fp32" and device.type != "cuda":
        raise ConfigError(f"{precision} is for GPUs.", "Leave the precision at auto.")
    return PRECISIONS[precision]


def use_at_most(cores: int) -> None:
    """Let this process compute with no more threads than there are cores for it."""
    torch.set_num_threads(min(torch.get_num_threads(), cores))
