"""Chooses the class of each image of a conditional model: requested, or derived from its seed."""

from collections.abc import Sequence

import numpy as np

from facegan.errors import RequestError, did_you_mean, pluralize
from facegan.model_files import ModelCard
from facegan.name_lists import quoted, write_names
from facegan.synthesis.input_batch import Labels
from facegan.synthesis.latents import check_seeds, words_per_latent
from facegan.synthesis.mt19937 import raw_words, uniform64

Class = int | str  # its index or its name


def choose_labels(
    card: ModelCard, count: int, seeds: Sequence[int] | None, classes: Sequence[Class] | None
) -> Labels | None:
    """Return the labels (N,) of N images; None for unconditional models.

    Args:
        card: The model's card.
        count: N.
        seeds: The images' seeds; None if they are generated from latents.
        classes: One per image, or one for all; None derives each from its seed.
    """
    known = [name for name, _ in card.classes]
    if not known:
        if classes is not None:
            raise RequestError("The model is not conditional.", "Leave classes out.")
        return None
    if classes is not None:
        labels = [class_index(known, wanted) for wanted in classes]
        if len(labels) not in (1, count):
            raise RequestError(
                f"{len(labels)} classes do not fit {pluralize(count, 'image')}.",
                "Give one class for all, or one for each image.",
            )
        return np.broadcast_to(np.array(labels, np.int64), (count,)).copy()
    if seeds is None:
        raise RequestError(
            "The model is conditional, and latents do not say which class to draw.",
            shortened(f"Give classes, one for all or one per latent: {write_names(known, ', ')}."),
        )
    return labels_of_seeds(card, seeds)


def labels_of_seeds(card: ModelCard, seeds: Sequence[int]) -> Labels:
    """Return the labels (N,) of N seeds, with classes as frequent as in the training data.

    They use the random numbers that follow those of the seed's latent.
    """
    check_seeds(seeds)
    cumulative = np.cumsum([count for _, count in card.classes], dtype=np.float64)
    skipped = words_per_latent(card)
    draws = uniform64(raw_words(seeds, skipped + 2)[:, skipped:])[:, 0]
    labels = np.searchsorted(cumulative, draws * cumulative[-1], side="right")
    chosen: Labels = np.minimum(labels, len(cumulative) - 1).astype(np.int64)
    return chosen


def class_index(known: Sequence[str], wanted: Class) -> int:
    """Return the index of a class.

    A string is a name if there is one, else an index in digits: on a command line all are strings.
    """
    if isinstance(wanted, str) and wanted in known:
        return known.index(wanted)
    is_number = isinstance(wanted, int) or (wanted.isascii() and wanted.isdigit())
    if not is_number:
        hint = did_you_mean(str(wanted)[:100], [quoted(name) for name in known], "classes")
        raise RequestError(f"Unknown class {str(wanted)[:40]!a}.", shortened(hint))
    if len(str(wanted)) > 9 or not 0 <= int(wanted) < len(known):
        raise RequestError(
            f"Class {shortened(str(wanted), 40)} is out of range.",
            f"Classes run from 0 to {len(known) - 1}.",
        )
    return int(wanted)


def shortened(text: str, limit: int = 300) -> str:
    """Return a text cut to a readable length: there may be thousands of classes."""
    return text if len(text) <= limit else text[:limit] + "…"
