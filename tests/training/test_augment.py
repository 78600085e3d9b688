"""Augmentation is differentiable, respects its probability, and hooks every discriminator."""

from itertools import combinations

import pytest
import torch
from torch import Tensor, nn

from facegan.errors import ConfigError
from facegan.hyperparameters.augment_policy import OPERATIONS, parse_policy
from facegan.training.augment import Augment
from facegan.training.augment.diff_augment import cut_out, jitter_colour, translate
from facegan.training.augment.draws import Draws
from facegan.training.augment.policy import stages
from facegan.training.augment.resample import WARPS, warp_bicubic

DIFF_AUGMENT, ADA = ("color", "translation", "cutout"), ("blit", "geom", "recolor", "cutout")
POLICIES = [
    ",".join(names)
    for group in (DIFF_AUGMENT, ADA)
    for count in range(1, len(group) + 1)
    for names in combinations(group, count)
]


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def noise(count: int = 4, side: int = 8, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.rand(count, 3, side, side, dtype=dtype) * 2 - 1


def augment(policy: str, probability: float = 1.0, filter: str = "bicubic") -> Augment:
    return Augment(policy, torch.tensor(probability), filter)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("policy", POLICIES)
def test_augmentation_keeps_shape_and_type(policy: str, dtype: torch.dtype) -> None:
    images = noise(dtype=torch.float32).to(dtype)
    augmented = augment(policy)(images)
    assert augmented.shape == images.shape and augmented.dtype == dtype
    assert not torch.equal(augmented, images)


@pytest.mark.parametrize("filter", WARPS)
@pytest.mark.parametrize("side", [8, 7])
@pytest.mark.parametrize("policy", POLICIES)
def test_a_probability_of_0_changes_no_bit(policy: str, side: int, filter: str) -> None:
    images = noise(64, side, torch.float32)
    assert torch.equal(augment(policy, 0.0, filter)(images), images)


def test_the_filter_computes_in_float32_where_networks_compute_in_bf16() -> None:
    images = noise(4, 16, torch.float32)
    torch.manual_seed(1)
    expected = augment("blit,geom", filter="wavelet")(images)
    torch.manual_seed(1)
    with torch.autocast("cpu", torch.bfloat16):
        found = augment("blit,geom", filter="wavelet")(images)
    assert torch.equal(found, expected)


@pytest.mark.parametrize(
    ("policy", "filter"), [*((name, "bicubic") for name in OPERATIONS), ("blit,geom", "wavelet")]
)
def test_second_derivatives_flow_through_augmentation(policy: str, filter: str) -> None:
    def fixed(images: Tensor) -> Tensor:
        torch.manual_seed(3)
        return augment(policy, filter=filter)(images).square()

    images = noise(1 if filter == "wavelet" else 2, 3).requires_grad_()
    assert torch.autograd.gradcheck(fixed, images)
    assert torch.autograd.gradgradcheck(fixed, images)


@pytest.mark.parametrize("probability", [0.3, 1.0])
@pytest.mark.parametrize("policy", ["color", "translation", "recolor:0.5", "cutout"])
def test_unchosen_images_stay_unchanged(policy: str, probability: float) -> None:
    """recolor has five operations; a luma flip changes nothing half of the time."""
    likely = probability / 2
    expected = {"recolor:0.5": (1 - likely) ** 4 * (1 - likely / 2), "translation": None}
    images = noise(4000, 16, torch.float32)
    same = (augment(policy, probability)(images) == images).flatten(1).all(1).double().mean()
    share = expected.get(policy, 1 - probability)
    if share is None:  # a shift by 0 rows of -2 … 2 and 0 columns
        share = 1 - probability * 24 / 25
    assert same.item() == pytest.approx(share, abs=0.03)


def test_the_probability_is_read_at_every_call() -> None:
    """So schedules and controllers need not rebuild it."""
    probability = torch.tensor(0.0)
    changes = Augment("color", probability)
    images = noise()
    assert torch.equal(changes(images), images)
    probability.fill_(1.0)
    assert not torch.equal(changes(images), images)


def test_colour_jitter_is_bounded() -> None:
    """A grey image stays grey and changes by brightness alone, at most by 0.5."""
    grey = torch.full((500, 3, 2, 2), 0.25)
    moved = jitter_colour(grey, Draws.of(grey)) - grey
    assert moved.abs().max() <= 0.5 + 1e-6
    assert moved.min() < -0.45 and moved.max() > 0.45
    torch.testing.assert_close(moved, moved[:, :1, :1, :1].expand_as(moved))


def test_translation_shifts_whole_pixels_by_up_to_an_eighth() -> None:
    images = torch.zeros(400, 3, 16, 16)
    images[:, :, 8, 8] = 1.0
    moved = translate(images, Draws.of(images))
    places = moved[:, 0].flatten(1).argmax(1)
    rows, columns = places // 16 - 8, places % 16 - 8
    assert set(rows.tolist()) == set(columns.tolist()) == {-2, -1, 0, 1, 2}
    assert torch.equal(moved.sum((1, 2, 3)), torch.full((400,), 3.0))


def test_translation_fills_with_zero() -> None:
    ones = torch.ones(200, 3, 16, 16)
    sums = translate(ones, Draws.of(ones))[:, 0].sum((1, 2))
    assert set(sums.tolist()) == {float(a * b) for a in (14, 15, 16) for b in (14, 15, 16)}


def test_cutout_hides_a_square_of_half_the_side_or_less_at_an_edge() -> None:
    ones = torch.ones(400, 3, 16, 16)
    hidden = (cut_out(ones, Draws.of(ones)) == 0)[:, 0]
    heights = hidden.any(2).sum(1)
    widths = hidden.any(1).sum(1)
    assert heights.max() == widths.max() == 8 and heights.min() >= 4
    assert torch.equal(hidden.sum((1, 2)), heights * widths)


def test_the_hook_augments_only_in_training_mode() -> None:
    discriminator = nn.Flatten()
    augment("color").hook_before(discriminator)
    images = noise()
    assert not torch.equal(discriminator(images), images.flatten(1))
    assert torch.equal(discriminator.eval()(images), images.flatten(1))


class Keeping(nn.Module):
    """A discriminator of pairs that keeps what it is given."""

    def forward(self, images: Tensor, condition: Tensor, labels: Tensor | None = None) -> Tensor:
        self.given = images, condition, labels
        return images.flatten(1).sum(1)


@pytest.mark.parametrize("filter", WARPS)
@pytest.mark.parametrize("policy", POLICIES)
def test_a_pair_is_moved_together_and_only_its_image_changes_colour(
    policy: str, filter: str
) -> None:
    """Of a condition equal to its image and a policy without colours, both stay equal."""
    discriminator, images = Keeping(), noise(16)
    augment(policy, 0.7, filter).hook_before(discriminator)
    labels = torch.arange(16)
    discriminator(images, images[:, :2], labels)
    moved, condition, given = discriminator.given
    assert given is labels
    assert condition.shape == (16, 2, 8, 8) and condition.dtype == images.dtype
    has_colours = "color" in policy  # recolor too
    assert torch.allclose(moved[:, :2], condition) is not has_colours
    if set(policy.split(",")) <= {"color", "recolor"}:
        assert torch.equal(condition, images[:, :2])
    torch.manual_seed(4)
    expected = augment(policy, 0.7, filter)(images)
    torch.manual_seed(4)
    discriminator(images, images[:, :2])
    torch.testing.assert_close(discriminator.given[0], expected)  # as without a condition


def test_label_maps_that_cannot_be_moved_are_refused() -> None:
    discriminator = Keeping()
    augment("blit").hook_before(discriminator)
    with pytest.raises(TypeError, match="one-hot"):
        discriminator(noise(), torch.zeros(4, 8, 8, dtype=torch.int64))


@pytest.mark.parametrize("policy", ["", "none", " none "])
def test_no_hook_without_augmentation(policy: str) -> None:
    discriminator = nn.Flatten()
    augment(policy).hook_before(discriminator)
    assert not discriminator._forward_pre_hooks


def test_a_policy_is_names_and_shares() -> None:
    assert parse_policy("blit, geom,recolor:0.5") == {"blit": 1.0, "geom": 1.0, "recolor": 0.5}


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ("colour", r"'colour'.*Did you mean color"),
        ("['blit','color']", "commas between them: blit,color"),
        ("blit color", "commas between them: blit,color"),
        ("blit+geom:0.5", "commas between them: blit,geom:0.5"),
        ("bgc", "Write augment as blit,geom,recolor"),
        ("True", "Write augment as color,translation,cutout"),
        ("off", "Write augment as none"),
        ("blits,geom", r"'blits'.*Did you mean blit"),
        ("recolor:2", r"gives recolor the share '2'.*recolor:0.5"),
        ("recolor:", r"gives recolor the share ''"),
        ("geom:nan", r"gives geom the share 'nan'"),
        (":0.5", r"unknown operation ''"),
    ],
)
def test_an_invalid_policy_is_refused(policy: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_policy(policy)


def test_every_named_operation_is_implemented() -> None:
    assert tuple(name for names in stages(warp_bicubic) for name in names) == OPERATIONS
