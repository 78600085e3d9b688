"""Builds a network whose weights are about to be read from a file, without drawing them first."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

DRAWING_INTO = {
    Tensor.normal_,
    Tensor.uniform_,
    nn.init.normal_,
    nn.init.uniform_,
    nn.init.kaiming_normal_,
    nn.init.kaiming_uniform_,
    nn.init.xavier_normal_,
    nn.init.xavier_uniform_,
    nn.init.trunc_normal_,
}


class Undrawn(TorchFunctionMode):
    """Within, weights are given memory but no random numbers.

    Drawing them takes longer than reading them. What is not drawn, such as the kernels of filters,
    is computed as ever.
    """

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        named = kwargs or {}
        if func in DRAWING_INTO:
            return args[0] if args else named["tensor"]
        return (torch.empty if func is torch.randn else func)(*args, **named)
