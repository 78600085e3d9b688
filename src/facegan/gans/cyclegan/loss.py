"""CycleGAN's losses: least squares, cycle consistency and identity (arXiv:1703.10593, section 3).

A is the data set's own domain, B that of the unpaired images. Each generator is named by its
direction, each discriminator by the domain that it judges.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import l1_loss

from facegan.gans.cyclegan.presets import DISCRIMINATORS
from facegan.gans.family import Batch, Gan, Phase, Terms, record_logits
from facegan.gans.jitter import jitter_together
from facegan.model_inputs import DIRECTIONS


def generators_loss(gan: Gan, batch: Batch) -> Terms:
    """Return both generators' terms, and store their fakes for the discriminators.

    Least squares (D(fake) - 1)² of both domains, twice the cycle's L1 distance, weighted, and that
    of images of its own target domain to what a generator makes of them (section 5.2).
    """
    players, preset = gan.players, gan.preset
    to_b, to_a = players["AtoB"], players["BtoA"]
    real_a, real_b = batch["reals"], batch["unpaired"]
    if preset.jitter:
        (real_a,), (real_b,) = jitter_together(real_a), jitter_together(real_b)
    fake_a, fake_b = to_a(real_b), to_b(real_a)
    batch |= {"reals_A": real_a, "reals_B": real_b}
    batch |= {"fakes_A": fake_a.detach(), "fakes_B": fake_b.detach()}
    judged = [players["discriminator_A"](fake_a), players["discriminator_B"](fake_b)]
    cycles = l1_loss(to_a(fake_b), real_a) + l1_loss(to_b(fake_a), real_b)
    terms = {
        "generator": sum_of_squares(judged, 1.0),
        "cycle": preset.cycle_weight * cycles,
    }
    if preset.identity_weight:
        kept = l1_loss(to_a(real_a), real_a) + l1_loss(to_b(real_b), real_b)
        terms["identity"] = preset.identity_weight * preset.cycle_weight * kept
    return terms


def discriminators_loss(gan: Gan, batch: Batch) -> Terms:
    """Return half of (D(real) - 1)² and of D(fake)² of both domains; fakes come from the pools."""
    of_reals, of_fakes = [], []
    for name, domain in zip(DISCRIMINATORS, "AB", strict=True):
        discriminator: Any = gan.players[name]
        fakes = discriminator.pool.exchange(batch[f"fakes_{domain}"], batch["generator"])
        of_reals.append(discriminator(batch[f"reals_{domain}"]))
        of_fakes.append(discriminator(fakes))
    # Reals are trained towards 1 and fakes towards 0: half-way between is no verdict.
    record_logits(batch, *(torch.cat(of, 1).flatten(1) - 0.5 for of in (of_reals, of_fakes)))
    return {"reals": sum_of_squares(of_reals, 1.0) / 2, "fakes": sum_of_squares(of_fakes, 0.0) / 2}


def sum_of_squares(judged: list[Tensor], target: float) -> Tensor:
    """Return the sum over domains of the mean squared distance of logits to a target.

    arXiv:1611.04076: the least-squares GAN.
    """
    return torch.stack([(logits - target).square().mean() for logits in judged]).sum()


PHASES = (
    Phase(DIRECTIONS, generators_loss),
    Phase(DISCRIMINATORS, discriminators_loss),
)
