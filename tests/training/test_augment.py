"""Augmentation is differentiable, leaves what it should, and stands before any discriminator."""

from itertools import combinations

import pytest
import torch
from torch import Tensor, nn

from facegan.errors import ConfigError
from facegan.training.augment import OPERATIONS, Augment, cut_out, jitter_colour, translate

POLICIES = [",".join(names) for count in range(4) for names in combinations(OPERATIONS, count)]


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def pictures(count: int = 4, side: int = 8, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.rand(count, 3, side, side, dtype=dtype) * 2 - 1


@pytest.mark.parametrize("policy", POLICIES)
def test_shape_and_type_stay(policy: str) -> None:
    images = pictures(dtype=torch.float32)
    augmented = Augment(policy)(images)
    assert augmented.shape == images.shape and augmented.dtype == images.dtype
    assert torch.equal(augmented, images) == (policy == "")


@pytest.mark.parametrize("operation", OPERATIONS.values())
def test_gradients_flow_through_it_at_second_order_too(operation) -> None:
    def fixed(images: Tensor) -> Tensor:
        torch.manual_seed(3)
        return operation(images).square()

    images = pictures(2, 4).requires_grad_()
    assert torch.autograd.gradcheck(fixed, images)
    assert torch.autograd.gradgradcheck(fixed, images)


def test_colour_moves_by_no_more_than_it_says() -> None:
    """A grey picture keeps its greyness and moves by brightness alone: at most 0.5."""
    grey = torch.full((500, 3, 2, 2), 0.25)
    moved = jitter_colour(grey) - grey
    assert moved.abs().max() <= 0.5 + 1e-6
    assert moved.min() < -0.45 and moved.max() > 0.45
    torch.testing.assert_close(moved, moved[:, :1, :1, :1].expand_as(moved))


def test_translation_shifts_whole_pixels_by_up_to_an_eighth() -> None:
    images = torch.zeros(400, 3, 16, 16)
    images[:, :, 8, 8] = 1.0
    places = translate(images)[:, 0].flatten(1).argmax(1)
    rows, columns = places // 16 - 8, places % 16 - 8
    assert set(rows.tolist()) == set(columns.tolist()) == {-2, -1, 0, 1, 2}
    assert torch.equal(translate(images).sum((1, 2, 3)), torch.full((400,), 3.0))


def test_translation_brings_in_nothing() -> None:
    ones = torch.ones(200, 3, 16, 16)
    sums = translate(ones)[:, 0].sum((1, 2))
    assert set(sums.tolist()) == {float(a * b) for a in (14, 15, 16) for b in (14, 15, 16)}


def test_cutout_hides_a_square_of_half_the_side_or_less_at_an_edge() -> None:
    hidden = (cut_out(torch.ones(400, 3, 16, 16)) == 0)[:, 0]
    heights = hidden.any(2).sum(1)
    widths = hidden.any(1).sum(1)
    assert heights.max() == widths.max() == 8 and heights.min() >= 4
    assert torch.equal(hidden.sum((1, 2)), heights * widths)


def test_a_probability_leaves_the_others_as_they_are() -> None:
    images = pictures(1000, 4)
    same = (Augment("color", 0.3)(images) == images).flatten(1).all(1)
    assert same.double().mean().item() == pytest.approx(0.7, abs=0.05)


def test_it_stands_before_a_discriminator_only_while_it_trains() -> None:
    discriminator = nn.Flatten()
    Augment("color").stand_before(discriminator)
    images = pictures()
    assert not torch.equal(discriminator(images), images.flatten(1))
    assert torch.equal(discriminator.eval()(images), images.flatten(1))


def test_an_unknown_operation_offers_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"'colour'.*Did you mean color"):
        Augment("colour")
