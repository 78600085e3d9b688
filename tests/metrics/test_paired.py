"""Images against the true ones: L1 and SSIM by their definitions, and what is refused."""

import numpy as np
import pytest
import torch
from torch import Tensor

from facegan.errors import MetricError
from facegan.metrics import mean_absolute_difference, structural_similarity


def noise(seed: int, count: int = 5, height: int = 16, width: int = 13) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    shape = (count, 3, height, width)
    return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)


def ssim_by_loops(a: np.ndarray, b: np.ndarray) -> float:
    """SSIM of two planes as the paper writes it, one window after the other."""
    axis = np.arange(11) - 5
    window = np.exp(-(axis[:, None] ** 2 + axis[None] ** 2) / (2 * 1.5**2))
    window /= window.sum()
    found = []
    for top in range(a.shape[0] - 10):
        for left in range(a.shape[1] - 10):
            x, y = (of[top : top + 11, left : left + 11].astype(float) for of in (a, b))
            mean_x, mean_y = (window * x).sum(), (window * y).sum()
            var_x, var_y = (
                (window * (of - mean) ** 2).sum() for of, mean in ((x, mean_x), (y, mean_y))
            )
            both = (window * (x - mean_x) * (y - mean_y)).sum()
            c1, c2 = 2.55**2, 7.65**2
            found.append(
                (2 * mean_x * mean_y + c1) * (2 * both + c2)
                / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))
            )  # fmt: skip
    return float(np.mean(found))


def test_the_difference_is_a_mean_in_units_of_white() -> None:
    black, white = torch.zeros(300, 3, 4, 4, dtype=torch.uint8), torch.full((300, 3, 4, 4), 255)
    assert mean_absolute_difference(black, white.to(torch.uint8)) == 1
    assert mean_absolute_difference(black, black) == 0
    a, b = noise(1), noise(2)
    wanted = np.abs(a.numpy().astype(float) - b.numpy()).mean() / 255
    assert mean_absolute_difference(a, b) == pytest.approx(wanted, rel=1e-9)


def test_ssim_is_the_papers() -> None:
    a = noise(3, count=2)
    b = (a.float() * 0.6 + noise(4, count=2).float() * 0.4).to(torch.uint8)
    planes = zip(a.flatten(0, 1).numpy(), b.flatten(0, 1).numpy(), strict=True)
    wanted = np.mean([ssim_by_loops(x, y) for x, y in planes])
    assert structural_similarity(a, b) == pytest.approx(wanted, abs=1e-9)
    assert 0.3 < wanted < 0.95


def test_ssim_of_equal_unrelated_and_inverted_images() -> None:
    a = noise(5, count=8)
    assert structural_similarity(a, a) == pytest.approx(1)
    assert abs(structural_similarity(a, noise(6, count=8))) < 0.1
    assert structural_similarity(a, 255 - a) < -0.5


def test_many_images_are_compared_in_parts() -> None:
    """600 images, in parts, have the mean of what they have one by one."""
    a, b = noise(7, count=600, height=12), noise(8, count=600, height=12)
    for metric in (mean_absolute_difference, structural_similarity):
        single = [metric(a[k : k + 1], b[k : k + 1]) for k in range(600)]
        assert metric(a, b) == pytest.approx(np.mean(single), abs=1e-9)


@pytest.mark.parametrize("metric", [mean_absolute_difference, structural_similarity])
def test_what_cannot_be_compared_is_refused(metric) -> None:
    with pytest.raises(MetricError, match=r"\(5, 3, 16, 13\).*one by one.*\(4, 3, 16, 13\)"):
        metric(noise(1), noise(2, count=4))
    with pytest.raises(MetricError, match=r"uint8 \(N, C, H, W\); these are torch.float32"):
        metric(noise(1), noise(2).float())
    with pytest.raises(MetricError, match="no images"):
        metric(noise(1)[:0], noise(2)[:0])


def test_images_smaller_than_the_window_have_no_ssim() -> None:
    with pytest.raises(MetricError, match="needs 11 pixels a side; the images have 10x16"):
        structural_similarity(noise(1, width=10), noise(2, width=10))
