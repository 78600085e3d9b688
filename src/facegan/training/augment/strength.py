"""How likely augmentation is, over a run: a number, a family's schedule, or what the game asks for.

Adaptive (Karras et al., arXiv:2006.06676, section 3.1): r_t = E[sign(D(real))] is near 0 while the
discriminator cannot tell, and near 1 when it knows the reals by heart. Above its target p grows,
below it p shrinks. Everything stays on the device: nothing waits for a number.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from facegan.errors import ConfigError
from facegan.gans import Batch, Gan, Terms
from facegan.gans.sharing import mean_over_processes, whole_count

STEPS_PER_LOOK = 4


class Strength:
    """The probability p that every operation is done to an image, and what it is adapted by.

    Args:
        gan: Its family may have a schedule, and leaves the discriminator's verdicts in the batch.
        wish: p, or "scheduled", or "adaptive": from 0 upwards.
        target: r_t that an adaptive p is to bring about.
        speed_kimg: Thousands of images in which an adaptive p goes from 0 to 1 at most.
        device: Where images are augmented.

    Raises:
        ConfigError: the family has no schedule, or nobody whose verdicts could be looked at.
    """

    def __init__(
        self, gan: Gan, wish: float | str, target: float, speed_kimg: float, device: torch.device
    ) -> None:
        self.gan, self.wish, self.target, self.speed_kimg = gan, wish, target, speed_kimg
        self.check_wish()
        start = 0.0 if isinstance(wish, str) else wish
        self.probability = torch.tensor(start, device=device)
        self.signs = torch.zeros(2, device=device)  # their sum and their number, since a last look

    def check_wish(self) -> None:
        """Refuse what the family cannot give."""
        family = self.gan.family
        hint = "Give augment_probability a number from 0 to 1."
        if self.wish == "scheduled" and family.augment_probability(self.gan.preset, 0.0) is None:
            raise ConfigError(f"{family.name} has no schedule for augment_probability.", hint)
        if self.wish == "adaptive" and not family.judges:
            raise ConfigError(f"{family.name} has no discriminator to adapt to.", hint)

    def follow_schedule(self, kimg: float) -> None:
        """Take the family's p of this moment, where that is the wish."""
        if self.wish == "scheduled":
            p = self.gan.family.augment_probability(self.gan.preset, kimg)
            self.probability.fill_(p or 0.0)

    def look(self, batch: Batch, step: int) -> Terms:
        """Take notice of what the discriminator thought in a step, and adapt p when it is time.

        Returns:
            What a tick should tell, on the device: real_sign and fake_sign, -1 to 1, and augment_p
            where it moves.
        """
        images = whole_count(len(batch["reals"]))
        figures = {
            f"{kind}_sign": mean_over_processes(batch[f"{kind}_logits"].float().sign().mean())
            for kind in ("real", "fake")
            if f"{kind}_logits" in batch
        }
        if "real_sign" in figures:
            one = torch.ones_like(figures["real_sign"])
            self.signs += torch.stack([figures["real_sign"], one]) * images
        if isinstance(self.wish, str):
            figures["augment_p"] = self.probability.clone()
        if self.wish == "adaptive" and (step + 1) % STEPS_PER_LOOK == 0:
            self.adapt(images * STEPS_PER_LOOK)
        return figures

    def adapt(self, images: int) -> None:
        """Move p by what so many images are worth, towards the target."""
        mean = self.signs[0] / self.signs[1].clamp(min=1)
        step = torch.sign(mean - self.target) * (images / (self.speed_kimg * 1000))
        self.probability.add_(step).clamp_(0, 1)
        self.signs.zero_()

    def state(self) -> dict[str, Tensor]:
        """What a resumed run needs."""
        return {"probability": self.probability, "signs": self.signs}

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Take up where :meth:`state` left off."""
        for name, value in self.state().items():
            value.copy_(tensors[name])
