"""A model's card: what a generator is and where it comes from, as JSON, read without torch."""

import dataclasses
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from facegan.errors import ArtifactError, first_line
from facegan.model_files.strict_json import read_json

SCHEMA_VERSION = 1
WEIGHTS_NAME = "generator.safetensors"
CARD_NAME = "model_card.json"
GENERATOR_GRAPH = "generator.onnx"  # latents, and labels if conditional → images
MAPPING_GRAPH = "mapping.onnx"  # of families with styles: the same and a psi → styles
SYNTHESIS_GRAPH = "synthesis.onnx"  # styles → images
OWN_CODE = "code/inference.py"  # of a model that brings code
GRAPH_NAMES = (GENERATOR_GRAPH, MAPPING_GRAPH, SYNTHESIS_GRAPH)

# What no card of ours exceeds; a test sees that every preset keeps within.
MAX_NAME = 200  # characters of a family, a preset, a word among the settings
MAX_CLASS_NAME = 1000
MAX_CLASSES = 16_384  # CelebA has 10,177 people
MAX_LATENT_DIM = 4096
MIN_SIDE, MAX_SIDE = 4, 4096
MAX_SETTING = 1 << 17  # of a whole number among the settings
MAX_NUMBER = 10**9
MAX_STYLE_LAYERS = 64
# A batch's maps: 4 bytes, up to 16 rows, what a layer reads and writes, 4,096 channels at each.
MAX_BYTES_PER_PIXEL = 4 * 16 * 4 * 4096


@dataclass(frozen=True)
class GraphFacts:
    """What is known of a generator's exported graphs (ONNX), which are drawn without torch.

    Attributes:
        sha256: The digest of each file, by its name, one of ``GRAPH_NAMES``.
        style_layers: How many layers take a style of their own; 0: the family has no styles.
        batch_bytes: What a batch takes beside the weights.
    """

    sha256: Mapping[str, str]
    style_layers: int = 0
    batch_bytes: int = 0


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """What a generator is and where it comes from: enough to rebuild it, and to trust it."""

    family: str
    preset: str
    settings: Mapping[str, Any]  # the preset's hyperparameters, as trained
    image_shape: tuple[int, ...]  # (3, H, W)
    latent_dim: int
    weights_sha256: str
    # Each class of a conditional model and how many pictures it saw of it, in the labels' order.
    classes: tuple[tuple[str, int], ...] = ()
    kimg: float = 0.0
    dataset: Mapping[str, Any] = field(default_factory=dict)  # digest, images, name
    training: Mapping[str, Any] = field(default_factory=dict)  # TrainingConfig, hardware, speed
    metrics: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    graph: GraphFacts | None = None  # where the generator was exported
    schema_version: int = SCHEMA_VERSION

    @property
    def resolution(self) -> int:
        """The side of the images, in pixels."""
        return self.image_shape[-1]

    @cached_property
    def latent_distribution(self) -> str:
        """What latents are drawn from: "normal", or "uniform" in [-1, 1)."""
        return str(self.settings.get("latent_distribution", "normal"))

    @property
    def files(self) -> tuple[str, ...]:
        """The names of all files of the model."""
        return (WEIGHTS_NAME, CARD_NAME, *(self.graph.sha256 if self.graph else ()))

    def to_json(self) -> str:
        """The card as the text of ``model_card.json``."""
        return json.dumps(dataclasses.asdict(self), indent=2, sort_keys=True) + "\n"


def parse_card(text: bytes, path: Path) -> ModelCard:
    """Return a card from its JSON. Every value has its type and its bounds, or it is refused.

    Raises:
        ArtifactError: it is damaged, not a card, or of a newer schema; `path` is named.
    """
    try:
        values = mapping("the card", read_json(text))
        version = whole("schema_version", values.get("schema_version"), 1, 1 << 20)
        if version > SCHEMA_VERSION:
            raise ArtifactError(
                f"{path}: its card has schema {version!r}, this facegan reads up to "
                f"{SCHEMA_VERSION}.",
                "Install a newer facegan.",
            )
        missing = [name for name in REQUIRED if name not in values]
        if missing:
            raise ValueError(f"it has no {missing[0]}")
        read = {name: values[name] for name in READERS if name in values}
        card = ModelCard(**{name: READERS[name](name, value) for name, value in read.items()})
        check_agreement(card)
        return card
    except ValueError as cause:
        raise ArtifactError(
            f"{path}: {CARD_NAME} is not a model card: {first_line(cause)}.",
            "It is damaged, or was not written by facegan.",
        ) from cause


# --- a card's values: each function returns one, or raises ValueError -----------------------------


def shown(value: Any) -> str:
    """Return a value as a message has it."""
    text = ascii(value)
    return text if len(text) <= 60 else text[:60] + "…"


def whole(name: str, value: Any, low: int, high: int) -> int:
    """Return a whole number between two others, which a bool is not."""
    if type(value) is not int or not low <= value <= high:
        raise ValueError(f"{name} is {shown(value)}, no whole number from {low:,} to {high:,}")
    return value


def mapping(name: str, value: Any) -> dict[str, Any]:
    """Return an object."""
    if not isinstance(value, dict):
        raise ValueError(f"{name} is {shown(value)}, no object")
    return value


def label(name: str, value: Any, most: int = MAX_NAME) -> str:
    """Return a text that can be printed in a line."""
    if not isinstance(value, str) or not 0 < len(value) <= most or not value.isprintable():
        raise ValueError(f"{name} is {shown(value)}, no text of 1 to {most:,} printable characters")
    return value


def digest(name: str, value: Any) -> str:
    """Return a SHA-256 in hexadecimal."""
    if not isinstance(value, str) or not re.fullmatch("[0-9a-f]{64}", value):
        raise ValueError(f"{name} is {shown(value)}, no SHA-256")
    return value


def kimg(name: str, value: Any) -> float:
    """Return thousands of images."""
    if type(value) not in (int, float) or not 0 <= value <= MAX_NUMBER:
        raise ValueError(f"{name} is {shown(value)}, no number from 0 to {MAX_NUMBER:,}")
    return float(value)


def settings_of(name: str, value: Any) -> dict[str, Any]:
    """Return hyperparameters: numbers and words. A family knows narrower bounds."""
    for key, setting in mapping(name, value).items():
        if type(setting) is int:
            whole(f"{name}: {label(name, key)}", setting, -MAX_SETTING, MAX_SETTING)
        elif isinstance(setting, str):
            label(f"{name}: {label(name, key)}", setting)
        elif type(setting) not in (bool, float) or abs(setting) > MAX_NUMBER:
            raise ValueError(f"{name}: {label(name, key)} is {shown(setting)}, no number or word")
    return dict(value)


def image_shape(name: str, value: Any) -> tuple[int, ...]:
    """Return (3, H, W) of square images, whose side is a power of two."""
    sides = [whole(name, side, 1, MAX_SIDE) for side in sequence(name, value, 3)]
    side = sides[-1]
    if sides != [3, side, side] or side & (side - 1) or side < MIN_SIDE:
        raise ValueError(
            f"{name} is {shown(value)}, not [3, side, side] with a power of two from "
            f"{MIN_SIDE} to {MAX_SIDE}"
        )
    return tuple(sides)


def sequence(name: str, value: Any, count: int | None = None) -> list[Any]:
    """Return a list, of so many values."""
    if not isinstance(value, list) or count not in (None, len(value)):
        raise ValueError(f"{name} is {shown(value)}, no list" + (f" of {count}" if count else ""))
    return value


def classes_of(name: str, value: Any) -> tuple[tuple[str, int], ...]:
    """Return names of classes, all different, with the number of pictures of each."""
    pairs = [sequence(name, pair, 2) for pair in sequence(name, value)]
    if len(pairs) > MAX_CLASSES:
        raise ValueError(f"{len(pairs):,} classes, more than {MAX_CLASSES:,}")
    classes = tuple(
        (class_name(name, text), whole(f"{name}: {shown(text)}", count, 1, 1 << 53))
        for text, count in pairs
    )
    if len(dict(classes)) < len(classes):
        raise ValueError("two classes have one name")
    return classes


def class_name(name: str, value: Any) -> str:
    """Return a class's name; it may be empty, as a folder's cannot."""
    return value if value == "" else label(name, value, MAX_CLASS_NAME)


def graph_of(name: str, value: Any) -> GraphFacts | None:
    """Return the facts of graphs: one that draws, or one of styles and one that draws them."""
    if value is None:
        return None
    unknown = mapping(name, value).keys() - {"sha256", "style_layers", "batch_bytes"}
    if unknown:
        raise ValueError(f"{name} has an unknown {shown(min(unknown))}")
    digests = mapping(f"{name}: sha256", value.get("sha256"))
    has_styles = digests.keys() == {MAPPING_GRAPH, SYNTHESIS_GRAPH}
    if not has_styles and digests.keys() != {GENERATOR_GRAPH}:
        raise ValueError(f"{name} has the files {shown(sorted(digests))}")
    few, many = (1, MAX_STYLE_LAYERS) if has_styles else (0, 0)
    return GraphFacts(
        sha256={file: digest(f"{name}: {file}", value) for file, value in digests.items()},
        style_layers=whole(f"{name}: style_layers", value.get("style_layers", 0), few, many),
        batch_bytes=whole(f"{name}: batch_bytes", value.get("batch_bytes", 0), 0, 1 << 53),
    )


def versions_of(name: str, value: Any) -> dict[str, str]:
    """Return versions of packages."""
    return {
        label(name, package): label(f"{name}: {package}", version)
        for package, version in mapping(name, value).items()
    }


READERS: Mapping[str, Callable[[str, Any], Any]] = {
    "family": label,
    "preset": label,
    "settings": settings_of,
    "image_shape": image_shape,
    "latent_dim": lambda name, value: whole(name, value, 1, MAX_LATENT_DIM),
    "weights_sha256": digest,
    "classes": classes_of,
    "kimg": kimg,
    "dataset": mapping,
    "training": mapping,
    "metrics": mapping,
    "versions": versions_of,
    "graph": graph_of,
    "schema_version": lambda name, value: whole(name, value, 1, SCHEMA_VERSION),
}
REQUIRED = ("family", "preset", "settings", "image_shape", "latent_dim", "weights_sha256")


def check_agreement(card: ModelCard) -> None:
    """Refuse a card whose values contradict one another.

    Raises:
        ValueError: they do.
    """
    width = card.settings.get("latent_dim", card.latent_dim)
    if type(width) is not int or width != card.latent_dim:
        raise ValueError(f"latent_dim is {card.latent_dim}, and {shown(width)} in settings")
    if card.latent_distribution not in ("normal", "uniform"):
        raise ValueError(f"latent_distribution is {shown(card.latent_distribution)}")
    if card.classes and card.settings.get("conditional") is not True:
        raise ValueError(f"it has {len(card.classes):,} classes, and is not conditional")
    if card.graph and card.graph.batch_bytes > MAX_BYTES_PER_PIXEL * card.resolution**2:
        raise ValueError(
            f"graph: batch_bytes is {card.graph.batch_bytes:,}, too much for images of "
            f"{card.resolution} px"
        )
