"""R3GAN's losses: relativistic, with zero-centred gradient penalties on reals and fakes.

arXiv:2501.05441, section 2: RpGAN (arXiv:1807.00734) with R1 + R2, which converges locally. The
paper draws separate reals for the two updates; here both updates of a step use the same reals with
different fakes: as measured, the generator's gradient is the same
(docs/decisions/0019-same-reals.md). Fakes are independent draws, so it does not matter which real
is paired with which fake. In a conditional GAN a fake has the label of its real, so that only
images of one class are compared.
"""

import torch
from torch import Tensor
from torch.nn.functional import softplus

from facegan.gans.convolution import constant_weights
from facegan.gans.family import Batch, Gan, Phase, Terms, record_logits


def discriminator_loss(gan: Gan, batch: Batch) -> Terms:
    """Return softplus(-(D(x) - D(G(z)))) with γ/2 |∇D(x)|² and γ/2 |∇D(G(z))|², at every step.

    Reals and fakes share one pass: without batch norm, images do not affect each other.
    """
    reals, labels = batch["reals"], batch.get("labels")
    latents = gan.sample_latents(len(reals), batch["generator"], reals.device)
    with torch.no_grad():
        fakes = gan.players["generator"](latents, labels)
    images = torch.cat([reals, fakes]).requires_grad_()
    logits = gan.players["discriminator"](images, None if labels is None else labels.repeat(2))
    of_reals, of_fakes = logits.chunk(2)
    record_logits(batch, of_reals - of_fakes, of_fakes - of_reals)  # only differences have a zero
    r1, r2 = gradient_penalties(logits, images).chunk(2)
    weight = gan.preset.gamma(batch["kimg"]) / 2
    return {
        "discriminator": softplus(of_fakes - of_reals).mean(),
        "r1": weight * r1.mean(),
        "r2": weight * r2.mean(),
    }


def generator_loss(gan: Gan, batch: Batch) -> Terms:
    """Return softplus(-(D(G(z)) - D(x))): the same pairing with the roles exchanged."""
    discriminator, labels = gan.players["discriminator"], batch.get("labels")
    of_fakes = discriminator(gan.players["generator"](batch["latents"], labels), labels)
    of_reals = discriminator(batch["reals"], labels)
    return {"generator": softplus(of_reals - of_fakes).mean()}


def gradient_penalties(logits: Tensor, images: Tensor) -> Tensor:
    """Return |∇D|² of every image, (N,), summed over its pixels; differentiable.

    The networks may compute in bfloat16, as in the paper: it has float32's range, so nothing
    overflows. Images are float32, so their gradients and this sum are too.
    """
    with constant_weights():
        (slopes,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return slopes.square().sum(dim=(1, 2, 3))


PHASES = (
    Phase(("discriminator",), discriminator_loss, second_order=True),
    Phase(("generator",), generator_loss),
)
