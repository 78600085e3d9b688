"""SPADE's losses: hinge, feature matching, perceptual and KL (arXiv:1903.07291, appendix A)."""

import torch
from torch import Tensor
from torch.nn.functional import l1_loss

from facegan.gans.data_parallel import same_draws
from facegan.gans.family import Batch, Gan, Phase, Terms, record_logits
from facegan.gans.labels import one_hot_maps
from facegan.gans.perceptual import perceptual_distance
from facegan.gans.spade.discriminators import Features
from facegan.gans.spade.generator import draw_styles
from facegan.gans.spade.presets import SpadePreset
from facegan.gans.spade.segmenting_loss import (
    segmenting_discriminator_terms,
    segmenting_generator_terms,
)


def generator_loss(gan: Gan, batch: Batch) -> Terms:
    """Return the terms of generator and encoder; store the fakes for the discriminator."""
    latents, terms = styles_of(gan, batch)
    fakes = gan.players["generator"](batch["label_maps"], latents)
    if gan.preset.share_fakes:
        batch["fakes"] = fakes.detach()
    label_maps = one_hot_maps(batch["label_maps"], gan.preset.map_classes)
    if gan.preset.discriminator == "segmenting":
        terms |= segmenting_generator_terms(gan, fakes, label_maps)
    else:
        terms |= patch_generator_terms(gan, batch["reals"], fakes, label_maps)
    if weight := gan.preset.perceptual_weight:
        terms["perceptual"] = weight * perceptual_distance(fakes, batch["reals"])
    return terms


def discriminator_loss(gan: Gan, batch: Batch) -> Terms:
    """Return the discriminator's terms, on the generator phase's fakes if they are shared."""
    if gan.preset.share_fakes:
        fakes = batch["fakes"]
    else:
        with torch.no_grad():
            latents, _ = styles_of(gan, batch)
            fakes = gan.players["generator"](batch["label_maps"], latents)
    label_maps = one_hot_maps(batch["label_maps"], gan.preset.map_classes)
    if gan.preset.discriminator == "segmenting":
        return segmenting_discriminator_terms(gan, batch, fakes, label_maps)
    return hinge_terms(gan, batch, fakes, label_maps)


def styles_of(gan: Gan, batch: Batch) -> tuple[Tensor | None, Terms]:
    """Return a step's latents: those of its seeds, or of its reals' styles, with the KL term.

    The KL divergence from N(0, 1) is the mean over images of the sum over the width. The paper's
    code sums over a GPU's images too: its 0.05 is 0.2 here, of its four images per GPU.
    """
    if "encoder" not in gan.players:
        return batch.get("latents"), {}
    mean, log_variance = gan.players["encoder"](batch["reals"])
    divergences = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(1)
    return draw_styles(mean, log_variance), {"kl": gan.preset.kl_weight * divergences.mean()}


def patch_generator_terms(gan: Gan, reals: Tensor, fakes: Tensor, label_maps: Tensor) -> Terms:
    """Return -D(G(z)), and the distance of the discriminators' features from the reals'."""
    discriminator, weight = gan.players["discriminator"], gan.preset.feature_matching_weight
    of_reals = []
    if weight:
        with torch.no_grad(), same_draws(reals.device):  # both are augmented alike
            of_reals = discriminator(reals, label_maps)
    of_fakes = discriminator(fakes, label_maps)
    terms = {"generator": -mean_logit(of_fakes).mean()}
    if weight:
        terms["feature_matching"] = weight * feature_distance(of_fakes, of_reals)
    return terms


def hinge_terms(gan: Gan, batch: Batch, fakes: Tensor, label_maps: Tensor) -> Terms:
    """Return the hinge losses max(0, 1 - D(x)) and max(0, 1 + D(G(z))), means over patches.

    Reals and fakes share one pass, so that both meet the same spectral norm.
    """
    images = torch.cat([batch["reals"], fakes.to(batch["reals"].dtype)])
    scales = gan.players["discriminator"](images, label_maps.repeat(2, 1, 1, 1))
    logits = [features[-1].float().chunk(2) for features in scales]
    record_logits(batch, *mean_logit(scales).chunk(2))
    return {
        "reals": torch.stack([(1 - of_reals).relu().mean() for of_reals, _ in logits]).mean(),
        "fakes": torch.stack([(1 + of_fakes).relu().mean() for _, of_fakes in logits]).mean(),
    }


def mean_logit(scales: list[Features]) -> Tensor:
    """Return each image's logit (N,): the mean over patches, then over discriminators."""
    return torch.stack([features[-1].float().mean((1, 2, 3)) for features in scales]).mean(0)


def feature_distance(of_fakes: list[Features], of_reals: list[Features]) -> Tensor:
    """Return the L1 distance of all maps but the logits: summed over layers, mean over scales.

    arXiv:1711.11585, equation 4.
    """
    distances = [
        l1_loss(fake.float(), real.float())
        for fakes, reals in zip(of_fakes, of_reals, strict=True)
        for fake, real in zip(fakes[:-1], reals[:-1], strict=True)
    ]
    return torch.stack(distances).sum() / len(of_fakes)


def phases_of(preset: SpadePreset) -> tuple[Phase, ...]:
    """Return the phases: generator and encoder by one backward pass, then the discriminator."""
    players = ("generator", "encoder") if preset.encoder else ("generator",)
    return Phase(players, generator_loss), Phase(("discriminator",), discriminator_loss)
