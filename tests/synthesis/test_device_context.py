"""Devices and precisions: what is refused, and what only a GPU can test."""

import pytest
import torch

from facegan.artifact import Artifact
from facegan.errors import ConfigError
from facegan.synthesis import Synthesizer
from facegan.synthesis.device_context import DeviceContext
from facegan.synthesis.torch_backend import TorchBackend

NO_GPU = not torch.cuda.is_available()


def test_a_cpu_computes_in_float32() -> None:
    context = DeviceContext.choose("cpu")
    assert (context.device.type, context.dtype) == ("cpu", torch.float32)


@pytest.mark.parametrize(
    ("device", "precision", "message"),
    [
        ("cuda:99", "auto", "'cuda:99' cannot be used here"),
        ("tpu9", "auto", "'tpu9' cannot be used here"),
        ("cpu", "bf16", "bf16 is for GPUs"),
        ("cpu", "fp8", "one of auto, fp32, bf16, fp16"),
    ],
)
def test_a_missing_device_is_refused(device: str, precision: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        DeviceContext.choose(device, precision)


@pytest.mark.skipif(NO_GPU, reason="there is no GPU here")
def test_a_gpu_generates_the_cpus_images_within_a_few_levels(artifact: Artifact) -> None:
    """Recorded, replayed, in half precision: still the same images."""
    expected = Synthesizer(artifact).generate(range(16)).astype(int)
    for precision in ("fp32", "bf16", "fp16"):
        gpu = Synthesizer(TorchBackend(artifact, DeviceContext.choose("cuda", precision)))
        for _ in range(2):  # the second is replayed
            drawn = gpu.generate(range(16)).astype(int)
            assert abs(drawn - expected).max() <= (1 if precision == "fp32" else 16)


def test_kernels_are_channels_last_like_feature_maps(artifact: Artifact) -> None:
    """On two cores one image took two and a half times as long with kernels of the other layout."""
    DeviceContext.choose("cpu").place(artifact.generator)
    kernels = [weight for weight in artifact.generator.parameters() if weight.ndim == 4]
    assert kernels
    assert all(kernel.is_contiguous(memory_format=torch.channels_last) for kernel in kernels)
