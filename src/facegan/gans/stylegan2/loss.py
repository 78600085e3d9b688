"""StyleGAN2's losses: non-saturating, with lazy regularisation (arXiv:1912.04958).

A regulariser runs as a separate phase every few steps, multiplied by that number (section 3.1), and
in float32 despite autocast: squares of gradients need more than eight bits.

In a conditional GAN fakes have the labels of the step's reals. So each batch has equally many fakes
and reals of each class, and the class frequencies do not give the fakes away.
"""

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor
from torch.nn.functional import softplus

from facegan.gans import data_parallel
from facegan.gans.autocast import without_autocast
from facegan.gans.family import Batch, Gan, Phase, Terms, record_logits
from facegan.gans.stylegan2.networks import Generator
from facegan.gans.stylegan2.presets import PATH_BATCH_SHRINK, Stylegan2Preset, r1_gamma

PATH_DECAY = 0.01  # weight of a new path length in the running mean


def mixed_styles(
    generator: Generator, latents: Tensor, probability: float, labels: Tensor | None = None
) -> Tensor:
    """Return one w per layer (N, layers, style_dim), in some samples of two latents.

    A mixed sample's w changes to a second latent's at a random layer after the first (style mixing,
    arXiv:1812.04948, section 3.1). Both latents have the same label.
    """
    count, layers = len(latents), generator.synthesis.layers
    w = generator.map(latents, labels)
    others = generator.mapping(data_parallel.randn_like(latents), labels)
    starts = data_parallel.randint(1, layers, count, 1, device=w.device)
    mixed = data_parallel.rand(count, 1, device=w.device) < probability
    later = mixed & (torch.arange(layers, device=w.device) >= starts)  # (N, layers)
    return torch.where(later[:, :, None], others[:, None], w[:, None])


def draw_fakes(gan: Gan, latents: Tensor, labels: Tensor | None) -> Tensor:
    """Generate images with mixed styles."""
    generator = cast(Generator, gan.players["generator"])
    ws = mixed_styles(generator, latents, gan.preset.style_mixing, labels)
    return cast(Tensor, generator.synthesis(ws))


def draw_latents(gan: Gan, batch: Batch, count: int) -> Tensor:
    """Draw new latents (N, latent_dim) for one phase, on the batch's device."""
    return gan.sample_latents(count, batch["generator"], batch["reals"].device)


def generator_loss(gan: Gan, batch: Batch) -> Terms:
    """Return -log D(G(z)) = softplus(-logits)."""
    labels = batch.get("labels")
    fakes = draw_fakes(gan, batch["latents"], labels)
    logits = gan.players["discriminator"](fakes, labels)
    return {"generator": softplus(-logits).mean()}


def discriminator_loss(gan: Gan, batch: Batch) -> Terms:
    """Return -log D(x) - log(1 - D(G(z))), on new fakes."""
    discriminator, reals = gan.players["discriminator"], batch["reals"]
    labels = batch.get("labels")
    with torch.no_grad():
        fakes = draw_fakes(gan, draw_latents(gan, batch, len(reals)), labels)
    of_reals, of_fakes = discriminator(reals, labels), discriminator(fakes, labels)
    record_logits(batch, of_reals, of_fakes)
    return {"reals": softplus(-of_reals).mean(), "fakes": softplus(of_fakes).mean()}


def r1_loss(gan: Gan, batch: Batch) -> Terms:
    """Return R1, gamma/2 E|grad D(x)|² on reals (arXiv:1801.04406, equation 9), times interval."""
    preset, reals = gan.preset, batch["reals"].detach().requires_grad_()
    with without_autocast(reals.device):
        logits = gan.players["discriminator"](reals, batch.get("labels"))
        (slopes,) = torch.autograd.grad(logits.sum(), reals, create_graph=True)
        penalty = slopes.square().sum((1, 2, 3)).mean()
    gamma = preset.r1_gamma or r1_gamma(reals.shape[-1], data_parallel.global_count(len(reals)))
    return {"r1": penalty * (gamma / 2 * preset.r1_interval) + zero_term(logits)}


def path_length_loss(gan: Gan, batch: Batch) -> Terms:
    """Return E(|J_w^T y| - a)², a the running mean of the lengths (section 3.2), times interval."""
    preset, generator = gan.preset, cast(Generator, gan.players["generator"])
    latents = draw_latents(gan, batch, max(len(batch["reals"]) // PATH_BATCH_SHRINK, 1))
    # Every other label, so that the processes together use the same labels as a single one.
    labels = batch["labels"][::PATH_BATCH_SHRINK][: len(latents)] if "labels" in batch else None
    with without_autocast(latents.device):
        ws = mixed_styles(generator, latents, preset.style_mixing, labels)
        lengths, images = path_lengths(generator.synthesis, ws)
        penalty = path_penalty(lengths, generator.mean_path_length)
    scale = preset.path_length_weight * preset.path_length_interval
    return {"path_length": penalty * scale + zero_term(images)}


def path_lengths(synthesis: Callable[[Tensor], Tensor], ws: Tensor) -> tuple[Tensor, Tensor]:
    """Return the path lengths |J_w^T y| (N,), y ~ N(0, 1), and the images.

    J_w^T y is the gradient of <G(w), y> (equation 4), over the root of the number of pixels so that
    it does not grow with the resolution. Over the layers it is a root mean square.
    """
    images = synthesis(ws)
    noise = data_parallel.randn_like(images) / (images.shape[2] * images.shape[3]) ** 0.5
    (slopes,) = torch.autograd.grad((images * noise).sum(), ws, create_graph=True)
    return slopes.square().sum(2).mean(1).sqrt(), images


def path_penalty(lengths: Tensor, running_mean: Tensor) -> Tensor:
    """Update the running mean in place; return the lengths' mean square distance from it."""
    target = data_parallel.update_running_mean(running_mean, lengths.detach().mean(), PATH_DECAY)
    return (lengths - target).square().mean()


def zero_term(x: Tensor) -> Tensor:
    """Return a differentiable 0: the last biases, on which no penalty depends, get a gradient."""
    return x.sum() * 0.0


def phases_of(preset: Stylegan2Preset) -> tuple[Phase, ...]:
    """Return each player's main phase, followed by its regulariser."""
    path_length = Phase(
        ("generator",),
        path_length_loss,
        preset.path_length_interval,
        second_order=True,
        needs_batch_means=True,  # every length is compared with the mean over the batch
    )
    return (
        Phase(("generator",), generator_loss),
        *([path_length] if preset.path_length_weight else []),
        Phase(("discriminator",), discriminator_loss),
        Phase(("discriminator",), r1_loss, preset.r1_interval, second_order=True),
    )
