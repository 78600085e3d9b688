"""torch's flags for GPUs, tested without one."""

import pytest
import torch

from facegan.training import precision

CUDNN, MATMUL = torch.backends.cudnn, torch.backends.cuda.matmul


def test_float32_on_a_gpu_is_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    before = CUDNN.allow_tf32, MATMUL.allow_tf32
    chosen: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    precision.prepare_device(torch.device("cpu"))
    assert (chosen, CUDNN.allow_tf32, MATMUL.allow_tf32) == ([], *before)
    try:
        precision.prepare_device(torch.device("cuda:1"))
        assert (CUDNN.allow_tf32, MATMUL.allow_tf32) == (False, False)
    finally:
        CUDNN.allow_tf32, MATMUL.allow_tf32 = before
    assert chosen == [torch.device("cuda:1")]


def test_cudnn_times_its_algorithms_within_steps_only() -> None:
    assert not CUDNN.benchmark
    with precision.fixed_shapes():
        assert CUDNN.benchmark
    assert not CUDNN.benchmark
    with pytest.raises(ZeroDivisionError), precision.fixed_shapes():
        _ = 1 / 0
    assert not CUDNN.benchmark


def test_cudnn_is_not_timed_if_deterministic(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(CUDNN, "deterministic", True)
    with precision.fixed_shapes():
        assert not CUDNN.benchmark
