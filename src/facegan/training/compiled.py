"""torch.compile for the players, in those phases that it can derive."""

import shutil
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import nn

from facegan.errors import ConfigError
from facegan.gans import Phase

# The hyperparameter's values → torch.compile's modes. CUDA graphs are recorded by the second.
MODES = {"on": "default", "cuda-graphs": "reduce-overhead"}
COMPILERS = ("g++", "clang++", "c++")


class Compiled:
    """Compiles players in place; their names in a checkpoint stay as they are.

    Compiled functions have no second derivatives, so a phase that needs them (a gradient penalty)
    runs as written.

    Args:
        wish: "off", "on", or "cuda-graphs".
        players: The networks.
        device: Where they compute.

    Raises:
        ConfigError: there is no compiler here, or CUDA graphs are asked for without CUDA.
    """

    def __init__(self, wish: str, players: Iterable[nn.Module], device: torch.device) -> None:
        self.mode = MODES.get(wish)
        if self.mode is None:
            return
        if wish == "cuda-graphs" and device.type != "cuda":
            raise ConfigError("CUDA graphs need a CUDA device.", "Use --compile on, or off.")
        if device.type == "cpu" and not any(map(shutil.which, COMPILERS)):
            raise ConfigError(
                "--compile needs a C++ compiler, and none is here.",
                "Install g++ (apt-get install g++), or leave --compile off.",
            )
        for player in players:
            player.compile(mode=self.mode)

    def begin_step(self) -> None:
        """Tell CUDA graphs that the memory of the step before may be used again."""
        if self.mode == "reduce-overhead":
            torch.compiler.cudagraph_mark_step_begin()

    def during(self, phase: Phase) -> AbstractContextManager[object]:
        """What a phase's losses are computed under."""
        if self.mode is None or not phase.second_order:
            return nullcontext()
        eager: AbstractContextManager[object] = torch.compiler.set_stance("force_eager")
        return eager
