"""The pool of earlier fakes that a discriminator is trained on, beside the newest ones.

Shrivastava et al., arXiv:1612.07828, section 2.3, as used by CycleGAN (arXiv:1703.10593, section
4). The pool is a part of a run's state: its tensors are buffers of the discriminator, so that they
are saved and loaded with it.
"""

import torch
from torch import Tensor, nn

from facegan.devices import to_device
from facegan.gans import data_parallel


class ImagePool(nn.Module):
    """Up to `size` fakes of earlier steps, equal in all processes.

    While the pool is not full, each fake is added and returned. Then each is, by chance, either
    returned, or exchanged for a random one of the pool.
    """

    images: Tensor
    filled: Tensor

    def __init__(self, size: int, image_shape: tuple[int, ...]) -> None:
        super().__init__()
        self.size = size
        if size:
            self.register_buffer("images", torch.zeros(size, *image_shape))
            self.register_buffer("filled", torch.tensor(0))

    def exchange(self, fakes: Tensor, generator: torch.Generator) -> Tensor:
        """Return fakes (N, 3, H, W) to train on, some of them earlier ones, without gradients.

        Args:
            fakes: This process's newest fakes.
            generator: The step's random numbers, equal in all processes.
        """
        fakes = fakes.detach()
        if not self.size:
            return fakes
        if data_parallel.is_whole_batch():
            return self.exchange_all(fakes, generator)
        whole = data_parallel.all_gather(fakes).flatten(0, 1)
        return data_parallel.current_slice().rows(self.exchange_all(whole, generator))

    @torch.no_grad()
    def exchange_all(self, fakes: Tensor, generator: torch.Generator) -> Tensor:
        """Exchange fakes one after the other; nothing waits for the device."""
        count = len(fakes)
        chances = torch.rand(count, generator=generator) < 0.5
        slots = torch.randint(self.size, (count,), generator=generator)
        swaps, slots = (to_device(drawn, fakes.device) for drawn in (chances, slots))
        returned = []
        for index in range(count):
            fake = fakes[index : index + 1].to(self.images.dtype)
            is_filling = self.filled < self.size
            slot = torch.where(is_filling, self.filled, slots[index])[None]
            earlier = self.images.index_select(0, slot)
            is_stored = is_filling | swaps[index]
            self.images.index_copy_(0, slot, torch.where(is_stored, fake, earlier))
            returned.append(torch.where(is_stored & ~is_filling, earlier, fake))
            self.filled += is_filling
        return torch.cat(returned)
