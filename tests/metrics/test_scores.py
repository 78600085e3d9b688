"""FID, KID, precision and recall compared with closed forms, NumPy and cases worked by hand."""

import numpy as np
import pytest
import torch
from torch import Tensor

from facegan.errors import MetricError
from facegan.metrics import EXTRACTORS, metric_name, metric_names, scores
from facegan.tick_line import TICK_METRICS


def normal(count: int, width: int, seed: int, mean: float = 0, deviation: float = 1) -> Tensor:
    numbers = torch.Generator().manual_seed(seed)
    return torch.randn(count, width, generator=numbers) * deviation + mean


def with_moments(features: Tensor, mean: Tensor, deviations: Tensor) -> Tensor:
    """Return the cloud, moved and scaled to have exactly this mean and diagonal covariance."""
    centred = (features - features.mean(0)).double()
    root = torch.linalg.cholesky(centred.T @ centred / (len(features) - 1))
    white = torch.linalg.solve_triangular(root, centred.T, upper=False).T
    return white * deviations + mean


def test_the_frechet_distance_of_two_normal_clouds_is_the_closed_form() -> None:
    """|μ₁ - μ₂|² + Σ (σ₁ - σ₂)² where the covariances are diagonal."""
    means = torch.zeros(8), torch.linspace(0, 1, 8)
    deviations = torch.ones(8), torch.linspace(0.5, 2, 8)
    one, two = (
        with_moments(normal(50, 8, seed), mean, deviation)
        for seed, mean, deviation in zip((0, 1), means, deviations, strict=True)
    )
    expected = (means[0] - means[1]).square().sum() + (deviations[0] - deviations[1]).square().sum()
    assert scores(one, two, "lite0")["fd_lite0"] == pytest.approx(expected.item(), abs=1e-5)


def test_kid_is_the_unbiased_estimate_with_the_cubic_kernel() -> None:
    """Equation 4 of arXiv:1801.01401 in a few lines of numpy, over the same subsets."""
    fakes, reals = normal(40, 6, 0), normal(30, 6, 1, mean=0.5)
    draw = np.random.RandomState(2020)
    found = []
    for _ in range(100):
        x = fakes.double().numpy()[draw.choice(40, 15, replace=False)]
        y = reals.double().numpy()[draw.choice(30, 15, replace=False)]
        k_xx, k_yy, k_xy = (((a @ b.T) / 6 + 1) ** 3 for a, b in ((x, x), (y, y), (x, y)))
        within = k_xx.sum() - np.trace(k_xx) + k_yy.sum() - np.trace(k_yy)
        found.append(within / (15 * 14) - 2 * k_xy.mean())
    computed = scores(fakes, reals, "lite0")
    assert computed["kid_lite0"] == pytest.approx(np.mean(found), rel=1e-4)
    assert computed["kid_lite0_std"] == pytest.approx(np.std(found), rel=1e-4)


def test_a_set_against_itself_a_similar_and_another_one() -> None:
    one, like, other = normal(400, 8, 0), normal(400, 8, 1), normal(400, 8, 2, mean=1)
    itself, alike, apart = (scores(one, reals, "lite0") for reals in (one, like, other))
    assert itself["fd_lite0"] == pytest.approx(0, abs=1e-6)
    assert itself["precision_lite0"] == itself["recall_lite0"] == 1
    assert abs(alike["kid_lite0"]) < 0.05 < 1 < apart["kid_lite0"]
    assert alike["fd_lite0"] < 1 < apart["fd_lite0"]


def test_precision_and_recall_worked_by_hand() -> None:
    """Reals in two clumps, fakes in one of them and a quarter far from both."""
    clump = torch.tensor([[0.0, 0], [0, 1], [1, 0], [1, 1]])
    reals = torch.cat([clump, clump + 100])
    fakes = torch.cat([clump + 0.1, clump[:2] + 0.2, torch.tensor([[-500.0, 0], [0, -500]])])
    found = scores(fakes, reals, "lite0")
    assert found["precision_lite0"] == 6 / 8
    assert found["recall_lite0"] == 4 / 8


def test_copies_of_one_image_have_precision_and_no_recall() -> None:
    reals = normal(60, 4, 0)
    fakes = reals[:1] + normal(60, 4, 1, deviation=1e-3)
    found = scores(fakes, reals, "lite0")
    assert found["precision_lite0"] == 1 and found["recall_lite0"] < 0.1


def test_the_same_features_give_the_same_numbers() -> None:
    fakes, reals = normal(60, 8, 0), normal(50, 8, 1)
    assert scores(fakes, reals, "lite0") == scores(fakes, reals, "lite0")


def test_only_inception_makes_fid() -> None:
    fakes, reals = normal(20, 4, 0), normal(20, 4, 1)
    published = {"fid", "kid", "kid_std"}
    ours = {"precision_inception", "recall_inception"}  # the paper has VGG-16
    assert set(scores(fakes, reals, "inception")) == published | ours
    assert not published & set(scores(fakes, reals, "lite0"))
    assert metric_name("fd", "lite0") == "fd_lite0"
    assert metric_names(EXTRACTORS) > published | ours


def test_sagemaker_plots_every_metric() -> None:
    assert metric_names(EXTRACTORS) <= set(TICK_METRICS)


@pytest.mark.parametrize(("samples", "images", "kind"), [(3, 9, "samples"), (9, 3, "real images")])
def test_too_few_are_refused_with_the_number_needed(samples: int, images: int, kind: str) -> None:
    with pytest.raises(MetricError, match=f"3 {kind} are too few.*at least 4"):
        scores(normal(samples, 4, 0), normal(images, 4, 1), "lite0")
