"""Augmentation of a discriminator's input, so that it cannot memorise a small data set.

Reals and fakes are augmented alike, in both players' updates, and differentiably: gradients and
gradient penalties pass through. The generator does not learn to draw augmented images: as long as
enough images stay unchanged, only a generator of clean images makes augmented fakes look like
augmented reals (Karras et al., arXiv:2006.06676, section 2.2).
"""

from facegan.hyperparameters.augment_policy import parse_policy
from facegan.training.augment.policy import Augment
from facegan.training.augment.probability import AugmentProbability

__all__ = ["Augment", "AugmentProbability", "parse_policy"]
