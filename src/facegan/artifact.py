"""What training hands to serving: a generator's weights and a card that rebuilds it, no pickle.

An artifact is a folder, or a ``model.tar.gz`` of one, with ``generator.safetensors`` and
``model_card.json``; once it was exported, with its graphs too. Loading reads numbers and JSON only,
so a hostile file can run no code.
"""

import hashlib
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
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
    told_classes,
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
MORE_ELEMENTS = 1 << 20  # that a network has beside its weights, such as filters
FIRST_NUMBERS: set[Any] = {Tensor.normal_, Tensor.uniform_, nn.init.normal_, nn.init.uniform_}


@dataclass(frozen=True)
class Artifact:
    """A generator ready to draw, and its card."""

    # latents (N, latent_dim), and labels (N,) of a conditional model, → images (N, 3, H, W) in
    # [-1, 1]; eval mode
    generator: nn.Module
    card: ModelCard
    family: Family
    preset: Preset

    def sample_latents(self, count: int, generator: torch.Generator) -> Tensor:
        """`count` latents (N, latent_dim) drawn with the given random numbers."""
        return self.family.sample_latents(self.preset, count, generator)

    def sample_labels(self, count: int, generator: torch.Generator) -> Tensor | None:
        """`count` labels (N,), classes as frequent as in the data; None if unconditional."""
        return draw_labels(self.classes, count, generator) if self.classes else None

    @property
    def classes(self) -> dict[str, int]:
        """How many pictures of each class the model was trained on; empty if unconditional."""
        return dict(self.card.classes)

    @property
    def has_truncation(self) -> bool:
        """Whether the family trades variety for typicality by a truncation psi."""
        return self.family.has_truncation

    @property
    def has_style_mixing(self) -> bool:
        """Whether a face can take some layers' styles from another."""
        return self.family.has_style_mixing


def save_artifact(
    gan: Gan, model_dir: Path | str, weights: Mapping[str, Tensor] | None = None, **facts: Any
) -> ModelCard:
    """Write the averaged generator and its card into a folder, both or neither.

    Args:
        gan: The game; its ``generator_ema`` is what is saved.
        model_dir: The folder, made if it is missing.
        weights: Those of another moment, instead of the averaged generator's as they are now.
        facts: Further fields of :class:`ModelCard` (kimg, dataset, training, metrics).

    Raises:
        ArtifactError: a file cannot be written (a full disk); no partial file stays.
    """
    chosen = gan.generator_ema.state_dict() if weights is None else weights
    blob = save_tensors({name: value.contiguous() for name, value in chosen.items()})
    card = ModelCard(
        family=gan.family.name,
        preset=gan.preset_name,
        settings=gan.preset.as_dict(),
        image_shape=gan.image_shape,
        latent_dim=gan.preset.latent_dim,
        weights_sha256=hashlib.sha256(blob).hexdigest(),
        classes=tuple(gan.classes.items()),
        versions={"facegan": __version__, "torch": torch.__version__},
        **facts,
    )
    folder = Path(model_dir)
    write({folder / WEIGHTS_NAME: blob, folder / CARD_NAME: card.to_json().encode()})
    return card


def load_artifact(
    source: Path | str, *, mapped: bool = False, looks_at_graphs: bool = True
) -> Artifact:
    """Read an artifact from its folder or its ``model.tar.gz``, and rebuild the generator.

    Args:
        source: The folder or the archive.
        mapped: Leave a folder's weights in their file, of which pages are read as they are used,
            instead of copying them. The file must stay as it is: whoever cuts it short while it is
            mapped ends this process. Files that are replaced, as ours are, do no harm.
        looks_at_graphs: Refuse a model whose graphs fail their check, though its weights are drawn,
            so that every reader gives the same answer. An export replaces them and does not look.

    Raises:
        ArtifactError: it is missing, truncated, not an artifact, of a newer schema, of an unknown
            family, or its weights do not match its card. Nothing is ever unpickled or extracted.
    """
    path = Path(source)
    card, header = read_card(path), read_weights_header(path)
    if card.graph and looks_at_graphs:
        check_graphs(path, map_files(path, card.graph.sha256), card)
    try:
        empty = build_empty(card, header)
        fill(empty.generator, weights_of(path, card, mapped))
    except (ConfigError, SafetensorError, RuntimeError) as cause:
        raise ArtifactError(
            f"{path}: the generator cannot be rebuilt: {first_line(cause)}",
            f"It was made by facegan {card.versions.get('facegan', '?')}, this is {__version__}.",
        ) from cause
    empty.generator.eval().requires_grad_(False)
    return empty


def weights_of(path: Path, card: ModelCard, mapped: bool) -> dict[str, Tensor]:
    """Return the tensors in a folder or an archive.

    Raises:
        ArtifactError: they are not those that the card describes.
    """
    file = path / WEIGHTS_NAME
    if mapped and (path / CARD_NAME).is_file():
        check_digest(path, card, digest_of(file))
        return map_tensors(file)
    blob = read_files(path, [WEIGHTS_NAME])[WEIGHTS_NAME]
    check_digest(path, card, hashlib.sha256(blob).hexdigest())
    return load_tensors(blob)


def check_digest(path: Path, card: ModelCard, digest: str) -> None:
    """Refuse weights of another digest than the card's."""
    if digest != card.weights_sha256:
        raise ArtifactError(
            f"{path}: the weights are not those its card describes.",
            "The file is damaged or was changed; copy it again, or pack it again from the run.",
        )


class WithoutFirstNumbers(TorchFunctionMode):
    """Leaves networks without the random numbers that they begin with, and bounds their size.

    Memory that nobody has written to is none. torch's device "meta" would do as well, but the first
    network on it imports a compiler: 1.5 s and 67 MiB.

    Args:
        most: How many numbers all tensors together may have.
    """

    def __init__(self, most: int) -> None:
        super().__init__()
        self.left = most

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Collection[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Count what is made, and do nothing in place of drawing.

        Raises:
            ConfigError: it is too much.
        """
        if func in FACTORIES:
            size = args[0] if args and not isinstance(args[0], int) else args
            self.left -= math.prod(size)
            if self.left < 0:
                raise ConfigError("The card describes a larger network than these weights are of.")
        if func is torch.randn:
            return torch.empty(*args, **(kwargs or {}))
        return args[0] if func in FIRST_NUMBERS and args else func(*args, **(kwargs or {}))


def build_empty(card: ModelCard, header: WeightsHeader) -> Artifact:
    """Build the artifact of a card, its generator's numbers yet to be filled in.

    Args:
        card: Describes the network.
        header: Describes its weights; nothing is made that is larger than they are.

    Raises:
        ConfigError: the family, preset or a number of it is unknown here, or the weights are of
            another network.
    """
    family = find_family(card.family)
    named = find_preset(family, card.preset)
    preset = told_classes(family, named.replaced(settings_of(card, named)), dict(card.classes))
    with WithoutFirstNumbers(header.elements + MORE_ELEMENTS):
        generator = family.build_generator(preset, card.image_shape)
    check_fit(generator, header)
    return Artifact(generator, card, family, preset)


def check_fit(generator: nn.Module, header: WeightsHeader) -> None:
    """Refuse weights that are not a generator's.

    Raises:
        ConfigError: a tensor is missing, unknown, or of another shape or kind.
    """
    own = generator.state_dict()
    for name in sorted(own.keys() ^ header.tensors.keys()):
        which = "missing" if name in own else "unknown"
        raise ConfigError(f"In the weights the tensor {name[:100]!a} is {which}.")
    for name, tensor in header.tensors.items():
        shape, is_float = tuple(own[name].shape), own[name].is_floating_point()
        if tensor.shape != shape or is_float != tensor.is_float:
            told = f"In the weights {name} is {tensor.dtype} {tensor.shape}, and not {shape}."
            raise ConfigError(told)


def settings_of(card: ModelCard, preset: Preset) -> dict[str, Any]:
    """A card's settings; one that came into being after it is what it was before: its default.

    The preset of today may have another value, with which the old weights would not fit.
    """
    later = {spec.name: spec.default for spec in preset.hyperparameters()}
    return {**later, **card.settings}


def fill(generator: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Give a generator its numbers, without copying them.

    Raises:
        RuntimeError: they are not the generator's.
    """
    own = generator.state_dict()
    typed = {
        name: value.to(own[name].dtype) if name in own else value for name, value in weights.items()
    }
    generator.load_state_dict(typed, assign=True)
