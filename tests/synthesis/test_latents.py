"""Latents of seeds are torch's; interpolation meets its ends and keeps lengths."""

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from facegan.artifact import Artifact
from facegan.gans import draw_labels
from facegan.synthesis import MAX_SEED, interpolation_path, labels_of_seeds, latents_of_seeds, slerp
from facegan.synthesis.mt19937 import normal, raw_words, uniform, words_per_normal

seeds = st.integers(0, 2**31)
Floats = npt.NDArray[np.float32]


def latent(seed: int, width: int = 64) -> Floats:
    return np.random.default_rng(seed).standard_normal(width, np.float32)


@given(seed=st.integers(0, MAX_SEED), width=st.integers(1, 140))
def test_random_numbers_are_those_of_torch(seed: int, width: int) -> None:
    """Normal ones to their last places, uniform ones to the bit; odd widths and single blocks."""
    words = raw_words([seed], words_per_normal(width))
    expected = torch.randn(1, width, generator=torch.Generator().manual_seed(seed))
    np.testing.assert_allclose(normal(words, width), expected.numpy(), atol=4e-6)
    expected = torch.rand(1, width, generator=torch.Generator().manual_seed(seed))
    assert np.array_equal(uniform(raw_words([seed], width)), expected.numpy())


@given(seed=st.integers(0, MAX_SEED))
def test_latents_and_classes_of_seeds_are_those_that_torch_draws(
    seed: int, conditional_artifact: Artifact
) -> None:
    """As training draws them, with its own generator: a latent, then a class."""
    numbers = torch.Generator().manual_seed(seed)
    card = conditional_artifact.card
    expected = conditional_artifact.sample_latents(1, numbers).numpy()
    np.testing.assert_allclose(latents_of_seeds(card, [seed]), expected, atol=4e-6)
    label = draw_labels(conditional_artifact.classes, 1, numbers)
    assert labels_of_seeds(card, [seed]).tolist() == label.tolist()


def test_uniform_latents_are_those_that_torch_draws(artifact: Artifact) -> None:
    from dataclasses import replace

    card = replace(artifact.card, settings={"latent_distribution": "uniform"})
    expected = torch.rand(1, card.latent_dim, generator=torch.Generator().manual_seed(7)) * 2 - 1
    assert np.array_equal(latents_of_seeds(card, [7]), expected.numpy())


@given(a=seeds, b=seeds)
def test_slerp_begins_and_ends_where_it_should(a: int, b: int) -> None:
    start, end = latent(a), latent(b)
    ways = slerp(start, end, np.array([0.0, 1.0], np.float32))
    np.testing.assert_allclose(ways, np.stack([start, end]), atol=1e-5)


def test_halfway_between_two_axes_is_the_diagonal() -> None:
    axes = np.eye(2, dtype=np.float32)
    (middle,) = slerp(*axes, np.array([0.5], np.float32))
    assert middle.tolist() == pytest.approx([0.5**0.5, 0.5**0.5])


@given(a=seeds, b=seeds, share=st.floats(0, 1, width=32))
def test_slerp_keeps_the_length_of_unit_latents(a: int, b: int, share: float) -> None:
    start, end = (z / np.linalg.norm(z) for z in (latent(a), latent(b)))
    (way,) = slerp(start, end, np.array([share], np.float32))
    assert np.linalg.norm(way) == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize("factor", [1.0, 2.0, -1.0, 0.0])
def test_latents_without_a_unique_arc_are_joined_by_a_line(factor: float) -> None:
    start = latent(0)
    (middle,) = slerp(start, np.float32(factor) * start, np.array([0.5], np.float32))
    np.testing.assert_allclose(middle, start * (1 + factor) / 2, rtol=1e-6)


@given(keyframes=st.integers(2, 5), frames=st.integers(1, 6))
def test_a_path_meets_every_keyframe(keyframes: int, frames: int) -> None:
    met = np.stack([latent(seed) for seed in range(keyframes)])
    way = interpolation_path(met, frames)
    assert len(way) == (keyframes - 1) * frames + 1
    np.testing.assert_allclose(way[::frames], met, atol=1e-5)
