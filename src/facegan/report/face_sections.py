"""The parts of the page that show faces; what cannot be shown is said in a sentence."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from facegan.errors import DatasetError
from facegan.pictures import encode_png, montage
from facegan.report.faces import (
    FACE_SIDE,
    GRID_SIDE,
    Gallery,
    Pixels,
    encode_real,
    first_faces,
    image,
    read_grid,
    shrink,
    smoothing,
)
from facegan.report.markup import Markup, absent, element, paragraph, section
from facegan.report.neighbours import MOST_REALS, PRINT_SIDE, Reals, spread
from facegan.report.run_record import RunRecord, kimg_text

FACES = 64  # seeds 0 … 63, not a choice
BESIDE = 36  # faces of either kind, side by side: seeds 64 … 99
WAYS = ((0, 1), (2, 3), (4, 5))
STEPS = 9
MOMENTS = 8
SHOWN_CLASSES = 12
CHECKED, NEAREST = 8, 3


def faces_section(run: RunRecord, gallery: Gallery | None, faces: Pixels | None) -> Markup:
    """Sixty-four faces of the model, one a seed."""
    title = "Faces"
    if gallery is None or faces is None:
        return section(title, absent(run.no_artifact))
    shown = smoothing(run.dataset["resolution"])
    kinds = gallery.kinds(range(FACES))
    names = [f"Seed {k}, {kinds[k]}" if kinds else f"Seed {k}" for k in range(FACES)]
    pictures = [
        image(gallery.encode(face, [seed]), names[seed], title=names[seed], class_=shown)
        for seed, face in enumerate(faces)
    ]
    about = f"Seeds 0 to {FACES - 1}, as they come: none was picked or left out."
    if run.dataset["resolution"] > FACE_SIDE:
        about += f" Shown at {FACE_SIDE} pixels a side."
    if not run.is_finished:
        kimg = gallery.artifact.card.kimg
        about += f" The model is of {kimg_text(kimg)} kimg; the run is at {kimg_text(run.kimg)}."
    return section(title, paragraph(about), element("div", pictures, class_="faces"))


def classes_section(run: RunRecord, gallery: Gallery | None) -> list[Markup]:
    """The same seeds in each class; no section where the model is not conditional."""
    if gallery is None or not gallery.artifact.classes:
        return []
    rows = []
    for name in list(gallery.artifact.classes)[:SHOWN_CLASSES]:
        count = gallery.artifact.classes[name]
        strip = montage(gallery.draw(range(STEPS), name), columns=STEPS, gap=0)
        png = gallery.encode(strip, range(STEPS), [name] * STEPS)
        shown = smoothing(run.dataset["resolution"])
        picture = image(png, f"Faces of the class {name}", class_=shown)
        caption = element("figcaption", f"{name}: {count:,} of the real pictures")
        rows.append(element("figure", picture, caption))
    about = (
        f"Seeds 0 to {STEPS - 1} in each of {len(gallery.artifact.classes)} classes: from row to "
        "row only what the classes differ in should change."
    )
    if len(rows) < len(gallery.artifact.classes):
        about += f" The first {SHOWN_CLASSES} are shown."
    return [section("Classes", paragraph(about), element("div", rows, class_="way"))]


def moments_section(run: RunRecord) -> Markup:
    """The same latents at a few moments of training; choosing one shows all of its faces."""
    title = "The same latents through time"
    read = [(file, read_grid(file)) for file in spread(run.samples, MOMENTS)]
    grids = [(file.stem.removeprefix("kimg-"), *found) for file, found in read if found]
    if not grids:
        return section(title, absent("No picture has been drawn yet: the first tick draws one."))
    resolution = run.dataset["resolution"]
    inputs, labels, frames = [], [], []
    for index, (stamp, pixels, facts) in enumerate(grids):
        kimg = kimg_of(stamp)
        last = index == len(grids) - 1
        inputs.append(element("input", type="radio", name="moment", id=f"moment-{index}",
                              checked=last, aria_label=f"{kimg} kimg"))  # fmt: skip
        labels.append(label(index, kimg, pixels, facts, resolution))
        png = encode_png(shrink(pixels, GRID_SIDE), facts)
        frames.append(element(
            "figure",
            image(png, f"A grid of faces at {kimg} kimg", class_=smoothing(resolution)),
            element("figcaption", f"All latents at {kimg} kimg"),
            class_=f"frame frame-{index}",
        ))  # fmt: skip
    return section(
        title,
        paragraph("Choose a moment, or step with the arrow keys. Columns are labelled in kimg."),
        element(
            "div",
            *inputs,
            element("div", labels, class_="strip"),
            element("div", frames, class_="frames"),
            class_="moments",
        ),
    )


def kimg_of(stamp: str) -> str:
    """The kimg in a sample's name, for people; the name as it is where it holds none."""
    try:
        return kimg_text(float(stamp))
    except ValueError:
        return stamp


def label(
    index: int, kimg: str, pixels: Pixels, facts: Mapping[str, str], resolution: int
) -> Markup:
    """One moment of the strip: a few faces above one another, and the kimg."""
    faces = [shrink(face, FACE_SIDE) for face in first_faces(pixels, resolution, 4)]
    column = encode_png(montage(np.stack(faces), columns=1, gap=0), facts)
    return element(
        "label",
        image(column, f"Faces at {kimg} kimg", class_=smoothing(resolution)),
        kimg,
        for_=f"moment-{index}",
        class_=f"label-{index}",
    )


def ways_section(run: RunRecord, gallery: Gallery | None) -> Markup:
    """Interpolation between seeds."""
    title = "Between seeds"
    if gallery is None:
        return section(title, absent(run.no_artifact))
    rows = []
    for first, last in WAYS:
        strip = montage(gallery.between(first, last, STEPS), columns=STEPS, gap=0)
        alt = f"Faces on the way from seed {first} to seed {last}"
        picture = image(gallery.encode(strip), alt, class_=smoothing(run.dataset["resolution"]))
        rows.append(element("figure", picture,
                            element("figcaption", f"Seed {first} to seed {last}")))  # fmt: skip
    about = (
        "The latents between two seeds lie on an arc of the sphere. Faces that change little by "
        "little speak for a smooth generator; sudden jumps would not."
    )
    return section(title, paragraph(about), element("div", rows, class_="way"))


def beside_section(run: RunRecord, gallery: Gallery | None, reals: Reals | str) -> Markup:
    """Real pictures and generated ones, as many of each."""
    title = "Real and generated"
    shown = smoothing(run.dataset["resolution"])
    sides = []
    if isinstance(reals, str):
        sides.append(absent(reals))
    else:
        grid = montage(small(reals.choose(BESIDE)))
        sides.append(side(image(encode_real(grid), "Real pictures", class_=shown),
                          f"Real: out of {reals.found:,} pictures, evenly spaced"))  # fmt: skip
    if gallery is None:
        sides.append(absent(run.no_artifact))
    else:
        seeds = range(FACES, FACES + BESIDE)
        png = gallery.encode(montage(gallery.draw(seeds)), seeds)
        sides.append(side(image(png, "Generated faces", class_=shown),
                          f"Generated: seeds {seeds[0]} to {seeds[-1]}"))  # fmt: skip
    notes = other_data(run, reals)
    return section(title, *notes, element("div", sides, class_="pair"))


def side(picture: Markup, caption: str) -> Markup:
    """One of two pictures beside each other."""
    return element("figure", picture, element("figcaption", caption))


def other_data(run: RunRecord, reals: Reals | str) -> list[Markup]:
    """A warning where the folder cannot be the one that the run was trained on."""
    if isinstance(reals, str):
        return []
    trained = run.dataset["images"] + run.dataset.get("skipped", 0)
    if reals.found == trained:
        return []
    return [absent(f"{reals.folder} holds {reals.found:,} pictures; the run was started on "
                   f"{trained:,}. It may not be the same data.")]  # fmt: skip


def small(pictures: Pixels) -> Pixels:
    """Pictures (N, H, W, 3) of at most `FACE_SIDE` pixels."""
    return np.stack([shrink(picture, FACE_SIDE) for picture in pictures])


def neighbours_section(
    run: RunRecord, gallery: Gallery | None, faces: Pixels | None, reals: Reals | str
) -> Markup:
    """The nearest reals of a few fakes: does the generator copy?"""
    title = "Nearest real pictures"
    if isinstance(reals, str):
        return section(title, absent(reals))
    if gallery is None or faces is None:
        return section(title, absent(run.no_artifact))
    near = reals.nearest(faces, NEAREST)
    shown = smoothing(run.dataset["resolution"])
    columns = []
    for seed in range(CHECKED):
        fake = image(gallery.encode(faces[seed], [seed]), f"Seed {seed}, generated",
                     class_=f"fake {shown or ''}")  # fmt: skip
        found = [
            image(encode_real(real), "A real picture near it", class_=shown)
            for real in small(reals.read(near.files[seed]))
        ]
        apart = element("figcaption", f"{near.distances[seed][0]:.1f}", title="Distance")
        columns.append(element("figure", fake, *found, apart))
    compared = len(reals.files)
    of_all = f" of {reals.found:,}, evenly spaced," if reals.found > MOST_REALS else ""
    about = (
        f"Above, framed: seeds 0 to {CHECKED - 1}. Below each: the nearest of {compared:,}{of_all} "
        f"real pictures, and how far the first is. The distance is L2 over pixels made grey and "
        f"averaged down to {PRINT_SIDE}×{PRINT_SIDE}, as grey levels (of 255) a pixel. That is "
        "crude: it finds copies, even if mirrored, tinted or shifted by a pixel, but not a "
        "copied face before another background."
    )
    verdict = (
        f"From a generated face to its nearest real picture it is {near.fakes_median:.1f} in the "
        f"median of {FACES} seeds; from a real picture to its nearest other real one it is "
        f"{near.reals_median:.1f}. Copies would be far nearer than reals are to one another."
    )
    return section(
        title, paragraph(about), paragraph(verdict), element("div", columns, class_="near")
    )


def or_said(title: str, make: Any, *arguments: Any) -> Markup:
    """A section that needs the real pictures, or why they cannot be shown."""
    try:
        made: Markup = make(*arguments)
    except DatasetError as cause:
        return section(title, absent(str(cause)))
    return made
