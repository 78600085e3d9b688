"""A model's card: what a generator is and where it comes from, as JSON, read without torch."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from facegan.errors import ArtifactError, first_line

SCHEMA_VERSION = 1
WEIGHTS_NAME = "generator.safetensors"
CARD_NAME = "model_card.json"
GENERATOR_GRAPH = "generator.onnx"  # latents, and labels if conditional → images
MAPPING_GRAPH = "mapping.onnx"  # of families with styles: the same and a psi → styles
SYNTHESIS_GRAPH = "synthesis.onnx"  # styles → images
GRAPH_NAMES = (GENERATOR_GRAPH, MAPPING_GRAPH, SYNTHESIS_GRAPH)


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

    @property
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
    """A card from its JSON, its schema checked first."""
    try:
        values = json.loads(text)
        version = values["schema_version"]
        if not isinstance(version, int) or version > SCHEMA_VERSION:
            raise ArtifactError(
                f"{path}: its card has schema {version!r}, this facegan reads up to "
                f"{SCHEMA_VERSION}.",
                "Install a newer facegan.",
            )
        known = {spec.name for spec in dataclasses.fields(ModelCard)}
        card = ModelCard(**{name: value for name, value in values.items() if name in known})
        shape = tuple(int(side) for side in card.image_shape)
        if len(shape) != 3 or not all(0 < side <= 4096 for side in shape):
            raise ValueError(f"image_shape {card.image_shape!r}")
        if not isinstance(card.settings, dict) or not isinstance(card.versions, dict):
            raise ValueError("settings and versions must be objects")
        return dataclasses.replace(
            card,
            image_shape=shape,
            classes=parse_classes(card.classes),
            graph=parse_graph(card.graph),
        )
    except (ValueError, TypeError, KeyError, RecursionError) as cause:
        raise ArtifactError(
            f"{path}: {CARD_NAME} is not a model card: {first_line(cause)}",
            "It is damaged, or was not written by facegan.",
        ) from cause


def parse_classes(pairs: Any) -> tuple[tuple[str, int], ...]:
    """A card's classes; ValueError or TypeError where they are no names with counts above 0."""
    classes = tuple((name, count) for name, count in pairs)
    for name, count in classes:
        is_name = isinstance(name, str) and name.isprintable()
        if not is_name or type(count) is not int or count < 1:
            raise ValueError(f"class {name!a} with {count!r} pictures")
    if len(dict(classes)) < len(classes):
        raise ValueError("two classes have one name")
    return classes


def parse_graph(told: Any) -> GraphFacts | None:
    """A card's facts of its graphs; ValueError or TypeError where they are none."""
    if told is None:
        return None
    facts = GraphFacts(**told)
    names = set(dict(facts.sha256))
    if names not in ({GENERATOR_GRAPH}, {MAPPING_GRAPH, SYNTHESIS_GRAPH}):
        raise ValueError(f"graphs {sorted(names)!a}")
    numbers = facts.style_layers, facts.batch_bytes
    if not all(type(number) is int and number >= 0 for number in numbers):
        raise ValueError(f"graph facts {numbers!a}")
    return facts
