"""From seeds to latents, so that one seed names one face for ever, and the ways between them."""

from collections.abc import Sequence
from itertools import pairwise

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


def slerp(start: Tensor, end: Tensor, share: Tensor) -> Tensor:
    """Spherical interpolation (Shoemake 1985; for GANs White, arXiv:1609.04468, equation 1).

    Between two normal latents it keeps their typical length, which a straight line would cut.

    Args:
        start: (latent_dim,)
        end: (latent_dim,)
        share: (N,) from 0, which gives start, to 1, which gives end.

    Returns:
        (N, latent_dim)
    """
    lengths = start.norm() * end.norm()
    angle = torch.arccos((torch.dot(start, end) / lengths).clamp(-1, 1))
    if lengths == 0 or angle.sin() < 1e-4:  # one direction, opposite ones or none: no one arc
        weights = torch.stack([1 - share, share])
    else:
        weights = torch.stack([((1 - share) * angle).sin(), (share * angle).sin()]) / angle.sin()
    return weights[0, :, None] * start + weights[1, :, None] * end


def walk(stations: Tensor, frames: int) -> Tensor:
    """A way through latents (S, latent_dim), with `frames` steps from each to the next.

    Returns:
        ((S - 1) * frames + 1, latent_dim): every station is met exactly.
    """
    shares = torch.arange(frames) / frames
    legs = [slerp(a, b, shares) for a, b in pairwise(stations)]
    return torch.cat([*legs, stations[-1:]])
