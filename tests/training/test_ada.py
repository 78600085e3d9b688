"""ADA's transformations on images of a few pixels, compared with results computed by hand."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from facegan.training.augment import ada, resample
from facegan.training.augment.draws import Draws
from facegan.training.augment.resample import read, warp_bicubic, warp_wavelet, write

MANY = Draws(4000, 16, 16, torch.device("cpu"))


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def grey_image(*rows: list[float]) -> Tensor:
    """Return one grey image (1, 3, H, W)."""
    return torch.tensor([[rows]]).expand(1, 3, -1, -1)


def one(*numbers: float) -> tuple[Tensor, ...]:
    return tuple(torch.tensor([number]) for number in numbers)


# --- geometry: each matrix maps the result to the original --------------------------------------


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        (ada.scaling(*one(-1, 1)), grey_image([2.0, 1.0], [4.0, 3.0])),
        (ada.rotation(*one(0, 1)), grey_image([2.0, 4.0], [1.0, 3.0])),
        (ada.rotation(*one(-1, 0)), grey_image([4.0, 3.0], [2.0, 1.0])),
        (ada.translation(*one(1, 0)), grey_image([2.0, 1.0], [4.0, 3.0])),
        (ada.translation(*one(0, -1)), grey_image([3.0, 4.0], [1.0, 2.0])),
    ],
    ids=["flip", "quarter turn", "half turn", "left by one", "down by one"],
)
def test_whole_pixels_are_moved_exactly(matrix: Tensor, expected: Tensor) -> None:
    """Outside lies the mirror image, without the edge."""
    assert torch.equal(warp_bicubic(grey_image([1.0, 2.0], [3.0, 4.0]), matrix), expected)


@pytest.mark.parametrize("warp", resample.WARPS.values())
def test_padding_is_a_reflection_without_the_edge(warp: resample.Warp) -> None:
    """0 1 2 … 15 sampled from four to the left: 4 3 2 1 0 1 2 …, as by F.pad."""
    line = torch.arange(16.0).expand(16, 16)[None, None]
    moved = warp(line, ada.translation(*one(-4, 0)))[0, 0, 8]
    expected = torch.nn.functional.pad(line, (4, 0, 0, 0), mode="reflect")[0, 0, 8, :16]
    torch.testing.assert_close(moved, expected, atol=1e-5, rtol=0)


def test_half_pixels_use_the_cubic_kernel() -> None:
    """Of a single 1: (-3, 19, 19, -3) / 32 around the edge between two pixels."""
    row = [0.0, 0, 0, 1, 0, 0, 0, 0]
    moved = warp_bicubic(grey_image(*[row] * 8), ada.translation(*one(0.5, 0)))
    expected = torch.tensor([0, -3, 19, 19, -3, 0, 0, 0]) / 32
    torch.testing.assert_close(moved[0, 0], expected.expand(8, 8))


@pytest.mark.parametrize("warp", resample.WARPS.values())
def test_scaling_by_two_shows_the_centre(warp: resample.Warp) -> None:
    """A ramp becomes half as steep."""
    ramp = torch.arange(16.0) - 7.5
    zoomed = warp(grey_image(*[ramp.tolist()] * 16), ada.scaling(*one(0.5, 0.5)))
    torch.testing.assert_close(zoomed[0, 0, 0, 4:12], ramp[4:12] / 2, atol=0.05, rtol=0)


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("shape", [(4, 4), (3, 5)])
def test_read_and_write_are_adjoint_and_twice_differentiable(
    shape: tuple[int, int], mode: str
) -> None:
    """<read(x), y> = <x, write(y)>, at any grid, also outside, and for any size."""
    grid = torch.rand(2, shape[0], 6, 2, dtype=torch.float64) * 4 - 2
    x = torch.randn(2, 3, *shape, dtype=torch.float64, requires_grad=True)
    y = torch.randn(2, 3, shape[0], 6, dtype=torch.float64, requires_grad=True)
    written = write(y, grid, mode, x.shape)
    torch.testing.assert_close((read(x, grid, mode) * y).sum(), (x * written).sum())
    for linear, images in ((read, x), (write, y)):
        more = (x.shape,) if linear is write else ()

        def squared(images: Tensor, linear: Any = linear, more: Any = more) -> Tensor:
            found: Tensor = linear(images, grid, mode, *more)
            return found.square()

        assert torch.autograd.gradcheck(squared, images)
        assert torch.autograd.gradgradcheck(squared, images)


# --- the wavelet's filter -----------------------------------------------------------------------


def test_the_filter_is_an_orthonormal_wavelet_with_six_vanishing_moments() -> None:
    """Daubechies' conditions, which few filters of twelve taps meet; the most symmetric one."""
    taps = torch.tensor(resample.SYM6, dtype=torch.float64)
    for shift in range(6):
        product = (taps[2 * shift :] * taps[: 12 - 2 * shift]).sum().item()
        assert product == pytest.approx(1.0 if shift == 0 else 0.0, abs=1e-12)
    signs = torch.tensor([1.0, -1.0] * 6, dtype=torch.float64)
    for power in range(6):
        moment = (signs * taps * torch.arange(12, dtype=torch.float64) ** power).sum().item()
        assert moment == pytest.approx(0.0, abs=1e-6 * 12**power)
    assert taps.sum().item() == pytest.approx(math.sqrt(2))
    centre = resample.CENTRE
    lopsided = (taps[: 2 * centre + 1] - taps[: 2 * centre + 1].flip(0)).norm()
    assert lopsided < 0.3  # of db6, which meets the conditions too, 1.2 about its best centre


@pytest.mark.parametrize("side", [12, 21])
def test_halving_inverts_doubling(side: int) -> None:
    """Also at the ends, where reflected pixels are doubled too."""
    line = torch.rand(side, dtype=torch.float64)
    doubled = resample.doubling(side, line.device, line.dtype) @ line
    margin = 2 * resample.margin(side)
    needed = doubled[margin - 5 : margin + 2 * side + 5]
    halved = resample.halving(side, line.device, line.dtype) @ needed
    torch.testing.assert_close(halved, line)


@pytest.mark.parametrize(
    ("shift", "expected"),
    [
        (0.5, "-.00012 .00162 -.01039 .04362 -.14540 .61067 .61067 -.14540 .04362 -.01039 "
              ".00150 .00150"),
        (0.25, "-.00006 .00081 -.00519 .02181 -.07270 .30533 .80533 -.07270 .02181 -.00519 "
               ".00075 .00075"),
    ],
)  # fmt: skip
def test_a_line_between_pixels_is_spread_as_in_the_paper(shift: float, expected: str) -> None:
    """Column 6 of 12, also reflected into the last results; numbers from the official code."""
    image = torch.zeros(1, 1, 12, 12)
    image[0, 0, :, 6] = 1
    moved = warp_wavelet(image, ada.translation(*one(shift, 0.0)))[0, 0, 5]
    assert moved.tolist() == pytest.approx([float(v) for v in expected.split()], abs=1e-5)


def test_far_positions_are_reflected_repeatedly() -> None:
    image = torch.rand(1, 3, 16, 16, dtype=torch.float64)
    wide = torch.cat([image[:, :, :, 1:].flip(3), image, image[:, :, :, :-1].flip(3)], 3)
    shift = ada.translation(*one(12.0, 0.0))
    expected = wide[:, :, :, 15 + 12 : 15 + 12 + 16]
    torch.testing.assert_close(warp_bicubic(image, shift), expected, atol=1e-5, rtol=0)
    far = (warp_wavelet(image, shift) - expected).abs()
    assert far[:, :, :, :6].max() < 1e-5  # within the margin of 8 and the filter's reach
    assert far.max() < 0.3  # there the filter is mirrored too, and it is not quite symmetric


def test_the_wavelet_is_exact_for_whole_pixels_and_wide_images() -> None:
    image = torch.rand(1, 3, 20, 30, dtype=torch.float64)
    moved = warp_wavelet(image, ada.translation(*one(3, -2)))
    expected = image[:, :, 5:13, 10:22]
    torch.testing.assert_close(moved[:, :, 7:15, 7:19], expected, atol=1e-6, rtol=0)


def test_a_smaller_image_does_not_alias() -> None:
    """Stripes of one pixel at half the size become grey; the cubic kernel keeps stripes."""
    stripes = (torch.arange(64) % 2 * 2.0 - 1).expand(64, 64)[None, None]
    matrix = ada.scaling(*one(1.9, 1.9))
    cubic, wavelet = (warp(stripes, matrix)[0, 0, 20:44, 20:44].abs().mean()
                      for warp in (warp_bicubic, warp_wavelet))  # fmt: skip
    assert wavelet < 0.1 < 0.3 < cubic


def test_transformations_are_composed_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quarter turn, then right by one, is not the reverse."""
    turn, right = ada.rotation(*one(0, 1)), ada.translation(*one(-1, 0))
    image = grey_image([1.0, 2.0, 0.0, 0.0], [3.0, 4.0, 0.0, 0.0], [0.0] * 4, [0.0] * 4)
    always = torch.tensor(1.0)
    both = ada.move(image, Draws.of(image), [(lambda _: turn, always), (lambda _: right, always)])
    assert torch.equal(both, warp_bicubic(warp_bicubic(image, turn), right))
    assert not torch.equal(both, warp_bicubic(warp_bicubic(image, right), turn))


# --- colours ------------------------------------------------------------------------------------


def recoloured(matrix: Tensor, *pixel: float) -> list[float]:
    return (matrix[0] @ torch.tensor([*pixel, 1.0]))[:3].tolist()


class Fixed(Draws):
    """Draws that return a fixed number."""

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
def test_colours_are_transformed(
    matrix: Tensor, pixel: tuple[float, ...], expected: tuple[float, ...]
) -> None:
    assert recoloured(matrix, *pixel) == pytest.approx(expected, abs=1e-6)


def test_recolor_applies_the_matrices_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Brighter by 0.5, then twice the contrast."""
    changes = (lambda _: ada.brightness(fixed(0.5)), lambda _: ada.contrast(fixed(2.0)))
    monkeypatch.setattr(ada, "COLOR", changes)
    image = torch.tensor([0.1, 0.2, 0.3]).view(1, 3, 1, 1)
    expected = torch.tensor([1.2, 1.4, 1.6]).view(1, 3, 1, 1)
    torch.testing.assert_close(ada.recolor(image, Draws.of(image), torch.tensor(1.0)), expected)


# --- random draws -------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("transformation", [*ada.BLIT, ada.scale, ada.stretch, *ada.COLOR])
def test_each_is_applied_with_its_probability(transformation: ada.Transformation, p: float) -> None:
    """Some draws change nothing: no flip, 0 quarters, a shift by 0 of -2 … 2 pixels."""
    idle = {"flip_x": 1 / 2, "luma_flip": 1 / 2, "rotate_by_quarters": 1 / 4,
            "translate_by_pixels": 1 / 16}  # fmt: skip
    matrices = ada.sample(transformation, torch.tensor(p), MANY)
    changed = (matrices != torch.eye(matrices.shape[1])).flatten(1).any(1).double().mean()
    assert changed.item() == pytest.approx(p * (1 - idle.get(transformation.__name__, 0)), abs=0.04)


@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_the_two_rotations_together_are_as_likely_as_any_other(p: float) -> None:
    either = torch.zeros(MANY.count, dtype=torch.bool)
    for _ in range(2):
        matrices = ada.sample(ada.rotate, torch.tensor(p), MANY)
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
def test_factors_are_symmetric_about_one(
    transformation: ada.Transformation, octaves: float
) -> None:
    logarithms = transformation(MANY)[:, 0, 0].log2()
    assert logarithms.mean().item() == pytest.approx(0, abs=octaves / 10)
    assert logarithms.std().item() == pytest.approx(octaves, rel=0.05)


def test_a_stretch_keeps_the_area() -> None:
    torch.testing.assert_close(torch.linalg.det(ada.stretch(MANY)), torch.ones(MANY.count))
