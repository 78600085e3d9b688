"""Where a model computes: what is refused, and what only a GPU can show."""

import pytest
import torch

from facegan.artifact import Artifact
from facegan.errors import ConfigError
from facegan.synthesis import Synthesizer
from facegan.synthesis.device_context import DeviceContext
from facegan.synthesis.torch_backend import TorchBackend

NO_GPU = not torch.cuda.is_available()


def test_a_processor_computes_in_float32() -> None:
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
def test_what_is_not_there_is_refused(device: str, precision: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        DeviceContext.choose(device, precision)


@pytest.mark.skipif(NO_GPU, reason="there is no GPU here")
def test_a_gpu_draws_the_processors_faces_to_a_few_levels(artifact: Artifact) -> None:
    """Recorded, replayed, in half precision: still the same faces."""
    expected = Synthesizer(artifact).generate(range(16)).astype(int)
    for precision in ("fp32", "bf16", "fp16"):
        gpu = Synthesizer(TorchBackend(artifact, DeviceContext.choose("cuda", precision)))
        for _ in range(2):  # the second is replayed
            drawn = gpu.generate(range(16)).astype(int)
            assert abs(drawn - expected).max() <= (1 if precision == "fp32" else 16)


def test_a_networks_kernels_lie_in_memory_as_its_maps_do(artifact: Artifact) -> None:
    """On two cores one image took two and a half times as long with kernels of the other layout."""
    DeviceContext.choose("cpu").place(artifact.generator)
    kernels = [weight for weight in artifact.generator.parameters() if weight.ndim == 4]
    assert kernels
    assert all(kernel.is_contiguous(memory_format=torch.channels_last) for kernel in kernels)
