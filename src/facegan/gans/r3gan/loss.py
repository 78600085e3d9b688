"""R3GAN's losses: a relativistic game with a zero-centred gradient penalty on both sides.

arXiv:2501.05441, section 2: RpGAN (arXiv:1807.00734) with R1 + R2 converges locally where the
classic losses need tricks. The paper draws the reals of the two updates apart; a step here has one
batch of reals, and both updates pair it with fakes of their own: measured, the generator's gradient
is the same (docs/decisions/0019-same-reals.md). Fakes are independent draws, so
any pairing of reals with fakes is as good as another; in a conditional game, any within a class:
a fake has its real's label, for how real two classes look beside each other is not the question.
"""

import torch
from torch import Tensor
from torch.nn.functional import softplus

from facegan.gans.convolution import constant_weights
from facegan.gans.family import Batch, Gan, Phase, Terms, record_logits


def discriminator_loss(gan: Gan, batch: Batch) -> Terms:
    """softplus(-(D(x) - D(G(z)))) with γ/2 |∇D(x)|² and γ/2 |∇D(G(z))|², at every step.

    One pass over reals and fakes together: without batch norm, no image sees another.
    """
    reals, labels = batch["reals"], batch.get("labels")
    latents = gan.sample_latents(len(reals), batch["generator"], reals.device)
    with torch.no_grad():
        fakes = gan.players["generator"](latents, labels)
    images = torch.cat([reals, fakes]).requires_grad_()
    logits = gan.players["discriminator"](images, None if labels is None else labels.repeat(2))
    of_reals, of_fakes = logits.chunk(2)
    record_logits(batch, of_reals - of_fakes, of_fakes - of_reals)  # nothing else has a zero
    r1, r2 = gradient_penalties(logits, images).chunk(2)
    # A batch made by hand may lack the moment: then it is the run's first.
    weight = gan.preset.gamma(batch["kimg"]) / 2
    return {
        "discriminator": softplus(of_fakes - of_reals).mean(),
        "r1": weight * r1.mean(),
        "r2": weight * r2.mean(),
    }


def generator_loss(gan: Gan, batch: Batch) -> Terms:
    """softplus(-(D(G(z)) - D(x))): the same pairing with the players' roles exchanged."""
    discriminator, labels = gan.players["discriminator"], batch.get("labels")
    of_fakes = discriminator(gan.players["generator"](batch["latents"], labels), labels)
    of_reals = discriminator(batch["reals"], labels)
    return {"generator": softplus(of_reals - of_fakes).mean()}


def gradient_penalties(logits: Tensor, images: Tensor) -> Tensor:
    """|∇D|² of every image, (N,): the sum over its pixels, itself differentiable.

    The networks may compute in bfloat16, as the paper's do: its range is float32's, so nothing
    overflows. Images are float32, so their gradients and this sum are too.
    """
    with constant_weights():
        (slopes,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return slopes.square().sum(dim=(1, 2, 3))


PHASES = (
    Phase("discriminator", discriminator_loss, second_order=True),
    Phase("generator", generator_loss),
)
