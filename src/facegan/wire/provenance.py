"""Where images come from: the model and seeds, written into every image and read back.

That images are generated at all, in the terms other programs read, is written by ``pictures``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar
from xml.etree import ElementTree

from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from facegan.errors import InvocationError
from facegan.image_encoding import (
    COMMON_TEXTS,
    COMPOSITE_TYPE,
    SOURCE_TYPE,
    XMP_FACTS,
    XMP_KEYWORD,
)
from facegan.name_lists import read_names, write_names
from facegan.safe_images import open_image
from facegan.wire.generate_request import GenerateRequest
from facegan.wire.sources import digests

T = TypeVar("T")

CLASSES = "facegan:classes"
LAST_BYTES = {  # of a complete image; Pillow accepts some that lack them
    "PNG": b"IEND\xaeB`\x82",
    "JPEG": b"\xff\xd9",
    "WEBP": b"",  # its head holds its length
}


class Card(Protocol):
    """The fields of a model card that a provenance takes."""

    @property
    def weights_sha256(self) -> str:
        """In hexadecimal."""

    @property
    def family(self) -> str:
        """Its name."""

    @property
    def preset(self) -> str:
        """Its name."""


@dataclass(frozen=True)
class Provenance:
    """The model, seeds and settings that images were generated from."""

    model_sha256: str  # of the weights, in hexadecimal
    family: str
    preset: str
    seeds: tuple[int, ...] | None  # one per image, or as below; None for latents
    truncation_psi: float = 1.0
    classes: tuple[str, ...] | None = None  # names, one per seed; None of unconditional models
    # Frames from each seed to the next: S seeds make (S - 1) * interpolate + 1 images.
    interpolate: int | None = None
    mix: tuple[int, ...] | None = None  # N seeds, each mixed with each of M: N * M images
    mix_layers: tuple[int, ...] | None = None  # the layers that follow `mix`
    between: tuple[int, int] | None = None  # of one frame: the seeds on either side,
    share: float | None = None  # and the share of the way from the first to the second
    # SHA-256 of source images, label maps and styles, by field: one for all, or one per image.
    sources: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    source_index: int = 0  # of one image: which of the sources is its own
    direction: str | None = None  # of a model that translates both ways
    # IPTC's digital source type; a label map is an instruction, not part of the image.
    source_type: str = SOURCE_TYPE

    @classmethod
    def of_request(
        cls,
        request: GenerateRequest,
        card: Card,
        classes: tuple[str, ...] | None = None,
        mix_layers: tuple[int, ...] | None = None,
    ) -> "Provenance":
        """Return the provenance of all images of a request.

        Args:
            request: The request.
            card: Of the model that generates.
            classes: One name per seed or latent, and then one per seed of ``mix``; None of
                unconditional models.
            mix_layers: Which layers are mixed, if any.
        """
        return cls(
            model_sha256=card.weights_sha256,
            family=card.family,
            preset=card.preset,
            seeds=None if request.seeds is None else tuple(request.seeds),
            truncation_psi=request.truncation_psi,
            classes=classes,
            interpolate=request.interpolate,
            mix=None if request.mix is None else tuple(request.mix),
            mix_layers=None if request.mix is None else mix_layers,
            sources={name: digests(its) for name, its in request.sources.items()},
            direction=request.direction,
            source_type=COMPOSITE_TYPE if request.images or request.styles else SOURCE_TYPE,
        )

    @property
    def source_sha256(self) -> tuple[str, ...]:
        """The digests of the source images or label maps."""
        return self.sources.get("images") or self.sources.get("label_maps") or ()

    def of_image(self, index: int) -> "Provenance":
        """Return the provenance of one image of several."""
        if self.sources and not self.is_of_one:
            return self.of_source(index).of_image(index)
        if self.interpolate is not None:
            return self.of_frame(*divmod(index, self.interpolate))
        if self.mix is not None and self.seeds is not None:
            return self.of_pair(*divmod(index, len(self.mix)))
        return replace(self, seeds=only(self.seeds, index), classes=only(self.classes, index))

    @property
    def is_of_one(self) -> bool:
        """Whether each of the sources is one for all images."""
        return all(len(its) == 1 for its in self.sources.values())

    def of_source(self, index: int) -> "Provenance":
        """Return the provenance with the index-th of the sources only."""
        sources = {name: only(its, index) or () for name, its in self.sources.items()}
        own = index if len(self.source_sha256) > 1 else 0
        return replace(self, sources=sources, source_index=own)

    def of_frame(self, keyframe: int, step: int) -> "Provenance":
        """Return the provenance of the frame `step` frames after the seed of index `keyframe`."""
        classes = None if self.classes is None else self.classes[:1]
        bare = replace(self, seeds=None, classes=classes, interpolate=None)
        if step == 0:
            return replace(bare, seeds=only(self.seeds, keyframe))
        share = step / (self.interpolate or 1)
        if self.seeds is None:
            return replace(bare, share=share)
        return replace(bare, between=(self.seeds[keyframe], self.seeds[keyframe + 1]), share=share)

    def of_pair(self, row: int, column: int) -> "Provenance":
        """Return the provenance of an image of one seed with styles of another."""
        names = self.classes
        pair = None if names is None else (names[row], names[len(self.seeds or ()) + column])
        return replace(self, seeds=only(self.seeds, row), mix=only(self.mix, column), classes=pair)

    def facts(self) -> dict[str, str]:
        """Return what an image says in plain text; the list of seeds is empty for latents."""
        facts = {"facegan:model_sha256": self.model_sha256}
        if self.seeds is not None or not self.sources:
            facts["facegan:seeds"] = ",".join(map(str, self.seeds or ()))
            facts["facegan:truncation_psi"] = repr(float(self.truncation_psi))
        if self.sources and self.source_sha256:
            facts["facegan:source_sha256"] = ",".join(self.source_sha256)
        if "styles" in self.sources:
            facts["facegan:style_sha256"] = ",".join(self.sources["styles"])
        if self.direction is not None:
            facts["facegan:direction"] = self.direction
        if self.classes is not None:
            facts[CLASSES] = write_names(self.classes)
        if self.interpolate is not None:
            facts["facegan:interpolate"] = str(self.interpolate)
        if self.between is not None:
            facts["facegan:interpolated_from"] = ",".join(map(str, self.between))
        if self.share is not None:
            facts["facegan:share"] = repr(self.share)
        if self.mix is not None:
            facts["facegan:mix_seeds"] = ",".join(map(str, self.mix))
            facts["facegan:mix_layers"] = ",".join(map(str, self.mix_layers or ()))
        return facts


def only(values: tuple[T, ...] | None, index: int) -> tuple[T] | None:
    """Return one of several values as a tuple of one; a single value is everybody's."""
    return None if values is None else (values[index if len(values) > 1 else 0],)


def read_provenance(image: bytes) -> dict[str, str]:
    """Return every text in a PNG, JPEG or WebP of ours, by keyword.

    The XMP packet itself is under ``XML:com.adobe.xmp``.

    Raises:
        InvocationError: The bytes are not such an image.
    """
    opened = open_raster(image, tuple(LAST_BYTES))
    if isinstance(opened, PngImageFile):
        return {str(keyword): str(text) for keyword, text in opened.text.items()}
    packet = opened.info.get("xmp", b"")
    return read_xmp(packet) | {XMP_KEYWORD: packet.decode("utf-8", "replace")} if packet else {}


def read_classes(texts: Mapping[str, str]) -> tuple[str, ...]:
    """Return the class names in the result of :func:`read_provenance`; () if there are none."""
    return tuple(map(str, read_names(texts.get(CLASSES, ""))))


def read_xmp(packet: bytes) -> dict[str, str]:
    """Return our texts in an XMP packet."""
    try:
        if b"<!" in packet:  # XMP declares no entities; a packet that does wants to fill our memory
            raise ValueError("a document type")
        elements = list(ElementTree.fromstring(packet).iter())
    except (ElementTree.ParseError, ValueError) as error:
        message = "The image's XMP packet is damaged."
        raise InvocationError(message, "Request the image again.") from error
    start = f"{{{XMP_FACTS}}}"
    pairs = [pair for element in elements for pair in element.attrib.items()]
    own = {name.removeprefix(start): text for name, text in pairs if name.startswith(start)}
    keywords = {keyword.lower(): keyword for keyword in COMMON_TEXTS}
    return {keywords.get(name, f"facegan:{name}"): text for name, text in own.items()}


def open_raster(image: bytes, formats: tuple[str, ...]) -> Image.Image:
    """Open and fully decode an image file.

    Args:
        image: The bytes of the file.
        formats: Keys of ``LAST_BYTES`` that it may be.

    Raises:
        InvocationError: It cannot be decoded, or is cut off; Pillow raises a dozen other errors.
    """
    try:
        opened = open_image(image, formats)
        opened.load()
        if opened.format == "WEBP" and 8 + int.from_bytes(image[4:8], "little") != len(image):
            raise EOFError("another length than the RIFF header's")
        if not image.endswith(LAST_BYTES[str(opened.format)]):
            raise EOFError("no end")
    except Exception as error:
        raise InvocationError(
            f"The {len(image)} bytes of the reply are not a readable {' or '.join(formats)}.",
            "The reply was cut off or changed on its way; try again.",
        ) from error
    return opened
