"""Pix2Pix's losses: the conditional GAN's and the L1 distance to the true image.

arXiv:1611.07004, section 3.1. The generator's phase is first, so that one pass of it makes the
fakes of both phases.
"""

from torch.nn.functional import l1_loss, softplus

from facegan.gans.family import Batch, Gan, Phase, Terms, record_logits
from facegan.gans.jitter import jitter_together
from facegan.gans.labels import one_hot_maps


def generator_loss(gan: Gan, batch: Batch) -> Terms:
    """Return -log D(x, G(x)) = softplus(-logits), and the L1 distance to the true image, weighted.

    Stores the step's pairs and fakes for the discriminator.
    """
    family, preset = gan.family, gan.preset
    source = batch[family.source(preset, preset.source)]
    target = batch[family.target(preset)]
    if preset.jitter:
        source, target = jitter_together(source, target)
    fakes = gan.players["generator"](source)
    condition = one_hot_maps(source, preset.map_classes) if preset.map_classes else source
    batch |= {"conditions": condition, "targets": target, "fakes": fakes.detach()}
    logits = gan.players["discriminator"](fakes, condition)
    return {
        "generator": softplus(-logits).mean(),
        "reconstruction": preset.l1_weight * l1_loss(fakes, target),
    }


def discriminator_loss(gan: Gan, batch: Batch) -> Terms:
    """Return half of -log D(x, y) and of -log(1 - D(x, G(x))).

    Halved, as in the paper (section 3.3), so that the discriminator learns more slowly. Pairs of
    reals and of fakes are two batches, so that batch norm normalises them separately.
    """
    discriminator, condition = gan.players["discriminator"], batch["conditions"]
    of_reals = discriminator(batch["targets"], condition)
    of_fakes = discriminator(batch["fakes"], condition)
    record_logits(batch, of_reals.flatten(1), of_fakes.flatten(1))
    return {"reals": softplus(-of_reals).mean() / 2, "fakes": softplus(of_fakes).mean() / 2}


PHASES = (
    Phase(("generator",), generator_loss),
    Phase(("discriminator",), discriminator_loss),
)
