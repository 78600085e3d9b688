"""Writes a data set of toy faces to a folder, all of it or nothing."""

import contextlib
import json
import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from facegan.data.packed_files import atomic_folder
from facegan.data.prepare.pool import init_worker
from facegan.data.toy_faces.canvas import LABELS
from facegan.data.toy_faces.factors import find_factor, labels_of_faces
from facegan.data.toy_faces.render import RENDERER_VERSION, check_spec, chunk_size, draw_chunk
from facegan.data.toy_faces.variants import DOMAINS, PAIRED_KINDS, PLAIN, other_seed
from facegan.errors import ConfigError, DatasetError, did_you_mean

IMAGES_PER_FOLDER = 1000
# The colours in which a viewer shows the label maps, in the order of LABELS.
LABEL_COLOURS = (
    (205, 210, 215),
    (70, 110, 180),
    (236, 170, 130),
    (90, 55, 30),
    (250, 140, 110),
    (255, 214, 180),
    (255, 255, 255),
    (40, 140, 220),
    (60, 40, 20),
    (235, 130, 90),
    (210, 50, 70),
    (250, 250, 190),
    (140, 90, 50),
    (20, 20, 30),
)
# Below this, starting processes takes longer than drawing.
_CHUNKS_WORTH_A_POOL = 12


@dataclass(frozen=True)
class Side:
    """Images of a data set: the folder they are written to, and how they are drawn."""

    folder: str
    seed: int
    variant: str


@dataclass(frozen=True)
class ToySpec:
    """Which data set: everything its bytes depend on."""

    images: int
    resolution: int
    seed: int
    label_maps: bool
    labels: str | None = None  # a name in FACTORS
    paired: str | None = None  # a name in PAIRED_KINDS
    unpaired: str | None = None  # a name in DOMAINS

    def check(self) -> None:
        """Refuse what cannot be drawn.

        Raises:
            ConfigError: names the value and its range, or the kinds that exclude each other.
        """
        check_spec(self.images, self.resolution, self.seed)
        if self.labels is not None:
            find_factor(self.labels)
        for name, kind, kinds in [
            ("paired", self.paired, PAIRED_KINDS),
            ("unpaired", self.unpaired, tuple(DOMAINS)),
        ]:
            if kind is not None and kind not in kinds:
                raise ConfigError(f"{name} is {kind!r}.", did_you_mean(kind, kinds, "kinds"))
        if self.unpaired == "glasses" == self.labels:
            raise ConfigError(
                "With unpaired glasses no image of the data set has glasses, so labels of"
                " glasses would all be none.",
                "Leave one of the two out.",
            )
        if self.unpaired == "glasses" and self.paired is not None:
            raise ConfigError(
                f"paired {self.paired} shows the faces as they are, and with unpaired glasses the"
                " images show them without glasses.",
                "Draw two data sets.",
            )

    def sides(self) -> list[Side]:
        """What is drawn: the images, and the companions that are images, too."""
        own, other = DOMAINS[self.unpaired] if self.unpaired else (PLAIN, "")
        sides = [Side("images", self.seed, own)]
        if self.paired:
            sides.append(Side("paired", self.seed, self.paired))
        if self.unpaired:
            sides.append(Side("unpaired", other_seed(self.seed), other))
        return sides

    def companions(self) -> dict[str, Any]:
        """What ``dataset.json`` says of companions that are images."""
        facts: dict[str, Any] = {}
        for side in self.sides()[1:]:
            facts[side.folder] = getattr(self, side.folder)
            facts[f"{side.folder}_folder"] = side.folder
        if self.unpaired:
            facts["unpaired_seed"] = other_seed(self.seed)
        return facts

    def card(self) -> dict[str, Any]:
        """What ``dataset.json`` says."""
        return {
            "format": "facegan-dataset",
            "version": 1,
            "name": "toy-faces",
            "synthetic": True,
            "description": "Synthetic cartoon faces drawn by facegan's own renderer;"
            " no photo of a person.",
            "images": self.images,
            "resolution": self.resolution,
            "seed": self.seed,
            "renderer_version": RENDERER_VERSION,
            "images_folder": "images",
            "labels_folder": "labels" if self.label_maps else None,
            "label_names": list(LABELS) if self.label_maps else None,
            **self.companions(),
            **(self.labels_by_path() if self.labels else {}),
        }

    def labels_by_path(self) -> dict[str, Any]:
        """Which class each image is of, and what the classes are called."""
        assert self.labels is not None  # the caller asked for some
        found = labels_of_faces(self.labels, self.images, self.resolution, self.seed)
        paths = [image_path(Path(), index).as_posix() for index in range(self.images)]
        return {
            "class_names": list(find_factor(self.labels).classes),
            "labels": dict(zip(paths, found, strict=True)),
        }

    @property
    def chunks(self) -> range:
        return range(-(-self.images // chunk_size(self.resolution)))


def image_path(folder: Path, index: int) -> Path:
    """Where image ``index`` lies: ``folder/00012/000012345.png``."""
    return folder / f"{index // IMAGES_PER_FOLDER:05d}" / f"{index:09d}.png"


def write_toy_faces(
    out: Path,
    images: int,
    resolution: int,
    seed: int = 0,
    label_maps: bool = False,
    workers: int | None = None,
    on_progress: Callable[[int], None] | None = None,
    labels: str | None = None,
    paired: str | None = None,
    unpaired: str | None = None,
) -> bool:
    """Draw a data set of synthetic cartoon faces into a folder.

    The folder appears when it is complete; until then it is ``<out>.partial-<random>`` beside it.
    More than one worker starts processes, so a script must call this from under
    ``if __name__ == "__main__":``.

    Args:
        out: The folder; it must not exist, or be empty, or hold this very data set.
        images: How many, at least 1.
        resolution: Side in pixels, 8 to 1024.
        seed: 0 to 2**63 - 1. Image k of a seed is the same bytes in a data set of any length.
        label_maps: Also write what is on top at each pixel, see ``LABELS``.
        workers: Processes to draw with; None is one a core.
        on_progress: Called with the number of images written since its last call.
        labels: Also say of each image what kind of face it shows, by a name in ``FACTORS``; the
            images are the same.
        paired: Also write the same faces as a ``sketch``, or at ``night``.
        unpaired: Also write as many images of other faces, in another domain: ``night``, or
            ``glasses``, in which case the images themselves show none. They are the faces of seed
            ``2**63 - 1 - seed``, so that they can be drawn in this domain, too.

    Returns:
        False where this very data set was already there and nothing was drawn, else True.

    Raises:
        ConfigError: A value is out of its range, or two kinds exclude each other.
        DatasetError: The folder holds something else, or cannot be written (a full disk).
    """
    spec = ToySpec(images, resolution, seed, label_maps, labels, paired, unpaired)
    spec.check()
    if workers is not None and workers < 1:
        raise ConfigError(f"workers is {workers}; at least 1 must draw.")
    out = out.resolve()
    if _is_already_there(out, spec):
        return False
    with atomic_folder(out) as partial:
        _make_folders(partial, spec)
        _write_all(partial, spec, workers or _cores(), on_progress or (lambda count: None))
        (partial / "dataset.json").write_text(json.dumps(spec.card(), indent=2) + "\n", "utf-8")
    return True


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _is_already_there(out: Path, spec: ToySpec) -> bool:
    """Whether ``out`` is this data set; an absent or empty folder is not, all else is refused."""
    if not out.exists():
        return False
    if not out.is_dir():
        raise DatasetError(f"{out} is a file.", "Name a folder that does not exist yet.")
    if out.is_mount():
        raise DatasetError(f"{out} is a mount point.", f"Name a folder in it, as {out / 'toy'}.")
    with contextlib.suppress(OSError, ValueError):  # no readable card: it is something else
        if json.loads((out / "dataset.json").read_text("utf-8")) == spec.card():
            return True
    if any(out.iterdir()):
        raise DatasetError(
            f"{out} is not empty, and holds another data set or none.",
            "Name another folder, or remove this one first.",
        )
    return False


def _make_folders(root: Path, spec: ToySpec) -> None:
    for name in [side.folder for side in spec.sides()] + ["labels"] * spec.label_maps:
        for index in range(0, spec.images, IMAGES_PER_FOLDER):
            image_path(root / name, index).parent.mkdir(parents=True)


def _write_all(root: Path, spec: ToySpec, workers: int, report: Callable[[int], None]) -> None:
    if workers == 1 or len(spec.chunks) < _CHUNKS_WORTH_A_POOL:
        for chunk in spec.chunks:
            report(_write_chunk(root, spec, chunk))
        return
    try:
        _write_in_pool(root, spec, min(workers, len(spec.chunks)), report)
    except BrokenProcessPool as error:
        raise DatasetError(
            "A drawing process ended early, for want of memory or of a main module to start from.",
            'Use one worker, or call this from under `if __name__ == "__main__":`.',
        ) from error


def _write_in_pool(root: Path, spec: ToySpec, workers: int, report: Callable[[int], None]) -> None:
    """Share the chunks out among processes, a few at a time, so that an error stops them soon."""
    spawn = multiprocessing.get_context("spawn")  # forking a process that runs threads may hang it
    chunks = iter(spec.chunks)
    with ProcessPoolExecutor(workers, spawn, init_worker) as pool:
        pending: set[Future[int]] = set()
        try:
            while True:
                for chunk in chunks:
                    pending.add(pool.submit(_write_chunk, root, spec, chunk))
                    if len(pending) >= 4 * workers:
                        break
                if not pending:
                    return
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                report(sum(future.result() for future in done))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _write_chunk(root: Path, spec: ToySpec, chunk: int) -> int:
    """Draw one chunk and write those of its images that the data set has; how many that is."""
    first = chunk * chunk_size(spec.resolution)
    count = min(chunk_size(spec.resolution), spec.images - first)
    for side in spec.sides():
        images, labels = draw_chunk(chunk, spec.resolution, side.seed, side.variant)
        for index, image in enumerate(images[:count].permute(0, 2, 3, 1).numpy(), first):
            picture = Image.fromarray(image)
            _save_png(picture, image_path(root / side.folder, index), side, index)
        if side.folder != "images" or not spec.label_maps:
            continue
        for index, label_map in enumerate(labels[:count].numpy(), first):
            picture = Image.fromarray(label_map)
            picture.putpalette([level for colour in LABEL_COLOURS for level in colour])
            _save_png(picture, image_path(root / "labels", index), side, index)
    return count


def _save_png(image: Image.Image, path: Path, side: Side, index: int) -> None:
    """Write a PNG that says of itself that it is synthetic."""
    variant = "" if side.variant == PLAIN else f", {side.variant}"
    about = PngInfo()
    about.add_text(
        "Source", f"facegan toy faces, synthetic, seed {side.seed}, image {index}{variant}"
    )
    image.save(path, compress_level=1, pnginfo=about)
