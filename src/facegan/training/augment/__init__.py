"""What a discriminator is shown, changed at random, so that it cannot learn few pictures by heart.

Reals and fakes are changed alike, in both players' updates, and differentiably: the generator
learns through the changes, and penalties are taken through them. It is not taught to draw them: as
long as they leave enough images alone, only a generator of clean pictures makes changed fakes look
like changed reals (Karras et al., arXiv:2006.06676, section 2.2).
"""

from facegan.hyperparameters.augment_policy import parse_policy
from facegan.training.augment.policy import Augment
from facegan.training.augment.probability import AugmentProbability

__all__ = ["Augment", "AugmentProbability", "parse_policy"]
