"""DCGAN's losses: the non-saturating loss of Goodfellow et al., arXiv:1406.2661."""

import torch
from torch import Tensor
from torch.nn.functional import softplus

from facegan.gans.dcgan.presets import DcganPreset
from facegan.gans.family import Batch, Gan, Phase, Terms, record_logits


def generator_loss(gan: Gan, batch: Batch) -> Terms:
    """Return -log D(G(z)) = softplus(-logits); store the fakes for the discriminator."""
    fakes = gan.players["generator"](batch["latents"])
    batch["fakes"] = fakes.detach()
    return {"generator": softplus(-gan.players["discriminator"](fakes)).mean()}


def discriminator_loss(gan: Gan, batch: Batch) -> Terms:
    """Return the discriminator's loss on the generator phase's fakes."""
    return discriminator_terms(gan, batch, batch["fakes"])


def discriminator_loss_on_new_fakes(gan: Gan, batch: Batch) -> Terms:
    """Return the discriminator's loss on new fakes, as in the paper and the article."""
    reals = batch["reals"]
    latents = gan.sample_latents(len(reals), batch["generator"], reals.device)
    with torch.no_grad():
        fakes = gan.players["generator"](latents)
    return discriminator_terms(gan, batch, fakes)


def discriminator_terms(gan: Gan, batch: Batch, fakes: Tensor) -> Terms:
    """Return -log D(x) = softplus(-logits) and -log(1 - D(G(z))) = softplus(logits).

    Reals and fakes are two batches, so that batch norm normalises them separately. A target t below
    1 for reals is one-sided label smoothing (Salimans et al., arXiv:1606.03498, section 3.4):
    -t log D(x) - (1 - t) log(1 - D(x)) = softplus(-logits) + (1 - t) logits.
    """
    discriminator, target = gan.players["discriminator"], gan.preset.real_target
    of_reals, of_fakes = discriminator(batch["reals"]), discriminator(fakes)
    record_logits(batch, of_reals, of_fakes)
    return {
        "reals": (softplus(-of_reals) + (1 - target) * of_reals).mean(),
        "fakes": softplus(of_fakes).mean(),
    }


def phases_of(preset: DcganPreset) -> tuple[Phase, ...]:
    """Return the phases: the generator first if its fakes are shared, else the article's order."""
    if preset.share_fakes:
        return Phase(("generator",), generator_loss), Phase(("discriminator",), discriminator_loss)
    return (
        Phase(("discriminator",), discriminator_loss_on_new_fakes),
        Phase(("generator",), generator_loss),
    )
