"""`facegan generate`: generates images with a model, without a server."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from facegan.cli.face_output import parse_output, write_faces
from facegan.cli.inputs import MODEL
from facegan.cli.mixing import parse_table, write_table
from facegan.cli.options import image_options
from facegan.cli.source_files import check_model_takes
from facegan.cli.source_folder import parse_folder, write_folder
from facegan.client import FaceClient, Reply
from facegan.wire import (
    ModelSignature,
    Provenance,
    decode_request,
    decode_sources,
    encode_reply,
    open_sources,
)

if TYPE_CHECKING:
    from facegan.synthesis import Synthesizer


@click.command("generate")
@click.argument("model", type=MODEL)
@image_options
def command(
    model: Path, mix: list[int] | None, mix_layers: list[int] | None, **options: Any
) -> None:
    """Generate images with MODEL, a model.tar.gz or its folder, without a server.

    \b
    A grid of 16 images:
      facegan generate runs/first/model.tar.gz --seeds 0-15 --out faces.png

    \b
    One PNG per seed, in a folder; one row of four; images of your own latents:
      facegan generate runs/first/model.tar.gz --seeds 3,8 --out faces/
      facegan generate runs/first/model.tar.gz --seeds 0-3 --columns 4 --out row.png
      facegan generate runs/first/model.tar.gz --latents z.npy --out faces.npy

    \b
    An interpolation, as an animation and as a strip:
      facegan generate runs/first/model.tar.gz --seeds 3,8,15 --interpolate 24 --out walk.webp
      facegan generate runs/first/model.tar.gz --seeds 3,8 --interpolate 7 --columns 8 --out way.png

    \b
    Other formats: a JPEG; a zip of PNGs named by seed; one line of JSON per image:
      facegan generate runs/first/model.tar.gz --seeds 0-15 --quality 80 --out faces.jpg
      facegan generate runs/first/model.tar.gz --seeds 0-15 --out faces.zip
      facegan generate runs/first/model.tar.gz --seeds 0-15 --out faces.jsonl

    \b
    One class of a conditional model; a table of mixed styles of a stylegan2 model:
      facegan generate runs/hair/model.tar.gz --seeds 0-15 --classes long --out long.png
      facegan generate runs/style/model.tar.gz --seeds 0-3 --mix 7,8,9 --scale 2 --out mixed.png

    \b
    A photo translated, one way and back; a folder of photos; a label map, painted eight times:
      facegan generate runs/translate/run/model.tar.gz --image photo.jpg --out night.png
      facegan generate runs/translate/run/model --image night.png --direction BtoA --out day.png
      facegan generate runs/translate/run/model.tar.gz --image photos/ --out nights/
      facegan generate runs/paint/run/model.tar.gz --label-map map.png --seeds 0-7 --out painted.png
      facegan generate runs/paint/run/model.tar.gz --label-map map.png --style photo.jpg --out a.png

    The files are byte for byte the same as those of `facegan invoke` and a server.
    """
    if mix is not None or mix_layers is not None:
        table = parse_table(mix, mix_layers, options)
        write_table(table, open_model(model))
        return
    options["mix_layers"] = None
    if (folder := parse_folder(options)) is not None:
        write_folder(folder, FaceClient(InProcessTransport(open_model(model))))
        return
    output = parse_output(**options)
    write_faces(output, FaceClient(InProcessTransport(open_model(model))))


def open_model(model: Path) -> "Synthesizer":
    """Load the model. Importing torch takes seconds: do it after the options are checked."""
    from facegan.synthesis import open_synthesizer

    return open_synthesizer(model)


class InProcessTransport:
    """A transport to a synthesizer in this process: a server's replies without a server."""

    def __init__(self, synthesizer: "Synthesizer") -> None:
        self.synthesizer = synthesizer

    def send(self, body: bytes, content_type: str, accept: str) -> Reply:
        """See :class:`facegan.client.Transport`; a wrong request is raised as RequestError."""
        model = self.synthesizer
        signature = ModelSignature.of(model.card)
        asked = decode_request(body, content_type)  # fields by name: no model decides what they are
        check_model_takes(asked, signature)
        asked = signature.complete(asked)
        inputs = asked.generation_args | decode_sources(open_sources(asked), signature)
        if asked.direction is not None:
            inputs["direction"] = asked.direction
        batch = model.prepare_batch(**inputs)
        classes = model.class_names(batch)
        origin = Provenance.of_request(asked, model.card, classes, batch.mixed_layers)
        answer = encode_reply(model.generate_batch(batch), asked, accept, origin)
        return Reply(200, accept, answer)
