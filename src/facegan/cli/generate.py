"""`facegan generate`: faces from a model file, drawn here, without a server."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from facegan.cli.face_output import parse_output, write_faces
from facegan.cli.inputs import MODEL
from facegan.cli.mixing import deliver_table, plan_table
from facegan.cli.options import face_options
from facegan.client import FaceClient, Reply
from facegan.wire import Provenance, decode_request, encode_reply

if TYPE_CHECKING:
    from facegan.synthesis import Synthesizer


@click.command("generate")
@click.argument("model", type=MODEL)
@face_options
def command(model: Path, mix: list[int] | None, mix_layers: list[int] | None, **faces: Any) -> None:
    """Draw faces with MODEL, a model.tar.gz or the folder of one, without a server.

    \b
    A grid of 16 faces:
      facegan generate runs/first/model.tar.gz --seeds 0-15 --out faces.png

    \b
    One PNG a seed, into a folder; one row of four; faces of your own latents:
      facegan generate runs/first/model.tar.gz --seeds 3,8 --out faces/
      facegan generate runs/first/model.tar.gz --seeds 0-3 --columns 4 --out row.png
      facegan generate runs/first/model.tar.gz --latents z.npy --out faces.npy

    \b
    A walk between faces, as an animation and as a strip:
      facegan generate runs/first/model.tar.gz --seeds 3,8,15 --interpolate 24 --out walk.webp
      facegan generate runs/first/model.tar.gz --seeds 3,8 --interpolate 7 --columns 8 --out way.png

    \b
    Other files: a JPEG, a zip of PNGs named by seed, a line of JSON a face:
      facegan generate runs/first/model.tar.gz --seeds 0-15 --quality 80 --out faces.jpg
      facegan generate runs/first/model.tar.gz --seeds 0-15 --out faces.zip
      facegan generate runs/first/model.tar.gz --seeds 0-15 --out faces.jsonl

    \b
    Faces of one class, of a conditional model; a table of mixed styles, of a stylegan2:
      facegan generate runs/hair/model.tar.gz --seeds 0-15 --classes long --out long.png
      facegan generate runs/style/model.tar.gz --seeds 0-3 --mix 7,8,9 --scale 2 --out mixed.png

    The files are the same, byte for byte, as `facegan invoke` gets from a server of the model.
    """
    if mix is not None or mix_layers is not None:
        table = plan_table(mix, mix_layers, faces)
        deliver_table(table, open_model(model))
        return
    order = parse_output(**faces, mix_layers=None)
    write_faces(order, FaceClient(InProcess(open_model(model))))


def open_model(model: Path) -> "Synthesizer":
    """The model, ready to draw. torch takes seconds to import: call it after the mistakes."""
    from facegan.synthesis import open_synthesizer

    return open_synthesizer(model)


class InProcess:
    """A transport that ends at a synthesizer: the server's answer, without the server."""

    def __init__(self, synthesizer: "Synthesizer") -> None:
        self.synthesizer = synthesizer

    def send(self, body: bytes, content_type: str, accept: str) -> Reply:
        """See :class:`facegan.client.Transport`; a wrong request is raised as RequestError."""
        asked = decode_request(body, content_type)
        model = self.synthesizer
        batch = model.prepare_batch(**asked.generation_args)
        classes = model.class_names(asked.label_count, asked.label_seeds, asked.classes)
        origin = Provenance.of_request(asked, model.card, classes, batch.mixed_layers)
        answer = encode_reply(model.generate_batch(batch), asked, accept, origin)
        return Reply(200, accept, answer)
