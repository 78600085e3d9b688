"""R3GAN's own claims: the paper's sizes, its penalties and schedules worked by hand."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from facegan.data import ImageFolderDataset
from facegan.errors import ConfigError
from facegan.gans import FAMILIES, Batch, Gan, build_gan
from facegan.gans.r3gan.loss import discriminator_loss, generator_loss, gradient_penalties
from facegan.gans.r3gan.networks import ResidualBlock, block_gain, widths_from
from facegan.gans.r3gan.presets import PRESETS
from facegan.training import Trainer, TrainingConfig

R3GAN = FAMILIES["r3gan"]
TINY = PRESETS["tiny"]


WIDTHS_256 = [768] * 4 + [384, 192, 96]


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


# --- networks ---------------------------------------------------------------------------------


def test_paper32_has_the_papers_size_without_classes() -> None:
    """20.7 M per network: 8 blocks of 2,583,552, and the first and last layers."""
    block = 2 * 768 * 1536 + 1536 * 16 * 9 + 2 * 1536
    gan = build_gan("r3gan", "paper32", (3, 32, 32))
    generator, discriminator = gan.players["generator"], gan.players["discriminator"]
    assert parameters(generator) == 8 * block + 64 * 768 + 768 * 16 + 768 * 3 == 20_732_160
    assert parameters(discriminator) == 8 * block + 3 * 768 + 768 * 16 + 768 == 20_683_776


def test_paper64_has_the_papers_size() -> None:
    """22.4 M per network."""
    gan = build_gan("r3gan", "paper64", (3, 64, 64))
    assert parameters(gan.players["generator"]) == 22_429_824
    assert parameters(gan.players["discriminator"]) == 22_381_440


def test_paper256_has_the_papers_size() -> None:
    """Two blocks per stage, widths 768 (four times), 384, 192 and 96; 23 M per network."""
    with torch.device("meta"):
        gan = build_gan("r3gan", "paper256", (3, 256, 256))
    blocks = sum(2 * width * (4 * width + 2 * 16 * 9 + 4) for width in WIDTHS_256)
    changes = 768 * 384 + 384 * 192 + 192 * 96
    assert parameters(gan.players["generator"]) == blocks + changes + 768 * (16 + 64) + 96 * 3
    assert parameters(gan.players["discriminator"]) == blocks + changes + 768 * (16 + 1) + 96 * 3


@pytest.mark.parametrize(
    ("name", "side", "widths", "cardinalities"),
    [
        ("paper32", 32, [768] * 4, [96] * 4),
        ("paper64", 64, [768] * 4 + [384], [96] * 4 + [48]),
        ("paper256", 256, WIDTHS_256, [96] * 4 + [48, 24, 12]),
    ],
)
def test_widths_and_cardinalities_are_the_papers(
    name: str, side: int, widths: list[int], cardinalities: list[int]
) -> None:
    preset = PRESETS[name]
    assert widths_from(preset, (3, side, side)) == widths
    blocks = [ResidualBlock(width, preset, gain=1.0) for width in widths]
    assert [block.branch[2].groups for block in blocks] == cardinalities


def test_players_mirror_each_other() -> None:
    """The same two blocks per resolution; the other layers differ."""
    gan = build_gan("r3gan", "tiny", (3, 32, 32), blocks_per_stage=2)
    blocks = {
        name: [m for m in player.modules() if isinstance(m, ResidualBlock)]
        for name, player in gan.players.items()
    }
    assert len(blocks["generator"]) == len(blocks["discriminator"]) == 2 * 4


def test_all_biases_are_followed_by_an_activation() -> None:
    gan = build_gan("r3gan", "tiny", (3, 64, 64), full_width_resolution=32)
    for player in gan.players.values():
        biased = {name for name, _ in player.named_parameters() if name.endswith("bias")}
        assert biased and all(name.endswith(("branch.0.bias", "branch.2.bias")) for name in biased)


@pytest.mark.parametrize("side", [8, 16, 64, 128])
def test_tiny_generates_any_power_of_two_from_eight(side: int) -> None:
    gan = build_gan("r3gan", "tiny", (3, side, side), seed=0)
    images = gan.players["generator"](torch.randn(2, TINY.latent_dim))
    assert images.shape == (2, 3, side, side)
    logits = gan.players["discriminator"](images)
    assert logits.shape == (2,) and logits.dtype == torch.float32


def test_a_block_starts_as_the_identity_and_can_leave_it() -> None:
    torch.manual_seed(0)
    block, x = ResidualBlock(8, TINY, gain=1.0), torch.randn(2, 8, 4, 4)
    assert torch.equal(block(x), x)
    block(x).square().sum().backward()
    assert block.branch[-1].weight.grad.abs().max() > 0


def test_weights_inside_blocks_are_hes_scaled_by_the_depth() -> None:
    """std = sqrt(2 / 1.04) * 8^(-1/4) / sqrt(fan_in) with paper32's eight blocks."""
    block = ResidualBlock(768, PRESETS["paper32"], block_gain(8))
    gain = math.sqrt(2 / 1.04) / 8**0.25
    pointwise, grouped = block.branch[0], block.branch[2]
    assert pointwise.weight.std().item() == pytest.approx(gain / math.sqrt(768), rel=0.02)
    assert grouped.weight.std().item() == pytest.approx(gain / math.sqrt(16 * 9), rel=0.02)
    assert not pointwise.bias.any() and not grouped.bias.any()


def test_paper32s_weights_start_with_the_official_deviations() -> None:
    """1 / sqrt(fan_in), times the gain of eight blocks inside them; the first map is N(0, 1)."""
    players = build_gan("r3gan", "paper32", (3, 32, 32), seed=0).players
    for player in players.values():
        for block in (m for m in player.modules() if isinstance(m, ResidualBlock)):
            expected = math.sqrt(2 / 1.04) / 8**0.25 / math.sqrt(768)
            assert block.branch[0].weight.std().item() == pytest.approx(expected, rel=0.02)
            assert not block.branch[4].weight.any()
    generator, discriminator = players["generator"], players["discriminator"]
    deviations = [
        (generator.basis, 1.0),
        (generator.project.weight, 1 / 8),
        (generator.to_rgb.weight, 1 / math.sqrt(768)),
        (discriminator.from_rgb.weight, 1 / math.sqrt(3)),
        (discriminator.basis.weight, 1 / 4),
        (discriminator.head.weight, 1 / math.sqrt(768)),
    ]
    for weight, expected in deviations:
        assert weight.std().item() == pytest.approx(expected, rel=0.06)


def test_images_are_linear_in_their_own_latents_at_first() -> None:
    """Blocks start as identities, and images do not affect each other."""
    generator = build_gan("r3gan", "tiny", (3, 8, 8), seed=0).players["generator"]
    one, two = torch.randn(2, 1, TINY.latent_dim)
    both = generator(torch.cat([one, two]))
    torch.testing.assert_close(both, torch.cat([generator(one), generator(two)]))
    torch.testing.assert_close(generator(one + 2 * two), generator(one) + 2 * generator(two))


def test_widths_that_cannot_be_grouped_are_refused_with_the_fix() -> None:
    with pytest.raises(ConfigError, match=r"7 channels at 4 px.*groups of 4.*another width"):
        build_gan("r3gan", "tiny", (3, 32, 32), width=7)


# --- losses -----------------------------------------------------------------------------------


class Linear(nn.Module):
    """D(x) = w·x, whose gradient is w everywhere."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, images: Tensor, labels: None = None) -> Tensor:
        return (images * self.weight).sum(dim=(1, 2, 3))


class Repeat(nn.Module):
    """G(z): every pixel of a 1x1x2 image is the latent's first number."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(()))

    def forward(self, latents: Tensor, labels: None = None) -> Tensor:
        return self.gain * latents[:, :1, None, None].expand(-1, 1, 1, 2)


def by_hand(kimg: float = 0.0) -> tuple[Gan, Batch]:
    """w = (1, 2), γ = 4 → 1; reals sum to logits 3 and -1."""
    preset = replace(TINY, gamma_start=4.0, gamma_end=1.0)
    players = {"generator": Repeat(), "discriminator": Linear(torch.tensor([[[1.0, 2.0]]]))}
    reals = torch.tensor([[[[1.0, 1.0]]], [[[-1.0, 0.0]]]])
    latents = torch.tensor([[0.5] * 16, [-1.0] * 16])  # logits 1.5 and -3
    generator = torch.Generator().manual_seed(0)
    batch = {"reals": reals, "latents": latents, "generator": generator, "kimg": kimg}
    return Gan(R3GAN, "tiny", preset, (1, 1, 2), players), batch


def softplus(x: float) -> float:
    return math.log1p(math.exp(x))


def test_the_generators_term_worked_by_hand() -> None:
    """The mean of softplus(D(x) - D(G(z))) over pairs: 3 - 1.5 and -1 + 3."""
    gan, batch = by_hand()
    term = generator_loss(gan, batch)["generator"]
    assert term.item() == pytest.approx((softplus(1.5) + softplus(2.0)) / 2)


def test_the_discriminators_term_worked_by_hand() -> None:
    """The mean of softplus(D(G(z)) - D(x)) over pairs, on new latents."""
    gan, batch = by_hand()
    own = gan.sample_latents(2, torch.Generator().manual_seed(0))[:, 0].tolist()
    term = discriminator_loss(gan, batch)["discriminator"]
    expected = (softplus(3 * own[0] - 3) + softplus(3 * own[1] + 1)) / 2
    assert term.item() == pytest.approx(expected)


def test_both_players_gradients_worked_by_hand() -> None:
    """d softplus(u)/du = σ(u): D's is the mean of σ(D(f) - D(r)) (f - r) and γ w per penalty.

    G's gain multiplies fakes of logits 1.5 and -3, from which D(x) - D(G(z)) are 1.5 and 2.
    """
    gan, batch = by_hand()
    z = gan.sample_latents(2, torch.Generator().manual_seed(0))[:, 0]
    pairs = zip(z.tolist(), [[1.0, 1.0], [-1.0, 0.0]], [3.0, -1.0], strict=True)
    expected = [4.0 + 4.0, 8.0 + 8.0]  # of both penalties, γ = 4
    for fake, real, logit in pairs:
        share = 1 / (1 + math.exp(logit - 3 * fake)) / 2
        expected = [e + share * (fake - r) for e, r in zip(expected, real, strict=True)]
    torch.stack(list(discriminator_loss(gan, batch).values())).sum().backward()
    assert gan.players["discriminator"].weight.grad.flatten().tolist() == pytest.approx(expected)
    generator_loss(gan, batch)["generator"].backward()
    slope = sum(-logit / (1 + math.exp(-gap)) / 2 for logit, gap in ((1.5, 1.5), (-3.0, 2.0)))
    assert gan.players["generator"].gain.grad.item() == pytest.approx(slope)


def test_the_discriminators_phase_leaves_the_generator_without_gradient() -> None:
    gan, batch = by_hand()
    torch.stack(list(discriminator_loss(gan, batch).values())).sum().backward()
    assert gan.players["generator"].gain.grad is None
    assert gan.players["discriminator"].weight.grad is not None
    assert not batch["reals"].requires_grad


@pytest.mark.parametrize(("kimg", "gamma"), [(0.0, 4.0), (0.5, 2.5), (7.0, 1.0)])
def test_penalties_of_a_linear_discriminator_are_half_gamma_w_squared(
    kimg: float, gamma: float
) -> None:
    """∇(w·x) = w, |w|² = 5, whatever the images; γ follows its schedule."""
    terms = discriminator_loss(*by_hand(kimg))
    assert terms["r1"].item() == pytest.approx(gamma / 2 * 5)
    assert terms["r2"].item() == pytest.approx(gamma / 2 * 5)


def test_a_penaltys_own_gradient_is_gamma_w() -> None:
    """d/dw γ/2 |w|² = γ w: the penalty can be minimised."""
    gan, batch = by_hand()
    (slope,) = torch.autograd.grad(
        discriminator_loss(gan, batch)["r1"], gan.players["discriminator"].weight
    )
    assert slope.flatten().tolist() == pytest.approx([4.0, 8.0])


def test_penalties_are_per_image() -> None:
    """D(x) = |x|²: the gradient is 2x, its square 4 |x|², summed over channels and pixels."""
    images = torch.randn(3, 2, 4, 4, requires_grad=True)
    logits = images.square().sum(dim=(1, 2, 3))
    torch.testing.assert_close(gradient_penalties(logits, images), 4 * logits)


def test_under_bf16_the_terms_and_their_gradients_stay_finite_and_close() -> None:
    gan = build_gan("r3gan", "tiny", (3, 32, 32), seed=0)
    for block in gan.players["discriminator"].modules():  # as after some training
        if isinstance(block, ResidualBlock):
            nn.init.normal_(block.branch[-1].weight, 0.0, 0.1)
    found = []
    for enabled in (False, True):
        batch = {
            "kimg": 0.0,
            "reals": torch.rand(8, 3, 32, 32, generator=torch.Generator().manual_seed(1)),
            "generator": torch.Generator().manual_seed(2),
        }
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            terms = discriminator_loss(gan, batch)
        gan.players["discriminator"].zero_grad()
        torch.stack(list(terms.values())).sum().backward()
        slopes = [p.grad for p in gan.players["discriminator"].parameters()]
        assert all(s is not None and s.isfinite().all() for s in slopes)
        assert all(term.dtype == torch.float32 for term in terms.values())
        found.append({name: term.item() for name, term in terms.items()})
    assert found[1] == pytest.approx(found[0], rel=0.05)


@pytest.mark.parametrize(
    ("side", "in_float32"), [(16, {4}), (32, {4}), (64, {4}), (128, {4, 8}), (256, {4, 8, 16})]
)
def test_under_autocast_the_four_largest_stages_are_bf16(side: int, in_float32: set[int]) -> None:
    """As in the official presets: all but 4x4 up to 64 px, and 32 to 256 px at 256 px."""
    gan = build_gan("r3gan", "tiny", (3, side, side), seed=0, full_width_resolution=1024)
    seen: dict[str, dict[int, torch.dtype]] = {name: {} for name in gan.players}
    for name, player in gan.players.items():
        for block in (m for m in player.modules() if isinstance(m, ResidualBlock)):
            block.register_forward_hook(
                lambda _, __, y, name=name: seen[name].update({y.shape[-1]: y.dtype})
            )
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        images = gan.players["generator"](torch.randn(1, TINY.latent_dim))
        logits = gan.players["discriminator"](images)
    for stages in seen.values():
        assert {size for size, dtype in stages.items() if dtype == torch.float32} == in_float32
        assert set(stages.values()) == {torch.float32, torch.bfloat16}
    assert images.dtype == logits.dtype == torch.float32


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_maps_stay_channels_last_through_both_players(dtype: torch.dtype) -> None:
    """Forwards and backwards: with another layout a block would copy every map."""
    gan = build_gan("r3gan", "tiny", (3, 16, 16), seed=0)
    layouts: list[bool] = []

    def note(*maps: Tensor) -> None:
        layouts.extend(x.is_contiguous(memory_format=torch.channels_last) for x in maps)

    for player in gan.players.values():
        for block in (m for m in player.modules() if isinstance(m, ResidualBlock)):
            nn.init.normal_(block.branch[-1].weight, 0.0, 0.1)
            block.register_forward_hook(lambda _, inputs, y: note(*inputs, y))
            block.register_full_backward_hook(lambda _, inputs, outputs: note(*inputs, *outputs))
    with torch.autocast("cpu", dtype, enabled=dtype is torch.bfloat16):
        terms = discriminator_loss(gan, a_batch()) | generator_loss(gan, a_batch())
    torch.stack(list(terms.values())).sum().backward()
    assert layouts and all(layouts)


def a_batch() -> Batch:
    return {
        "kimg": 0.0,
        "reals": torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(1)),
        "latents": torch.randn(4, TINY.latent_dim, generator=torch.Generator().manual_seed(2)),
        "generator": torch.Generator().manual_seed(3),
    }


def test_the_penaltys_first_derivative_computes_no_weight_gradients() -> None:
    """Weights' gradients are computed once, at the end."""
    gan = build_gan("r3gan", "tiny", (3, 16, 16), seed=0)
    images = torch.rand(2, 3, 16, 16, requires_grad=True)
    logits = gan.players["discriminator"](images)
    with FlopCounterMode(display=False) as forward:
        gan.players["discriminator"](images)
    with FlopCounterMode(display=False) as slopes:
        gradient_penalties(logits, images)
    assert slopes.get_total_flops() <= forward.get_total_flops() * 1.01


# --- schedules --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kimg", "rate", "beta2", "gamma", "half_life"),
    [
        (0, 2e-4, 0.9, 2.0, 0.0),
        (5_000, 1.780330e-4, 0.913180, 1.736396, 73.22330),
        (10_000, 1.25e-4, 0.945, 1.1, 250.0),
        (20_000, 5e-5, 0.99, 0.2, 500.0),
        (90_000, 5e-5, 0.99, 0.2, 500.0),
    ],
)
def test_paper64s_schedules_at_five_points(
    kimg: float, rate: float, beta2: float, gamma: float, half_life: float
) -> None:
    preset = PRESETS["paper64"]
    for adam in R3GAN.optimizers(preset, kimg).values():
        assert (adam.learning_rate, adam.beta1, adam.beta2) == pytest.approx((rate, 0.0, beta2))
        assert adam.epsilon == 1e-8
    assert preset.gamma(kimg) == pytest.approx(gamma)
    assert R3GAN.ema_half_life_kimg(preset, kimg) == pytest.approx(half_life)


def test_a_schedule_is_half_a_cosine() -> None:
    """At a third of the way cos(π/3) = 1/2: a quarter of the change is done."""
    assert TINY.scheduled(0.0, 1.0, TINY.schedule_kimg / 3) == pytest.approx(0.25)


def test_every_number_can_be_a_string() -> None:
    changes = {spec.name: str(getattr(TINY, spec.name)) for spec in TINY.hyperparameters()}
    assert TINY.replaced(changes) == TINY
    with pytest.raises(ConfigError, match="gamma_start is -1"):
        TINY.replaced({"gamma_start": "-1"})


def test_a_short_run_stays_finite_and_follows_its_schedules(dataset: ImageFolderDataset) -> None:
    """Three steps of 8: before the last, 16 of the schedule's 32 images are seen."""
    gan = build_gan("r3gan", "tiny", (3, 32, 32), seed=0, schedule_kimg=0.032)
    seen: list[dict[str, float]] = []
    config = TrainingConfig(total_kimg=0.024, batch_size=8, tick_kimg=0.024, precision="fp32")
    trainer = Trainer(gan, dataset, config, on_tick=lambda _, figures: seen.append(dict(figures)))
    trainer.run()
    assert {"generator", "discriminator", "r1", "r2"} <= seen[0].keys()
    assert all(math.isfinite(value) for value in seen[0].values())
    for optimizer in trainer.optimizers.values():
        group = optimizer.param_groups[0]
        assert group["lr"] == pytest.approx((TINY.learning_rate_start + TINY.learning_rate_end) / 2)
        assert group["betas"] == pytest.approx((0.0, 0.945))
    assert trainer.averages["generator"].half_life_images == pytest.approx(50.0)
