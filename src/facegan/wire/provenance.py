"""Says inside every picture by which model it was generated, and from which seed.

That it was generated at all, in the words other programs read, is said by ``pictures.encode_png``.
"""

import io
from dataclasses import dataclass, replace

from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from facegan.errors import InvocationError

PNG_END = b"IEND\xaeB`\x82"  # the last chunk's name and checksum


@dataclass(frozen=True)
class Provenance:
    """Where pictures come from."""

    model_sha256: str  # of the weights, in hexadecimal
    family: str
    preset: str
    seeds: tuple[int, ...] | None  # one a picture; None where they were drawn from latents
    truncation_psi: float = 1.0
    classes: tuple[str, ...] | None = None  # names, one a picture; None of unconditional models

    def of_image(self, index: int) -> "Provenance":
        """The provenance of one picture of several."""
        seeds = None if self.seeds is None else (self.seeds[index],)
        classes = None if self.classes is None else (self.classes[index],)
        return replace(self, seeds=seeds, classes=classes)

    def facts(self) -> dict[str, str]:
        """What a PNG says in plain text; the list of seeds is empty for latents."""
        facts = {
            "facegan:model_sha256": self.model_sha256,
            "facegan:seeds": ",".join(map(str, self.seeds or ())),
            "facegan:truncation_psi": repr(float(self.truncation_psi)),
        }
        if self.classes is not None:
            facts["facegan:classes"] = ",".join(self.classes)
        return facts


def read_provenance(png: bytes) -> dict[str, str]:
    """Every text that a PNG carries, by keyword; the XMP packet is under ``XML:com.adobe.xmp``.

    Raises:
        InvocationError: the bytes are no PNG.
    """
    picture = open_png(png)
    return {str(keyword): str(text) for keyword, text in picture.text.items()}


def open_png(png: bytes) -> PngImageFile:
    """A fully decoded PNG, or an error: Pillow has a dozen for bytes that are none."""
    try:
        picture = Image.open(io.BytesIO(png), formats=["PNG"])
        picture.load()
        if not png.endswith(PNG_END):  # Pillow takes a picture that lacks its last few bytes
            raise EOFError("no end mark")
    except Exception as cause:
        raise InvocationError(
            f"The {len(png)} bytes that came back are not a readable PNG.",
            "The answer was cut off or changed on its way; ask again.",
        ) from cause
    assert isinstance(picture, PngImageFile)  # the only format asked for
    return picture
