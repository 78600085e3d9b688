"""OASIS's losses (arXiv:2012.04781): the discriminator tells each pixel's class, or "fake".

Classes are balanced: a pixel's weight is the inverse of its class's share of the batch. Label maps
are one-hot, float (N, classes, H, W); where augmentation has cut them they are 0 in every class.
"""

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from facegan.gans import data_parallel
from facegan.gans.data_parallel import same_draws
from facegan.gans.family import Batch, Gan, Terms, record_logits


def segmenting_generator_terms(gan: Gan, fakes: Tensor, label_maps: Tensor) -> Terms:
    """Return how far the fakes' pixels are from being told as their classes (equation 3)."""
    return {"generator": class_loss(*gan.players["discriminator"](fakes, label_maps))}


def segmenting_discriminator_terms(
    gan: Gan, batch: Batch, fakes: Tensor, label_maps: Tensor
) -> Terms:
    """Return the losses of reals by class, of fakes as "fake" (equation 1), and of LabelMix.

    LabelMix (equation 4): of an image whose classes are partly real and partly fake, the logits
    shall be those of the two images, mixed alike. All three are augmented alike.
    """
    discriminator, reals = gan.players["discriminator"], batch["reals"]
    fakes, chosen = fakes.to(reals.dtype), draw_classes(label_maps)
    with same_draws(reals.device):
        of_reals, moved = discriminator(reals, label_maps)
    with same_draws(reals.device):
        of_fakes, _ = discriminator(fakes, label_maps)
    record_logits(batch, realness(of_reals), realness(of_fakes))
    terms = {
        "reals": class_loss(of_reals, moved),
        "fakes": -of_fakes.log_softmax(1)[:, -1].mean(),
    }
    if weight := gan.preset.label_mix_weight:
        of_mixed, _ = discriminator(mix(reals, fakes, label_maps, chosen), label_maps)
        distance = mse_loss(of_mixed, mix(of_reals, of_fakes, moved, chosen))
        terms["label_mix"] = weight * distance
    return terms


def realness(logits: Tensor) -> Tensor:
    """Return each image's mean log-odds (N,) of any class against "fake"."""
    return (logits[:, :-1].logsumexp(1) - logits[:, -1]).mean((1, 2))


def class_loss(logits: Tensor, label_maps: Tensor) -> Tensor:
    """Return the mean cross-entropy over pixels, each weighted by its class's inverse share."""
    losses = -logits.log_softmax(1)[:, :-1] * label_maps
    return (class_weights(label_maps)[:, None, None] * losses).sum(1).mean()


def class_weights(label_maps: Tensor) -> Tensor:
    """Return a weight per class (classes,): the inverse of its share of the batch (equation 2).

    Shares are those of the whole batch of all processes. Weights are divided by the number of
    classes seen, so that their mean over pixels is 1, which the paper leaves open.
    """
    shares = data_parallel.mean_over_processes(label_maps.mean((0, 2, 3)))
    is_seen = shares > 0
    return torch.where(is_seen, 1 / (shares * is_seen.sum()).clamp(min=1e-12), 0.0)


def draw_classes(label_maps: Tensor) -> Tensor:
    """Draw which classes of each image come from the real one: (N, classes), 0 or 1."""
    count, classes = label_maps.shape[:2]
    return data_parallel.randint(0, 2, count, classes, device=label_maps.device)


def mix(reals: Tensor, fakes: Tensor, label_maps: Tensor, chosen: Tensor) -> Tensor:
    """Return the reals' values (N, C, H, W) where the pixels' class was chosen, else the fakes'."""
    is_real = (label_maps * chosen[:, :, None, None]).sum(1, keepdim=True) > 0.5
    return torch.where(is_real, reals, fakes)
