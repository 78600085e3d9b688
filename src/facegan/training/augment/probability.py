"""The augmentation probability over a run: a number, a family's schedule, or adaptive (ADA).

Adaptive (Karras et al., arXiv:2006.06676, section 3.1): r_t = E[sign(D(real))] is near 0 while the
discriminator cannot tell reals from fakes, and near 1 when it has memorised the reals. Above its
target p grows, below it p shrinks. Everything stays on the device, so the host never waits.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from facegan.errors import ConfigError
from facegan.gans import Batch, Gan, Terms
from facegan.gans.data_parallel import global_count, mean_over_processes

STEPS_PER_ADAPTATION = 4


class AugmentProbability:
    """The probability p of every augmentation operation, and its controller.

    Args:
        gan: Its family may have a schedule; its loss records the discriminator's logits.
        setting: p, or "scheduled", or "adaptive", which starts at 0.
        target: The r_t that an adaptive p aims for.
        speed_kimg: Thousands of images in which an adaptive p goes from 0 to 1 at most.
        device: Where images are augmented.

    Raises:
        ConfigError: the family has no schedule, or no discriminator to adapt to.
    """

    def __init__(
        self, gan: Gan, setting: float | str, target: float, speed_kimg: float, device: torch.device
    ) -> None:
        family, hint = gan.family, "Give augment_probability a number from 0 to 1."
        if setting == "scheduled" and family.augment_probability(gan.preset, 0.0) is None:
            raise ConfigError(f"{family.name} has no schedule for augment_probability.", hint)
        if setting == "adaptive" and not family.discriminators:
            raise ConfigError(f"{family.name} has no discriminator to adapt to.", hint)
        self.gan, self.setting, self.target, self.speed_kimg = gan, setting, target, speed_kimg
        start = 0.0 if isinstance(setting, str) else setting
        self.probability = torch.tensor(start, device=device)
        self.signs = torch.zeros(2, device=device)  # sum and count since the last adaptation

    def follow_schedule(self, kimg: float) -> None:
        """Set p from the family's schedule, if that is the setting."""
        if self.setting == "scheduled":
            p = self.gan.family.augment_probability(self.gan.preset, kimg)
            self.probability.fill_(p or 0.0)

    def update(self, batch: Batch, step: int) -> Terms:
        """Read the discriminator's logits of a step, and adapt p when it is time.

        Returns:
            The tick's figures, on the device: real_sign and fake_sign, -1 to 1, and augment_p
            where it moves.
        """
        images = global_count(len(batch["reals"]))
        figures = {
            f"{kind}_sign": mean_over_processes(batch[f"{kind}_logits"].float().sign().mean())
            for kind in ("real", "fake")
            if f"{kind}_logits" in batch
        }
        if "real_sign" in figures:
            one = torch.ones_like(figures["real_sign"])
            self.signs += torch.stack([figures["real_sign"], one]) * images
        if isinstance(self.setting, str):
            figures["augment_p"] = self.probability.clone()
        if self.setting == "adaptive" and (step + 1) % STEPS_PER_ADAPTATION == 0:
            self.adapt(images * STEPS_PER_ADAPTATION)
        return figures

    def adapt(self, images: int) -> None:
        """Move p towards the target, by the share of speed_kimg that these images are."""
        r_t = self.signs[0] / self.signs[1].clamp(min=1)
        change = torch.sign(r_t - self.target) * (images / (self.speed_kimg * 1000))
        self.probability.add_(change).clamp_(0, 1)
        self.signs.zero_()

    def state(self) -> dict[str, Tensor]:
        """Return what a resumed run needs."""
        return {"probability": self.probability, "signs": self.signs}

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Load what :meth:`state` returned."""
        for name, value in self.state().items():
            value.copy_(tensors[name])
