"""Feeds a decoder whatever bytes atheris makes up: only typed refusals may leave it."""

import contextlib
import sys
from collections.abc import Callable

from facegan.errors import FaceGANError
from facegan.wire import IMAGE_CODECS, REQUEST_CODECS, negotiate
from facegan.wire.image_codecs import decode_images

OFFERED = tuple(IMAGE_CODECS)


def accept(data: bytes) -> None:
    """An Accept header."""
    negotiate(data.decode("latin-1"), OFFERED, OFFERED[0])


def reader(table: dict[str, object], content_type: str) -> Callable[[bytes], object]:
    """The decoder of one content type, of requests or of replies."""
    if table is REQUEST_CODECS:
        return REQUEST_CODECS[content_type].decode
    return lambda data: decode_images(data, content_type)


DECODERS: dict[str, Callable[[bytes], object]] = {"accept": accept}
for kind, table in (("request", REQUEST_CODECS), ("reply", IMAGE_CODECS)):
    for name in table:
        DECODERS[f"{kind}-{name.replace('/', '-')}"] = reader(table, name)  # type: ignore[arg-type]


def main() -> None:
    import atheris

    decode = DECODERS[sys.argv.pop(1)]

    def one(data: bytes) -> None:
        with contextlib.suppress(FaceGANError):
            decode(data)

    atheris.instrument_all()
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
