"""Pix2Pix's generator, a U-Net (arXiv:1611.07004, section 6.1.1)."""

import torch
from torch import Tensor, nn

from facegan.gans import data_parallel
from facegan.gans.labels import one_hot_maps
from facegan.gans.layers import (
    DoublingConv2d,
    HalvingConv2d,
    ResizingConv2d,
    channels_last,
    initialise_normal,
)
from facegan.gans.norms import has_shift, normalised
from facegan.gans.pix2pix.presets import Pix2pixPreset, count_halvings

WIDEST = 8  # times the width next to the image
FIRST_WITH_DROPOUT = 4  # levels from here inwards, but the innermost, have dropout
DOUBLINGS = {"paper": DoublingConv2d, "smooth": ResizingConv2d}


class UNet(nn.Module):
    """Source images (N, 3, H, W) or label maps (N, H, W) → images (N, 3, H, W) in [-1, 1].

    Level k halves the sides on the way in and doubles them on the way out; the way out gets the
    way in's map of the same size too. It has no latents: the paper's only randomness is dropout,
    which this network has in training alone. So a served one returns the same image for the same
    source, unlike the paper's, which keeps its dropout and so adds "only minor stochasticity"
    (section 2.1).

    Args:
        preset: Widths, norm, dropout and kind of doublings, and whether sources are label maps
            (int64), which the network encodes one-hot.
        image_shape: (3, H, W).
    """

    def __init__(self, preset: Pix2pixPreset, image_shape: tuple[int, ...]) -> None:
        super().__init__()
        levels = count_halvings(preset, image_shape)
        widths = [preset.width * min(2**level, WIDEST) for level in range(levels)]
        sources = [preset.source_channels, *widths]
        biased = not has_shift(preset.norm)
        double = DOUBLINGS[preset.resampling]
        self.map_classes = preset.map_classes if preset.source == "label_maps" else 0
        self.inwards, self.outwards = nn.ModuleList(), nn.ModuleList()
        for level, width in enumerate(widths):
            is_first, is_innermost = level == 0, level == levels - 1
            way_in: list[nn.Module] = [] if is_first else [nn.LeakyReLU(0.2)]
            halving = HalvingConv2d(sources[level], width, biased)
            is_normalised = not (is_first or is_innermost)
            way_in += normalised(halving, preset.norm) if is_normalised else [halving]
            self.inwards.append(nn.Sequential(*way_in))

            joined = width if is_innermost else 2 * width
            way_out: list[nn.Module] = [nn.ReLU()]
            if is_first:
                way_out.append(double(joined, 3))
            else:
                way_out += normalised(double(joined, sources[level], biased), preset.norm)
            if FIRST_WITH_DROPOUT <= level < levels - 1 and preset.dropout:
                way_out.append(Dropout(preset.dropout))
            self.outwards.append(nn.Sequential(*way_out))
        self.apply(initialise_normal)

    def forward(self, source: Tensor) -> Tensor:
        x = one_hot_maps(source, self.map_classes) if self.map_classes else source
        x = channels_last(x)
        maps = []
        for way_in in self.inwards:
            x = way_in(x)
            maps.append(x)
        x = self.outwards[-1](maps.pop())
        for way_out in reversed(self.outwards[:-1]):
            x = way_out(torch.cat([maps.pop(), x], 1))
        return torch.tanh(x.float())


class Dropout(nn.Dropout):
    """torch's dropout, whose random numbers do not depend on the number of processes."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        kept = data_parallel.rand(*x.shape, device=x.device) >= self.p
        return x * kept / (1 - self.p)
