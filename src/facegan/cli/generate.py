"""`facegan generate`: faces from a model file, drawn here, without a server."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from facegan.cli.options import deliver, face_options, take_order
from facegan.client import FaceClient, Reply
from facegan.wire import Provenance, decode_request, encode_images

if TYPE_CHECKING:
    from facegan.synthesis import Synthesizer


@click.command("generate")
@click.argument("model", type=click.Path(path_type=Path), metavar="MODEL")
@face_options
def command(model: Path, **faces: Any) -> None:
    """Draw faces with MODEL, a model.tar.gz or the folder of one, without a server.

    \b
    A grid of 16 faces:
      facegan generate runs/first/model.tar.gz --seeds 0-15 --out faces.png

    \b
    One PNG a seed, into a folder; one row of four; faces of your own latents:
      facegan generate runs/first/model.tar.gz --seeds 3,8 --out faces/
      facegan generate runs/first/model.tar.gz --seeds 0-3 --columns 4 --out row.png
      facegan generate runs/first/model.tar.gz --latents z.npy --out faces.npy

    The files are the same, byte for byte, as `facegan invoke` gets from a server of the model.
    """
    order = take_order(**faces)

    # torch takes seconds to import: after the mistakes, not before
    from facegan.artifact import load_artifact
    from facegan.synthesis import Synthesizer

    deliver(order, FaceClient(InProcess(Synthesizer(load_artifact(model)))))


class InProcess:
    """A transport that ends at a synthesizer: the server's answer, without the server."""

    def __init__(self, synthesizer: "Synthesizer") -> None:
        self.synthesizer = synthesizer

    def send(self, body: bytes, content_type: str, accept: str) -> Reply:
        """See :class:`facegan.client.Transport`; a wrong request is raised as RequestError."""
        asked = decode_request(body, content_type)
        images = self.synthesizer.generate(asked.seeds, asked.latents, asked.truncation_psi)
        card = self.synthesizer.card
        origin = Provenance(
            model_sha256=card.weights_sha256,
            family=card.family,
            preset=card.preset,
            seeds=None if asked.seeds is None else tuple(asked.seeds),
            truncation_psi=asked.truncation_psi,
        )
        answer = encode_images(
            images, accept, provenance=origin, layout=asked.layout, columns=asked.columns
        )
        return Reply(200, accept, answer)
