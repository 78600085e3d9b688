"""ADA's transformations by hand, on pictures of a few pixels."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from facegan.training.augment import ada
from facegan.training.augment.draws import Draws
from facegan.training.augment.resample import read, warp, write

MANY = Draws(4000, 16, 16, torch.device("cpu"))


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def picture(*rows: list[float]) -> Tensor:
    """One grey picture (1, 3, H, W)."""
    return torch.tensor([[rows]]).expand(1, 3, -1, -1)


def one(*numbers: float) -> tuple[Tensor, ...]:
    return tuple(torch.tensor([number]) for number in numbers)


# --- places: each matrix leads from the result back to the picture ------------------------------


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        (ada.scaling(*one(-1, 1)), picture([2.0, 1.0], [4.0, 3.0])),
        (ada.rotation(*one(0, 1)), picture([2.0, 4.0], [1.0, 3.0])),
        (ada.rotation(*one(-1, 0)), picture([4.0, 3.0], [2.0, 1.0])),
        (ada.translation(*one(1, 0)), picture([2.0, 2.0], [4.0, 4.0])),
        (ada.translation(*one(0, -1)), picture([1.0, 2.0], [1.0, 2.0])),
    ],
    ids=["flip", "quarter turn", "half turn", "left by one", "down by one"],
)
def test_whole_pixels_go_where_they_should_to_the_bit(matrix: Tensor, expected: Tensor) -> None:
    """What comes in from outside is the mirror image."""
    assert torch.equal(warp(picture([1.0, 2.0], [3.0, 4.0]), matrix), expected)


def test_half_a_pixel_is_read_by_the_cubic_kernel() -> None:
    """Of a single 1: (-3, 19, 19, -3) / 32 around the edge between two pixels."""
    row = [0.0, 0, 0, 1, 0, 0, 0, 0]
    moved = warp(picture(*[row] * 8), ada.translation(*one(0.5, 0)))
    expected = torch.tensor([0, -3, 19, 19, -3, 0, 0, 0]) / 32
    torch.testing.assert_close(moved[0, 0], expected.expand(8, 8))


def test_twice_the_size_shows_the_middle() -> None:
    """Reading at half the distance from the middle: a ramp becomes half as steep."""
    ramp = torch.arange(16.0) - 7.5
    zoomed = warp(picture(*[ramp.tolist()] * 16), ada.scaling(*one(0.5, 0.5)))
    torch.testing.assert_close(zoomed[0, 0, 0, 4:12], ramp[4:12] / 2, atol=0.05, rtol=0)


@pytest.mark.parametrize("shape", [(4, 4), (3, 5)])
def test_reading_and_writing_are_adjoint_and_derivable_twice(shape: tuple[int, int]) -> None:
    """<read(x), y> = <x, write(y)>, wherever is read, also outside."""
    grid = torch.rand(2, *shape, 2, dtype=torch.float64) * 4 - 2
    x, y = torch.randn(2, 2, 3, *shape, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close((read(x, grid) * y).sum(), (x * write(y, grid)).sum())
    for linear in (read, write):

        def squared(images: Tensor, linear: Callable[..., Tensor] = linear) -> Tensor:
            return linear(images, grid).square()

        assert torch.autograd.gradcheck(squared, x)
        assert torch.autograd.gradgradcheck(squared, x)


def test_transformations_are_composed_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quarter turn, then right by one: not the same as the other way around."""
    turn, right = ada.rotation(*one(0, 1)), ada.translation(*one(-1, 0))
    image = picture([1.0, 2.0, 0.0, 0.0], [3.0, 4.0, 0.0, 0.0], [0.0] * 4, [0.0] * 4)
    always = torch.tensor(1.0)
    both = ada.move(image, Draws.of(image), [(lambda _: turn, always), (lambda _: right, always)])
    assert torch.equal(both, warp(warp(image, turn), right))
    assert not torch.equal(both, warp(warp(image, right), turn))


# --- colours ------------------------------------------------------------------------------------


def recoloured(matrix: Tensor, *pixel: float) -> list[float]:
    return (matrix[0] @ torch.tensor([*pixel, 1.0]))[:3].tolist()


class Fixed(Draws):
    """Draws that give a number of ours: for an angle, a deviation, a choice."""

    number: float = 0.0

    def give(self, *_: float) -> Tensor:
        return torch.full((self.count,), self.number)

    uniform = normal = factor = whole = give


def fixed(number: float) -> Fixed:
    draws = Fixed(1, 2, 2, torch.device("cpu"))
    object.__setattr__(draws, "number", number)
    return draws


@pytest.mark.parametrize(
    ("matrix", "pixel", "expected"),
    [
        (ada.brightness(fixed(0.25)), (0.5, 0.0, -1.0), (0.75, 0.25, -0.75)),
        (ada.contrast(fixed(2.0)), (0.5, 0.0, -1.0), (1.0, 0.0, -2.0)),
        (ada.luma_flip(fixed(1)), (1.0, 1.0, 1.0), (-1.0, -1.0, -1.0)),
        (ada.luma_flip(fixed(1)), (1.0, -1.0, 0.0), (1.0, -1.0, 0.0)),
        (ada.luma_flip(fixed(0)), (0.5, 0.0, -1.0), (0.5, 0.0, -1.0)),
        (ada.hue(fixed(2 * math.pi / 3)), (0.5, 0.0, -1.0), (-1.0, 0.5, 0.0)),
        (ada.hue(fixed(math.pi)), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        (ada.saturation(fixed(0.0)), (0.9, 0.3, 0.0), (0.4, 0.4, 0.4)),
        (ada.saturation(fixed(2.0)), (0.9, 0.3, 0.0), (1.4, 0.2, -0.4)),
    ],
    ids=["brighter", "contrast", "flipped grey", "flipped hue", "unflipped", "hue by a third",
         "hue of grey", "no saturation", "twice saturated"],
)  # fmt: skip
def test_colours_become_what_they_should(
    matrix: Tensor, pixel: tuple[float, ...], expected: tuple[float, ...]
) -> None:
    assert recoloured(matrix, *pixel) == pytest.approx(expected, abs=1e-6)


def test_recoloring_is_the_matrices_one_after_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """Brighter by 0.5, then twice the contrast."""
    changes = (lambda _: ada.brightness(fixed(0.5)), lambda _: ada.contrast(fixed(2.0)))
    monkeypatch.setattr(ada, "COLOR", changes)
    image = torch.tensor([0.1, 0.2, 0.3]).view(1, 3, 1, 1)
    expected = torch.tensor([1.2, 1.4, 1.6]).view(1, 3, 1, 1)
    torch.testing.assert_close(ada.recolor(image, Draws.of(image), torch.tensor(1.0)), expected)


# --- what is drawn ------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("transformation", [*ada.BLIT, ada.scale, ada.stretch, *ada.COLOR])
def test_each_is_drawn_as_often_as_asked(transformation: ada.Transformation, p: float) -> None:
    """Some draws do nothing: a flip or not, 0 quarters, a shift by 0 of -2 … 2 pixels."""
    idle = {"flip_x": 1 / 2, "luma_flip": 1 / 2, "rotate_by_quarters": 1 / 4,
            "translate_by_pixels": 1 / 16}  # fmt: skip
    matrices = ada.drawn(transformation, torch.tensor(p), MANY)
    changed = (matrices != torch.eye(matrices.shape[1])).flatten(1).any(1).double().mean()
    assert changed.item() == pytest.approx(p * (1 - idle.get(transformation.__name__, 0)), abs=0.04)


@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_the_two_rotations_together_are_as_likely_as_any_other(p: float) -> None:
    either = torch.zeros(MANY.count, dtype=torch.bool)
    for _ in range(2):
        matrices = ada.drawn(ada.rotate, torch.tensor(p), MANY)
        either |= (matrices != torch.eye(3)).flatten(1).any(1)
    assert either.double().mean().item() == pytest.approx(p, abs=0.03)


def test_translations_reach_an_eighth_of_the_sides() -> None:
    draws = Draws(4000, 32, 16, torch.device("cpu"))
    whole = ada.translate_by_pixels(draws)[:, :2, 2]
    assert torch.equal(whole, whole.round())
    assert whole.abs().amax(0).tolist() == [2.0, 4.0]
    deviations = ada.translate(draws)[:, :2, 2].std(0).tolist()
    assert deviations == pytest.approx([2.0, 4.0], rel=0.05)


@pytest.mark.parametrize(
    ("transformation", "octaves"),
    [(ada.scale, 0.2), (ada.stretch, 0.2), (ada.contrast, 0.5)],
)
def test_factors_are_as_often_above_one_as_below(
    transformation: ada.Transformation, octaves: float
) -> None:
    logarithms = transformation(MANY)[:, 0, 0].log2()
    assert logarithms.mean().item() == pytest.approx(0, abs=octaves / 10)
    assert logarithms.std().item() == pytest.approx(octaves, rel=0.05)


def test_a_stretch_keeps_the_area() -> None:
    torch.testing.assert_close(torch.linalg.det(ada.stretch(MANY)), torch.ones(MANY.count))
