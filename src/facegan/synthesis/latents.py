"""From seeds to latents, so that one seed names one face for ever, and the ways between them."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from facegan.errors import RequestError
from facegan.model_files import ModelCard
from facegan.synthesis.latent_batch import Latents
from facegan.synthesis.mt19937 import normal, raw_words, uniform, words_per_normal

MAX_SEED = 2**32 - 1


def latents_of_seeds(card: ModelCard, seeds: Sequence[int]) -> Latents:
    """The latents (N, latent_dim) of N seeds, each drawn with random numbers of its own.

    Raises:
        RequestError: a seed outside 0 … 2**32 - 1.
    """
    check_seeds(seeds)
    words = raw_words(seeds, words_per_latent(card))
    if card.latent_distribution == "uniform":
        return uniform(words) * 2 - 1
    return normal(words, card.latent_dim)


def words_per_latent(card: ModelCard) -> int:
    """How many words of a seed its latent takes; its class is of those that follow."""
    width = card.latent_dim
    return width if card.latent_distribution == "uniform" else words_per_normal(width)


def check_seeds(seeds: Sequence[int]) -> None:
    """Refuse what torch's generator, too, could not be seeded with.

    Raises:
        RequestError: a seed outside 0 … 2**32 - 1.
    """
    for seed in seeds:
        if not 0 <= seed <= MAX_SEED:
            told = f"The seed {seed} is out of range."
            raise RequestError(told, f"Seeds run from 0 to {MAX_SEED}.")


def slerp(start: Latents, end: Latents, share: Latents) -> Latents:
    """Spherical interpolation (Shoemake 1985; for GANs White, arXiv:1609.04468, equation 1).

    Between two normal latents it keeps their typical length, which a straight line would cut.

    Args:
        start: (latent_dim,)
        end: (latent_dim,)
        share: (N,) from 0, which gives start, to 1, which gives end.

    Returns:
        (N, latent_dim)
    """
    lengths = np.linalg.norm(start) * np.linalg.norm(end)
    with np.errstate(invalid="ignore", divide="ignore"):
        angle = np.arccos(np.clip(np.dot(start, end) / lengths, -1, 1))
    if lengths == 0 or np.sin(angle) < 1e-4:  # one direction, opposite ones or none: no one arc
        weights = np.stack([1 - share, share])
    else:
        weights = np.stack([np.sin((1 - share) * angle), np.sin(share * angle)]) / np.sin(angle)
    way = weights[0, :, None] * start + weights[1, :, None] * end
    return way.astype(np.float32)


def interpolation_path(keyframes: Latents, frames: int) -> Latents:
    """A way through latents (S, latent_dim), with `frames` steps from each to the next.

    Returns:
        ((S - 1) * frames + 1, latent_dim): every station is met exactly.
    """
    shares = np.arange(frames, dtype=np.float32) / np.float32(frames)
    legs = [slerp(a, b, shares) for a, b in pairwise(keyframes)]
    return np.concatenate([*legs, keyframes[-1:]])
