"""StyleGAN2's own claims: its sizes to the parameter, its layers and penalties worked by hand."""

import math
from dataclasses import replace
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  # the field's own alias

from facegan.artifact import Artifact, load_artifact, save_artifact
from facegan.errors import ConfigError
from facegan.gans import FAMILIES, Batch, Gan, build_gan
from facegan.gans.resampling import Filter, Resample
from facegan.gans.stylegan2.layers import (
    EqualConv2d,
    EqualLinear,
    ModulatedConv2d,
    append_minibatch_stddev,
    largest_group,
)
from facegan.gans.stylegan2.loss import (
    discriminator_loss,
    generator_loss,
    mixed_styles,
    path_length_loss,
    path_lengths,
    path_penalty,
    r1_loss,
)
from facegan.gans.stylegan2.mapping import LabelMapping
from facegan.gans.stylegan2.networks import DiscriminatorBlock, Generator, SynthesisLayer
from facegan.gans.stylegan2.presets import r1_gamma

FAMILY = FAMILIES["stylegan2"]


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def latents_of(gan: Gan, count: int, seed: int = 0) -> Tensor:
    return gan.sample_latents(count, torch.Generator().manual_seed(seed))


def a_batch(gan: Gan, count: int = 8) -> Batch:
    reals = torch.rand(count, *gan.image_shape, generator=torch.Generator().manual_seed(1)) * 2 - 1
    generator = torch.Generator().manual_seed(2)
    return {"reals": reals, "latents": latents_of(gan, count), "generator": generator}


@pytest.fixture
def gan() -> Gan:
    return build_gan("stylegan2", "tiny", (3, 32, 32), seed=0)


@pytest.fixture
def generator(gan: Gan) -> Generator:
    """Build a generator with visible noise; its strengths start at zero."""
    found = gan.players["generator"]
    assert isinstance(found, Generator)
    for module in found.modules():
        if isinstance(module, SynthesisLayer):
            nn.init.constant_(module.noise_strength, 0.5)
    return found


# --- sizes --------------------------------------------------------------------------------------


def sizes(preset: str, side: int, **changes: int) -> tuple[int, int]:
    with torch.device("meta"):  # shapes without memory
        players = build_gan("stylegan2", preset, (3, side, side), **changes).players
    return parameters(players["generator"]), parameters(players["discriminator"])


def test_at_1024_it_has_the_parameters_that_nvidias_code_logs() -> None:
    """28,794,124 and 29,012,513 with two mapping layers (--cfg=auto at 1024 px)."""
    assert sizes("paper256", 1024, channel_base=32768) == (28_794_124, 29_012_513)


def test_paper32_adds_up() -> None:
    """All of its layers have 512 channels."""
    affine = 512 * 512 + 512
    convolution = 512 * 512 * 9 + affine + 512 + 1  # weights, style, biases, noise strength
    to_rgb = 512 * 3 + affine + 3
    generator = 2 * affine + 512 * 4 * 4 + 7 * convolution + 4 * to_rgb
    block = 2 * (512 * 512 * 9 + 512) + 512 * 512
    head = (513 * 512 * 9 + 512) + (512 * 16 * 512 + 512) + (512 + 1)
    discriminator = (3 * 512 + 512) + 3 * block + head
    assert sizes("paper32", 32) == (generator, discriminator) == (19_947_539, 21_507_073)


@pytest.mark.parametrize(
    ("side", "generator", "discriminator"),
    [(64, 22_243_608, 23_407_361), (128, 22_949_277, 23_882_369), (256, 23_191_522, 24_001_089)],
)
def test_the_other_presets_have_the_official_codes_parameters(
    side: int, generator: int, discriminator: int
) -> None:
    assert sizes(f"paper{side}", side) == (generator, discriminator)


def test_initial_deviations(gan: Gan) -> None:
    """N(0, 1) everywhere but in the mapping, whose slow layers hold N(0, 1) / 0.01."""
    wide = build_gan("stylegan2", "tiny", (3, 32, 32), seed=0, max_channels=64, channel_base=2048)
    for player in wide.players.values():
        for name, weight in player.named_parameters():
            if name.endswith("weight") and weight.numel() > 500:
                deviation = 100 if name.startswith("mapping") else 1
                assert weight.std().item() == pytest.approx(deviation, rel=0.15), name
            if name.endswith("bias"):
                assert weight.unique().tolist() == [1.0 if "to_style" in name else 0.0], name
    state = wide.players["generator"].state_dict()
    assert all(v.item() == 0 for name, v in state.items() if name.endswith("noise_strength"))
    assert state["synthesis.constant"].std().item() == pytest.approx(1, rel=0.15)


def test_widths_halve_where_the_sides_double() -> None:
    preset = FAMILY.presets["paper256"]
    assert [preset.width_at(side) for side in (4, 32, 64, 128, 256)] == [512, 512, 256, 128, 64]


@pytest.mark.parametrize(
    ("name", "batch_size", "half_life", "gamma"),
    [
        ("paper32", 32, 10, 0.0064),
        ("paper64", 32, 10, 0.0256),
        ("paper128", 32, 10, 0.1024),
        ("paper256", 16, 5, 0.8192),
    ],
)
def test_presets_follow_the_rules_for_one_gpu(
    name: str, batch_size: int, half_life: float, gamma: float
) -> None:
    recipe = FAMILY.presets[name].recipe
    assert recipe["batch_size"] == batch_size
    assert recipe["ema_half_life_kimg"] == half_life
    resolution = int(name.removeprefix("paper"))
    assert r1_gamma(resolution, batch_size) == pytest.approx(gamma)


def test_lazy_regularisation_scales_adam_by_n_over_n_plus_one() -> None:
    adams = FAMILY.optimizers(FAMILY.presets["paper32"])
    generator, discriminator = adams["generator"], adams["discriminator"]
    assert generator.learning_rate == pytest.approx(0.0025 * 4 / 5)
    assert discriminator.learning_rate == pytest.approx(0.0025 * 16 / 17)
    assert generator.beta1 == discriminator.beta1 == 0
    assert generator.beta2 == pytest.approx(0.99**0.8)
    assert discriminator.beta2 == pytest.approx(0.99 ** (16 / 17))


def test_without_path_lengths_the_generator_has_full_rate_and_one_phase() -> None:
    preset = FAMILY.presets["paper32"].replaced({"path_length_weight": 0})
    assert FAMILY.optimizers(preset)["generator"].learning_rate == 0.0025
    assert [(*p.players, p.every) for p in FAMILY.phases(preset)] == [
        ("generator", 1), ("discriminator", 1), ("discriminator", 16)]  # fmt: skip


@pytest.mark.parametrize("shape", [(3, 4, 4), (3, 32, 16), (1, 32, 32), (3, 48, 48), (3, 0, 0)])
def test_sides_other_than_doublings_of_four_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match=r"square RGB images of 8, 16, 32"):
        build_gan("stylegan2", "tiny", shape)


# --- layers -------------------------------------------------------------------------------------


def test_equal_weights_are_scaled_when_used() -> None:
    """N(0, 1) / rate in memory, rate / sqrt(fan-in) in use: unit variance in, unit variance out."""
    torch.manual_seed(0)
    layer = EqualLinear(400, 500, bias=1.0, rate=0.01)
    assert layer.weight.std().item() == pytest.approx(100, rel=0.01)
    x = torch.randn(64, 400)
    expected = x @ layer.weight.T * 0.01 / 20 + 1
    torch.testing.assert_close(layer(x), expected)
    assert expected.std().item() == pytest.approx(1, rel=0.05)


def test_equal_convolutions_too() -> None:
    torch.manual_seed(0)
    layer = EqualConv2d(4, 8, 3, padding=1)
    assert layer.weight.std().item() == pytest.approx(1, rel=0.1)
    x = torch.randn(2, 4, 5, 5)
    torch.testing.assert_close(layer(x), F.conv2d(x, layer.weight / 6, padding=1))


def with_styles(layer: ModulatedConv2d) -> ModulatedConv2d:
    """Make the layer's styles w itself."""
    with torch.no_grad():
        layer.to_style.weight.copy_(torch.eye(len(layer.to_style.weight)) / layer.to_style.gain)
        layer.to_style.bias.zero_()
    return layer


def test_demodulation_gives_unit_norm_worked_by_hand() -> None:
    """Weights (3, 1) under the styles (1, 4): (3, 4), norm 5, used as (0.6, 0.8)."""
    layer = with_styles(ModulatedConv2d(2, 2, 1, 1))
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([3.0, 1.0]).view(1, 2, 1, 1))
    w, x = torch.tensor([[1.0, 4.0]]), torch.tensor([10.0, 100.0]).view(1, 2, 1, 1)
    assert layer(x, w).item() == pytest.approx(0.6 * 10 + 0.8 * 100)


def test_demodulated_outputs_have_unit_variance_whatever_the_styles() -> None:
    torch.manual_seed(0)
    layer = with_styles(ModulatedConv2d(16, 16, 8, 3))
    images = layer(torch.randn(64, 16, 16, 16), torch.rand(64, 16) * 9 + 1)
    deviations = images[:, :, 1:-1, 1:-1].transpose(0, 1).flatten(1).std(1)
    torch.testing.assert_close(deviations, torch.ones(8), rtol=0.05, atol=0)


@pytest.mark.parametrize("demodulates", [True, False])
@pytest.mark.parametrize("kernel_size", [1, 3])
def test_modulation_equals_a_convolution_with_weights_per_sample(
    kernel_size: int, demodulates: bool
) -> None:
    """Equations 1 to 3 of the paper, sample by sample."""
    torch.manual_seed(0)
    layer = ModulatedConv2d(6, 4, 5, kernel_size, demodulates=demodulates)
    x, w = torch.randn(3, 4, 8, 8), torch.randn(3, 6)
    for image, out, styles in zip(x, layer(x, w), layer.to_style(w), strict=True):
        weight = layer.weight * layer.gain * styles[None, :, None, None]
        if demodulates:
            weight = weight / weight.square().sum((1, 2, 3), keepdim=True).sqrt()
        expected = F.conv2d(image[None], weight, padding=kernel_size // 2)[0]
        torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-5)


def test_a_doubling_convolution_equals_doubling_and_then_convolving() -> None:
    """Away from the edges, where the order of padding shows."""
    torch.manual_seed(0)
    layer = ModulatedConv2d(2, 2, 3, 3, demodulates=False, doubles=True)
    with torch.no_grad():
        layer.to_style.weight.zero_()
    x = torch.randn(1, 2, 6, 6)
    mirrored = (layer.weight * layer.gain).flip(2, 3)  # a transposed convolution's order
    expected = F.conv2d(Resample(up=2)(x), mirrored, padding=1)
    out = layer(x, torch.zeros(1, 2))
    assert out.shape == (1, 3, 12, 12)
    torch.testing.assert_close(out[..., 2:-2, 2:-2], expected[..., 2:-2, 2:-2])


def test_doubling_an_impulse_draws_the_filter() -> None:
    """[1, 3, 3, 1] / 4 along each axis: the four pixels around the impulse and their neighbours."""
    impulse = torch.zeros(1, 1, 3, 3)
    impulse[0, 0, 1, 1] = 1
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 4
    expected = F.pad(torch.outer(taps, taps), (1, 1, 1, 1))
    torch.testing.assert_close(Resample(up=2)(impulse)[0, 0], expected)


@pytest.mark.parametrize(
    ("layer", "side"), [(Resample(up=2), 16), (Resample(down=2), 4), (Resample(padding=2), 9)]
)
def test_the_filter_preserves_constants_inside(layer: Resample, side: int) -> None:
    out = layer(torch.full((2, 3, 8, 8), 7.0))
    assert out.shape == (2, 3, side, side)
    torch.testing.assert_close(out[..., 2:-2, 2:-2], torch.full_like(out[..., 2:-2, 2:-2], 7.0))


@pytest.mark.parametrize(("up", "down", "padding"), [(2, 1, 1), (1, 2, 1), (1, 1, 1), (1, 1, 2)])
def test_the_filter_has_second_derivatives(up: int, down: int, padding: int) -> None:
    kernel = Resample(up, down, padding).kernel.double()
    x = torch.randn(1, 2, 4, 4, dtype=torch.float64, requires_grad=True)
    arguments = (x, kernel, up, down, padding)
    assert torch.autograd.gradcheck(Filter.apply, arguments)
    assert torch.autograd.gradgradcheck(Filter.apply, arguments)


def test_the_filter_keeps_float32_under_autocast() -> None:
    """The image is summed over the resolutions in full precision."""
    with torch.autocast("cpu", torch.bfloat16):
        assert Resample(up=2)(torch.ones(1, 3, 4, 4)).dtype is torch.float32


def test_minibatch_stddev_worked_by_hand() -> None:
    """Groups of two neighbours of four. Deviations (1, 3) and (0, 2), means 2 and 1."""
    x = torch.tensor([[0.0, 0.0], [2.0, 6.0], [5.0, 1.0], [5.0, 5.0]]).view(4, 1, 1, 2)
    out = append_minibatch_stddev(x, 2)
    assert torch.equal(out[:, :1], x)
    expected = torch.tensor([2.0, 2.0, 1.0, 1.0]).view(4, 1, 1, 1).expand(4, 1, 1, 2)
    torch.testing.assert_close(out[:, 1:], expected, rtol=0, atol=1e-3)


@pytest.mark.parametrize(
    ("count", "limit", "group"), [(8, 4, 4), (6, 4, 3), (7, 4, 1), (2, 4, 2), (32, 32, 32)]
)
def test_a_group_is_the_largest_that_divides_the_batch(count: int, limit: int, group: int) -> None:
    assert largest_group(count, limit) == group
    assert append_minibatch_stddev(torch.randn(count, 2, 4, 4), limit).shape == (count, 3, 4, 4)


def test_equal_images_give_a_finite_gradient() -> None:
    x = torch.ones(4, 2, 4, 4, requires_grad=True)
    append_minibatch_stddev(x, 4).sum().backward()
    assert x.grad is not None and x.grad.isfinite().all()


def test_a_synthesis_layer_is_the_papers() -> None:
    """Figure 2c: demodulated convolution, noise, bias, leaky ReLU, and the root of two last."""
    torch.manual_seed(0)
    layer = SynthesisLayer(FAMILY.presets["tiny"], 6, 5, 8).double().eval()
    nn.init.normal_(layer.bias)
    nn.init.constant_(layer.noise_strength, 0.7)
    x, w = torch.randn(3, 6, 8, 8).double(), torch.randn(3, 16)
    with mock.patch.object(Tensor, "float", Tensor.double):
        plain = layer.convolution(x, w) + layer.noise * 0.7 + layer.bias[:, None, None]
        expected = F.leaky_relu(plain, 0.2) * math.sqrt(2)
        torch.testing.assert_close(layer(x, w), expected)


def test_a_discriminators_block_is_the_papers() -> None:
    """Figure 7c: both branches are added, and divided by the root of two."""
    torch.manual_seed(0)
    block = DiscriminatorBlock(4, 6).double()
    for layer in (block.refine, block.halve):
        nn.init.normal_(layer.bias)
    x = torch.randn(2, 4, 8, 8).double()

    def layer(x: Tensor, of: EqualConv2d, **how: int) -> Tensor:
        weight = of.weight / math.sqrt(of.weight[0].numel())
        return F.leaky_relu(F.conv2d(x, weight, of.bias, **how), 0.2) * math.sqrt(2)

    main = layer(block.smooth(layer(x, block.refine, padding=1)), block.halve, stride=2)
    around = F.conv2d(block.halve_skip(x), block.skip.weight / math.sqrt(4))
    torch.testing.assert_close(block(x), (main + around) / math.sqrt(2))


def test_the_discriminators_last_stage_is_float32_under_autocast(gan: Gan) -> None:
    discriminator = gan.players["discriminator"]
    seen: dict[str, torch.dtype] = {}
    for name in ("blocks", "last", "hidden", "head"):
        discriminator.get_submodule(name).register_forward_hook(
            lambda _, inputs, out, name=name: seen.update({name: out.dtype})
        )
    with torch.autocast("cpu", torch.bfloat16):
        discriminator(torch.randn(4, 3, 32, 32))
    assert seen.pop("blocks") is torch.bfloat16
    assert set(seen.values()) == {torch.float32}


def test_maps_stay_channels_last(gan: Gan, generator: Generator) -> None:
    """Otherwise every filter and convolution would copy them."""
    seen: list[Tensor] = []
    for player in gan.players.values():
        for module in player.modules():
            if isinstance(module, SynthesisLayer | DiscriminatorBlock):
                module.register_forward_hook(lambda _, inputs, out: seen.append(out))
    images = generator(latents_of(gan, 4))
    gan.players["discriminator"](images.contiguous())
    doubled = [out for out in seen if out.shape[-1] > 4]
    assert len(doubled) > 6
    assert all(out.is_contiguous(memory_format=torch.channels_last) for out in doubled)


def test_the_discriminators_label_mapping_has_eight_layers() -> None:
    """As in NVIDIA's code, independent of the generator's mapping."""
    with torch.device("meta"):
        preset = FAMILY.presets["paper32"].replaced({"conditional": True})
        mapping = LabelMapping(replace(preset, classes=3), 512)
    assert [layer.weight.shape for layer in mapping.layers] == [(512, 512)] * 8


# --- latents and styles ---------------------------------------------------------------------------


def test_a_w_for_every_layer_reaches_the_image(gan: Gan, generator: Generator) -> None:
    """At 32 px: seven convolutions and the last image."""
    ws = torch.randn(1, generator.synthesis.layers, gan.preset.style_dim, requires_grad=True)
    (slopes,) = torch.autograd.grad(generator.eval().synthesis(ws).square().sum(), ws)
    assert ws.shape[1] == 8 and (slopes.abs().sum(2) > 0).all()


def test_latents_are_directions(gan: Gan, generator: Generator) -> None:
    """z is normalised, so its length does not matter."""
    z = latents_of(gan, 3)
    torch.testing.assert_close(generator.mapping(z * 100), generator.mapping(z))


def test_psi_zero_is_the_mean_face_and_psi_one_changes_nothing(
    gan: Gan, generator: Generator
) -> None:
    for step in range(20):
        generator.map(latents_of(gan, 16, step))
    generator.eval()
    z = latents_of(gan, 8)
    mean = generator.synthesis(generator.mean_w.expand(8, generator.synthesis.layers, -1))
    assert torch.equal(generator(z, truncation_psi=0.0), mean)
    assert torch.equal(generator(z, truncation_psi=1.0), generator(z))
    half = (generator.mapping(z) + generator.mean_w) / 2
    expected = generator.synthesis(half[:, None].expand(-1, generator.synthesis.layers, -1))
    torch.testing.assert_close(generator(z, truncation_psi=0.5), expected, rtol=1e-4, atol=1e-4)


def test_the_mean_of_w_is_updated_in_training_only(gan: Gan, generator: Generator) -> None:
    z = latents_of(gan, 8)
    generator.train()(z)
    expected = 0.005 * generator.mapping(z).mean(0)
    torch.testing.assert_close(generator.mean_w, expected)
    generator.eval()(z)
    torch.testing.assert_close(generator.mean_w, expected)


def test_the_same_latent_is_the_same_face_in_eval_and_noise_is_new_in_training(
    gan: Gan, generator: Generator
) -> None:
    z = latents_of(gan, 2)
    assert torch.equal(generator.eval()(z), generator(z))
    assert not torch.equal(generator.train()(z), generator(z))


def test_an_image_does_not_depend_on_its_batch(gan: Gan, generator: Generator) -> None:
    generator.eval()
    z = latents_of(gan, 8)
    one, two = generator(z), generator(torch.cat([z[:1], -3 * z[1:]]))
    assert torch.equal(one[0], two[0])
    torch.testing.assert_close(one[:1], generator(z[:1]), rtol=1e-4, atol=1e-4)


def test_noise_can_be_switched_off() -> None:
    """Then it has no parameters, and a training generator is deterministic."""
    without = build_gan("stylegan2", "tiny", (3, 8, 8), noise_inputs=False).players["generator"]
    assert not [name for name in without.state_dict() if "noise" in name]
    latents = torch.randn(2, 16)
    assert torch.equal(without.train()(latents), without(latents))


def test_the_noise_is_saved_and_depends_on_the_seed(gan: Gan) -> None:
    names = [n for n in gan.players["generator"].state_dict() if n.endswith(".noise")]
    assert len(names) == 7
    other = build_gan("stylegan2", "tiny", (3, 32, 32), seed=1).players["generator"]
    mine = gan.players["generator"].state_dict()[names[0]]
    assert not torch.equal(mine, other.state_dict()[names[0]])


def test_mixing_changes_later_layers_only(gan: Gan, generator: Generator) -> None:
    """The first layers have the sample's own w, all later ones the same other w."""
    z, layers = latents_of(gan, 200), generator.synthesis.layers
    own = generator.mapping(z)[:, None]
    torch.manual_seed(5)
    is_own = (mixed_styles(generator, z, 1.0) == own).all(2)  # (N, layers)
    assert is_own[:, 0].all() and not is_own[:, -1].any()
    assert (is_own[:, :-1] | ~is_own[:, 1:]).all()  # once over, never back
    assert set(is_own.sum(1).tolist()) == set(range(1, layers))


def test_style_mixing_has_its_probability(gan: Gan, generator: Generator) -> None:
    z = latents_of(gan, 2000)
    own = generator.mapping(z)[:, None]
    assert (mixed_styles(generator, z, 0.0) == own).all()
    torch.manual_seed(5)
    mixed = ~(mixed_styles(generator, z, 0.9) == own).all(2).all(1)
    assert mixed.float().mean().item() == pytest.approx(0.9, abs=0.03)


# --- losses -------------------------------------------------------------------------------------


class Slope(nn.Module):
    """Logits a·x of an image x."""

    def __init__(self, a: list[float]) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.tensor(a))

    def forward(self, images: Tensor, labels: None = None) -> Tensor:
        return images.flatten(1) @ self.a


def linear_gan(a: list[float], **changes: float) -> Gan:
    preset = FAMILY.presets["tiny"].replaced(changes)
    return Gan(FAMILY, "tiny", preset, (1, 1, len(a)), {"discriminator": Slope(a)})


def test_r1_worked_by_hand() -> None:
    """The gradient of a·x is a: 6/2 |(3, 4)|² = 75, times 16; its own gradient is 6 a 16."""
    linear = linear_gan([3.0, 4.0], r1_gamma=6)
    term = r1_loss(linear, {"reals": torch.randn(5, 1, 1, 2)})["r1"]
    assert term.item() == pytest.approx(75 * 16)
    (gradient,) = torch.autograd.grad(term, list(linear.players["discriminator"].parameters()))
    assert gradient.tolist() == pytest.approx([6 * 3 * 16, 6 * 4 * 16])


def test_r1_uses_the_rules_gamma_by_default() -> None:
    """0.0002 2² / 5 for images two pixels wide, in batches of five."""
    term = r1_loss(linear_gan([3.0, 4.0]), {"reals": torch.randn(5, 1, 1, 2)})["r1"]
    assert term.item() == pytest.approx(0.0002 * 4 / 5 / 2 * 25 * 16)


def test_path_lengths_worked_by_hand() -> None:
    """G(w) = 2 w as an image of two pixels: J^T y = 2 y / sqrt(2), whatever w."""
    ws = torch.randn(3, 1, 2, requires_grad=True)
    torch.manual_seed(0)
    lengths, _ = path_lengths(lambda ws: 2 * ws.view(3, 1, 1, 2), ws)
    torch.manual_seed(0)
    y = torch.randn(3, 1, 1, 2)
    torch.testing.assert_close(lengths, math.sqrt(2) * y.flatten(1).norm(dim=1))


def test_path_lengths_are_a_root_mean_square_over_the_layers() -> None:
    """One layer with weight four and three with none: 4 |y| / sqrt(2) / sqrt(4)."""
    ws = torch.randn(3, 4, 2, requires_grad=True)
    torch.manual_seed(0)
    lengths, _ = path_lengths(lambda ws: 4 * ws[:, 2].view(3, 1, 1, 2), ws)
    torch.manual_seed(0)
    y = torch.randn(3, 1, 1, 2)
    torch.testing.assert_close(lengths, 2 / math.sqrt(2) * y.flatten(1).norm(dim=1))


def test_the_path_penalty_worked_by_hand() -> None:
    """Lengths 1 and 3, mean 0 so far: it becomes 0.02, and the distances 0.98 and 2.98."""
    mean = torch.zeros(())
    penalty = path_penalty(torch.tensor([1.0, 3.0]), mean)
    assert mean.item() == pytest.approx(0.02)
    assert penalty.item() == pytest.approx((0.98**2 + 2.98**2) / 2)


def test_the_path_penaltys_gradient_leaves_the_mean_alone() -> None:
    """Lengths 1 and 3, mean 0.02: 2 (l - 0.02) / 2 each, as if the mean were a constant."""
    lengths = torch.tensor([1.0, 3.0], requires_grad=True)
    (gradient,) = torch.autograd.grad(path_penalty(lengths, torch.zeros(())), lengths)
    assert gradient.tolist() == pytest.approx([0.98, 2.98])


def test_the_main_losses_gradients_worked_by_hand(gan: Gan) -> None:
    """-sigmoid(-l) / N of a fake's logit for the generator; sigmoid(l) / N for the discriminator,
    and -sigmoid(-l) / N of a real's."""
    logits: list[Tensor] = []
    gan.players["discriminator"].register_forward_hook(
        lambda _, inputs, out: (out.retain_grad(), logits.append(out))[0]
    )
    torch.stack(list(generator_loss(gan, a_batch(gan)).values())).sum().backward()
    torch.stack(list(discriminator_loss(gan, a_batch(gan)).values())).sum().backward()
    of_generator, of_reals, of_fakes = logits
    for found, expected in (
        (of_generator, -torch.sigmoid(-of_generator) / 8),
        (of_reals, -torch.sigmoid(-of_reals) / 8),
        (of_fakes, torch.sigmoid(of_fakes) / 8),
    ):
        assert found.grad is not None
        torch.testing.assert_close(found.grad, expected)


def test_regularisers_run_lazily_after_the_main_phases() -> None:
    """Gmain, Gpath at every fourth step, Dmain, R1 at every sixteenth; all at the first."""
    order = [
        (phase.loss.__name__, phase.every) for phase in FAMILY.phases(FAMILY.presets["paper32"])
    ]
    assert order == [
        ("generator_loss", 1), ("path_length_loss", 4), ("discriminator_loss", 1), ("r1_loss", 16)
    ]  # fmt: skip


def test_path_lengths_are_measured_on_half_a_batch_and_their_mean_is_kept(gan: Gan) -> None:
    counts: list[int] = []
    generator = gan.players["generator"]
    generator.get_submodule("synthesis").register_forward_pre_hook(
        lambda _, inputs: counts.append(len(inputs[0]))
    )
    path_length_loss(gan, a_batch(gan, 8))
    assert counts == [4]
    assert generator.state_dict()["mean_path_length"] > 0


def test_the_main_losses_terms_have_their_names(gan: Gan) -> None:
    batch = a_batch(gan)
    assert set(generator_loss(gan, batch)) == {"generator"}
    assert set(discriminator_loss(gan, batch)) == {"reals", "fakes"}


@pytest.mark.parametrize("loss", [r1_loss, path_length_loss])
def test_penalties_are_the_same_under_autocast(gan: Gan, loss: object) -> None:
    """They compute in float32: the same bits with and without."""
    found = []
    for enabled in (True, False):
        twin = build_gan("stylegan2", "tiny", (3, 32, 32), seed=0)
        torch.manual_seed(0)
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            found += loss(twin, a_batch(twin)).values()  # type: ignore[operator]
    assert torch.equal(*found)


def test_the_main_losses_under_autocast_are_close_to_float32(gan: Gan) -> None:
    torch.manual_seed(0)
    expected = generator_loss(gan, a_batch(gan))["generator"]
    torch.manual_seed(0)
    with torch.autocast("cpu", torch.bfloat16):
        found = generator_loss(gan, a_batch(gan))["generator"]
    assert found.dtype is torch.float32
    torch.testing.assert_close(found, expected, rtol=0.1, atol=0.05)


def test_the_loss_and_the_networks_draw_from_torchs_global_generator(gan: Gan) -> None:
    """The trainer seeds it for every step."""
    found = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        found.append(generator_loss(gan, a_batch(gan))["generator"].item())
    assert found[0] == found[1] != found[2]


# --- serving ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    folder = tmp_path_factory.mktemp("stylegan2")
    gan = build_gan("stylegan2", "tiny", (3, 32, 32), seed=0)
    gan.players["generator"](latents_of(gan, 64))  # a mean of w that is not zero
    save_artifact(gan, Path(folder))
    return load_artifact(folder)


@pytest.mark.parametrize("psi", [1.0, 0.5])
def test_a_seed_gives_the_same_bytes_in_any_batch(served: Artifact, psi: float) -> None:
    from facegan.synthesis import Synthesizer

    synthesizer = Synthesizer(served)
    together = synthesizer.generate(seeds=range(19), truncation_psi=psi)
    for seed in (0, 7, 8, 18):
        alone = synthesizer.generate(seeds=[seed], truncation_psi=psi)
        assert np.array_equal(together[seed], alone[0])


def test_truncation_brings_faces_together(served: Artifact) -> None:
    from facegan.synthesis import Synthesizer

    spreads = [
        float(Synthesizer(served).generate(seeds=range(16), truncation_psi=psi).std(0).mean())
        for psi in (1.0, 0.5, 0.0)
    ]
    assert spreads[0] > spreads[1] > spreads[2] == 0
