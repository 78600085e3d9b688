"""Feeds a decoder whatever bytes atheris makes up: only typed refusals may leave it."""

import contextlib
import io
import sys
from collections.abc import Callable
from pathlib import Path

import atheris
import numpy as np
from PIL import Image

with atheris.instrument_imports(
    include=[
        "facegan.wire",
        "facegan.image_encoding",
        "facegan.image_metadata",
        "facegan.model_files",
    ]
):
    from facegan.errors import ArtifactError, FaceGANError
    from facegan.model_files import ModelCard, parse_card
    from facegan.model_files.weights import read_header
    from facegan.model_inputs import IMAGES, LABEL_MAPS
    from facegan.serving.http.negotiation import negotiate
    from facegan.wire import (
        IMAGE_CODECS,
        REQUEST_CODECS,
        GenerateRequest,
        ModelSignature,
        Provenance,
        decode_request,
        decode_sources,
        open_sources,
    )
    from facegan.wire.content_types import parse_parameters
    from facegan.wire.image_codecs import decode_images, encode_images

Decoder = Callable[[bytes], object]
OFFERED = tuple(IMAGE_CODECS)
LATENTS = GenerateRequest(latents=np.zeros((2, 3), np.float32))
ORIGIN = Provenance(model_sha256="0", family="dcgan", preset="tiny", seeds=(1,), truncation_psi=1.0)
CARD = ModelCard(
    family="dcgan",
    preset="tiny",
    settings={"latent_dim": 16},
    image_shape=(3, 32, 32),
    latent_dim=16,
    weights_sha256="ab" * 32,
)
TRANSLATES = ModelSignature((IMAGES,), 8)
PAINTS = ModelSignature((LABEL_MAPS,), 8, (), (("ground", "#000000"), ("skin", "#e0a080")))
FORM = b'--x\r\nContent-Disposition: form-data; name="image"\r\n\r\nimage\r\n--x--'
HEADER = b'{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}'


def accept(data: bytes) -> None:
    """An Accept header."""
    negotiate(data.decode("latin-1"), OFFERED, OFFERED[0])


def card(data: bytes) -> None:
    """A model's card."""
    parse_card(data, Path("fuzzed"))


def weights(data: bytes) -> None:
    """A file of weights, up to the end of its header."""
    try:
        read_header(io.BytesIO(data), len(data))
    except ValueError as cause:
        raise ArtifactError(str(cause)) from cause


def reply_decoder(content_type: str) -> Decoder:
    """The client's side."""
    return lambda data: decode_images(data, content_type)


def source_decoder(content_type: str, signature: ModelSignature) -> Decoder:
    """A body that holds an image or a label map, to its pixels."""

    def decode(data: bytes) -> object:
        request = signature.complete(decode_request(data, content_type, signature))
        return decode_sources(open_sources(request, 1_000_000), signature)

    return decode


def parameters(data: bytes) -> None:
    """The parameters of a content type."""
    with contextlib.suppress(ValueError):  # which decode_request turns into a refusal
        parse_parameters(data.decode("latin-1"))


def source_decoders() -> dict[str, tuple[Decoder, bytes]]:
    """Each way of sending an image or a label map."""
    found: dict[str, tuple[Decoder, bytes]] = {}
    for format_ in ("PNG", "JPEG", "WEBP"):
        stream = io.BytesIO()
        Image.new("RGB", (4, 4)).save(stream, format_)
        name = f"image/{format_.lower()}"
        for kind, signature in (("image", TRANSLATES), ("map", PAINTS)):
            found[f"{kind}-{format_}"] = source_decoder(name, signature), stream.getvalue()
    form_type = "multipart/form-data; boundary=x"
    found["form"] = source_decoder(form_type, TRANSLATES), FORM
    rows = b'{"label_maps": [[[0, 1]]], "seeds": [1]}'
    found["map-rows"] = source_decoder("application/json", PAINTS), rows
    found["parameters"] = parameters, b"image/png;seed=7"
    return found


def decoders() -> dict[str, tuple[Decoder, bytes]]:
    """Each decoder of a table's row, by name, with bytes it takes to begin from."""
    found: dict[str, tuple[Decoder, bytes]] = {"accept": (accept, b"image/*;q=0.5, text/csv")}
    found["card"] = card, CARD.to_json().encode()
    found["weights"] = weights, len(HEADER).to_bytes(8, "little") + HEADER + bytes(8)
    for name, codec in REQUEST_CODECS.items():
        found["request-" + name.replace("/", "-")] = codec.decode, codec.encode(LATENTS)
    found |= source_decoders()
    for name in IMAGE_CODECS:
        example = encode_images(np.zeros((1, 4, 4, 3), np.uint8), name, provenance=ORIGIN)
        found["reply-" + name.replace("/", "-")] = reply_decoder(name), example
    return found


def main() -> None:
    """Fuzz one decoder: its name, its corpus, libFuzzer's options. Without a name, list all."""
    if len(sys.argv) == 1:
        print(*decoders(), sep="\n")
        return
    name, corpus = sys.argv.pop(1), Path(sys.argv[1])
    decode, example = decoders()[name]
    corpus.joinpath("example").write_bytes(example)

    def one(data: bytes) -> None:
        with contextlib.suppress(FaceGANError):
            decode(data)

    atheris.Setup(sys.argv, one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
