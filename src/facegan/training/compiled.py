"""torch.compile for the players, in the phases without second derivatives."""

import shutil
import sysconfig
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import nn

from facegan.errors import ConfigError
from facegan.gans import Phase

# The hyperparameter's values → torch.compile's modes. CUDA graphs are recorded by the second.
MODES = {"on": "default", "cuda-graphs": "reduce-overhead"}
CPP_COMPILERS = ("g++", "clang++", "c++")  # for a CPU: torch writes C++
C_COMPILERS = ("gcc", "clang")  # for a GPU: Triton writes the code that starts its kernels in C


class Compiled:
    """Compiles players in place; their names in a checkpoint stay as they are.

    Compiled functions have no second derivatives, so a phase that needs them (a gradient penalty)
    runs as written: stylegan2's R1 and path lengths, and r3gan's whole discriminator update.

    Args:
        setting: "off", "on", or "cuda-graphs".
        players: The networks.
        device: Their device.

    Raises:
        ConfigError: a compiler is missing, or CUDA graphs are set without CUDA.
    """

    def __init__(self, setting: str, players: Iterable[nn.Module], device: torch.device) -> None:
        self.mode = MODES.get(setting)
        if self.mode is None:
            return
        if setting == "cuda-graphs" and device.type != "cuda":
            raise ConfigError("CUDA graphs need a CUDA device.", "Use --compile on, or off.")
        check_compilers(device)
        for player in players:
            player.compile(mode=self.mode)
            synthesis = getattr(player, "synthesis", None)  # called on its own where styles mix
            if isinstance(synthesis, nn.Module):
                synthesis.compile(mode=self.mode)

    def begin_step(self) -> None:
        """Let CUDA graphs reuse the memory of the previous step."""
        if self.mode == "reduce-overhead":
            torch.compiler.cudagraph_mark_step_begin()

    def during(self, phase: Phase) -> AbstractContextManager[object]:
        """Return the context to compute a phase's losses in: eager for second derivatives."""
        if self.mode is None or not phase.second_order:
            return nullcontext()
        eager: AbstractContextManager[object] = torch.compiler.set_stance("force_eager")
        return eager


def check_compilers(device: torch.device) -> None:
    """Raise ConfigError if a compiler is missing, rather than fail in the first step."""
    if device.type == "cpu" and not any(map(shutil.which, CPP_COMPILERS)):
        raise ConfigError(
            "--compile on a CPU needs a C++ compiler, and none was found.",
            "Install g++ (apt-get install g++), or leave --compile off.",
        )
    if device.type != "cuda":
        return
    if find_spec("triton") is None:
        raise ConfigError(
            "--compile on a GPU needs Triton, and it is not installed.",
            "Install triton (pip install triton; Linux only), or leave --compile off.",
        )
    if not any(map(shutil.which, C_COMPILERS)):
        raise ConfigError(
            "--compile on a GPU needs a C compiler, and neither gcc nor clang was found.",
            "Install gcc (apt-get install gcc libc6-dev), or leave --compile off.",
        )
    headers = Path(sysconfig.get_path("include"))
    if not (headers / "Python.h").is_file():
        raise ConfigError(
            f"--compile on a GPU needs Python's headers, and {headers} has no Python.h.",
            "Install them (apt-get install python3-dev), or leave --compile off.",
        )
