"""Compares our best preset with the article's loop and the standard DCGAN: quality over time.

All three train on the same 16,000 toy faces of 32 px for the same seconds on this machine, one
after the other; evaluating is not counted. KID over EfficientNet-Lite0 features compares 2,000
samples of each with 2,000 held-out faces, at several moments. A speedup is the budget over the
first moment at which ours is as good as the reference ever was: with moments apart from each
other, it is rounded down, never up.
"""

import argparse
import json
import math
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from reference_article import ReferenceLoop
from reference_dcgan import StandardLoop
from torch import Tensor, nn

from facegan.data import ImageFolderDataset
from facegan.data.toy_faces import draw_faces
from facegan.gans import build_gan
from facegan.image_encoding import montage, save_png
from facegan.metrics import extract, open_extractor
from facegan.metrics.scores import kernel_distance
from facegan.synthesis.torch_backend import to_pixels
from facegan.training import Trainer, TrainingConfig

RESOLUTION = 32
PICTURES, HELD_OUT, SAMPLES = 16_000, 2_000, 2_000
# Shares of the budget after which the references are judged, and ours, which has to be caught at
# the moment it draws level.
REFERENCE_MOMENTS = (0.1, 0.3, 0.5, 0.7, 0.85, 1.0)
OUR_MOMENTS = (0.01, 0.02, 0.03, 0.035, 0.04, 0.045, 0.05, 0.075, 0.1, 0.125, 0.15, 0.175,
               0.2, 0.225, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.8, 1.0)  # fmt: skip


@dataclass
class Contestant:
    """A model that trains step by step, and its current generator."""

    name: str
    step: Callable[[], None]
    generator: Callable[[], nn.Module]
    latents: Tensor  # the samples' own
    images_a_step: int
    moments: tuple[float, ...]
    kids: dict[float, float] = field(default_factory=dict)  # seconds → kid_lite0

    @property
    def best(self) -> float:
        """Return the lowest KID at any moment."""
        return min(self.kids.values())


def main() -> None:
    options = parse_options()
    seconds = options.minutes * 60
    print(f"{os.cpu_count()} cores, torch {torch.__version__}, {torch.get_num_threads()} threads, "
          f"{options.minutes:g} minutes of training each, seed {options.seed}")  # fmt: skip
    extractor = open_extractor("lite0")
    held_out = extractor(draw(PICTURES, HELD_OUT))
    others = extractor(draw(PICTURES + HELD_OUT, HELD_OUT))
    print(f"reals against other reals: {kernel_distance(others, held_out)['kid']:.3f}")
    with tempfile.TemporaryDirectory() as folder:
        write_pictures(Path(folder) / "faces")
        dataset = ImageFolderDataset(folder, RESOLUTION)
        contestants = {}
        for enter in (ours, standard, article):
            torch.manual_seed(options.seed)
            np.random.seed(options.seed)
            one = enter(Path(folder), dataset, options)
            for at in train(one, seconds):
                pixels = sample(one)
                features = extract([pixels], extractor)
                one.kids[at] = kernel_distance(features, held_out)["kid"]
            if options.pictures:
                grid = pixels[:64].permute(0, 2, 3, 1).contiguous().numpy()
                facts = {"facegan:benchmark": one.name}
                save_png(options.pictures / f"quality_{enter.__name__}.png", montage(grid), facts)
            contestants[enter.__name__] = one
    report(contestants, seconds)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10, help="of training, each")
    parser.add_argument("--preset", default="toy32", help="which of dcgan's presets is ours")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pictures", type=Path, help="a folder for the last samples, as grids")
    return parser.parse_args()


def draw(first: int, count: int) -> Tensor:
    """Return toy faces by number: uint8 (count, 3, 32, 32)."""
    parts = [draw_faces(n, min(64, first + count - n), RESOLUTION)[0]
             for n in range(first, first + count, 64)]  # fmt: skip
    return torch.cat(parts)


def write_pictures(folder: Path) -> None:
    """Write the training set as PNG files, in one class folder for the article's loader."""
    folder.mkdir()
    for index, image in enumerate(draw(0, PICTURES).permute(0, 2, 3, 1).contiguous().numpy()):
        Image.fromarray(image).save(folder / f"{index:06d}.png", compress_level=1)


def ours(folder: Path, dataset: ImageFolderDataset, options: argparse.Namespace) -> Contestant:
    gan = build_gan("dcgan", options.preset, dataset.image_shape, seed=options.seed)
    trainer = Trainer(gan, dataset, TrainingConfig(total_kimg=1e5, seed=options.seed))
    latents = gan.sample_latents(SAMPLES, torch.Generator().manual_seed(1))
    return Contestant(f"ours: {options.preset}", trainer.step, lambda: gan.generator_ema, latents,
                      trainer.batch_size, OUR_MOMENTS)  # fmt: skip


def standard(folder: Path, dataset: ImageFolderDataset, options: argparse.Namespace) -> Contestant:
    loop = StandardLoop(torch.from_numpy(dataset.images).permute(0, 3, 1, 2).contiguous())
    return Contestant("the standard DCGAN", loop.step, lambda: loop.generator,
                      loop.latents(SAMPLES), loop.batch_size, REFERENCE_MOMENTS)  # fmt: skip


def article(folder: Path, dataset: ImageFolderDataset, options: argparse.Namespace) -> Contestant:
    loop = ReferenceLoop(folder)
    latents = torch.rand(SAMPLES, 100) * 2 - 1
    return Contestant("the article's loop", loop.step, lambda: loop.generator, latents,
                      loop.batch_size, REFERENCE_MOMENTS)  # fmt: skip


def train(one: Contestant, budget: float) -> Iterator[float]:
    """Train, and yield the seconds trained at every moment, while the clock is stopped."""
    trained, steps = 0.0, 0
    print(f"\n{one.name}\n{'seconds':>9} {'kimg':>8} {'images/s':>9} {'kid_lite0':>10}")
    for moment in one.moments:
        while trained < moment * budget:
            started = time.perf_counter()
            one.step()
            trained += time.perf_counter() - started
            steps += 1
        yield trained
        images = steps * one.images_a_step
        print(f"{trained:9.1f} {images / 1000:8.1f} {images / trained:9.0f} "
              f"{one.kids[trained]:10.3f}", flush=True)  # fmt: skip


@torch.no_grad()
def sample(one: Contestant) -> Tensor:
    """Return 2,000 samples as they are served: uint8 (2000, 3, 32, 32)."""
    generator = one.generator()
    was_training = generator.training
    generator.eval()
    pixels = torch.cat([to_pixels(generator(part)) for part in one.latents.split(100)])
    generator.train(was_training)
    return pixels.permute(0, 3, 1, 2).contiguous()


def seconds_to_reach(one: Contestant, kid: float) -> float:
    """Return the first moment at which a contestant was at least as good, or infinity."""
    return min((at for at, found in one.kids.items() if found <= kid), default=math.inf)


def report(contestants: dict[str, Contestant], budget: float) -> None:
    """Print the table of the best results and the last line."""
    found, mine = {}, contestants["ours"]
    print(f"\n{'':24} {'best kid_lite0':>15} {'ours as good after':>19} {'speedup':>8}")
    for key, one in contestants.items():
        after = seconds_to_reach(mine, one.best)
        found[key] = budget / after
        print(f"{one.name:24} {one.best:15.3f} {after:17.1f} s {found[key]:8.2f}")
    print(json.dumps({
        "article_kid": round(contestants["article"].best, 4),
        "standard_kid": round(contestants["standard"].best, 4),
        "ours_kid": round(mine.best, 4),
        "speedup_article": round(found["article"], 2),
        "speedup_standard": round(found["standard"], 2),
    }))  # fmt: skip


if __name__ == "__main__":
    main()
