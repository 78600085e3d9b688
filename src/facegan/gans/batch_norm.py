"""Batch norm over a whole batch, wherever its rows are, so that processes change nothing.

torch's SyncBatchNorm runs on GPUs only. This one is torch's BatchNorm2d in every way while a
process is alone or does not train; among several, their statistics are combined, and so are the
gradients that flow back through them.
"""

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F  # noqa: N812  # the field's own alias

from facegan.gans import data_parallel


class BatchNorm2d(nn.BatchNorm2d):
    """(N, C, H, W) → the same, of mean 0 and variance 1 over all processes' N, H and W."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels)

    def forward(self, x: Tensor) -> Tensor:
        whole = data_parallel.is_whole_batch() or data_parallel.current_slice().size == 1
        if whole or not self.training:
            return super().forward(x)
        moments = whole_moments(x)
        self.follow(moments, data_parallel.global_count(x.numel() // x.shape[1]))
        arguments = self.weight, self.bias, moments, self.eps
        return cast(Tensor, Normalise.apply(x, *arguments))  # type: ignore[no-untyped-call]

    def follow(self, moments: Tensor, count: int) -> None:
        """Move the running statistics; that of the variance is unbiased, as torch's is."""
        momentum = cast(float, self.momentum)
        cast(Tensor, self.num_batches_tracked).add_(1)
        cast(Tensor, self.running_mean).lerp_(moments[0], momentum)
        cast(Tensor, self.running_var).lerp_(moments[1] * (count / (count - 1)), momentum)


def whole_moments(x: Tensor) -> Tensor:
    """Mean and biased variance of each channel over all processes, (2, C), in float32.

    Parts of one size: their variances' mean, and the variance of their means.
    """
    nothing = torch.zeros(x.shape[1], device=x.device)  # given, they make the result float32
    own = torch.batch_norm_update_stats(x.detach(), nothing, nothing.clone(), 0.0)
    means, variances = data_parallel.all_gather(torch.stack(own)).unbind(1)  # (processes, C)
    return torch.stack([means.mean(0), variances.mean(0) + means.var(0, unbiased=False)])


class Normalise(torch.autograd.Function):
    """(x - mean) / sqrt(variance + eps) * weight + bias, derived through mean and variance too.

    With x̂ the normalised x and g the gradient of the result, that of x is
    weight / sqrt(variance + eps) * (g - E[g] - x̂ E[g x̂]) (arXiv:1502.03167, section 3), the
    expectations over the whole batch. torch's kernels give the first term, and both sums over the
    own rows; the rest is linear in x̂, and so again a batch norm with other weights.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, moments: Tensor, eps: float
    ) -> Tensor:
        ctx.save_for_backward(x, weight, moments)
        ctx.eps, ctx.share = eps, data_parallel.current_slice()
        return F.batch_norm(x, moments[0], moments[1], weight, bias, False, 0.0, eps)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, (mean, variance) = ctx.saved_tensors
        own, of_weight, of_bias = torch.ops.aten.native_batch_norm_backward(
            gradient, x, weight, mean, variance, None, None, False, ctx.eps, [True, True, True]
        )
        with data_parallel.use_slice(ctx.share):  # backward may run in a thread of its own
            sums = data_parallel.mean_over_processes(torch.stack([of_weight, of_bias]))
        scale = weight * (variance + ctx.eps).rsqrt() / (x.numel() // x.shape[1])
        through = -scale * sums
        own += F.batch_norm(x, mean, variance, through[0], through[1], False, 0.0, ctx.eps)
        return own, of_weight, of_bias, None, None
