"""Pix2Pix's own claims: the official networks' sizes, patches, norms, losses by hand."""

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from facegan.errors import ConfigError
from facegan.gans import FAMILIES, Batch, Gan, build_gan
from facegan.gans.data_parallel import BatchSlice, use_slice
from facegan.gans.labels import one_hot_maps
from facegan.gans.norms import make_norm
from facegan.gans.patchgan import PatchDiscriminator
from facegan.gans.pix2pix.loss import discriminator_loss, generator_loss
from facegan.gans.pix2pix.networks import Dropout, UNet
from facegan.gans.pix2pix.presets import Pix2pixPreset, count_halvings
from facegan.gans.shapes import PATCH_SIDES, check_patch_side


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def a_unet(side: int = 32, **changes: object) -> UNet:
    torch.manual_seed(0)
    return UNet(Pix2pixPreset(**{"width": 4, **changes}), (3, side, side))


# --- the U-Net ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("halvings", "channels", "norm", "count"),
    [
        (8, 3, "batch", 54_413_955),
        (8, 3, "own", 54_413_955),
        (8, 3, "instance", 54_409_603),
        (8, 1, "batch", 54_411_907),
        (8, 14, "batch", 54_425_219),
        (7, 3, "batch", 41_828_995),
        (6, 3, "batch", 29_244_035),
        (5, 3, "batch", 16_659_075),
    ],
)
def test_u_nets_count_as_the_official_ones(
    halvings: int, channels: int, norm: str, count: int
) -> None:
    classes = 0 if channels == 3 else channels
    source = "label_maps" if classes else "images"
    preset = Pix2pixPreset(
        halvings=halvings, source=source, map_classes=classes, norm=norm, resampling="paper"
    )
    with torch.device("meta"):
        assert parameters(UNet(preset, (3, 2**halvings, 2**halvings))) == count


def test_weights_start_from_the_papers_normal_distribution() -> None:
    """N(0, 0.02); norms' gains N(1, 0.02); biases 0 (arXiv:1611.07004, section 6.2)."""
    unet = a_unet(width=32, norm="batch", resampling="paper")
    weights = torch.cat([p.flatten() for p in unet.parameters() if p.ndim == 4])
    assert weights.std().item() == pytest.approx(0.02, rel=0.01)
    assert weights.mean().item() == pytest.approx(0, abs=1e-4)
    gains = torch.cat([m.weight for m in unet.modules() if isinstance(m, nn.BatchNorm2d)])
    assert gains.mean().item() == pytest.approx(1, abs=0.01)
    assert gains.std().item() == pytest.approx(0.02, rel=0.2)
    assert all(not p.any() for name, p in unet.named_parameters() if name.endswith("bias"))


@pytest.mark.parametrize("side", [8, 16, 32, 64, 256, 512])
def test_by_default_a_u_net_halves_as_often_as_the_side_allows(side: int) -> None:
    halvings = {8: 3, 16: 4, 32: 5, 64: 6, 256: 8, 512: 8}[side]
    unet = a_unet(side)
    assert count_halvings(Pix2pixPreset(), (3, side, side)) == len(unet.inwards) == halvings
    assert unet(torch.randn(2, 3, side, side)).shape == (2, 3, side, side)


@pytest.mark.parametrize(
    ("halvings", "shape", "message"),
    [
        (8, (3, 128, 128), "128x128.*U-Net of 8 halvings.* 256, 512, 1024"),
        (5, (3, 48, 48), "48x48.*images of 32, 64, 128"),
        (0, (3, 33, 33), "33x33.*square RGB images of 8, 16, 32"),
        (5, (3, 32, 64), "64x32.*square"),
        (5, (1, 32, 32), "with 1 channels.*RGB"),
    ],
)
def test_sides_that_a_u_net_cannot_take_are_named(
    halvings: int, shape: tuple[int, ...], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        UNet(Pix2pixPreset(halvings=halvings), shape)


@pytest.mark.parametrize("norm", ["batch", "instance", "own"])
@pytest.mark.parametrize("resampling", ["paper", "smooth"])
def test_every_level_and_every_way_between_them_gets_gradients(norm: str, resampling: str) -> None:
    unet = a_unet(norm=norm, resampling=resampling)
    images = unet(torch.randn(2, 3, 32, 32))
    assert images.abs().max() <= 1 and images.dtype == torch.float32
    images.square().sum().backward()
    without_effect = biases_before_instance_norms(unet)
    for name, weight in unet.named_parameters():
        assert bool(weight.grad.any()) is not any(weight is bias for bias in without_effect), name


def biases_before_instance_norms(network: nn.Module) -> list[nn.Parameter]:
    """Return the biases that a norm subtracts again, and whose gradients are 0."""
    layers = [layer for layer in network.modules() if not list(layer.children())]
    return [
        layer.bias
        for layer, after in pairwise(layers)
        if isinstance(after, nn.InstanceNorm2d) and layer.bias is not None
    ]


def test_label_maps_are_encoded_one_hot() -> None:
    unet = a_unet(source="label_maps", map_classes=5)
    maps = torch.randint(5, (2, 32, 32))
    one_hot = one_hot_maps(maps, 5)
    torch.testing.assert_close(one_hot, nn.functional.one_hot(maps, 5).permute(0, 3, 1, 2).float())
    same = a_unet(source="label_maps", map_classes=5)
    same.map_classes = 0  # takes what is encoded already
    torch.testing.assert_close(unet(maps), same(one_hot))


def test_a_source_reaches_its_image_past_the_innermost_level() -> None:
    """The connections between equal sides carry details that 1x1 maps cannot."""
    unet = a_unet(norm="batch", dropout=0.0).eval()
    source = torch.randn(1, 3, 32, 32)
    before = unet(source)
    unet.inwards[-1][1].weight.data.zero_()  # nothing comes from the innermost level now
    source[..., 16:] += 1
    assert (unet(source) - before)[..., :, 20:].abs().max() > 0


# --- norms --------------------------------------------------------------------------------------


def test_own_norms_are_batch_norm_of_one_image_also_when_served() -> None:
    """Why imported networks, trained with batches of one, are served with them."""
    batch, own = make_norm("batch", 3), make_norm("own", 3).eval()
    for norm in (batch, own):
        nn.init.constant_(norm.weight, 1.5)
        nn.init.constant_(norm.bias, 0.25)
    x = torch.randn(4, 3, 8, 8)
    one_by_one = torch.cat([batch(image[None]) for image in x])
    torch.testing.assert_close(own(x), one_by_one)


@pytest.mark.parametrize("norm", ["batch", "instance", "own"])
def test_a_served_image_does_not_depend_on_its_company_nor_on_chance(norm: str) -> None:
    unet = a_unet(64, norm=norm, dropout=0.9).eval()
    sources = torch.randn(3, 3, 64, 64)
    with torch.no_grad():
        together, again = unet(sources), unet(sources)
        alone = torch.cat([unet(source[None]) for source in sources])
    assert torch.equal(together, again)
    torch.testing.assert_close(together, alone)


def test_dropout_stands_where_the_papers_does_and_only_trains() -> None:
    """Three levels of eight; none of five (arXiv:1611.07004, section 6.1.1: CD512 three times)."""
    for halvings, levels in ((8, [4, 5, 6]), (6, [4]), (5, [])):
        unet = a_unet(2**halvings, halvings=halvings)
        found = [level for level, way in enumerate(unet.outwards) if isinstance(way[-1], Dropout)]
        assert found == levels
    unet = a_unet(64).train()
    source = torch.randn(2, 3, 64, 64)
    assert not torch.equal(unet(source), unet(source))
    assert not any(isinstance(layer, Dropout) for layer in a_unet(64, dropout=0.0).modules())


def test_dropout_keeps_the_mean_and_the_same_numbers_in_two_processes() -> None:
    layer, x = Dropout(0.25), torch.ones(64, 8, 4, 4)
    torch.manual_seed(0)
    whole = layer(x)
    assert whole.unique().tolist() == [0.0, pytest.approx(4 / 3)]
    assert whole.mean().item() == pytest.approx(1, abs=0.03)
    parts = []
    for rank in range(2):
        torch.manual_seed(0)
        with use_slice(BatchSlice(rank, 2, 64)):
            parts.append(layer(x[:32]))
    assert torch.equal(torch.cat(parts), whole)
    assert torch.equal(layer.eval()(x), x)


# --- PatchGAN -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("channels", "halvings", "norm", "count"),
    [
        (3, 3, "instance", 2_764_737),
        (6, 3, "batch", 2_768_705),
        (6, 3, "instance", 2_767_809),
        (3, 2, "instance", 662_977),
        (3, 1, "instance", 136_385),
        (3, 5, "instance", 11_154_369),
        (3, 0, "instance", 8_705),
        (6, 0, "batch", 9_024),
    ],
)
def test_patchgans_count_as_the_official_ones(
    channels: int, halvings: int, norm: str, count: int
) -> None:
    with torch.device("meta"):
        assert parameters(PatchDiscriminator(channels, 64, halvings, norm)) == count


@pytest.mark.parametrize(("halvings", "side"), PATCH_SIDES.items())
def test_a_logit_sees_a_patch_of_the_named_side(halvings: int, side: int) -> None:
    """Measured: which pixels the gradient of a logit in the middle reaches."""
    torch.manual_seed(0)
    discriminator = PatchDiscriminator(3, 2, halvings, "batch").double().eval()
    images = torch.randn(1, 3, 512, 512, dtype=torch.float64, requires_grad=True)
    logits = discriminator(images)
    middle = logits.shape[1] // 2
    (reached,) = torch.autograd.grad(logits[0, middle, middle], images)
    for axis in (2, 3):
        pixels = reached.abs().amax((0, 1, 5 - axis)).nonzero()
        assert pixels.max() - pixels.min() + 1 == side


def test_the_70_px_patchgan_has_the_papers_verdicts() -> None:
    with torch.device("meta"):
        discriminator = PatchDiscriminator(6, 64, 3, "batch")
        logits = discriminator(torch.empty(2, 3, 256, 256), torch.empty(2, 3, 256, 256))
    assert logits.shape == (2, 30, 30)


def test_a_pair_is_judged_by_both_its_sides() -> None:
    discriminator = PatchDiscriminator(8, 4, 2, "instance")
    image = torch.randn(2, 3, 32, 32, requires_grad=True)
    condition = torch.randn(2, 5, 32, 32, requires_grad=True)
    slopes: tuple[Tensor, ...] = torch.autograd.grad(
        discriminator(image, condition).square().sum(), (image, condition)
    )
    assert all(slope.abs().max() > 0 for slope in slopes)


@pytest.mark.parametrize(("halvings", "side", "fitting"), [(3, 16, 2), (5, 64, 4), (2, 8, 1)])
def test_images_too_small_for_a_patchgan_are_refused(
    halvings: int, side: int, fitting: int
) -> None:
    with pytest.raises(ConfigError, match=f"{side} px {halvings} times.*to {fitting} or less"):
        check_patch_side("pix2pix", halvings, side)
    check_patch_side("pix2pix", fitting, side)
    logits = PatchDiscriminator(3, 2, fitting, "instance")(torch.randn(2, 3, side, side))
    assert logits.numel() and logits.isfinite().all()


# --- losses -------------------------------------------------------------------------------------


class Judge(nn.Module):
    """A discriminator whose logit is a weighted sum of its image's and its condition's pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.tensor([2.0, 1.0]))

    def forward(self, images: Tensor, condition: Tensor) -> Tensor:
        sums = torch.stack([images.flatten(1).sum(1), condition.flatten(1).sum(1)], 1)
        return (sums @ self.weights)[:, None, None]  # one patch


def by_hand(**changes: object) -> Gan:
    family = FAMILIES["pix2pix"]
    preset = family.presets["toy32"].replaced({"l1_weight": 10, **changes})
    players = {"generator": nn.Identity(), "discriminator": Judge()}
    return Gan(family, "toy32", preset, (3, 1, 1), players)


def one_pair() -> Batch:
    """Return a pair whose image sums to 0.75 and whose companion to -0.5."""
    image = torch.tensor([0.25, 0.5, 0.0]).view(1, 3, 1, 1)
    companion = torch.tensor([-0.5, 0.25, -0.25]).view(1, 3, 1, 1)
    return {"reals": image, "paired": companion}


def softplus(x: float) -> float:
    return math.log(1 + math.exp(x))


def test_the_generators_terms_worked_by_hand() -> None:
    """The fake is the companion: its logit is 2 (-0.5) - 0.5, its L1 distance (.75+.25+.25)/3."""
    terms = generator_loss(by_hand(), one_pair())
    assert terms["generator"].item() == pytest.approx(softplus(1.5))
    assert terms["reconstruction"].item() == pytest.approx(10 * 1.25 / 3)


def test_the_discriminators_terms_are_halved_and_judge_pairs() -> None:
    """Logits: of the real pair 2 (0.75) - 0.5 = 1, of the fake one -1.5."""
    gan, batch = by_hand(), one_pair()
    generator_loss(gan, batch)
    terms = discriminator_loss(gan, batch)
    assert terms["reals"].item() == pytest.approx(softplus(-1.0) / 2)
    assert terms["fakes"].item() == pytest.approx(softplus(-1.5) / 2)
    assert batch["real_logits"].tolist() == [[1.0]]
    assert batch["fake_logits"].tolist() == [[-1.5]]


def test_the_other_direction_swaps_source_and_image() -> None:
    gan, batch = by_hand(direction="AtoB"), one_pair()
    generator_loss(gan, batch)
    assert torch.equal(batch["conditions"], batch["reals"])
    assert torch.equal(batch["targets"], batch["paired"])
    preset = gan.preset
    assert gan.family.source(preset, "images") == "reals"
    assert gan.family.target(preset) == "paired"


def test_label_maps_condition_the_discriminator_one_hot() -> None:
    gan = build_gan(
        "pix2pix", "tiny-maps", (3, 32, 32), seed=0, map_classes=dict(a="#000000", b="#ffffff")
    )
    batch = {"reals": torch.rand(2, 3, 32, 32), "label_maps": torch.randint(2, (2, 32, 32))}
    generator_loss(gan, batch)
    assert batch["conditions"].shape == (2, 2, 32, 32)
    assert torch.equal(batch["conditions"].sum(1), torch.ones(2, 32, 32))
    assert discriminator_loss(gan, batch)["reals"].isfinite()


def test_the_fakes_reach_the_discriminator_without_the_generators_graph() -> None:
    gan = build_gan("pix2pix", "tiny", (3, 32, 32), seed=0)
    batch = {"reals": torch.rand(2, 3, 32, 32), "paired": torch.rand(2, 3, 32, 32)}
    generator_loss(gan, batch)
    assert not batch["fakes"].requires_grad


def test_the_papers_recipe_keeps_its_rate_for_half_of_the_run_then_ends_at_zero() -> None:
    family = FAMILIES["pix2pix"]
    preset = family.presets["paper256"]
    assert preset.recipe["batch_size"] == 1 and preset.recipe["total_kimg"] == 0.4 * 200
    for kimg, rate in ((0, 2e-4), (40, 2e-4), (60, 1e-4), (80, 0), (90, 0)):
        for adam in family.optimizers(preset, kimg).values():
            assert (adam.learning_rate, adam.beta1, adam.beta2) == (rate, 0.5, 0.999)
    assert family.optimizers(family.presets["tiny"], 1e5)["generator"].learning_rate == 2e-3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"source": "label_maps", "direction": "AtoB"}, "AtoB.*cannot be made into label maps"),
        ({"direction": "there"}, "direction is 'there'"),
        ({"patch_halvings": 6}, "between 0 and 5"),
        ({"norm": "layer"}, "norm is 'layer'"),
    ],
)
def test_a_wrong_hyperparameter_is_named_with_the_fix(changes: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_gan("pix2pix", "tiny", (3, 32, 32), **changes)


def test_batch_norm_needs_whole_batches_and_the_other_norms_do_not() -> None:
    family = FAMILIES["pix2pix"]
    for norm, is_whole in (("batch", True), ("own", False), ("instance", False)):
        preset = family.presets["tiny"].replaced({"norm": norm})
        assert bool(family.needs_whole_batch(preset)) is is_whole
