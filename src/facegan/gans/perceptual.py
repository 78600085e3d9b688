"""A perceptual distance of images: how far apart the maps within EfficientNet-Lite0 are.

Published GANs use VGG-19 or LPIPS here, whose weights are a download; lite0's come with the package
(docs/decisions/0024-spade.md).
"""

from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812  # the field's own alias

from facegan.lite0 import SIDE, Lite0, load_lite0


def perceptual_distance(fakes: Tensor, reals: Tensor) -> Tensor:
    """Return the mean distance of fakes from their reals, (N, 3, H, W) in [-1, 1] each.

    At every place of a map the vectors of channels are divided by their length; their squared
    distance is averaged over places and images, and over the stages (arXiv:1801.03924, equation 1,
    without its learnt weights). Only the fakes get a gradient. Smaller images are enlarged to 112
    px.

    Raises:
        MetricError: the package with lite0's weights is not installed.
    """
    network = lite0_on(fakes.device)
    with torch.no_grad():
        of_reals = [unit(maps) for maps in network.stage_maps(enlarged(reals))]
    of_fakes = [unit(maps) for maps in network.stage_maps(enlarged(fakes))]
    pairs = zip(of_fakes, of_reals, strict=True)
    return torch.stack([(fake - real).square().sum(1).mean() for fake, real in pairs]).mean()


@cache
def lite0_on(device: torch.device) -> Lite0:
    """Return lite0 on a device; it is loaded once."""
    return load_lite0().to(device)


def unit(maps: Tensor) -> Tensor:
    """Divide the channels at every place by their length, in float32."""
    return F.normalize(maps.float(), dim=1, eps=1e-6)


def enlarged(images: Tensor) -> Tensor:
    """Enlarge images below lite0's side."""
    if images.shape[-1] >= SIDE:
        return images
    return F.interpolate(images, (SIDE, SIDE), mode="bilinear")
