"""Says inside every picture by which model it was generated, and from which seed.

That it was generated at all, in the words other programs read, is said by ``pictures``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar
from xml.etree import ElementTree

from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from facegan.errors import InvocationError
from facegan.name_lists import read_names, write_names
from facegan.pictures import SAID_OF_ALL, XMP_FACTS, XMP_KEYWORD
from facegan.safe_images import open_image
from facegan.wire.generate_request import GenerateRequest

T = TypeVar("T")

CLASSES = "facegan:classes"
ENDS = {  # what the last bytes of a whole picture are; Pillow takes some that lack them
    "PNG": b"IEND\xaeB`\x82",
    "JPEG": b"\xff\xd9",
    "WEBP": b"",  # its head tells its length
}


class Card(Protocol):
    """What a provenance takes of a model's card."""

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
    """Where pictures come from."""

    model_sha256: str  # of the weights, in hexadecimal
    family: str
    preset: str
    seeds: tuple[int, ...] | None  # one a picture, or as below; None where drawn from latents
    truncation_psi: float = 1.0
    classes: tuple[str, ...] | None = None  # names, one a seed; None of unconditional models
    # Frames from each seed to the next: S seeds make (S - 1) * interpolate + 1 pictures.
    interpolate: int | None = None
    mix: tuple[int, ...] | None = None  # N seeds, each mixed with each of M: N * M pictures
    mix_layers: tuple[int, ...] | None = None  # the layers that follow those
    between: tuple[int, int] | None = None  # of one frame: the seeds on either side,
    share: float | None = None  # and how much of the way is behind it

    @classmethod
    def of_request(
        cls,
        request: GenerateRequest,
        card: Card,
        classes: tuple[str, ...] | None = None,
        mix_layers: tuple[int, ...] | None = None,
    ) -> "Provenance":
        """The provenance of all images of a request.

        Args:
            request: What was asked.
            card: Of the model that drew.
            classes: One name a seed or latent, and then one a seed of ``mix``; None of
                unconditional models.
            mix_layers: Which layers were mixed, where any were.
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
        )

    def of_image(self, index: int) -> "Provenance":
        """The provenance of one picture of several."""
        if self.interpolate is not None:
            return self.of_frame(*divmod(index, self.interpolate))
        if self.mix is not None and self.seeds is not None:
            return self.of_pair(*divmod(index, len(self.mix)))
        return replace(self, seeds=one(self.seeds, index), classes=one(self.classes, index))

    def of_frame(self, station: int, step: int) -> "Provenance":
        """The same for a frame, `step` frames after one of the seeds."""
        classes = None if self.classes is None else self.classes[:1]
        bare = replace(self, seeds=None, classes=classes, interpolate=None)
        if step == 0:
            return replace(bare, seeds=one(self.seeds, station))
        share = step / (self.interpolate or 1)
        if self.seeds is None:
            return replace(bare, share=share)
        return replace(bare, between=(self.seeds[station], self.seeds[station + 1]), share=share)

    def of_pair(self, row: int, column: int) -> "Provenance":
        """The same for a face of one seed with styles of another."""
        own, other = one(self.seeds, row), one(self.mix, column)
        names = self.classes
        pair = None if names is None else (names[row], names[len(self.seeds or ()) + column])
        return replace(self, seeds=own, mix=other, classes=pair)

    def facts(self) -> dict[str, str]:
        """What a picture says in plain text; the list of seeds is empty for latents."""
        facts = {
            "facegan:model_sha256": self.model_sha256,
            "facegan:seeds": listed(self.seeds or ()),
            "facegan:truncation_psi": repr(float(self.truncation_psi)),
        }
        if self.classes is not None:
            facts[CLASSES] = write_names(self.classes)
        if self.interpolate is not None:
            facts["facegan:interpolate"] = str(self.interpolate)
        if self.between is not None:
            facts["facegan:interpolated_from"] = listed(self.between)
        if self.share is not None:
            facts["facegan:share"] = repr(self.share)
        if self.mix is not None:
            facts["facegan:mix_seeds"] = listed(self.mix)
            facts["facegan:mix_layers"] = listed(self.mix_layers or ())
        return facts


def one(values: tuple[T, ...] | None, index: int) -> tuple[T] | None:
    """One of several values, as the only one."""
    return None if values is None else (values[index],)


def listed(numbers: tuple[int, ...]) -> str:
    """Numbers parted by commas."""
    return ",".join(map(str, numbers))


def read_provenance(picture: bytes) -> dict[str, str]:
    """Every text that a PNG, JPEG or WebP of ours carries, by keyword.

    The XMP packet itself is under ``XML:com.adobe.xmp``.

    Raises:
        InvocationError: the bytes are no such picture.
    """
    opened = open_picture(picture, tuple(ENDS))
    if isinstance(opened, PngImageFile):
        return {str(keyword): str(text) for keyword, text in opened.text.items()}
    packet = opened.info.get("xmp", b"")
    return texts_of(packet) | {XMP_KEYWORD: packet.decode("utf-8", "replace")} if packet else {}


def read_classes(said: Mapping[str, str]) -> tuple[str, ...]:
    """Return the classes' names in what :func:`read_provenance` found; none if it names none."""
    return tuple(map(str, read_names(said.get(CLASSES, ""))))


def texts_of(packet: bytes) -> dict[str, str]:
    """Our facts in an XMP packet."""
    try:
        if b"<!" in packet:  # XMP declares no entities; one that does wants to fill our memory
            raise ValueError("a document type")
        elements = list(ElementTree.fromstring(packet).iter())
    except (ElementTree.ParseError, ValueError) as cause:
        raise InvocationError(
            "The picture's XMP packet is damaged.", "Ask for it again."
        ) from cause
    start = f"{{{XMP_FACTS}}}"
    pairs = [pair for element in elements for pair in element.attrib.items()]
    own = {name.removeprefix(start): text for name, text in pairs if name.startswith(start)}
    keywords = {keyword.lower(): keyword for keyword in SAID_OF_ALL}
    return {keywords.get(name, f"facegan:{name}"): text for name, text in own.items()}


def open_picture(picture: bytes, formats: tuple[str, ...]) -> Image.Image:
    """A fully decoded picture, or an error: Pillow has a dozen for bytes that are none.

    Args:
        picture: The file's bytes.
        formats: Which of ``ENDS`` it may be.
    """
    try:
        opened = open_image(picture, formats)
        opened.load()
        is_long_enough = opened.format != "WEBP" or riff_length(picture) == len(picture)
        if not (is_long_enough and picture.endswith(ENDS[str(opened.format)])):
            raise EOFError("no end")
    except Exception as cause:
        raise InvocationError(
            f"The {len(picture)} bytes that came back are not a readable {' or '.join(formats)}.",
            "The answer was cut off or changed on its way; ask again.",
        ) from cause
    return opened


def riff_length(picture: bytes) -> int:
    """The length that the head of a WebP tells."""
    return 8 + int.from_bytes(picture[4:8], "little")
