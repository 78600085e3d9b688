"""Renders a run's page from its template and writes it."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from facegan import __version__
from facegan.errors import DatasetError, OutputError
from facegan.files import write_atomic
from facegan.report import sections
from facegan.report.examples import Examples
from facegan.report.images import MAX_SIDE, GeneratedImages, Pixels
from facegan.report.map_scores import map_scores
from facegan.report.neighbours import RealImages
from facegan.report.run_record import RunRecord, kimg_text
from facegan.report.translations import translations

T = TypeVar("T")
PIXELATED_BELOW = 96  # pixels; smaller images are enlarged without smoothing

TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
TEMPLATES.filters["kimg"] = kimg_text


def find_real_images(run: RunRecord, data: Path | None = None) -> RealImages | str:
    """Return the images the run was trained on, or a sentence that says why they are missing.

    Args:
        run: Its run.json names the folder.
        data: The folder where the images are now, if they moved.

    Raises:
        DatasetError: `data` is given and holds no images.
    """
    resolution, split = run.dataset["resolution"], run.dataset.get("split")
    if data is not None:
        return RealImages(data, resolution, split)
    if "data" not in run.plan:
        return "run.json does not name the folder of the real images. Pass it as --data."
    if str(run.plan["data"]).startswith("s3://"):
        return "The real images are on S3. Pass a folder that holds them as --data."
    try:
        return RealImages(Path(str(run.plan["data"])), resolution, split)
    except DatasetError as cause:
        return f"The real images were not found. {cause.message} Pass their folder as --data."


def write_report(
    run: RunRecord,
    reals: RealImages | str,
    out: Path | None = None,
    refresh: int | None = None,
    cache: Path | None = None,
) -> Path:
    """Write the page of a run and return its file.

    Args:
        run: From `read_run`.
        reals: From `find_real_images`.
        out: The file.  [default: RUN/report.html]
        refresh: Seconds after which a browser reloads the page, while the run goes on.
        cache: Folder that keeps what takes a minute to compute: a segmenter of the data.

    Raises:
        OutputError: it cannot be written; an earlier page stays as it was.
    """
    file = out or run.path / "report.html"
    page = render(run, reals, None if run.is_finished else refresh, cache)
    try:
        write_atomic(file, page.encode())
    except OSError as cause:
        raise OutputError(
            f"{file} cannot be written: {cause.strerror}.", "Pass another file as --out."
        ) from cause
    return file


def render(
    run: RunRecord,
    reals: RealImages | str,
    refresh: int | None = None,
    cache: Path | None = None,
) -> str:
    """Return the page's HTML."""
    model = GeneratedImages(run.artifact) if run.artifact else None
    own = source_sections(run, model, reals, cache) if run.takes_sources else (
        seed_sections(run, model, reals)
    )  # fmt: skip
    return TEMPLATES.get_template("page.html.jinja").render(
        run=run,
        version=__version__,
        written=time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime()),
        refresh=refresh,
        resolution=run.dataset["resolution"],
        pixelated_below=PIXELATED_BELOW,
        max_side=MAX_SIDE,
        summary=sections.summary(run),
        model=model,
        moments=sections.moments(run),
        qualities=sections.qualities(run),
        charts=sections.loss_charts(run),
        tables=sections.tables(run),
        commands=sections.commands(run),
        **own,
    )


def seed_sections(
    run: RunRecord, model: GeneratedImages | None, reals: RealImages | str
) -> dict[str, Any]:
    """Return what is shown of a model that is given nothing but seeds and classes."""
    images = model.draw(sections.SEEDS) if model else None
    return {
        "images": [] if model is None or images is None else sections.seed_images(model, images),
        "classes": sections.class_strips(model) if model else [],
        "steps": sections.STEPS,
        "interpolations": sections.interpolations(model) if model else [],
        "generated_grid": sections.generated_grid(model) if model else None,
        **real_sections(run, model, images, reals),
    }


def source_sections(
    run: RunRecord, model: GeneratedImages | None, reals: RealImages | str, cache: Path | None
) -> dict[str, Any]:
    """Return what is shown of a model that is given images or label maps."""
    found: dict[str, Any] = {"translations": [], "map_scores": None, "no_scores": ""}
    if model is None or isinstance(reals, str):
        return found | {"no_examples": run.no_artifact or reals}
    examples, reason = try_section(lambda: Examples(model, reals))
    if examples is None:
        return found | {"no_examples": reason}
    found |= {"translations": list(translations(examples)), "no_examples": ""}
    if examples.takes_maps:
        scores, reason = try_section(lambda: map_scores(examples, cache))
        found |= {"map_scores": scores, "no_scores": reason}
    return found


def real_sections(
    run: RunRecord, model: GeneratedImages | None, images: Pixels | None, reals: RealImages | str
) -> dict[str, Any]:
    """Return what needs the real images, or the reasons why it is missing."""
    if isinstance(reals, str):
        return {"reals": None, "real_grid": None, "no_reals": reals,
                "copies": None, "no_copies": reals}  # fmt: skip
    real_grid, no_reals = try_section(lambda: sections.real_grid(reals))
    copies, no_copies = None, run.no_artifact
    if model is not None and images is not None:
        copies, no_copies = try_section(lambda: sections.nearest_reals(model, images, reals))
    return {"reals": reals, "real_grid": real_grid, "no_reals": no_reals,
            "copies": copies, "no_copies": no_copies}  # fmt: skip


def try_section(make: Callable[[], T]) -> tuple[T | None, str]:
    """Return a section and no reason, or None and the reason if real images cannot be read."""
    try:
        return make(), ""
    except DatasetError as cause:
        return None, str(cause)
