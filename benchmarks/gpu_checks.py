"""The checks of bench_gpu.py: what each one measures, for how long at most, and in which process.

A check is a generator function that yields ``(cell, value)`` pairs. It runs in a process of its
own, so that one that hangs, dies or fills the GPU's memory takes none of the others with it.
Nothing here imports torch: the functions are named by ``module:function`` and found in that
process.
"""

import importlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

from facegan.errors import FaceGANError, first_line

NOT_RUN, FAILED = "not run: ", "failed: "
MODULES = ("gpu_machine", "gpu_precision", "gpu_serving", "gpu_steps")
GRACE = 5.0  # seconds from SIGTERM to SIGKILL

Cells = dict[str, Any]


@dataclass(frozen=True)
class Network:
    """A preset at a resolution, and where it computes."""

    family: str
    preset: str
    side: int
    batch: int  # the recipe's
    device: str = "cuda"
    numbers: dict[str, Any] = field(default_factory=dict)  # that are not the preset's

    @property
    def name(self) -> str:
        """Family and preset."""
        return f"{self.family} {self.preset}"

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(3, H, W)."""
        return 3, self.side, self.side


@dataclass(frozen=True)
class Check:
    """One check.

    Attributes:
        name: Its key in the last line.
        function: ``module:function``; called with the options and the cells of the checks before.
        cells: What it measures; each has a value or a reason in the end.
        seconds: The most it may take.
        options: Further arguments of the function.
    """

    name: str
    function: str
    cells: tuple[str, ...]
    seconds: float
    options: dict[str, Any] = field(default_factory=dict)


PAPER = (  # in the order in which their figures are wanted
    Network("r3gan", "paper64", 64, 256),
    Network("stylegan2", "paper64", 64, 32),
    Network("r3gan", "paper32", 32, 512),
    Network("r3gan", "paper256", 256, 256),
    Network("stylegan2", "paper256", 256, 16),
    Network("stylegan2", "paper32", 32, 32),
    Network("stylegan2", "paper128", 128, 32),
)
OFTEN = {"r1_interval": 2, "path_length_interval": 2}  # a period of 2 steps in place of 16
TINY = (
    Network("r3gan", "tiny", 8, 8, "cpu"),
    Network("stylegan2", "tiny", 8, 8, "cpu", OFTEN),
)
TINY_COMPILED = (Network("dcgan", "tiny", 8, 8, "cpu"),)  # the others take a minute each

MACHINE = ("device", "devices", "memory_gib", "torch", "cuda", "cudnn", "compiler")
# Of R3GAN's two phases: terms of the losses, and gradients of both players.
PRECISION = (
    "images",
    "fakes",
    "term_discriminator",
    "term_r1",
    "term_r2",
    "gradient_discriminator",
    "term_generator",
    "gradient_generator",
)
SERVED = (
    "p50_ms_one_image",
    "images_per_second",
    "graph_difference",
    "cpu_levels_fp32",
    "cpu_levels",
    "cpu_unequal_share",
)
STEPS = ("micro_batch", "measured_batch", "images_per_second", "peak_gib")
# Of a step, one at a time.
CHANGES = ("without_cudnn_benchmark", "with_contiguous_weights")
R3GAN_CHANGES = (*CHANGES, "with_torch_derivatives")
COMPILED = (
    "images_per_second_compiled",
    "first_step_seconds_compiled",
    "peak_gib_compiled",
    "images_per_second_cuda_graphs",
    "first_step_seconds_cuda_graphs",
    "peak_gib_cuda_graphs",
)
PROCESSES = ("images_per_second_one", "images_per_second_two", "ratio")


def list_checks(is_dry: bool) -> list[Check]:
    """Return the checks in their order: the quickest first, compilers last.

    A dry run may share its CPU with others, so none of its checks has a shorter limit than 150 s.
    """
    networks, compiled = (TINY, TINY_COMPILED) if is_dry else (PAPER, PAPER)
    r3gan, stylegan2, *_ = networks
    seconds = 0.3 if is_dry else 4.0  # for one figure
    images = 8 if is_dry else 64
    shared = {"steps": 7 if is_dry else 12, "batch": 8 if is_dry else 64}
    checks = [
        Check("machine", "gpu_machine:describe", MACHINE, 30, {"device": r3gan.device}),
        Check("bf16 against float32", "gpu_precision:compare", PRECISION, 60,
              {"network": r3gan, "images": images}),
        *(Check(f"served {network.name}", "gpu_serving:measure", SERVED, 45,
                {"network": network, "seconds": seconds}) for network in (r3gan, stylegan2)),
        *(check_steps(network, seconds) for network in networks),
        Check("two processes", "gpu_machine:share", PROCESSES, 60,
              {"network": r3gan, **shared}),
        *(Check(f"compiled {network.name}", "gpu_steps:measure_compiled", COMPILED, 150,
                {"network": network, "seconds": seconds}) for network in compiled),
    ]  # fmt: skip
    return [replace(check, seconds=150) for check in checks] if is_dry else checks


def check_steps(network: Network, seconds: float) -> Check:
    """Return the check of a network's training step."""
    changes = R3GAN_CHANGES if network.family == "r3gan" else CHANGES
    cells = (*STEPS, *(f"images_per_second_{name}" for name in changes))
    options = {"network": network, "seconds": seconds, "changes": changes}
    return Check(f"steps {network.name}", "gpu_steps:measure", cells, 60, options)


def run_check(
    check: Check, seconds: float, earlier: dict[str, Cells], on_cell: Callable[[str, Any], None]
) -> None:
    """Run a check in a process of its own, and report every cell, measured or not.

    Args:
        check: Which.
        seconds: The most it may take now.
        earlier: The cells of the checks before it.
        on_cell: Called with each cell's name and value as soon as it is there.

    Raises:
        KeyboardInterrupt: the benchmark was stopped; the process has ended.
    """
    context = get_context("forkserver")
    context.set_forkserver_preload(list(MODULES))  # torch is imported once, CUDA is not begun
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=perform, args=(check, earlier, sender))
    deadline = time.monotonic() + seconds
    left, reason = list(check.cells), f"{NOT_RUN}its {seconds:.0f} s were over"
    process.start()
    sender.close()
    try:
        while receiver.poll(max(0.0, deadline - time.monotonic())):
            cell, value = receiver.recv()
            if cell is None:
                reason = value
                break
            left.remove(cell)
            on_cell(cell, value)
    except EOFError:
        process.join(GRACE)
        reason = f"{FAILED}its process ended with exit code {process.exitcode}"
    finally:
        end(process)
    for cell in left:
        on_cell(cell, reason)


def perform(check: Check, earlier: dict[str, Cells], sender: Connection) -> None:
    """Run a check here, in its own process; send its cells, then None and why it ended."""
    os.setsid()  # what it starts ends with it, and Ctrl-C is for the first process alone
    try:
        for cell in find_function(check.function)(earlier, **check.options):
            sender.send(cell)
        reason = f"{FAILED}the check left it out"
    except Exception as error:
        reason = describe_failure(error)
    sender.send((None, reason))


def find_function(name: str) -> Callable[..., Iterator[tuple[str, Any]]]:
    """Return the function that ``module:function`` names."""
    module, function = name.split(":")
    found: Callable[..., Iterator[tuple[str, Any]]] = getattr(
        importlib.import_module(module), function
    )
    return found


def describe_failure(error: Exception) -> str:
    """Return why a cell has no value: what facegan refuses is no failure, nor is a full GPU."""
    if type(error).__name__ == "OutOfMemoryError":
        return f"{NOT_RUN}out of GPU memory"
    if isinstance(error, FaceGANError):
        return f"{NOT_RUN}{error.message}"
    return f"{FAILED}{type(error).__name__}: {first_line(error)}"


def end(process: Any) -> None:
    """End a check's process and all that it has started: gently, then by force."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):  # the group is gone, or not there yet
            os.killpg(process.pid, number)
        process.join(GRACE)
    process.kill()
