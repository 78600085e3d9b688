"""CycleGAN's own claims: the official networks' sizes, its losses by hand."""

import pytest
import torch
from torch import Tensor, nn

from facegan.errors import ConfigError
from facegan.gans import FAMILIES, Batch, Gan, build_gan
from facegan.gans.cyclegan.loss import discriminators_loss, generators_loss
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
    with pytest.raises(ConfigError, match=f"{size}.*square RGB.*images of 4, 8, 16, 32"):
        Generator(CycleganPreset(), shape)


# --- losses -------------------------------------------------------------------------------------


class Times(nn.Module):
    """A generator that multiplies its images by a number."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(factor))

    def forward(self, images: Tensor) -> Tensor:
        return images * self.factor


class Sum(nn.Module):
    """A discriminator with one patch, the sum of an image, and a pool that counts its calls."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = self

    def exchange(self, fakes: Tensor, generator: torch.Generator) -> Tensor:
        return fakes + 1  # so that it shows which fakes were judged

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1).sum(1)[:, None, None]


def by_hand(**changes: object) -> Gan:
    """Return a GAN whose A to B doubles and whose B to A multiplies by a quarter."""
    family = FAMILIES["cyclegan"]
    preset = family.presets["toy32"].replaced({"identity_weight": 0.5, **changes})
    players = {"AtoB": Times(2.0), "BtoA": Times(0.25)}
    players |= {"discriminator_A": Sum(), "discriminator_B": Sum()}
    return Gan(family, "toy32", preset, (1, 1, 1), players)


def two_images() -> Batch:
    """Return 0.5 of A, and 0.8 of B."""
    a, b = (torch.full((1, 1, 1, 1), value) for value in (0.5, 0.8))
    return {"reals": a, "unpaired": b, "generator": torch.Generator()}


def test_the_generators_terms_worked_by_hand() -> None:
    """Fakes: B 1.0, A 0.2; there and back: A 0.25, B 0.4; kept: A 0.125, B 1.6."""
    batch = two_images()
    terms = generators_loss(by_hand(), batch)
    assert terms["generator"].item() == pytest.approx((0.2 - 1) ** 2 + (1.0 - 1) ** 2)
    assert terms["cycle"].item() == pytest.approx(10 * (0.25 + 0.4))
    assert terms["identity"].item() == pytest.approx(5 * (0.375 + 0.8))
    assert batch["fakes_A"].item() == pytest.approx(0.2) and not batch["fakes_A"].requires_grad


def test_the_discriminators_terms_are_halved_and_use_the_pools_fakes() -> None:
    """Reals 0.5 and 0.8; fakes of the pools 1.2 and 2.0."""
    gan, batch = by_hand(), two_images()
    generators_loss(gan, batch)
    terms = discriminators_loss(gan, batch)
    assert terms["reals"].item() == pytest.approx((0.5**2 + 0.2**2) / 2)
    assert terms["fakes"].item() == pytest.approx((1.2**2 + 2.0**2) / 2)
    torch.testing.assert_close(batch["real_logits"], torch.tensor([[0.0, 0.3]]))
    torch.testing.assert_close(batch["fake_logits"], torch.tensor([[0.7, 1.5]]))


def test_one_backward_pass_gives_both_generators_their_gradients() -> None:
    gan, batch = by_hand(), two_images()
    torch.stack(list(generators_loss(gan, batch).values())).sum().backward()
    assert all(gan.players[name].factor.grad.abs() > 0 for name in ("AtoB", "BtoA"))
    (first, second) = gan.family.phases(gan.preset)
    assert first.players == gan.family.generators == ("AtoB", "BtoA")
    assert second.players == gan.family.discriminators


def test_jitter_moves_both_domains_and_the_discriminators_see_the_same() -> None:
    gan = build_gan("cyclegan", "tiny", (3, 16, 16), seed=0, jitter=True)
    torch.manual_seed(0)
    shape = 8, 3, 16, 16
    batch = {
        "reals": torch.rand(shape),
        "unpaired": torch.rand(shape),
        "generator": torch.Generator(),
    }
    generators_loss(gan, batch)
    assert not torch.equal(batch["reals_A"], batch["reals"])
    assert not torch.equal(batch["reals_B"], batch["unpaired"])
    seen: list[Tensor] = []
    gan.players["discriminator_B"].register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    discriminators_loss(gan, batch)
    assert torch.equal(seen[0], batch["reals_B"])


def test_without_identity_weight_its_passes_are_left_out() -> None:
    calls = []
    gan = by_hand(identity_weight=0)
    for name in ("AtoB", "BtoA"):
        gan.players[name].register_forward_hook(lambda *_: calls.append(1))
    assert "identity" not in generators_loss(gan, two_images()) and len(calls) == 4


def test_the_papers_recipe() -> None:
    family = FAMILIES["cyclegan"]
    for name, blocks in (("paper128", 6), ("paper256", 9)):
        preset = family.presets[name]
        assert (preset.blocks, preset.pool_size, preset.patch_halvings) == (blocks, 50, 3)
        assert (preset.cycle_weight, preset.identity_weight) == (10, 0.5)
        assert preset.recipe["batch_size"] == 1 and preset.recipe["mirror"] and preset.jitter
        for adam in family.optimizers(preset, 150.0).values():  # half of the second half
            assert (adam.learning_rate, adam.beta1, adam.beta2) == (1e-4, 0.5, 0.999)


def test_micro_batches_are_refused_with_a_pool_or_batch_norm_and_exact_without() -> None:
    family = FAMILIES["cyclegan"]
    preset = family.presets["tiny"].replaced({"pool_size": 0})
    assert not family.needs_whole_batch(preset)
    assert "pool_size" in family.needs_whole_batch(preset.replaced({"pool_size": 5}))
    assert "batch norm" in family.needs_whole_batch(preset.replaced({"norm": "batch"}))


@pytest.mark.parametrize(
    ("side", "changes", "message"),
    [
        (4, {}, "cannot pad images of 4 px.*at least 8"),
        (16, {"patch_halvings": 3}, "16 px 3 times.*patch_halvings to 2"),
        (32, {"kernel": 4}, "kernel is 4.*odd"),
    ],
)
def test_sizes_that_do_not_fit_are_refused_with_the_fix(
    side: int, changes: dict, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        build_gan("cyclegan", "tiny", (3, side, side), **changes)
