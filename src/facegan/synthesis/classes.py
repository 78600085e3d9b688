"""Which class each face of a conditional model is of: as it is asked for, or as its seed says."""

from collections.abc import Sequence

import numpy as np

from facegan.errors import RequestError, did_you_mean, pluralize
from facegan.model_files import ModelCard
from facegan.name_lists import quoted, write_names
from facegan.synthesis.latent_batch import Labels
from facegan.synthesis.latents import check_seeds, words_per_latent
from facegan.synthesis.mt19937 import fine, raw_words

Class = int | str  # by its number, or by its name


def choose_labels(
    card: ModelCard, count: int, seeds: Sequence[int] | None, classes: Sequence[Class] | None
) -> Labels | None:
    """The labels (N,) of N faces; None where the model is not conditional.

    Args:
        card: The model's.
        count: N.
        seeds: Those of the faces; None where they are of latents.
        classes: One a face, or one for all; None leaves each to its seed.

    Raises:
        RequestError: classes of a model that knows none, unknown ones, as many as neither one nor
            N, or none for faces that have no seeds.
    """
    known = [name for name, _ in card.classes]
    if not known:
        if classes is not None:
            raise RequestError("The model is not conditional.", "Leave classes out.")
        return None
    if classes is not None:
        numbers = [number_of(known, wanted) for wanted in classes]
        if len(numbers) not in (1, count):
            told = f"{len(numbers)} classes do not fit {pluralize(count, 'image')}."
            raise RequestError(told, "Give one class for all, or one for each image.")
        return np.broadcast_to(np.array(numbers, np.int64), (count,)).copy()
    if seeds is None:
        raise RequestError(
            "The model is conditional, and latents do not say which class to draw.",
            shortened(f"Give classes, one for all or one a latent: {write_names(known, ', ')}."),
        )
    return labels_of_seeds(card, seeds)


def labels_of_seeds(card: ModelCard, seeds: Sequence[int]) -> Labels:
    """The labels (N,) of N seeds of a conditional model, classes as frequent as in its data.

    Each is drawn with the random numbers that come after those of its seed's latent.
    """
    check_seeds(seeds)
    ladder = np.cumsum([count for _, count in card.classes], dtype=np.float64)
    after = words_per_latent(card)
    heights = fine(raw_words(seeds, after + 2)[:, after:])[:, 0]
    labels = np.searchsorted(ladder, heights * ladder[-1], side="right")
    chosen: Labels = np.minimum(labels, len(ladder) - 1).astype(np.int64)
    return chosen


def number_of(known: Sequence[str], wanted: Class) -> int:
    """The place of a class among those known.

    A text is a name, or else a number in digits: on a command line all words are texts.

    Raises:
        RequestError: there is no such class; the message offers the nearest names.
    """
    if isinstance(wanted, str) and wanted in known:
        return known.index(wanted)
    is_number = isinstance(wanted, int) or (wanted.isascii() and wanted.isdigit())
    if not is_number:
        hint = did_you_mean(str(wanted)[:100], [quoted(name) for name in known], "classes")
        raise RequestError(f"Unknown class {str(wanted)[:40]!a}.", shortened(hint))
    if len(str(wanted)) > 9 or not 0 <= int(wanted) < len(known):
        told = f"Class {shortened(str(wanted), 40)} is out of range."
        raise RequestError(told, f"Classes run from 0 to {len(known) - 1}.")
    return int(wanted)


def shortened(text: str, most: int = 300) -> str:
    """A text cut so that an answer stays readable: there may be thousands of classes."""
    return text if len(text) <= most else text[:most] + "…"
