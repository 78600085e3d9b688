"""What each section of the page shows: images, charts, tables and commands."""

import math
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from facegan.image_encoding import encode_png, montage
from facegan.metrics import EARLIER_NAMES, EXTRACTORS, metric_name
from facegan.model_inputs import example_options
from facegan.report.charts import Chart, line_chart
from facegan.report.images import (
    GRID_SIDE,
    MAX_SIDE,
    EmbeddedImage,
    GeneratedImages,
    Pixels,
    encode_real,
    first_row,
    read_grid,
    shrink,
    shrink_all,
)
from facegan.report.neighbours import Neighbours, RealImages, evenly_spaced
from facegan.report.run_record import GAUGES, L1, RunRecord, Tick, kimg_text

SEEDS = range(64)  # shown as they come, not a choice
SIDE_BY_SIDE = range(64, 100)  # seeds beside as many real images
INTERPOLATIONS = ((0, 1), (2, 3), (4, 5))
STEPS = 9
MAX_MOMENTS = 8
STRIPS_PER_ROW = 4  # of the grids of a model that is given images: input, output, …
MAX_CLASSES = 12
CHECKED, NEAREST = 8, 3  # seeds shown above as many real images
TITLES = {"kid": "KID", "fd": "Fréchet distance", "precision": "Precision", "recall": "Recall"}
QUALITY_CHARTS = (("kid",), ("fd",), ("precision", "recall"))


def summary(run: RunRecord) -> dict[str, str]:
    """Return the numbers at the head of the page; a dash for one that is not known yet."""
    training = run.numbers["training"]
    hardware = training.get("hardware", training.get("device", "–"))
    seconds = run.train_seconds
    return {
        "kimg": kimg_text(run.kimg),
        "images per second": f"{run.kimg * 1000 / seconds:,.0f}" if seconds else "–",
        "minutes of training": f"{seconds / 60:,.1f}",
        "resolution": f"{run.dataset['resolution']} px",
        "hardware": str(hardware),
        "number format": str(training.get("computed_in", run.plan.get("precision", "–"))),
    }


def seed_images(model: GeneratedImages, images: Pixels) -> list[EmbeddedImage]:
    """Return one image per seed, named by the seed and its class."""
    classes = model.classes(SEEDS)
    names = [f"Seed {k}, {classes[k]}" if classes else f"Seed {k}" for k in SEEDS]
    return [
        EmbeddedImage(model.encode(image, [seed]), names[seed]) for seed, image in enumerate(images)
    ]


def class_strips(model: GeneratedImages) -> list[EmbeddedImage]:
    """Return the same seeds in each of the first classes."""
    strips = []
    for name, count in list(model.artifact.classes.items())[:MAX_CLASSES]:
        strip = montage(model.draw(range(STEPS), name), columns=STEPS, gap=0)
        png = model.encode(strip, range(STEPS), [name] * STEPS)
        caption = f"{name}: {count:,} of the real images"
        strips.append(EmbeddedImage(png, f"Images of the class {name}", caption))
    return strips


@dataclass(frozen=True)
class Moment:
    """The images of the fixed latents or inputs at one moment of training."""

    kimg: str
    column: EmbeddedImage  # a few of them
    grid: EmbeddedImage  # all


def moments(run: RunRecord) -> list[Moment]:
    """Return evenly spaced moments of training, oldest first."""
    found = []
    for file in evenly_spaced(run.samples, MAX_MOMENTS):
        if grid := read_grid(file):
            pixels, facts = grid
            kimg = kimg_of(file.stem.removeprefix("kimg-"))
            row = first_row(pixels, run.dataset["resolution"])
            outputs = row[1 :: max(2, len(row) // STRIPS_PER_ROW)] if run.takes_sources else row
            few = shrink_all(outputs[:4])
            column = encode_png(montage(few, columns=1, gap=0), facts)
            whole = encode_png(shrink(pixels, GRID_SIDE), facts)
            found.append(Moment(
                kimg,
                EmbeddedImage(column, f"Images at {kimg} kimg"),
                EmbeddedImage(whole, f"A grid of images at {kimg} kimg"),
            ))  # fmt: skip
    return found


def kimg_of(stamp: str) -> str:
    """Return the kimg in a sample's name, for people; the name as it is if it holds none."""
    try:
        return kimg_text(float(stamp))
    except ValueError:
        return stamp


@dataclass(frozen=True)
class Quality:
    """What one extractor measured: charts, and a table of the best and the last evaluation."""

    extractor: str
    is_published: bool  # whether the numbers compare with those of papers
    charts: list[Chart]
    columns: list[str]
    rows: dict[str, list[str]]


def qualities(run: RunRecord) -> list[Quality]:
    """Return the measurements of each extractor that evaluated the run."""
    return [quality(run, extractor) for extractor in EXTRACTORS
            if any(metric_name("kid", extractor) in tick for tick in run.ticks)]  # fmt: skip


def quality(run: RunRecord, extractor: str) -> Quality:
    """Return the measurements of one extractor."""
    names = {metric: metric_name(metric, extractor) for metric in (*TITLES, "kid_std")}
    ticks = [tick for tick in map(renamed, run.ticks) if set(names.values()) <= set(tick)]
    charts = []
    for metrics in QUALITY_CHARTS:
        curves = {names[m]: [(tick["kimg"], tick[names[m]]) for tick in ticks] for m in metrics}
        title = " and ".join([TITLES[metrics[0]], *(TITLES[m].lower() for m in metrics[1:])])
        charts.append(line_chart(title, "kimg", curves))
    if any(L1 in tick for tick in ticks):
        distances = [(tick["kimg"], tick[L1]) for tick in ticks if L1 in tick]
        charts.append(line_chart("L1 to the true images, white being 1", "kimg", {L1: distances}))
    shown = [names[metric] for metric in TITLES]
    best = min(ticks, key=lambda tick: tick[names["kid"]])
    rows = {f"Best: {run.path.name}/best.tar.gz": best, "Last": ticks[-1]}
    cells = {}
    for title, tick in rows.items():
        kid, *others = (f"{tick[name]:.4g}" for name in shown)
        cells[title] = [kimg_text(tick["kimg"]), f"{kid} ± {tick[names['kid_std']]:.2g}", *others]
    return Quality(extractor, names["fd"] == "fid", charts, ["kimg", *shown], cells)


def renamed(tick: Tick) -> Tick:
    """Return a tick with today's names of metrics, whichever version wrote it."""
    return {**{new: tick[old] for new, old in EARLIER_NAMES.items() if old in tick}, **tick}


def loss_charts(run: RunRecord) -> list[Chart]:
    """Return the charts of losses, of the players' balance and of the speed."""
    losses, gauges = (
        {name: [(tick["kimg"], tick[name]) for tick in run.ticks if name in tick] for name in names}
        for names in (run.terms, GAUGES)
    )
    speed = [
        (tick["train_seconds"] / 60, tick["images_per_second"])
        for tick in run.ticks
        if "train_seconds" in tick and "images_per_second" in tick
    ]
    charts = [
        line_chart("Loss terms", "kimg", losses),
        line_chart("Balance", "kimg", gauges),
        line_chart("Images per second", "minutes of training", {"images per second": speed}),
    ]
    return [chart for chart in charts if chart.curves or chart.title != "Balance"]


def interpolations(model: GeneratedImages) -> list[EmbeddedImage]:
    """Return strips from one seed to another."""
    strips = []
    for first, last in INTERPOLATIONS:
        strip = montage(model.interpolate(first, last, STEPS), columns=STEPS, gap=0)
        alt = f"Images from seed {first} to seed {last}"
        strips.append(EmbeddedImage(model.encode(strip), alt, f"Seed {first} to seed {last}"))
    return strips


def real_grid(reals: RealImages) -> EmbeddedImage:
    """Return a grid of real images."""
    grid = montage(shrink_all(reals.choose(len(SIDE_BY_SIDE))))
    caption = f"Real: out of {reals.found:,} images, evenly spaced"
    return EmbeddedImage(encode_real(grid), "Real images", caption)


def generated_grid(model: GeneratedImages) -> EmbeddedImage:
    """Return a grid of as many generated images."""
    png = model.encode(montage(model.draw(SIDE_BY_SIDE)), SIDE_BY_SIDE)
    caption = f"Generated: seeds {SIDE_BY_SIDE[0]} to {SIDE_BY_SIDE[-1]}"
    return EmbeddedImage(png, "Generated images", caption)


@dataclass(frozen=True)
class Copies:
    """Generated images above the real images nearest to them, and the distances."""

    columns: list[tuple[EmbeddedImage, list[EmbeddedImage], str]]
    near: Neighbours
    compared: int
    max_side: int = MAX_SIDE


def nearest_reals(model: GeneratedImages, images: Pixels, reals: RealImages) -> Copies:
    """Find the real images nearest to generated ones.

    Raises:
        DatasetError: fewer than two real images can be read.
    """
    near = reals.nearest(images, NEAREST)
    columns = []
    for seed in range(CHECKED):
        top = EmbeddedImage(model.encode(images[seed], [seed]), f"Seed {seed}, generated")
        below = [
            EmbeddedImage(encode_real(real), "A real image near it")
            for real in shrink_all(reals.read(near.files[seed]))
        ]
        columns.append((top, below, f"{near.distances[seed][0]:.1f}"))
    return Copies(columns, near, len(reals.files))


def tables(run: RunRecord) -> dict[str, Mapping[str, Any]]:
    """Return everything that was set, and what it ran on, by title."""
    found = {
        "Requested": run.plan,
        "Data": run.dataset,
        "Networks": run.numbers["settings"],
        "Training": run.numbers["training"],
        "Versions": run.numbers["versions"],
        "Quality": run.artifact.card.metrics.get("protocol", {}) if run.artifact else {},
    }
    return {title: rows for title, rows in found.items() if rows}


def commands(run: RunRecord) -> dict[str, str]:
    """Return commands for what can be done with the run next, by what they do."""
    path = shlex.quote(str(run.path))
    model = shlex.quote(str(run.path / "model.tar.gz"))
    longer = f" --total-kimg {max(1, round(2 * run.kimg))}" if run.is_finished else ""
    if run.is_finished and "max_minutes" in run.plan:
        longer += f" --max-minutes {math.ceil(2 * (run.train_seconds or 60) / 60)}"
    resume = "Train longer" if longer else "Resume"
    found = {resume: f"facegan train --out {path} --resume{longer}"}
    if run.artifact:
        address, options = "http://localhost:8080", example_options(run.artifact.card.inputs)
        found |= {
            "Generate without a server": f"facegan generate {model} {options} --out faces.png",
            "Serve": f"facegan serve {model}",
            "Call the server": f"facegan invoke --endpoint-url {address} {options} --out faces.png",
        }
    found["Write this page again"] = f"facegan report {path}"
    if not run.is_finished:
        found["Update this page while training"] = f"facegan report {path} --watch 30"
    return found
