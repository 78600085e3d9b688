"""Saves and loads trained generators: weights and a card that rebuilds the networks, no pickle.

An artifact is a folder, or a ``model.tar.gz`` of one, with ``generator.safetensors`` and
``model_card.json``, and its graphs once it was exported. Loading reads numbers and JSON only, so a
hostile file cannot run code.
"""

import hashlib
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import load_file as map_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from facegan import __version__
from facegan.errors import ArtifactError, ConfigError, first_line
from facegan.gans import (
    Family,
    Gan,
    Preset,
    draw_labels,
    find_family,
    find_preset,
    with_class_count,
)
from facegan.model_files import (
    CARD_NAME,
    WEIGHTS_NAME,
    ModelCard,
    WeightsHeader,
    check_graphs,
    copy_artifact,
    digest_of,
    map_files,
    pack_artifact,
    read_card,
    read_files,
    read_weights_header,
    write,
)
from facegan.model_inputs import default_inputs, input_names

__all__ = [
    "CARD_NAME",
    "WEIGHTS_NAME",
    "Artifact",
    "ModelCard",
    "build_empty",
    "copy_artifact",
    "load_artifact",
    "pack_artifact",
    "read_card",
    "save_artifact",
]

FACTORIES: set[Any] = {torch.empty, torch.full, torch.ones, torch.randn, torch.zeros}
BUFFER_ELEMENTS = 1 << 20  # that a network may have beside its weights, such as filters
INITIALIZERS: set[Any] = {Tensor.normal_, Tensor.uniform_, nn.init.normal_, nn.init.uniform_}


@dataclass(frozen=True)
class Artifact:
    """A model's networks, ready to run, and its card.

    Attributes:
        generator: The first network, in eval mode. It takes what ``card.arguments`` says: latents
            (N, latent_dim), labels int64 (N,), images (N, 3, H, W) in [-1, 1], label maps int64
            (N, H, W), and makes images in [-1, 1].
        others: Further networks by name: the other direction; an encoder, which makes latents.
    """

    generator: nn.Module
    card: ModelCard
    family: Family
    preset: Preset
    others: Mapping[str, nn.Module] = field(default_factory=dict)

    @property
    def networks(self) -> dict[str, nn.Module]:
        """All networks by name, those of ``card.networks``."""
        return {self.card.networks[0]: self.generator, **self.others}

    def sample_latents(self, count: int, generator: torch.Generator) -> Tensor:
        """Return `count` latents (N, latent_dim) drawn with the given random numbers."""
        return self.family.sample_latents(self.preset, count, generator)

    def sample_labels(self, count: int, generator: torch.Generator) -> Tensor | None:
        """Return `count` labels (N,), as frequent as in the data; None if unconditional."""
        return draw_labels(self.classes, count, generator) if self.classes else None

    @property
    def classes(self) -> dict[str, int]:
        """How many images of each class the model was trained on; empty if unconditional."""
        return dict(self.card.classes)

    @property
    def has_truncation(self) -> bool:
        """Whether the family has truncation (variety traded for typicality)."""
        return self.family.has_truncation

    @property
    def style_layers(self) -> int:
        """How many layers take a style of their own; 0 if the family has no styles."""
        generator: Any = self.generator
        return int(generator.synthesis.layers) if self.family.has_style_mixing else 0


def save_artifact(
    gan: Gan, model_dir: Path | str, weights: Mapping[str, Tensor] | None = None, **facts: Any
) -> ModelCard:
    """Write the averaged generator and its card into a folder, both or neither.

    Args:
        gan: Its served players are saved.
        model_dir: The folder, created if missing.
        weights: Earlier weights to save, instead of the averaged generator's current ones.
        facts: Further fields of :class:`ModelCard` (kimg, dataset, training, metrics).

    Raises:
        ArtifactError: a file cannot be written (a full disk); no partial file remains.
    """
    chosen = gan.served_weights() if weights is None else weights
    inputs = gan.family.inputs(gan.preset)
    blob = save_tensors({name: value.contiguous() for name, value in chosen.items()})
    card = ModelCard(
        family=gan.family.name,
        preset=gan.preset_name,
        settings=gan.preset.as_dict(),
        image_shape=gan.image_shape,
        latent_dim=gan.preset.latent_dim,
        network_inputs=() if inputs == default_inputs(bool(gan.classes)) else inputs,
        directions=gan.family.directions(gan.preset),
        map_classes=tuple(gan.map_classes.items()),
        weights_sha256=hashlib.sha256(blob).hexdigest(),
        classes=tuple(gan.classes.items()),
        versions={"facegan": __version__, "torch": torch.__version__},
        **facts,
    )
    folder = Path(model_dir)
    write({folder / WEIGHTS_NAME: blob, folder / CARD_NAME: card.to_json().encode()})
    return card


def load_artifact(
    source: Path | str, *, mapped: bool = False, check_graphs_too: bool = True
) -> Artifact:
    """Read an artifact from its folder or its ``model.tar.gz``, and rebuild the generator.

    Args:
        source: The folder or the archive.
        mapped: Map a folder's weights from their file instead of copying them. Truncating the file
            while it is mapped kills this process; replacing it, as we do, is harmless.
        check_graphs_too: Refuse a model whose graphs fail their check, although the weights are
            used, so that every reader gives the same answer. An export replaces the graphs.

    Raises:
        ArtifactError: it is missing, truncated, not an artifact, of a newer schema, of an unknown
            family, or its weights do not match its card. Nothing is ever unpickled or extracted.
    """
    path = Path(source)
    card, header = read_card(path), read_weights_header(path)
    if card.graph and check_graphs_too:
        check_graphs(path, map_files(path, card.graph.sha256), card)
    try:
        empty = build_empty(card, header)
        together = as_module(empty.networks)
        fill(together, weights_of(path, card, mapped))
    except (ConfigError, SafetensorError, RuntimeError) as cause:
        raise ArtifactError(
            f"{path}: the generator cannot be rebuilt: {first_line(cause)}",
            f"It was made by facegan {card.versions.get('facegan', '?')}, this is {__version__}.",
        ) from cause
    together.eval().requires_grad_(False)
    return empty


def weights_of(path: Path, card: ModelCard, mapped: bool) -> dict[str, Tensor]:
    """Return the weights of a folder or an archive, checked against the card's digest."""
    file = path / WEIGHTS_NAME
    if mapped and (path / CARD_NAME).is_file():
        check_digest(path, card, digest_of(file))
        return map_tensors(file)
    blob = read_files(path, [WEIGHTS_NAME])[WEIGHTS_NAME]
    check_digest(path, card, hashlib.sha256(blob).hexdigest())
    return load_tensors(blob)


def check_digest(path: Path, card: ModelCard, digest: str) -> None:
    """Raise ArtifactError if the weights' digest is not the card's."""
    if digest != card.weights_sha256:
        raise ArtifactError(
            f"{path}: the weights are not those its card describes.",
            "The file is damaged or was changed; copy it again, or pack it again from the run.",
        )


class SkipInit(TorchFunctionMode):
    """Builds networks without initialising their weights, and limits their size.

    Memory that was never written to takes no room. torch's device "meta" would do as well, but the
    first network on it imports a compiler: 1.5 s and 67 MiB.

    Args:
        limit: How many elements all tensors together may have.
    """

    def __init__(self, limit: int) -> None:
        super().__init__()
        self.remaining = limit

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Collection[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Count the elements of new tensors, raise ConfigError past the limit; skip random init."""
        if func in FACTORIES:
            size = args[0] if args and not isinstance(args[0], int) else args
            self.remaining -= math.prod(size)
            if self.remaining < 0:
                raise ConfigError("The card describes a larger network than these weights are of.")
        if func is torch.randn:
            return torch.empty(*args, **(kwargs or {}))
        return args[0] if func in INITIALIZERS and args else func(*args, **(kwargs or {}))


def build_empty(card: ModelCard, header: WeightsHeader) -> Artifact:
    """Build the artifact of a card, with uninitialised weights.

    Args:
        card: Describes the network.
        header: Describes its weights; nothing larger than they are is built.

    Raises:
        ConfigError: the family, preset or a setting is unknown here, or the weights belong to
            another network.
    """
    family = find_family(card.family)
    named = find_preset(family, card.preset)
    preset = with_class_count(
        family,
        named.replaced(settings_of(card, named)),
        dict(card.classes),
        dict(card.map_classes),
    )
    check_declaration(card, family, preset)
    with SkipInit(header.elements + BUFFER_ELEMENTS):
        built = family.build_served(preset, card.image_shape)
    networks = dict(zip(card.networks, built.values(), strict=True))
    check_fit(as_module(networks), header)
    return Artifact(networks.pop(card.networks[0]), card, family, preset, networks)


def check_declaration(card: ModelCard, family: Family, preset: Preset) -> None:
    """Raise ConfigError if a card's inputs, directions or networks are not those of its family."""
    served = family.served(preset)
    for what, said, own in (
        ("inputs", input_names(card.inputs), input_names(family.inputs(preset))),
        ("directions", card.directions, family.directions(preset)),
        # The name of a single network is its family's own affair.
        ("networks", card.networks, served if len(served) > 1 else card.networks[:1]),
    ):
        if said != own:
            said_text, own_text = (", ".join(names) or "none" for names in (said, own))
            raise ConfigError(f"The card's {what} are {said_text}; {family.name}'s are {own_text}.")


def as_module(networks: Mapping[str, nn.Module]) -> nn.Module:
    """Return networks as one module, whose tensors have the names of an artifact's weights."""
    return nn.ModuleDict(networks) if len(networks) > 1 else next(iter(networks.values()))


def check_fit(network: nn.Module, header: WeightsHeader) -> None:
    """Raise ConfigError if weights are missing, unknown, or of another shape or type."""
    own = network.state_dict()
    for name in sorted(own.keys() ^ header.tensors.keys()):
        which = "missing" if name in own else "unknown"
        raise ConfigError(f"In the weights the tensor {name[:100]!a} is {which}.")
    for name, tensor in header.tensors.items():
        shape, is_float = tuple(own[name].shape), own[name].is_floating_point()
        if tensor.shape != shape or is_float != tensor.is_float:
            raise ConfigError(
                f"In the weights {name} is {tensor.dtype} {tensor.shape}, and not {shape}."
            )


def settings_of(card: ModelCard, preset: Preset) -> dict[str, Any]:
    """Return a card's settings; those that are newer than the card have their defaults.

    Today's preset may have another value, which the old weights would not fit.
    """
    later = {spec.name: spec.default for spec in preset.hyperparameters()}
    return {**later, **card.settings}


def fill(network: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Assign weights to a network, without copying them; RuntimeError if they do not fit."""
    own = network.state_dict()
    typed = {
        name: value.to(own[name].dtype) if name in own else value for name, value in weights.items()
    }
    network.load_state_dict(typed, assign=True)
