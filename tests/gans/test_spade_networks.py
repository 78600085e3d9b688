"""SPADE's and OASIS's networks: sizes to the parameter, their layers worked by hand."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  # the field's own alias

from facegan.errors import ConfigError
from facegan.gans.batch_norm import BatchNorm2d
from facegan.gans.labels import one_hot_maps
from facegan.gans.spade.blocks import GAIN, Block, Modulation, initialise
from facegan.gans.spade.discriminators import PatchDiscriminators, SegmentingDiscriminator
from facegan.gans.spade.generator import Encoder, Generator, shrink
from facegan.gans.spade.presets import PRESETS, SpadePreset

PAPER = SpadePreset(map_classes=14)
OASIS = replace(PRESETS["oasis256"], map_classes=14)
TINY = replace(PRESETS["tiny"], map_classes=3)


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def shape(side: int) -> tuple[int, int, int]:
    return (3, side, side)


def maps(count: int, side: int = 32, classes: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, classes, (count, side, side), generator=generator)


# --- sizes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "side", "count"),
    [
        ({"latent_dim": 0}, 256, 92_389_059),
        ({}, 256, 109_101_763),
        ({}, 128, 96_469_699),
        ({}, 64, 93_311_683),
        ({"width": 32}, 256, 38_017_251),
        ({"latent_dim": 0, "map_classes": 184}, 256, 97_480_899),  # COCO
        ({"latent_dim": 0, "map_classes": 151}, 256, 96_492_483),  # ADE20K
        ({"latent_dim": 0, "map_classes": 36}, 256, 93_048_003),  # Cityscapes
    ],
)
def test_the_generator_has_the_official_parameters(
    changes: dict[str, int], side: int, count: int
) -> None:
    with torch.device("meta"):
        assert parameters(Generator(replace(PAPER, **changes), shape(side))) == count


@pytest.mark.parametrize(
    ("classes", "count"),
    [(14, 5_556_354), (184, 5_904_514), (151, 5_836_930), (36, 5_601_410)],
)
def test_the_two_patch_discriminators_have_the_official_parameters(
    classes: int, count: int
) -> None:
    with torch.device("meta"):
        network = PatchDiscriminators(replace(PAPER, map_classes=classes), shape(256))
    assert parameters(network) == count


@pytest.mark.parametrize(("side", "count"), [(256, 10_463_424), (128, 8_104_128)])
def test_the_encoder_has_the_official_parameters(side: int, count: int) -> None:
    with torch.device("meta"):
        assert parameters(Encoder(PAPER, shape(side))) == count


@pytest.mark.parametrize(
    ("classes", "of_generator", "of_discriminator"),
    [(14, 70_526_915, 22_249_999), (151, 74_314_691, 22_258_904)],
)
def test_oasis_has_the_official_parameters(
    classes: int, of_generator: int, of_discriminator: int
) -> None:
    preset = replace(OASIS, map_classes=classes)
    with torch.device("meta"):
        assert parameters(Generator(preset, shape(256))) == of_generator
        assert parameters(SegmentingDiscriminator(preset, shape(256))) == of_discriminator


# --- layers -------------------------------------------------------------------------------------


def test_a_modulation_is_normalised_times_one_plus_gamma_plus_beta() -> None:
    torch.manual_seed(0)
    modulation = Modulation(channels=5, condition=3, hidden=4)
    normalised, condition = torch.randn(2, 5, 8, 8), one_hot_maps(maps(2, 8), 3)
    hidden = F.conv2d(condition, modulation.shared.weight, modulation.shared.bias, padding=1)
    gamma_beta = modulation.gamma_beta
    (weight_gamma, weight_beta), (bias_gamma, bias_beta) = (
        gamma_beta.weight.chunk(2),
        gamma_beta.bias.chunk(2),
    )
    gamma = F.conv2d(hidden.relu(), weight_gamma, bias_gamma, padding=1)
    beta = F.conv2d(hidden.relu(), weight_beta, bias_beta, padding=1)
    expected = normalised * (1 + gamma) + beta
    assert torch.allclose(modulation(normalised, condition), expected, atol=1e-6)


def test_gamma_and_beta_are_initialised_as_two_convolutions() -> None:
    torch.manual_seed(0)
    modulation = Modulation(channels=64, condition=3, hidden=128)
    modulation.apply(initialise)
    expected = GAIN * (2 / ((64 + 128) * 9)) ** 0.5  # Glorot & Bengio's equation 16, of one
    for half in modulation.gamma_beta.weight.chunk(2):
        assert half.std().item() == pytest.approx(expected, rel=0.02)


def test_a_block_that_keeps_its_width_has_no_convolution_in_its_shortcut() -> None:
    keeps, narrows = Block(8, 8, 3, 4, nn.Conv2d), Block(8, 4, 3, 4, nn.Conv2d)
    assert keeps.shortcut is None and narrows.shortcut is not None
    x, condition = torch.randn(2, 8, 8, 8), one_hot_maps(maps(2, 8), 3)
    for parameter in keeps.conv_middle.parameters():
        nn.init.zeros_(parameter)
    assert torch.equal(keeps(x, condition), x)
    assert narrows(x, condition).shape == (2, 4, 8, 8)


def test_blocks_normalise_without_parameters_of_their_own() -> None:
    norms = [m for m in Generator(TINY, shape(32)).modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms and all(isinstance(norm, BatchNorm2d) and norm.weight is None for norm in norms)


def test_a_label_map_is_shrunk_by_nearest_neighbours() -> None:
    condition = one_hot_maps(maps(2, 32), 3)
    expected = F.interpolate(condition, (8, 8), mode="nearest")
    assert torch.equal(shrink(condition, 8), expected)


# --- the generator ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"latent_dim": 0, "encoder": False},
        {"latent_at": "pixels", "encoder": False},
        {"middle_blocks": 2},
    ],
)
def test_it_makes_images_of_label_maps_and_latents(changes: dict[str, object]) -> None:
    preset = replace(TINY, **changes)  # type: ignore[arg-type]
    torch.manual_seed(0)
    generator = Generator(preset, shape(32))
    latents = torch.randn(2, preset.latent_dim) if preset.latent_dim else None
    images = generator(maps(2), latents)
    assert images.shape == (2, 3, 32, 32) and images.dtype == torch.float32
    assert images.abs().max() <= 1 and images.std() > 0
    gradients = torch.autograd.grad(images.square().sum(), list(generator.parameters()))
    assert all(gradient.isfinite().all() and gradient.abs().max() > 0 for gradient in gradients)


def test_the_label_map_and_the_latent_both_change_the_image() -> None:
    torch.manual_seed(0)
    generator = Generator(TINY, shape(32)).eval()
    one, two = torch.randn(2, 1, TINY.latent_dim)
    map_one, map_two = maps(2)[:, None]
    image = generator(map_one, one)
    assert not torch.allclose(image, generator(map_two, one), atol=1e-6)
    assert not torch.allclose(image, generator(map_one, two), atol=1e-6)


def test_a_generator_of_latents_names_their_absence() -> None:
    with pytest.raises(TypeError, match="latents"):
        Generator(TINY, shape(32))(maps(1))


@pytest.mark.parametrize("image_shape", [(3, 36, 36), (3, 32, 64), (1, 32, 32)])
def test_a_side_that_is_no_multiple_is_refused_with_those_that_are(
    image_shape: tuple[int, ...],
) -> None:
    with pytest.raises(ConfigError, match="square RGB images of 8, 16, 24"):
        Generator(TINY, image_shape)


def test_sides_that_are_no_power_of_two_work() -> None:
    generator, encoder = Generator(TINY, shape(24)), Encoder(TINY, shape(24))
    assert generator(maps(1, 24), torch.randn(1, 8)).shape == (1, 3, 24, 24)
    assert encoder(torch.randn(1, 3, 24, 24))[0].shape == (1, 8)


def test_an_encoder_without_latents_at_the_start_is_refused() -> None:
    for changes in ({"latent_dim": 0}, {"latent_at": "pixels"}):
        with pytest.raises(ConfigError, match="encoder"):
            replace(TINY, **changes)  # type: ignore[arg-type]


# --- the encoder --------------------------------------------------------------------------------


def test_in_eval_mode_the_encoder_gives_the_mean_alone() -> None:
    torch.manual_seed(0)
    encoder = Encoder(TINY, shape(32))
    images = torch.randn(3, 3, 32, 32)
    mean, log_variance = encoder(images)
    assert mean.shape == log_variance.shape == (3, TINY.latent_dim)
    assert encoder.eval()(images).shape == (3, TINY.latent_dim)


def test_images_above_256_px_are_reduced_for_the_encoder() -> None:
    preset = replace(TINY, doublings=3)
    with torch.device("meta"):
        encoder = Encoder(preset, shape(512))
        assert encoder(torch.empty(1, 3, 512, 512))[0].shape == (1, preset.latent_dim)
        assert parameters(encoder) == parameters(Encoder(preset, shape(256)))


# --- the discriminators -------------------------------------------------------------------------


def test_patch_discriminators_have_the_papers_verdicts_at_256_px() -> None:
    preset = replace(PAPER, map_classes=3)
    with torch.device("meta"):
        discriminator = PatchDiscriminators(preset, shape(256))
        features = discriminator(torch.empty(1, 3, 256, 256), torch.empty(1, 3, 256, 256))
    assert [scale[-1].shape[2:] for scale in features] == [(35, 35), (19, 19)]
    assert [len(scale) for scale in features] == [5, 5]


def test_patch_discriminators_see_the_label_map() -> None:
    torch.manual_seed(0)
    discriminator = PatchDiscriminators(TINY, shape(32))
    images, (one, two) = torch.randn(1, 3, 32, 32), one_hot_maps(maps(2), 3)[:, None]
    assert not torch.equal(discriminator(images, one)[0][-1], discriminator(images, two)[0][-1])


@pytest.mark.parametrize("side", [32, 48])
def test_the_segmenting_discriminator_has_a_logit_for_each_class_and_for_fake(side: int) -> None:
    preset = replace(TINY, discriminator="segmenting")
    label_maps = one_hot_maps(maps(2, side), 3)
    discriminator = SegmentingDiscriminator(preset, shape(side))
    logits, returned = discriminator(torch.randn(2, 3, side, side), label_maps)
    assert logits.shape == (2, preset.map_classes + 1, side, side)
    assert returned is label_maps
