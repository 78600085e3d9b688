"""OASIS's losses (arXiv:2012.04781): the discriminator says of every pixel its class, or "fake".

Classes are balanced: a pixel's weight is the inverse of its class's share of the batch.
"""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, mse_loss

from facegan.gans import data_parallel
from facegan.gans.family import Batch, Gan, Terms, record_logits


def segmenting_generator_terms(gan: Gan, batch: Batch, fakes: Tensor) -> Terms:
    """Return how far fakes are from being told as their label maps (equation 3)."""
    logits = gan.players["discriminator"](fakes, batch["label_maps"])
    return {"generator": balanced_loss(logits, batch["label_maps"])}


def segmenting_discriminator_terms(gan: Gan, batch: Batch, fakes: Tensor) -> Terms:
    """Return the losses of reals by class and of fakes as "fake" (equation 1), and LabelMix."""
    discriminator, reals, label_maps = (
        gan.players["discriminator"],
        batch["reals"],
        batch["label_maps"],
    )
    fakes = fakes.to(reals.dtype)
    doubled = label_maps.repeat(2, 1, 1)
    of_reals, of_fakes = discriminator(torch.cat([reals, fakes]), doubled).chunk(2)
    record_logits(batch, realness(of_reals), realness(of_fakes))
    fake_class = torch.full_like(label_maps, gan.preset.map_classes)
    terms = {
        "reals": balanced_loss(of_reals, label_maps),
        "fakes": cross_entropy(of_fakes, fake_class),
    }
    if gan.preset.label_mix_weight:
        mask = label_mask(label_maps, gan.preset.map_classes)
        of_mixed = discriminator(torch.where(mask, reals, fakes), label_maps)
        distance = mse_loss(of_mixed, torch.where(mask, of_reals, of_fakes))
        terms["label_mix"] = gan.preset.label_mix_weight * distance
    return terms


def realness(logits: Tensor) -> Tensor:
    """Return each image's mean log-odds (N,) of any class against "fake"."""
    return (logits[:, :-1].logsumexp(1) - logits[:, -1]).mean((1, 2))


def balanced_loss(logits: Tensor, label_maps: Tensor) -> Tensor:
    """Return the mean cross-entropy over pixels, each weighted by its class's inverse share."""
    losses = cross_entropy(logits, label_maps, reduction="none")
    weights = class_weights(label_maps, logits.shape[1])
    return (weights[label_maps] * losses).mean()


def class_weights(label_maps: Tensor, classes: int) -> Tensor:
    """Return a weight per class (classes,): the inverse of its share of the batch's pixels.

    Shares are those of the whole batch of all processes. The weights are divided by the number of
    classes seen, so that a pixel's mean weight is 1 (the paper's equation 2 leaves that open).
    """
    counts = torch.bincount(label_maps.flatten(), minlength=classes).float()
    shares = data_parallel.mean_over_processes(counts) / label_maps.numel()
    is_seen = shares > 0
    return torch.where(is_seen, 1 / (shares * is_seen.sum()).clamp(min=1e-12), 0.0)


def label_mask(label_maps: Tensor, classes: int) -> Tensor:
    """Draw which classes of each image are taken from the real one: (N, 1, H, W), booleans."""
    drawn = data_parallel.randint(0, 2, len(label_maps), classes, device=label_maps.device)
    chosen = drawn.gather(1, label_maps.flatten(1)).view_as(label_maps)
    return chosen[:, None].bool()
