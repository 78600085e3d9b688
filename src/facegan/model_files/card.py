"""The model card: a JSON file that describes a generator and its origin, read without torch."""

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
from facegan.model_inputs import (
    DIRECTIONS,
    NAMES,
    STYLES,
    ModelInput,
    default_inputs,
    input_names,
)

SCHEMA_VERSION = 2  # 2: of a model that takes other things than latents and classes
WEIGHTS_NAME = "generator.safetensors"
CARD_NAME = "model_card.json"
GENERATOR_GRAPH = "generator.onnx"  # what the card's inputs say → images
MAPPING_GRAPH = "mapping.onnx"  # for families with styles: the same and psi → styles
SYNTHESIS_GRAPH = "synthesis.onnx"  # styles → images
ENCODER = "encoder"  # the network that makes latents of style images
ENCODER_GRAPH = f"{ENCODER}.onnx"
DIRECTION_GRAPHS = tuple(f"{direction}.onnx" for direction in DIRECTIONS)  # image → image
OWN_CODE = "code/inference.py"  # custom inference code
GRAPH_NAMES = (
    GENERATOR_GRAPH, MAPPING_GRAPH, SYNTHESIS_GRAPH, ENCODER_GRAPH, *DIRECTION_GRAPHS
)  # fmt: skip

# Limits of the values; a test checks that every preset stays within.
MAX_NAME = 200  # characters of a family, a preset, a setting
MAX_CLASS_NAME = 1000
MAX_CLASSES = 16_384  # CelebA has 10,177 people
MAX_MAP_CLASSES = 256  # a label map has 8 bits per pixel
MAX_LATENT_DIM = 4096
MIN_SIDE, MAX_SIDE = 4, 4096
MAX_SETTING = 1 << 17  # of an integer setting
MAX_NUMBER = 10**9
MAX_STYLE_LAYERS = 64
# A batch's feature maps: 4 bytes, 16 samples, a layer's input and output, 4,096 channels of each.
MAX_BYTES_PER_PIXEL = 4 * 16 * 4 * 4096


@dataclass(frozen=True)
class GraphFacts:
    """A generator's exported graphs (ONNX), which run without torch.

    Attributes:
        sha256: The digest of each file by name, one of ``GRAPH_NAMES``.
        style_layers: How many layers take a style of their own; 0 if the family has no styles.
        batch_bytes: The memory of a batch beside the weights.
    """

    sha256: Mapping[str, str]
    style_layers: int = 0
    batch_bytes: int = 0


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """What is needed to rebuild a generator, and where it comes from."""

    family: str
    preset: str
    settings: Mapping[str, Any]  # the preset's hyperparameters, as trained
    image_shape: tuple[int, ...]  # (3, H, W)
    latent_dim: int  # 0 of a model without latents
    weights_sha256: str
    # The classes of a conditional model and their numbers of images, in the order of the labels.
    classes: tuple[tuple[str, int], ...] = ()
    # What the network takes, in order; empty: latents, and labels if it has classes.
    network_inputs: tuple[ModelInput, ...] = ()
    directions: tuple[str, ...] = ()  # of a model that translates both ways: see DIRECTIONS
    # The classes of label maps and their colours "#rrggbb", in the order of their numbers.
    map_classes: tuple[tuple[str, str], ...] = ()
    kimg: float = 0.0
    dataset: Mapping[str, Any] = field(default_factory=dict)  # digest, images, name
    training: Mapping[str, Any] = field(default_factory=dict)  # TrainingConfig, hardware, speed
    metrics: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    graph: GraphFacts | None = None  # if the generator was exported

    @property
    def schema_version(self) -> int:
        """The schema; that of earlier versions if they can serve the model."""
        return SCHEMA_VERSION if self.network_inputs else 1

    @cached_property
    def inputs(self) -> tuple[ModelInput, ...]:
        """What the network takes, in the order of its arguments, and then the optional inputs."""
        return self.network_inputs or default_inputs(bool(self.classes))

    @cached_property
    def networks(self) -> tuple[str, ...]:
        """The networks that are served: one per direction, or a generator and its encoder."""
        return self.directions or ("generator", *((ENCODER,) if self.takes("styles") else ()))

    def arguments(self, network: str) -> tuple[ModelInput, ...]:
        """Return what one of the networks takes, in the order of its arguments."""
        if network == ENCODER:
            return (STYLES,)
        return tuple(given for given in self.inputs if not given.optional)

    def takes(self, name: str) -> bool:
        """Return whether an input of that name is among the model's."""
        return name in input_names(self.inputs)

    @property
    def resolution(self) -> int:
        """The side of the images, and of source images and label maps, in pixels."""
        return self.image_shape[-1]

    @cached_property
    def latent_distribution(self) -> str:
        """The latents' distribution: "normal", or "uniform" in [-1, 1)."""
        return str(self.settings.get("latent_distribution", "normal"))

    @property
    def files(self) -> tuple[str, ...]:
        """The names of all files of the model."""
        return (WEIGHTS_NAME, CARD_NAME, *(self.graph.sha256 if self.graph else ()))

    def to_json(self) -> str:
        """Return the text of ``model_card.json``."""
        values = {**dataclasses.asdict(self), "schema_version": self.schema_version}
        if not self.network_inputs:  # so that earlier versions read it
            values = {name: value for name, value in values.items() if name not in SCHEMA_2}
        return json.dumps(values, indent=2, sort_keys=True) + "\n"


def parse_card(text: bytes, path: Path) -> ModelCard:
    """Parse a card; every value must have its type and be within its limits.

    Raises:
        ArtifactError: it is damaged, not a card, or of a newer schema.
    """
    try:
        values = json_object("the card", read_json(text))
        version = integer("schema_version", values.get("schema_version"), 1, 1 << 20)
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
        if version != card.schema_version:
            raise ValueError(f"schema_version is {version}, and its inputs are of another")
        check_agreement(card)
        return card
    except ValueError as cause:
        raise ArtifactError(
            f"{path}: {CARD_NAME} is not a model card: {first_line(cause)}.",
            "It is damaged, or was not written by facegan.",
        ) from cause


# --- a card's values: each function returns a checked one, or raises ValueError -------------------


def excerpt(value: Any) -> str:
    """Return a value for an error message."""
    text = ascii(value)
    return text if len(text) <= 60 else text[:60] + "…"


def integer(name: str, value: Any, low: int, high: int) -> int:
    """Return an integer in a range; bools are refused."""
    if type(value) is not int or not low <= value <= high:
        raise ValueError(f"{name} is {excerpt(value)}, not a whole number from {low:,} to {high:,}")
    return value


def json_object(name: str, value: Any) -> dict[str, Any]:
    """Return a JSON object."""
    if not isinstance(value, dict):
        raise ValueError(f"{name} is {excerpt(value)}, not an object")
    return value


def printable(name: str, value: Any, most: int = MAX_NAME) -> str:
    """Return printable text on one line."""
    if not isinstance(value, str) or not 0 < len(value) <= most or not value.isprintable():
        raise ValueError(
            f"{name} is {excerpt(value)}, not a text of 1 to {most:,} printable characters"
        )
    return value


def sha256(name: str, value: Any) -> str:
    """Return a SHA-256 in hexadecimal."""
    if not isinstance(value, str) or not re.fullmatch("[0-9a-f]{64}", value):
        raise ValueError(f"{name} is {excerpt(value)}, not a SHA-256")
    return value


def kimg(name: str, value: Any) -> float:
    """Return a number of thousands of images."""
    if type(value) not in (int, float) or not 0 <= value <= MAX_NUMBER:
        raise ValueError(f"{name} is {excerpt(value)}, not a number from 0 to {MAX_NUMBER:,}")
    return float(value)


def settings_of(name: str, value: Any) -> dict[str, Any]:
    """Return hyperparameters: numbers and text. A family has narrower limits."""
    for key, setting in json_object(name, value).items():
        if type(setting) is int:
            integer(f"{name}: {printable(name, key)}", setting, -MAX_SETTING, MAX_SETTING)
        elif isinstance(setting, str):
            printable(f"{name}: {printable(name, key)}", setting)
        elif type(setting) not in (bool, float) or abs(setting) > MAX_NUMBER:
            raise ValueError(
                f"{name}: {printable(name, key)} is {excerpt(setting)}, not a number or text"
            )
    return dict(value)


def image_shape(name: str, value: Any) -> tuple[int, ...]:
    """Return (3, H, W) of square images, whose side is a power of two."""
    sides = [integer(name, side, 1, MAX_SIDE) for side in json_list(name, value, 3)]
    side = sides[-1]
    if sides != [3, side, side] or side & (side - 1) or side < MIN_SIDE:
        raise ValueError(
            f"{name} is {excerpt(value)}, not [3, side, side] with a power of two from "
            f"{MIN_SIDE} to {MAX_SIDE}"
        )
    return tuple(sides)


def json_list(name: str, value: Any, count: int | None = None) -> list[Any]:
    """Return a list, of `count` values."""
    if not isinstance(value, list) or count not in (None, len(value)):
        raise ValueError(
            f"{name} is {excerpt(value)}, not a list" + (f" of {count}" if count else "")
        )
    return value


def classes_of(name: str, value: Any) -> tuple[tuple[str, int], ...]:
    """Return the names of classes, all different, and their numbers of images."""
    pairs = [json_list(name, pair, 2) for pair in json_list(name, value)]
    if len(pairs) > MAX_CLASSES:
        raise ValueError(f"{len(pairs):,} classes, more than {MAX_CLASSES:,}")
    classes = tuple(
        (class_name(name, text), integer(f"{name}: {excerpt(text)}", count, 1, 1 << 53))
        for text, count in pairs
    )
    if len(dict(classes)) < len(classes):
        raise ValueError("two classes have one name")
    return classes


def inputs_of(name: str, value: Any) -> tuple[ModelInput, ...]:
    """Return what a network takes."""
    inputs = tuple(input_of(name, entry) for entry in json_list(name, value))
    if len(set(input_names(inputs))) < len(inputs):
        raise ValueError(f"{name} names an input twice")
    return inputs


def input_of(name: str, value: Any) -> ModelInput:
    """Return one of a network's inputs."""
    is_complete = json_object(name, value).keys() == {"name", "optional"}
    if not is_complete or value["name"] not in list(NAMES):
        raise ValueError(f"{name} has {excerpt(value)}, which is not an input")
    if type(value["optional"]) is not bool:
        raise ValueError(f"{name}: optional is {excerpt(value['optional'])}, not true or false")
    return ModelInput(**value)


def directions_of(name: str, value: Any) -> tuple[str, ...]:
    """Return the directions of a model that translates both ways, or none."""
    if json_list(name, value) not in ([], list(DIRECTIONS)):
        raise ValueError(f"{name} is {excerpt(value)}, not {list(DIRECTIONS)} or empty")
    return tuple(value)


def map_classes_of(name: str, value: Any) -> tuple[tuple[str, str], ...]:
    """Return the classes of label maps: names, all different, and colours."""
    pairs = [json_list(name, pair, 2) for pair in json_list(name, value)]
    if len(pairs) > MAX_MAP_CLASSES:
        raise ValueError(f"{name} has {len(pairs):,} classes, more than {MAX_MAP_CLASSES}")
    classes = tuple((class_name(name, text), colour_of(name, colour)) for text, colour in pairs)
    if len(dict(classes)) < len(classes):
        raise ValueError(f"{name} has two classes of one name")
    return classes


def colour_of(name: str, value: Any) -> str:
    """Return a colour, "#rrggbb"."""
    if not isinstance(value, str) or not re.fullmatch("#[0-9a-f]{6}", value):
        raise ValueError(f"{name} has the colour {excerpt(value)}, not one such as #08f7c3")
    return value


def class_name(name: str, value: Any) -> str:
    """Return a class's name, which may be empty."""
    return value if value == "" else printable(name, value, MAX_CLASS_NAME)


def graph_of(name: str, value: Any) -> GraphFacts | None:
    """Return the exported graphs: one of images, or one of styles and one of images."""
    if value is None:
        return None
    unknown = json_object(name, value).keys() - {"sha256", "style_layers", "batch_bytes"}
    if unknown:
        raise ValueError(f"{name} has an unknown {excerpt(min(unknown))}")
    digests = json_object(f"{name}: sha256", value.get("sha256"))
    has_styles = digests.keys() == {MAPPING_GRAPH, SYNTHESIS_GRAPH}
    if not has_styles and digests.keys() not in GRAPH_SETS:
        raise ValueError(f"{name} has the files {excerpt(sorted(digests))}")
    few, many = (1, MAX_STYLE_LAYERS) if has_styles else (0, 0)
    return GraphFacts(
        sha256={file: sha256(f"{name}: {file}", value) for file, value in digests.items()},
        style_layers=integer(f"{name}: style_layers", value.get("style_layers", 0), few, many),
        batch_bytes=integer(f"{name}: batch_bytes", value.get("batch_bytes", 0), 0, 1 << 53),
    )


def versions_of(name: str, value: Any) -> dict[str, str]:
    """Return the versions of packages."""
    return {
        printable(name, package): printable(f"{name}: {package}", version)
        for package, version in json_object(name, value).items()
    }


# Which graphs a model may have that has no mapping graph.
GRAPH_SETS = ({GENERATOR_GRAPH}, {GENERATOR_GRAPH, ENCODER_GRAPH}, set(DIRECTION_GRAPHS))
SCHEMA_2 = ("network_inputs", "directions", "map_classes")

READERS: Mapping[str, Callable[[str, Any], Any]] = {
    "family": printable,
    "preset": printable,
    "settings": settings_of,
    "image_shape": image_shape,
    "latent_dim": lambda name, value: integer(name, value, 0, MAX_LATENT_DIM),
    "weights_sha256": sha256,
    "classes": classes_of,
    "network_inputs": inputs_of,
    "directions": directions_of,
    "map_classes": map_classes_of,
    "kimg": kimg,
    "dataset": json_object,
    "training": json_object,
    "metrics": json_object,
    "versions": versions_of,
    "graph": graph_of,
}
REQUIRED = ("family", "preset", "settings", "image_shape", "latent_dim", "weights_sha256")


def check_agreement(card: ModelCard) -> None:
    """Raise ValueError if values contradict each other."""
    width = card.settings.get("latent_dim", card.latent_dim)
    if type(width) is not int or width != card.latent_dim:
        raise ValueError(f"latent_dim is {card.latent_dim}, and {excerpt(width)} in settings")
    if not any(card.takes(name) for name in ("latents", "images", "label_maps")):
        raise ValueError("it takes neither latents nor images nor label maps")
    if (card.latent_dim > 0) != card.takes("latents"):
        raise ValueError(f"latent_dim is {card.latent_dim}, which does not fit the inputs")
    if card.latent_distribution not in ("normal", "uniform"):
        raise ValueError(f"latent_distribution is {excerpt(card.latent_distribution)}")
    if card.classes and card.settings.get("conditional") is not True:
        raise ValueError(f"it has {len(card.classes):,} classes, and is not conditional")
    if bool(card.classes) != card.takes("labels"):
        raise ValueError("its classes do not fit its inputs")
    if min(len(card.map_classes), 2) != 2 * card.takes("label_maps"):
        raise ValueError(f"it has {len(card.map_classes)} classes of label maps")
    if [given.name for given in card.inputs if given.optional] != ["styles"] * card.takes("styles"):
        raise ValueError("its optional inputs are others than styles")
    if card.takes("styles") and not (card.takes("latents") and card.inputs[-1] == STYLES):
        raise ValueError("it takes styles, but not after latents, which they replace")
    if card.directions and input_names(card.inputs) != ("images",):
        raise ValueError("it has directions, and takes other things than images")
    if card.graph:
        check_graph_names(card, card.graph)


def check_graph_names(card: ModelCard, graph: GraphFacts) -> None:
    """Raise ValueError if a card's graphs are not those of its inputs and directions."""
    expected = {f"{network}.onnx" for network in card.networks}
    if graph.sha256.keys() != expected and (not graph.style_layers or card.network_inputs):
        raise ValueError(f"graph has the files {excerpt(sorted(graph.sha256))}")
    if graph.batch_bytes > MAX_BYTES_PER_PIXEL * card.resolution**2:
        raise ValueError(
            f"graph: batch_bytes is {graph.batch_bytes:,}, too much for images of "
            f"{card.resolution} px"
        )
