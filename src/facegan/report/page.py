"""From a run's folder to its page, written whole or not at all."""

import time
from pathlib import Path

from facegan import __version__
from facegan.errors import DatasetError, OutputError
from facegan.files import write_atomic
from facegan.report import face_sections, sections
from facegan.report.faces import Gallery
from facegan.report.markup import Markup, element
from facegan.report.neighbours import Reals
from facegan.report.quality import quality_sections
from facegan.report.run_record import RunRecord, kimg_text
from facegan.report.style import STYLE, style_of_moments

# The browser itself is told to load nothing: the page cannot need a network.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def find_reals(run: RunRecord, data: Path | None = None) -> Reals | str:
    """The pictures the run was trained on, or a sentence that says why they are not at hand.

    Args:
        run: Whose run.json names the folder.
        data: The folder where the pictures are now, if they moved.

    Raises:
        DatasetError: `data` is given and holds no pictures.
    """
    resolution, split = run.dataset["resolution"], run.dataset.get("split")
    if data is not None:
        return Reals(data, resolution, split)
    if "data" not in run.plan:
        return "run.json names no folder of real pictures; name one by --data."
    if str(run.plan["data"]).startswith("s3://"):
        return "The real pictures are on S3. Name a folder that holds them by --data."
    try:
        return Reals(Path(str(run.plan["data"])), resolution, split)
    except DatasetError as cause:
        return f"The real pictures are not at hand. {cause.message} Name the folder by --data."


def write_report(
    run: RunRecord, reals: Reals | str, out: Path | None = None, refresh: int | None = None
) -> Path:
    """Write the page of a run.

    Args:
        run: As `read_run` found it.
        reals: As `find_reals` found them.
        out: The file; RUN/report.html where none is named.
        refresh: After how many seconds a browser reads the page again, while the run goes on.

    Returns:
        The file.

    Raises:
        OutputError: it cannot be written; an earlier page stays as it was.
    """
    file = out or run.path / "report.html"
    page = build_page(run, reals, None if run.is_finished else refresh)
    try:
        write_atomic(file, page.encode())
    except OSError as cause:
        raise OutputError(
            f"{file} cannot be written: {cause.strerror}.", "Name another file by --out."
        ) from cause
    return file


def build_page(run: RunRecord, reals: Reals | str, refresh: int | None = None) -> str:
    """The page's HTML."""
    title = f"{run.plan['family']} {run.plan['preset']}, {kimg_text(run.kimg)} kimg"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("meta", http_equiv="refresh", content=refresh) if refresh else "",
        element("title", title),
        element("style", Markup(STYLE + style_of_moments(face_sections.MOMENTS))),
    )
    body = element("body", element("main", *parts(run, reals)), footer(refresh))
    return "<!DOCTYPE html>\n" + element("html", head, body, lang="en") + "\n"


def parts(run: RunRecord, reals: Reals | str) -> list[Markup]:
    """The sections from top to bottom; one face a seed is drawn once and used twice."""
    gallery = Gallery(run.artifact) if run.artifact else None
    faces = gallery.draw(range(face_sections.FACES)) if gallery else None
    return [
        sections.header(run),
        face_sections.faces_section(run, gallery, faces),
        *face_sections.classes_section(run, gallery),
        face_sections.moments_section(run),
        *quality_sections(run),
        sections.curves_section(run),
        face_sections.ways_section(run, gallery),
        face_sections.or_said(
            "Real and generated", face_sections.beside_section, run, gallery, reals
        ),
        face_sections.or_said(
            "Nearest real pictures", face_sections.neighbours_section, run, gallery, faces, reals
        ),
        sections.configuration_section(run),
        sections.commands_section(run),
    ]


def footer(refresh: int | None) -> Markup:
    """When and by what the page was written."""
    written = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime())
    again = f" Your browser reads it again every {refresh} seconds." if refresh else ""
    marked = " Every generated picture here says so in its metadata."
    text = f"Written by facegan {__version__} on {written}.{again}{marked}"
    return element("footer", element("p", text, class_="muted"))
