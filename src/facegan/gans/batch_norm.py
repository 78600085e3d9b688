"""Batch norm over the batch of all processes, so that their number does not change the result.

torch's SyncBatchNorm runs on GPUs only. In a single process, and in eval mode, this one is torch's
BatchNorm2d. Several processes combine their statistics, and the gradients through them.
"""

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F  # noqa: N812  # the field's own alias

from facegan.gans import data_parallel


class BatchNorm2d(nn.BatchNorm2d):
    """Normalises (N, C, H, W) to mean 0 and variance 1 over N, H and W of all processes.

    Without `affine` it has no weight and bias, as in arXiv:1903.07291.
    """

    def __init__(self, channels: int, affine: bool = True) -> None:
        super().__init__(channels, affine=affine)

    def forward(self, x: Tensor) -> Tensor:
        whole = data_parallel.is_whole_batch() or data_parallel.current_slice().size == 1
        if whole or not self.training:
            return super().forward(x)
        moments = global_moments(x)
        self.update_running_stats(moments, data_parallel.global_count(x.numel() // x.shape[1]))
        affine: tuple[Tensor, Tensor] = self.weight, self.bias
        if not self.affine:
            affine = torch.ones_like(moments[0]), torch.zeros_like(moments[0])
        arguments = *affine, moments, self.eps
        return cast(Tensor, Normalise.apply(x, *arguments))  # type: ignore[no-untyped-call]

    def update_running_stats(self, moments: Tensor, count: int) -> None:
        """Update the running statistics; the variance is unbiased there, as in torch."""
        momentum = cast(float, self.momentum)
        cast(Tensor, self.num_batches_tracked).add_(1)
        cast(Tensor, self.running_mean).lerp_(moments[0], momentum)
        cast(Tensor, self.running_var).lerp_(moments[1] * (count / (count - 1)), momentum)


def global_moments(x: Tensor) -> Tensor:
    """Return mean and biased variance of each channel over all processes, (2, C), in float32.

    Every process has equally many rows, so the variance is the mean of the processes' variances
    plus the variance of their means.
    """
    zeros = torch.zeros(x.shape[1], device=x.device)  # float32 statistics make the result float32
    own = torch.batch_norm_update_stats(x.detach(), zeros, zeros.clone(), 0.0)
    means, variances = data_parallel.all_gather(torch.stack(own)).unbind(1)  # (processes, C)
    return torch.stack([means.mean(0), variances.mean(0) + means.var(0, unbiased=False)])


class Normalise(torch.autograd.Function):
    """(x - mean) / sqrt(variance + eps) * weight + bias, differentiated through the moments too.

    With x̂ the normalised x and g the gradient of the result, the gradient of x is
    weight / sqrt(variance + eps) * (g - E[g] - x̂ E[g x̂]) (arXiv:1502.03167, section 3), with
    expectations over the whole batch. torch's kernel computes the first term, and both sums over
    this process's rows. The rest is linear in x̂: a batch norm with other weights.
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
        with data_parallel.use_slice(ctx.share):  # backward may run in another thread
            sums = data_parallel.mean_over_processes(torch.stack([of_weight, of_bias]))
        scale = weight * (variance + ctx.eps).rsqrt() / (x.numel() // x.shape[1])
        through = -scale * sums
        own += F.batch_norm(x, mean, variance, through[0], through[1], False, 0.0, ctx.eps)
        return own, of_weight, of_bias, None, None
