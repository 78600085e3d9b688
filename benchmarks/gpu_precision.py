"""Check of bench_gpu.py: one batch's losses and gradients in bf16 against float32."""

from collections.abc import Iterator
from typing import Any

import torch
from gpu_checks import Cells, Network
from torch import Tensor

from facegan.data import random_numbers, to_float
from facegan.data.toy_faces import draw_faces
from facegan.devices import to_device
from facegan.gans import Gan, Phase, build_gan
from facegan.gans.autocast import autocast
from facegan.training.precision import place

FEWEST = 4  # images


def compare(earlier: Cells, network: Network, images: int) -> Iterator[tuple[str, Any]]:
    """Compare every result of one batch, as |bf16 - float32| / |float32|.

    Both compute with the same weights, reals and latents, without augmentation. The batch is halved
    until float32 fits the device.
    """
    gan = build_gan(network.family, network.preset, network.image_shape, seed=0, **network.numbers)
    fill_zero_weights(gan)
    for player in gan.players.values():
        place(player, torch.device(network.device)).train()
    count, exact = largest_batch(gan, network, images)
    yield "images", count
    near = results_of(gan, network, count, torch.bfloat16)
    for name, value in exact.items():
        yield name, relative_difference(near[name], value)


def fill_zero_weights(gan: Gan) -> None:
    """Give random numbers to weights that start at zero.

    A residual block of R3GAN starts with a last convolution of zeros. D's gradient is then the same
    at every image, and most of both networks would not be compared.
    """
    numbers = random_numbers(2)
    for player in gan.players.values():
        for weight in player.parameters():
            if weight.ndim > 1 and not weight.any():
                deviation = 0.5 / weight[0].numel() ** 0.5
                weight.data = deviation * torch.randn(weight.shape, generator=numbers)


def largest_batch(gan: Gan, network: Network, images: int) -> tuple[int, dict[str, Tensor]]:
    """Return how many images fit in float32, and their results."""
    while True:
        try:
            return images, results_of(gan, network, images, torch.float32)
        except torch.OutOfMemoryError:
            if images <= FEWEST:
                raise
        images //= 2
        torch.cuda.empty_cache()


def results_of(gan: Gan, network: Network, images: int, dtype: torch.dtype) -> dict[str, Tensor]:
    """Return fakes, and every phase's terms and gradients, by their names."""
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    device = torch.device(network.device)
    reals, latents = inputs_of(gan, network, images)
    with torch.no_grad(), autocast(device, dtype):
        found = {"fakes": gan.players["generator"](to_device(latents, device)).float().cpu()}
    for phase in gan.family.phases(gan.preset):
        batch = {
            "reals": to_device(reals, device),
            "latents": to_device(latents, device),
            "generator": random_numbers(1),
            "kimg": 0.0,
        }
        found |= results_of_phase(gan, phase, batch, device, dtype)
    return found


def inputs_of(gan: Gan, network: Network, images: int) -> tuple[Tensor, Tensor]:
    """Return toy faces (N, 3, H, W) in [-1, 1], and latents (N, latent_dim)."""
    faces, _ = draw_faces(0, images, network.side)
    return to_float(faces), gan.sample_latents(images, random_numbers(0))


def results_of_phase(
    gan: Gan, phase: Phase, batch: dict[str, Any], device: torch.device, dtype: torch.dtype
) -> dict[str, Tensor]:
    """Return a phase's terms, and the gradient of its player's weights as one vector."""
    torch.manual_seed(0)  # of networks that draw noise
    for name, player in gan.players.items():
        player.requires_grad_(name in phase.players).zero_grad()
    with autocast(device, dtype):
        terms = phase.loss(gan, batch)
    torch.stack(list(terms.values())).sum().backward()
    weights = gan.weights(phase)
    gradient = torch.cat([w.grad.float().flatten().cpu() for w in weights if w.grad is not None])
    values = {f"term_{name}": value.detach().float().cpu() for name, value in terms.items()}
    return values | {f"gradient_{phase.players[0]}": gradient}


def relative_difference(found: Tensor, exact: Tensor) -> float:
    """Return |found - exact| / |exact|, by the Euclidean norm."""
    return float((found.double() - exact.double()).norm() / exact.double().norm())
