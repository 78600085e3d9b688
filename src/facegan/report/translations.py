"""What a model makes of the images or label maps that it is given, as rows of images."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from facegan.image_encoding import montage
from facegan.report.examples import Arrays, Examples, rows_of
from facegan.report.images import EmbeddedImage, Pixels, encode_real, shrink_all
from facegan.report.neighbours import evenly_spaced

COLUMNS = 12
SEEDS = range(6)  # in which the same label maps are painted


@dataclass(frozen=True)
class Translations:
    """Rows of images, of which those in one column belong together."""

    title: str
    about: str
    rows: list[EmbeddedImage]


def translations(examples: Examples) -> Iterator[Translations]:
    """Yield the sections that suit what a model is given and makes."""
    card = examples.model.artifact.card
    if len(card.directions) == 2:
        yield cycles(examples)
    else:
        yield answers(examples)
    if card.takes("latents"):
        yield several_seeds(examples)


def chosen(examples: Examples) -> list[int]:
    """Return which of the data's images are shown: some from all over."""
    return evenly_spaced(range(len(examples.source)), COLUMNS)


def answers(examples: Examples) -> Translations:
    """Show inputs, outputs and, if there are any, the true answers."""
    indices, card = chosen(examples), examples.model.artifact.card
    inputs, truths = rows_of(examples.source, indices), rows_of(examples.target, indices)
    seeds = list(range(len(indices))) if card.takes("latents") else []
    made = examples.model.make(**examples.request(inputs, **seeds_of(seeds)))
    rows = [
        real_row(examples.shown(inputs), "Input: of the data"),
        made_row(examples, made, seed_caption("Output", seeds), seeds),
    ]
    if examples.is_aligned:
        if card.takes("styles"):
            styled = examples.model.make(**examples.request(inputs, styles=truths))
            caption = "Output, in the style of the real image below"
            rows.append(made_row(examples, styled, caption, is_composite=True))
        rows.append(real_row(truths, "Real: the true answers"))
        rows[1] = with_difference(rows[1], made, truths)
    what = "label map" if examples.takes_maps else "image"
    about = f"Each column is one {what} of the data, evenly spaced: none was picked."
    if examples.is_aligned and card.takes("latents"):
        about += (
            " A label map does not tell its image's colours, so an output of a seed need not be "
            "near the real image: see whether it has the right parts in the right places."
        )
    return Translations("Input, output and truth" if examples.is_aligned else "Input and output",
                        about, rows)  # fmt: skip


def cycles(examples: Examples) -> Translations:
    """Show for both directions the inputs, what is made of them, and what comes back."""
    rows: list[EmbeddedImage] = []
    directions = examples.model.artifact.card.directions
    domains = examples.source, examples.target
    for (there, back), domain in zip((directions, directions[::-1]), domains, strict=True):
        inputs = rows_of(domain, evenly_spaced(range(len(domain)), COLUMNS))
        made = examples.model.make(images=inputs, direction=there)
        returned = examples.model.make(images=made, direction=back)
        back_row = made_row(examples, returned, f"Translated back, {back}", direction=back)
        rows += [
            real_row(inputs, f"Real: images to translate {there}"),
            made_row(examples, made, f"Translated {there}", direction=there),
            with_difference(back_row, returned, inputs, "the first row"),
        ]
    about = (
        "For each direction: images of the data, evenly spaced, what the model makes of them, and "
        "what it makes of those in turn. What comes back should be what went in. Whether the "
        "second row looks like the other domain is for you to judge: the data has no true answers."
    )  # fmt: skip
    return Translations("There and back", about, rows)


def several_seeds(examples: Examples) -> Translations:
    """Show the same inputs in several seeds."""
    inputs = rows_of(examples.source, chosen(examples))
    rows = [real_row(examples.shown(inputs), "Input: of the data")]
    for seed in SEEDS:
        made = examples.model.make(**examples.request(inputs, seeds=[seed]))
        rows.append(made_row(examples, made, f"Seed {seed}", [seed]))
    about = (
        f"Each row is one seed, 0 to {SEEDS[-1]}: along it the style should stay, down a column "
        "the parts should stay in their places."
    )
    return Translations("The same label maps in several seeds", about, rows)


def seeds_of(seeds: Sequence[int]) -> dict[str, Sequence[int]]:
    """Return the seeds as a part of a request; a model without latents takes none."""
    return {"seeds": seeds} if seeds else {}


def seed_caption(text: str, seeds: Sequence[int]) -> str:
    """Return a caption that names the seeds, if there are any."""
    return f"{text}: seeds {seeds[0]} to {seeds[-1]}" if len(seeds) > 1 else text


def real_row(images: Pixels, caption: str) -> EmbeddedImage:
    """Return images of the data side by side, without provenance."""
    return EmbeddedImage(encode_real(side_by_side(images)), caption, caption)


def made_row(
    examples: Examples,
    images: Pixels,
    caption: str,
    seeds: Sequence[int] = (),
    direction: str | None = None,
    is_composite: bool = False,
) -> EmbeddedImage:
    """Return the model's images side by side, with their provenance."""
    png = examples.model.encode(
        side_by_side(images),
        seeds,
        direction=direction,
        is_composite=is_composite or not examples.takes_maps,
    )
    return EmbeddedImage(png, caption, caption)


def with_difference(
    row: EmbeddedImage, images: Pixels, truths: Arrays, to: str = "the true answers"
) -> EmbeddedImage:
    """Return a row whose caption names the mean absolute difference, in units of white."""
    l1 = np.abs(images.astype(np.int16) - truths).mean() / 255
    return EmbeddedImage(row.png, row.alt, f"{row.caption}. L1 to {to}: {l1:.3f}")


def side_by_side(images: Pixels) -> Pixels:
    """Return images (N, H, W, 3) as one row."""
    return montage(shrink_all(images), columns=len(images), gap=2)
