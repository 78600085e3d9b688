"""A step's batch of noise, to count or try what a step needs before there is data."""

import torch

from facegan.gans.family import Batch, Gan


def example_batch(
    gan: Gan, rows: int, device: torch.device | None = None, kimg: float = 0.0
) -> Batch:
    """Return inputs of a step with `rows` images: noise for images, class 0 for labels and maps."""
    generator = torch.Generator().manual_seed(0)
    reals = torch.rand(rows, *gan.image_shape, device=device) * 2 - 1
    batch: Batch = {"reals": reals, "generator": generator, "kimg": kimg}
    if gan.preset.latent_dim:
        batch["latents"] = gan.sample_latents(rows, generator, device)
    if gan.classes:
        batch["labels"] = torch.zeros(rows, dtype=torch.int64, device=device)
    for name in gan.family.companions(gan.preset):
        maps = torch.zeros(rows, *gan.image_shape[1:], dtype=torch.int64, device=device)
        batch[name] = maps if name == "label_maps" else reals.flip(0)
    return batch
