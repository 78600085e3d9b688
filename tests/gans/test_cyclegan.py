"""CycleGAN's own claims: the official networks' sizes, its losses by hand."""

import pytest
import torch
from torch import nn

from facegan.errors import ConfigError
from facegan.gans.cyclegan.networks import Discriminator, Generator
from facegan.gans.cyclegan.presets import CycleganPreset


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("blocks", "norm", "count"),
    [
        (9, "instance", 11_378_179),
        (9, "batch", 11_383_427),
        (6, "instance", 7_837_699),
        (6, "batch", 7_841_411),
    ],
)
def test_generators_count_as_the_official_ones(blocks: int, norm: str, count: int) -> None:
    preset = CycleganPreset(blocks=blocks, norm=norm, resampling="paper")
    with torch.device("meta"):
        assert parameters(Generator(preset, (3, 256, 256))) == count
        assert parameters(Discriminator(preset, (3, 256, 256))) == (
            2_764_737 if norm == "instance" else 2_764_737 - 896 + 2 * 896
        )


def test_weights_start_from_the_papers_normal_distribution() -> None:
    """N(0, 0.02) (arXiv:1703.10593, section 4)."""
    generator = Generator(CycleganPreset(width=32, blocks=2), (3, 32, 32))
    weights = torch.cat([p.flatten() for p in generator.parameters() if p.ndim == 4])
    assert weights.std().item() == pytest.approx(0.02, rel=0.01)
    assert all(not p.any() for p in generator.parameters() if p.ndim == 1)


@pytest.mark.parametrize("resampling", ["paper", "smooth"])
@pytest.mark.parametrize("norm", ["instance", "own", "batch"])
def test_images_have_their_sources_shape_and_every_layer_gradients(
    resampling: str, norm: str
) -> None:
    preset = CycleganPreset(width=4, blocks=2, norm=norm, resampling=resampling)
    generator = Generator(preset, (3, 32, 32))
    images = generator(torch.randn(2, 3, 32, 32))
    assert images.shape == (2, 3, 32, 32) and images.abs().max() <= 1
    images.square().sum().backward()
    for name, weight in generator.named_parameters():
        if weight.ndim == 4:  # a bias before a norm has no effect
            assert weight.grad.abs().max() > 0, name


def test_a_generator_is_convolutional_throughout() -> None:
    """Built for one side, it takes other multiples of 4 too."""
    generator = Generator(CycleganPreset(width=4, blocks=1), (3, 32, 32)).eval()
    assert generator(torch.randn(1, 3, 44, 60)).shape == (1, 3, 44, 60)


@pytest.mark.parametrize("shape", [(3, 34, 34), (3, 32, 64), (1, 32, 32), (3, 33, 33)])
def test_sides_that_a_resnet_cannot_take_are_named(shape: tuple[int, ...]) -> None:
    size = f"{shape[2]}x{shape[1]}"
    with pytest.raises(ConfigError, match=f"{size}.*square RGB.*multiple of 4: 4, 8, 12"):
        Generator(CycleganPreset(), shape)
