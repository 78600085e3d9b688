"""From a seed to its latent, so that one seed names one face for ever."""

from collections.abc import Sequence

import torch
from torch import Tensor

from facegan.artifact import Artifact
from facegan.errors import RequestError

MAX_SEED = 2**32 - 1


def latents_of_seeds(artifact: Artifact, seeds: Sequence[int]) -> Tensor:
    """The latents (N, latent_dim) of N seeds, each drawn with random numbers of its own.

    Raises:
        RequestError: a seed outside 0 … 2**32 - 1.
    """
    return torch.cat([latent_of_seed(artifact, seed) for seed in seeds])


def latent_of_seed(artifact: Artifact, seed: int) -> Tensor:
    """The latent (1, latent_dim) of one seed."""
    if not 0 <= seed <= MAX_SEED:
        raise RequestError(f"The seed {seed} is out of range.", f"Seeds run from 0 to {MAX_SEED}.")
    return artifact.sample_latents(1, torch.Generator().manual_seed(seed))
