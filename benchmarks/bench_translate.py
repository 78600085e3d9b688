"""Scores image-to-image families on toy faces after minutes of training, beside trivial answers.

Each task trains its family's preset `toy32` on 8,000 faces of 32 px, saves the model, loads it as
the server does, and judges the uint8 images that it makes of 1,000 faces it has not seen:

    spade           label map → face, in many styles
    pix2pix-map     label map → face
    pix2pix-sketch  sketch → face
    cyclegan        day ↔ night, learnt from other faces in each domain; the true ones are known

A minute of the budget is two minutes of processor time: one on each of two cores. So other programs
make the benchmark last longer, and change its figures little. A preset whose images are used up
before ends there. What is compared:

    mIoU       of the label maps that a segmenter reads in the faces, and the share of its score on
               the true faces; painting every class in its mean colour has a share of 0.99
    kid_lite0  realism: of the made faces and the true ones; blind to the label map
    L1, SSIM   to the true image, in units of white; of spade with the style of the true image
    diversity  L1 between images of one map by two seeds
    cycle      L1 between an image and what comes back from the other domain

Read them together. Trivial answers are in the same table.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from segmenter import load_segmenter
from torch import Tensor

from facegan.artifact import save_artifact
from facegan.data import PackedDataset
from facegan.data.prepare import prepare
from facegan.data.toy_faces import LABELS, draw_faces, write_toy_faces
from facegan.errors import FaceGANError
from facegan.export import export_graphs
from facegan.gans import build_gan
from facegan.image_encoding import montage, save_png
from facegan.metrics import (
    count_confusion,
    extract,
    mean_absolute_difference,
    mean_iou,
    open_extractor,
    pixel_accuracy,
    structural_similarity,
)
from facegan.metrics.scores import kernel_distance
from facegan.model_files import read_card
from facegan.synthesis import Synthesizer
from facegan.synthesis.load import open_synthesizer
from facegan.training import Trainer, TrainingConfig

RESOLUTION, FACES, HELD_OUT = 32, 8_000, 1_000
TRAIN_SEED, TEST_SEED, OTHER_SEED = 0, 1, 2
CORES = 2
SEEDS = 4  # of which each makes all maps: how far mIoU depends on the seed
PICTURES = 16  # rows of a picture
LAST_LINE = ("spade_miou_share", "spade_kid", "spade_style_l1", "spade_diversity",
             "pix2pix_map_kid", "pix2pix_sketch_l1_gain", "cyclegan_l1_share",
             "cyclegan_cycle_l1")  # fmt: skip
Arrays = npt.NDArray[np.uint8]


# --- faces, and how answers are judged ----------------------------------------------------------


def draw(seed: int, count: int, variant: str = "plain") -> tuple[Tensor, Tensor]:
    """Draw toy faces: uint8 images (N, 3, 32, 32) and label maps (N, 32, 32)."""
    parts = [draw_faces(first, min(250, count - first), RESOLUTION, seed, variant)
             for first in range(0, count, 250)]  # fmt: skip
    images, maps = zip(*parts, strict=True)
    return torch.cat(images), torch.cat(maps)


@dataclass
class Row:
    """How good an answer is; None where a score makes no sense."""

    answer: str
    miou: float | None = None
    accuracy: float | None = None
    kid: float | None = None
    l1: float | None = None
    ssim: float | None = None
    diversity: float | None = None
    cycle: float | None = None


HEAD = f"{'':34} {'mIoU':>6} {'accuracy':>8} {'kid_lite0':>9} {'L1':>6} {'SSIM':>6} " \
       f"{'diversity':>9} {'cycle':>6}"  # fmt: skip


def line_of(row: Row) -> str:
    """A row of the table."""

    def cell(value: float | None, width: int) -> str:
        return f"{'–' if value is None else format(value, '.3f'):>{width}}"

    return (f"{row.answer:34} {cell(row.miou, 6)} {cell(row.accuracy, 8)} {cell(row.kid, 9)} "
            f"{cell(row.l1, 6)} {cell(row.ssim, 6)} {cell(row.diversity, 9)} "
            f"{cell(row.cycle, 6)}")  # fmt: skip


class Judge:
    """The held-out faces, and the scores of answers to them."""

    def __init__(self) -> None:
        self.faces, self.maps = draw(TEST_SEED, HELD_OUT)
        self.segmenter, self.extractor = load_segmenter(), open_extractor("lite0")

    @cached_property
    def of_faces(self) -> Tensor:
        """Features of the held-out faces."""
        return extract([self.faces], self.extractor)

    @cached_property
    def training(self) -> tuple[Tensor, Tensor]:
        """Faces that the models have learnt from, with their label maps: for trivial answers."""
        return draw(TRAIN_SEED, FACES // 4)

    def kid(self, images: Tensor, reals: Tensor | None = None) -> float:
        """kid_lite0 between images and the held-out faces, or other features of reals."""
        features = extract([images], self.extractor)
        return kernel_distance(features, self.of_faces if reals is None else reals)["kid"]

    def obedience(self, images: Tensor) -> tuple[float, float]:
        """mIoU and accuracy of the label maps that are read in images, against the true ones."""
        confusion = count_confusion(self.maps, self.segmenter.read(images), len(LABELS))
        return mean_iou(confusion), pixel_accuracy(confusion)

    def score(self, answer: str, faces: Tensor) -> Row:
        """Score faces made of the held-out maps or sketches against the true ones."""
        return Row(answer, *self.obedience(faces), self.kid(faces), *nearness(faces, self.faces))

    def trivial(self) -> list[Row]:
        """Score the true faces, other true faces, flat colours and the mean face."""
        return [
            self.score("the true faces", self.faces),
            self.score("other true faces", draw(OTHER_SEED, HELD_OUT)[0]),
            self.score("flat class colours", self.flat_colours()),
            self.score("the mean face", self.mean_face()),
        ]

    def flat_colours(self) -> Tensor:
        """Return the held-out maps, each class in its mean colour in the training faces."""
        images, maps = self.training
        pixels = images.permute(0, 2, 3, 1).double()
        colours = torch.stack([pixels[maps == label].mean(0) for label in range(len(LABELS))])
        return colours.round().to(torch.uint8)[self.maps.long()].permute(0, 3, 1, 2)

    def mean_face(self) -> Tensor:
        """Return the mean of the training faces, once for each held-out one."""
        mean = self.training[0].double().mean(0).round().to(torch.uint8)
        return mean.expand(HELD_OUT, -1, -1, -1).contiguous()


def nearness(images: Tensor, truth: Tensor) -> tuple[float, float]:
    """L1 and SSIM between images and the true ones."""
    return mean_absolute_difference(images, truth), structural_similarity(images, truth)


# --- training, and what is served ---------------------------------------------------------------


@dataclass(frozen=True)
class Task:
    """What is learnt and how it is scored.

    Args:
        family: Whose preset `toy32` trains.
        companion: Of the data: how `write_toy_faces` draws it and `prepare` takes it.
        kind: Which kind of companion, where there are several.
        minutes: Its budget.
        score: Prints its rows and returns its figures in the last line.
        changes: Of the preset's hyperparameters.
    """

    family: str
    companion: str
    kind: Any
    minutes: float
    score: "Callable[[Judge, Served], dict[str, float]]"
    changes: tuple[tuple[str, Any], ...] = ()


class Served:
    """A trained model as a server loads it; (N, 3, H, W) in and out."""

    def __init__(self, name: str, synthesizer: Synthesizer, pictures: Path | None) -> None:
        self.name, self.synthesizer, self.pictures = name, synthesizer, pictures

    def make(self, seeds: Any = None, **inputs: Any) -> Tensor:
        """Return uint8 images (N, 3, H, W) of seeds, and of images or maps as tensors."""
        arrays = {name: to_arrays(value) if isinstance(value, Tensor) else value
                  for name, value in inputs.items()}  # fmt: skip
        batch = self.synthesizer.prepare_batch(seeds, **arrays)
        return torch.from_numpy(self.synthesizer.generate_batch(batch)).permute(0, 3, 1, 2)

    def show(self, *columns: Tensor, name: str = "") -> None:
        """Write some examples, side by side, if pictures are wanted."""
        if self.pictures:
            cells = torch.stack([column[:PICTURES] for column in columns], 1).flatten(0, 1)
            facts = {"facegan:benchmark": f"image to image, {self.name}"}
            grid = montage(np.ascontiguousarray(to_arrays(cells)), 4 * len(columns))
            save_png(self.pictures / f"translate_{self.name}{name}.png", grid, facts)


def to_arrays(values: Tensor) -> Arrays:
    """Return images as the server takes them, (N, H, W, 3), and label maps as they are."""
    images = values.permute(0, 2, 3, 1) if values.ndim == 4 else values
    return np.ascontiguousarray(images.numpy())


def processor_minutes() -> float:
    """The processor time that this process has used, in minutes of two cores."""
    return time.process_time() / 60 / CORES


def prepare_data(task: Task, folder: Path) -> PackedDataset:
    """Draw a task's training faces with their companion, and prepare them as users do."""
    toys, packed = folder / "toys", folder / "packed"
    write_toy_faces(toys, FACES, RESOLUTION, TRAIN_SEED, **{task.companion: task.kind})
    prepare(toys, packed, RESOLUTION, **{task.companion: toys})  # type: ignore[arg-type]
    return PackedDataset(packed, RESOLUTION)


def train(task: Task, dataset: PackedDataset, minutes: float, seed: int, folder: Path) -> str:
    """Train for the budget, save the model in a folder; how far it came, as a clause."""
    gan = build_gan(
        task.family,
        "toy32",
        dataset.image_shape,
        seed=seed,
        map_classes=dataset.map_classes,
        **dict(task.changes),
    )
    trainer = Trainer(gan, dataset, TrainingConfig(seed=seed))
    began, started = processor_minutes(), time.perf_counter()
    while processor_minutes() - began < minutes and not trainer.has_trained_all:
        trainer.step()
    trained, seconds = processor_minutes() - began, time.perf_counter() - started
    save_artifact(trainer.gan, folder, kimg=trainer.kimg)
    export_graphs(folder)
    return (f"{trainer.kimg:.1f} kimg in {trained:.2f} of {minutes:g} minutes"
            f" ({seconds / 60:.1f} by the clock)")  # fmt: skip


# --- the tasks ----------------------------------------------------------------------------------


def score_spade(judge: Judge, model: Served) -> dict[str, float]:
    """By seeds: obedience, realism, diversity. By the style of the true face: nearness."""
    count = len(judge.maps)
    by_seed = [model.make([seed] * count, label_maps=judge.maps) for seed in range(SEEDS)]
    each_its_own = model.make(range(count), label_maps=judge.maps)
    styled = model.make(label_maps=judge.maps, styles=judge.faces)
    row = judge.score(f"{model.name}: a seed for each map", each_its_own)
    row.diversity = mean_absolute_difference(by_seed[0], by_seed[1])
    own_style = judge.score(f"{model.name}: style of the true face", styled)
    print(line_of(row), line_of(own_style), sep="\n")
    shares = [judge.obedience(images)[0] for images in by_seed]
    print(f"mIoU by seed: {', '.join(f'{share:.3f}' for share in shares)}")
    ceiling = judge.obedience(judge.faces)[0]
    model.show(paint(judge.maps), judge.faces, styled, *by_seed)
    return {
        "spade_miou_share": (row.miou or 0) / ceiling,
        "spade_kid": row.kid or 0,
        "spade_style_l1": own_style.l1 or 0,
        "spade_diversity": row.diversity,
    }


def score_map(judge: Judge, model: Served) -> dict[str, float]:
    made = model.make(label_maps=judge.maps)
    row = judge.score(model.name, made)
    print(line_of(row))
    model.show(paint(judge.maps), made, judge.faces)
    return {"pix2pix_map_kid": row.kid or 0}


def score_sketch(judge: Judge, model: Served) -> dict[str, float]:
    sketches, _ = draw(TEST_SEED, HELD_OUT, "sketch")
    print(line_of(judge.score("the input unchanged", sketches)))
    made = model.make(images=sketches)
    row = judge.score(model.name, made)
    print(line_of(row))
    model.show(sketches, made, judge.faces)
    of_mean = mean_absolute_difference(judge.mean_face(), judge.faces)
    return {"pix2pix_sketch_l1_gain": 1 - (row.l1 or 0) / of_mean}


def score_night(judge: Judge, model: Served) -> dict[str, float]:
    """Both directions; the figures are those of the worse one."""
    day, night = judge.faces, draw(TEST_SEED, HELD_OUT, "night")[0]
    shares, cycles = [], []
    for there, back, source, truth in (("AtoB", "BtoA", day, night), ("BtoA", "AtoB", night, day)):
        unchanged = Row(f"{there}: the input unchanged", None, None, None, *nearness(source, truth))
        made = model.make(images=source, direction=there)
        returned = model.make(images=made, direction=back)
        reals = extract([truth], judge.extractor)
        row = Row(f"{there}: {model.name}", None, None, judge.kid(made, reals),
                  *nearness(made, truth))  # fmt: skip
        row.cycle = mean_absolute_difference(returned, source)
        print(line_of(unchanged), line_of(row), sep="\n")
        shares.append((row.l1 or 0) / (unchanged.l1 or 1))
        cycles.append(row.cycle)
        model.show(source, made, truth, returned, name=f"_{there}")
    return {"cyclegan_l1_share": max(shares), "cyclegan_cycle_l1": max(cycles)}


def paint(maps: Tensor) -> Tensor:
    """Return label maps in the colours of `facegan data toy`: uint8 (N, 3, H, W)."""
    from facegan.data.toy_faces.write import LABEL_COLOURS

    colours = torch.tensor(LABEL_COLOURS, dtype=torch.uint8)
    return colours[maps.long()].permute(0, 3, 1, 2)


TASKS = {
    "spade": Task("spade", "label_maps", True, 4, score_spade),
    "pix2pix-map": Task("pix2pix", "label_maps", True, 3, score_map, (("source", "label_maps"),)),
    "pix2pix-sketch": Task("pix2pix", "paired", "sketch", 3, score_sketch),
    "cyclegan": Task("cyclegan", "unpaired", "night", 4, score_night),
}


def main() -> None:
    options = parse_options()
    print(f"{CORES} of {os.cpu_count()} cores, torch {torch.__version__},"
          f" {torch.get_num_threads()} threads, seed {options.seed}")  # fmt: skip
    found: dict[str, float] = {}
    try:
        judge = Judge()
        print(f"\n{HEAD}")
        for row in judge.trivial():
            print(line_of(row), flush=True)
        for name in options.tasks:
            found |= run(name, judge, options)
    except FaceGANError as problem:
        sys.exit(f"Error: {problem}")
    finally:
        print(json.dumps({key: round(found[key], 4) if key in found else None
                          for key in LAST_LINE}))  # fmt: skip


def run(name: str, judge: Judge, options: argparse.Namespace) -> dict[str, float]:
    """Train one task's model, or load it, and print its rows; its figures of the last line."""
    task = TASKS[name]
    with tempfile.TemporaryDirectory() as folder:
        if options.load:
            model = options.load / name
            progress = f"{read_card(model).kimg:.1f} kimg, trained before"
        else:
            model = options.keep / name if options.keep else Path(folder) / "model"
            dataset, minutes = prepare_data(task, Path(folder)), task.minutes * options.budget
            progress = train(task, dataset, minutes, options.seed, model)
        print(f"\n{name}: {progress}", flush=True)
        return task.score(judge, Served(name, open_synthesizer(model), options.pictures))


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tasks", nargs="*", metavar="TASK", default=[*TASKS],
                        help=f"of {', '.join(TASKS)}; all by default")  # fmt: skip
    parser.add_argument("--budget", type=float, default=1.0, metavar="SHARE",
                        help="of the minutes that each task has (0.1: a first look)")  # fmt: skip
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pictures", type=Path, help="a folder for examples, as grids")
    parser.add_argument("--keep", type=Path, help="a folder for the models")
    parser.add_argument("--load", type=Path,
                        help="such a folder: its models are scored, none is trained")  # fmt: skip
    options = parser.parse_args()
    if unknown := sorted(set(options.tasks) - set(TASKS)):
        parser.error(f"there is no task {unknown[0]}; tasks are {', '.join(TASKS)}")
    if options.budget <= 0:
        parser.error("--budget must be above 0")
    return options


if __name__ == "__main__":
    main()
