"""Latents of seeds, and interpolation between latents."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from facegan.errors import RequestError
from facegan.model_files import ModelCard
from facegan.synthesis.input_batch import Latents
from facegan.synthesis.mt19937 import normal, raw_words, uniform, words_per_normal

MAX_SEED = 2**32 - 1


def latents_of_seeds(card: ModelCard, seeds: Sequence[int]) -> Latents:
    """Return the latents (N, latent_dim) of N seeds, each from random numbers of its own."""
    check_seeds(seeds)
    width = card.latent_dim
    if card.latent_distribution == "uniform":
        return uniform(raw_words(seeds, width)) * 2 - 1
    return normal(raw_words(seeds, words_per_normal(width)), width)


def words_per_latent(card: ModelCard) -> int:
    """Return how many of a seed's words its latent takes; its class comes from the next ones."""
    width = card.latent_dim
    return width if card.latent_distribution == "uniform" else words_per_normal(width)


def check_seeds(seeds: Sequence[int]) -> None:
    """Raise RequestError if there are no seeds, or one is outside torch's range, 0 … 2**32 - 1."""
    if not len(seeds):
        raise RequestError("There are no seeds.", "Send one or more.")
    for seed in seeds:
        if not 0 <= seed <= MAX_SEED:
            raise RequestError(
                f"The seed {seed} is out of range.", f"Seeds run from 0 to {MAX_SEED}."
            )


def slerp(start: Latents, end: Latents, t: Latents) -> Latents:
    """Interpolate on a sphere (Shoemake 1985; for GANs White, arXiv:1609.04468, equation 1).

    Between two normal latents this keeps their typical length; a straight line would shorten it.

    Args:
        start: (latent_dim,)
        end: (latent_dim,)
        t: (N,) from 0, which gives start, to 1, which gives end.

    Returns:
        (N, latent_dim)
    """
    lengths = np.linalg.norm(start) * np.linalg.norm(end)
    with np.errstate(invalid="ignore", divide="ignore"):
        angle = np.arccos(np.clip(np.dot(start, end) / lengths, -1, 1))
    if lengths == 0 or np.sin(angle) < 1e-4:  # parallel, opposite or zero: no unique arc
        weights = np.stack([1 - t, t])
    else:
        weights = np.stack([np.sin((1 - t) * angle), np.sin(t * angle)]) / np.sin(angle)
    path = weights[0, :, None] * start + weights[1, :, None] * end
    return path.astype(np.float32)


def interpolation_path(keyframes: Latents, frames: int) -> Latents:
    """Interpolate through latents (K, latent_dim), with `frames` steps from each to the next.

    Returns:
        ((K - 1) * frames + 1, latent_dim); every keyframe is met exactly.
    """
    t = np.arange(frames, dtype=np.float32) / np.float32(frames)
    segments = [slerp(a, b, t) for a, b in pairwise(keyframes)]
    return np.concatenate([*segments, keyframes[-1:]])
