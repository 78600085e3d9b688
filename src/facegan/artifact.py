"""What training hands to serving: a generator's weights and a card that rebuilds it, no pickle.

An artifact is a folder, or a ``model.tar.gz`` of one, with two files: ``generator.safetensors`` and
``model_card.json``. Loading reads numbers and JSON only, so a hostile file can run no code.
"""

import dataclasses
import hashlib
import io
import json
import os
import tarfile
import zlib
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
from facegan.errors import ArtifactError, ConfigError
from facegan.files import write_all_aside
from facegan.gans import (
    Family,
    Gan,
    Preset,
    draw_labels,
    find_family,
    find_preset,
    told_classes,
)

SCHEMA_VERSION = 1
WEIGHTS_NAME = "generator.safetensors"
CARD_NAME = "model_card.json"
MAX_CARD_BYTES = 1 << 20
FIRST_NUMBERS: set[Any] = {Tensor.normal_, Tensor.uniform_, nn.init.normal_, nn.init.uniform_}
MAX_WEIGHTS_BYTES = 4 << 30  # far above any generator here; stops a decompression bomb


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
    schema_version: int = SCHEMA_VERSION

    @property
    def resolution(self) -> int:
        """The side of the images, in pixels."""
        return self.image_shape[-1]

    def to_json(self) -> str:
        """The card as the text of ``model_card.json``."""
        return json.dumps(dataclasses.asdict(self), indent=2, sort_keys=True) + "\n"


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


def copy_artifact(model_dir: Path | str, target: Path | str) -> None:
    """Copy an artifact's two files into another folder, both or neither.

    Raises:
        ArtifactError: the folder holds no artifact, or the other cannot be written.
    """
    files = read_folder(Path(model_dir))
    write({Path(target) / name: content for name, content in files.items()})


def pack_artifact(model_dir: Path | str, archive: Path | str) -> Path:
    """Make ``model.tar.gz`` of an artifact folder; the same folder gives the same bytes.

    Raises:
        ArtifactError: the folder holds no artifact, or the archive cannot be written.
    """
    folder, packed = Path(model_dir), io.BytesIO()
    with tarfile.open(
        fileobj=packed, mode="w:gz", compresslevel=1, format=tarfile.PAX_FORMAT
    ) as tar:
        for name in (WEIGHTS_NAME, CARD_NAME):
            member = tarfile.TarInfo(name)  # no times, owners or modes of this machine
            content = read_file(folder / name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    body = bytearray(packed.getvalue())
    body[4:8] = bytes(4)  # gzip's own time stamp
    write({Path(archive): bytes(body)})
    return Path(archive)


def load_artifact(source: Path | str, *, mapped: bool = False) -> Artifact:
    """Read an artifact from its folder or its ``model.tar.gz``, and rebuild the generator.

    Args:
        source: The folder or the archive.
        mapped: Leave a folder's weights in their file, of which pages are read as they are used,
            instead of copying them. The file must stay as it is: whoever cuts it short while it is
            mapped ends this process. Files that are replaced, as ours are, do no harm.

    Raises:
        ArtifactError: it is missing, truncated, not an artifact, of a newer schema, of an unknown
            family, or its weights do not match its card. Nothing is ever unpickled or extracted.
    """
    path = Path(source)
    stored = open_stored(path, mapped)
    card = parse_card(stored.card, path)
    if stored.digest != card.weights_sha256:
        raise ArtifactError(
            f"{path}: the weights are not those its card describes.",
            "The file is damaged or was changed; copy it again, or pack it again from the run.",
        )
    try:
        empty = build_empty(card)
        fill(empty.generator, stored.weights())
    except (ConfigError, SafetensorError, RuntimeError) as cause:
        raise ArtifactError(
            f"{path}: the generator cannot be rebuilt: {first_line(cause)}",
            f"It was made by facegan {card.versions.get('facegan', '?')}, this is {__version__}.",
        ) from cause
    empty.generator.eval().requires_grad_(False)
    return empty


@dataclass(frozen=True)
class Stored:
    """An artifact's two files: a card, the weights' digest, and what reads the weights."""

    card: bytes
    digest: str
    weights: Callable[[], dict[str, Tensor]]


def open_stored(path: Path, mapped: bool) -> Stored:
    """What lies in a folder or an archive."""
    if mapped and (path / CARD_NAME).is_file():
        file = path / WEIGHTS_NAME
        return Stored(read_file(path / CARD_NAME), digest_of(file), lambda: map_tensors(file))
    files = read_folder(path) if path.is_dir() else read_archive(path)
    blob = files[WEIGHTS_NAME]
    return Stored(files[CARD_NAME], hashlib.sha256(blob).hexdigest(), lambda: load_tensors(blob))


def digest_of(path: Path) -> str:
    """The SHA-256 of a file, read in pieces."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as cause:
        raise unreadable(path, cause) from cause


def read_card(model_dir: Path | str) -> ModelCard:
    """The card of an artifact folder; its weights are not looked at.

    Raises:
        ArtifactError: it is missing, damaged or of a newer schema.
    """
    path = Path(model_dir)
    return parse_card(read_file(path / CARD_NAME), path)


class WithoutFirstNumbers(TorchFunctionMode):
    """Leaves networks without the random numbers that they begin with.

    Memory that nobody has written to is none. torch's device "meta" would do as well, but the first
    network on it imports a compiler: 1.5 s and 67 MiB.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Collection[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Do nothing in place of drawing."""
        if func is torch.randn:
            return torch.empty(*args, **(kwargs or {}))
        return args[0] if func in FIRST_NUMBERS and args else func(*args, **(kwargs or {}))


def build_empty(card: ModelCard) -> Artifact:
    """The artifact of a card, its generator's numbers yet to be filled in.

    Raises:
        ConfigError: the family, preset or a number of it is unknown here.
    """
    family = find_family(card.family)
    named = find_preset(family, card.preset)
    preset = told_classes(family, named.replaced(settings_of(card, named)), dict(card.classes))
    with WithoutFirstNumbers():
        generator = family.build_generator(preset, card.image_shape)
    return Artifact(generator, card, family, preset)


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


def read_folder(folder: Path) -> dict[str, bytes]:
    """The two files of an artifact folder; a folder with only a model.tar.gz is read through it."""
    archive = folder / "model.tar.gz"
    if not (folder / CARD_NAME).exists() and archive.is_file():
        return read_archive(archive)
    return {name: read_file(folder / name) for name in (CARD_NAME, WEIGHTS_NAME)}


def read_file(path: Path) -> bytes:
    """A file's bytes, or an error that names it."""
    try:
        return path.read_bytes()
    except OSError as cause:
        raise unreadable(path, cause) from cause


def unreadable(path: Path, cause: OSError) -> ArtifactError:
    """The error of a file that is missing or cannot be read."""
    return ArtifactError(
        f"{path} cannot be read: {cause.strerror}.",
        f"A model is a folder with {WEIGHTS_NAME} and {CARD_NAME}, or a model.tar.gz of one.",
    )


def read_archive(path: Path) -> dict[str, bytes]:
    """The two files of a model.tar.gz, read in memory; every other member must be harmless."""
    if not path.is_file():
        read_file(path)  # raises, naming why
    files: dict[str, bytes] = {}
    try:
        with tarfile.open(path, mode="r:gz") as tar:
            for member in tar:
                check_member(member, path)
                name = os.path.normpath(member.name)
                limit = {CARD_NAME: MAX_CARD_BYTES, WEIGHTS_NAME: MAX_WEIGHTS_BYTES}.get(name)
                if limit is not None and member.isfile():
                    files[name] = read_member(tar, member, limit, path)
    except (tarfile.TarError, EOFError, OSError, zlib.error) as cause:
        raise ArtifactError(
            f"{path} is not a readable model.tar.gz: {first_line(cause)}",
            "It is truncated, damaged, or another kind of file (pickled models are never loaded).",
        ) from cause
    for name in (CARD_NAME, WEIGHTS_NAME):
        if name not in files:
            raise ArtifactError(f"{path} holds no {name}.", "It was not packed by facegan.")
    return files


def check_member(member: tarfile.TarInfo, path: Path) -> None:
    """Refuse a member that would leave its folder, or that is neither a file nor a folder."""
    name = os.path.normpath(member.name)
    if name.startswith(("/", "..")) or not (member.isfile() or member.isdir()):
        raise ArtifactError(
            f"{path} holds {member.name!r}, which would escape its folder.",
            "The archive is hostile or broken; do not unpack it.",
        )


def read_member(tar: tarfile.TarFile, member: tarfile.TarInfo, limit: int, path: Path) -> bytes:
    """One member's bytes, up to a limit."""
    if member.size > limit:
        raise ArtifactError(f"{path}: {member.name} claims {member.size} bytes, over {limit}.")
    stream = tar.extractfile(member)
    assert stream is not None  # the caller checked that it is a file
    content = stream.read()
    if len(content) != member.size:
        raise EOFError(f"{member.name} ends early")
    return content


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
        return dataclasses.replace(card, image_shape=shape, classes=parse_classes(card.classes))
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


def first_line(cause: BaseException) -> str:
    """The first line of an exception's text: enough for a person, no trace."""
    return (str(cause).splitlines() or [type(cause).__name__])[0]


def write(contents: Mapping[Path, bytes]) -> None:
    """Write files, all or none.

    Raises:
        ArtifactError: one cannot be written.
    """
    try:
        write_all_aside(contents)
    except OSError as cause:
        names = " and ".join(map(str, contents))
        raise ArtifactError(
            f"{names} cannot be written: {cause.strerror}.", "Free some space, or check the folder."
        ) from cause
