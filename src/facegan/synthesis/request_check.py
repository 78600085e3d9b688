"""Checks what a request gives against what the model takes."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from facegan.errors import RequestError, pluralize
from facegan.model_files import ModelCard
from facegan.model_inputs import IMAGE, NAMES
from facegan.name_lists import write_names
from facegan.synthesis.classes import shortened
from facegan.synthesis.examples import first_direction
from facegan.synthesis.input_batch import Array, Labels, Pixels

# What a model does, by the first of these inputs that it takes.
PURPOSES = {
    "label_maps": "paints label maps",
    "images": "translates images",
    "latents": "generates images from seeds",
}


NOUNS = {"latents": "seeds or latents"}  # what an array is called in messages


def check_taken(card: ModelCard, given: Mapping[str, Any]) -> None:
    """Raise RequestError if a model does not take what is given, or needs what is not.

    Args:
        card: The model's card.
        given: The fields of a request that depend on the model's inputs; None is not given.
    """
    main = next(name for name in PURPOSES if card.takes(name))
    model = f"this model {PURPOSES[main]}"
    for name, value in given.items():
        is_source = name in ("images", "label_maps")
        if value is None and is_source and card.takes(name):
            raise RequestError(f"{name}: is missing; {model}.", f"Send {described(card, name)}.")
        if value is None or card.takes(name):
            continue
        if is_source:
            raise RequestError(f"{name}: {model}.", f"Send {described(card, main)} instead.")
        if name == "styles":
            hint = "Leave styles out; seeds choose the style." if card.latent_dim else ""
            message = "styles: this model has no encoder of styles."
            raise RequestError(message, hint or "Leave styles out.")
        if not card.takes("latents"):
            message = f"{name}: {model}, and gives the same image for the same input."
            raise RequestError(message, f"Leave {name} out.")


def described(card: ModelCard, name: str) -> str:
    """Return an input's name and what it must be, for a hint."""
    side = card.resolution
    if name == "label_maps":
        highest = len(card.map_classes) - 1
        classes = f"the class of each pixel, 0 to {highest}"
        return f"label_maps: {classes}, as integers of shape (N, {side}, {side})"
    if name == "latents":
        return "seeds"
    return f"{name}: pixels as uint8 of shape (N, {side}, {side}, 3)"


def check_sources(card: ModelCard, given: Mapping[str, Any]) -> dict[str, Array]:
    """Return a request's images, label maps and styles as uint8 arrays, those that are not None.

    Raises:
        RequestError: one has another shape or type than the model's, is empty, or names classes
            that do not exist.
    """
    return {
        name: check_source(card, name, np.asarray(value))
        for name, value in given.items()
        if value is not None
    }


def check_source(card: ModelCard, name: str, array: Array) -> Pixels:
    """Return one input as a uint8 array; raise RequestError if it does not fit the model."""
    sides = (card.resolution, card.resolution)
    if NAMES[name] == IMAGE:
        is_fitting = array.dtype == np.uint8 and array.shape[1:] == (*sides, 3)
    else:
        is_fitting = array.dtype.kind in "iu" and array.shape[1:] == sides
    if not is_fitting or not len(array):
        raise RequestError(
            f"{name}: an array of shape {array.shape} and type {array.dtype} does not fit the "
            "model.",
            f"Send {described(card, name)}.",
        )
    if NAMES[name] != IMAGE:
        check_map_classes(card, array)
    return np.ascontiguousarray(array, np.uint8)


def check_map_classes(card: ModelCard, maps: Labels) -> None:
    """Raise RequestError if a pixel of label maps (N, H, W) has a class that does not exist."""
    highest = len(card.map_classes) - 1
    if int(maps.min()) >= 0 and int(maps.max()) <= highest:
        return
    places = np.argwhere((maps < 0) | (maps > highest))
    index, row, column = places[0].tolist()
    names = write_names([name for name, _ in card.map_classes], ", ")
    raise RequestError(
        f"label_maps: {pluralize(len(places), 'pixel')} of a class that does not exist; the first "
        f"is {maps[index, row, column]} in map {index}, row {row}, column {column}.",
        shortened(f"Classes run from 0 to {highest}: {names}."),
    )


def choose_direction(card: ModelCard, direction: str | None) -> str | None:
    """Return a request's direction, by default the model's first; None if it has one way."""
    if direction is None:
        return first_direction(card)
    if not card.directions:
        raise RequestError("direction: this model has one way only.", "Leave direction out.")
    if direction not in card.directions:
        raise RequestError(
            f"direction: {shortened(str(direction), 40)!a} does not exist.",
            f"Send {' or '.join(card.directions)}.",
        )
    return direction


def check_counts(arrays: Mapping[str, Array]) -> int:
    """Return how many images a request makes: each of its inputs is there once, or as often.

    Raises:
        RequestError: two inputs have other numbers of rows.
    """
    first, most = next(((it, len(x)) for it, x in arrays.items() if len(x) != 1), ("", 1))
    for name, array in arrays.items():
        if len(array) not in (1, most):
            names = [NOUNS.get(it, it) for it in (first, name)]
            raise RequestError(
                f"{most} {names[0]} and {len(array)} {names[1]} do not fit together.",
                "Send as many of both, or one of either for all of the other.",
            )
    return most


def spread(arrays: Mapping[str, Array], count: int) -> dict[str, Array]:
    """Repeat arrays of one row to `count` rows."""
    return {
        name: array.repeat(count, axis=0) if len(array) == 1 != count else array
        for name, array in arrays.items()
    }


def as_array(latents: npt.ArrayLike) -> Array:
    """Return latents as an array; whole numbers in lists are floats, unlike arrays of integers."""
    array = np.asarray(latents)
    is_plain = isinstance(latents, list | tuple) and array.dtype.kind in "iu"
    return array.astype(np.float64) if is_plain else array


def choose_seeds(
    card: ModelCard,
    seeds: Sequence[int] | None,
    latents: npt.ArrayLike | None,
    arrays: Mapping[str, Array],
) -> Sequence[int] | None:
    """Return the seeds of a request: 0 if label maps come without, None if there are no latents.

    Raises:
        RequestError: several of seeds, latents and styles are given, or none.
    """
    if not card.latent_dim:
        return None
    if "styles" in arrays:
        for name, value in (("seeds", seeds), ("latents", latents)):
            if value is not None:
                raise RequestError(
                    f"styles: goes without {name}; a style image replaces them.",
                    f"Send either styles or {name}.",
                )
    elif seeds is None and latents is None and arrays:
        return (0,)
    elif (seeds is None) == (latents is None):
        raise RequestError("Ask with either seeds or latents.")
    return seeds


def check_interpolation(arrays: Mapping[str, Array]) -> None:
    """Raise RequestError if an interpolation has several sources, or styles."""
    if "styles" in arrays:
        raise RequestError(
            "interpolate: leads from one seed or latent to another, not between styles.",
            "Send two or more seeds, and leave styles out.",
        )
    for name, array in arrays.items():
        if name != "latents" and len(array) > 1:
            raise RequestError(
                f"interpolate: has {len(array)} {name}, but leads between seeds over one of them.",
                f"Send one of {name}.",
            )


def in_order(card: ModelCard, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Return arrays in the order of a model's inputs."""
    return {given.name: arrays[given.name] for given in card.inputs if given.name in arrays}
