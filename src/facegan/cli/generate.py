"""`facegan generate`: faces from a model file, drawn here, without a server."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from facegan.cli.mixing import deliver_table, plan_table
from facegan.cli.options import deliver, face_options, seeds_option, take_order, write
from facegan.client import FaceClient, Reply
from facegan.pictures import encode_animation
from facegan.wire import (
    NPY,
    GenerateRequest,
    Provenance,
    decode_images,
    decode_request,
    encode_reply,
)

if TYPE_CHECKING:
    from facegan.synthesis import Synthesizer

FRAME_MILLISECONDS = 60


@click.command("generate")
@click.argument("model", type=click.Path(path_type=Path), metavar="MODEL")
@face_options
@click.option(
    "--interpolate",
    "steps",
    type=click.IntRange(min=1),
    metavar="N",
    help="Walk from each of --seeds to the next in N steps; --out may be an animated .webp.",
)
@click.option(
    "--mix",
    callback=seeds_option,
    metavar="SEEDS",
    help="Mix each of --seeds with each of these: a table, coarse features by row, fine by column.",
)
@click.option(
    "--mix-layers",
    callback=seeds_option,
    metavar="LAYERS",
    help="Which layers follow the columns, from 0, the coarsest.  [default: the finer half]",
)
def command(
    model: Path,
    steps: int | None,
    mix: list[int] | None,
    mix_layers: list[int] | None,
    **faces: Any,
) -> None:
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
    Faces of one class, of a conditional model; a table of mixed styles, of a stylegan2:
      facegan generate runs/hair/model.tar.gz --seeds 0-15 --classes long --out long.png
      facegan generate runs/style/model.tar.gz --seeds 0-3 --mix 7,8,9 --scale 2 --out mixed.png

    The files are the same, byte for byte, as `facegan invoke` gets from a server of the model.
    """
    if mix is not None or mix_layers is not None:
        table = plan_table(mix, mix_layers, steps, faces)
        deliver_table(table, open_model(model))
        return
    out = Path(faces["out"])
    animated = out.suffix.lower() == ".webp"
    if (steps or animated) and len(faces["seeds"] or ()) < 2:
        raise click.UsageError("A walk or an animation needs two or more --seeds, as 3,8.")
    if steps and len(faces["classes"] or [""]) != 1:
        raise click.UsageError("A walk is of one class: give --classes one.")
    scale = faces["scale"]
    if animated:
        faces |= {"out": str(out.with_suffix(".npy")), "scale": 1}  # the frames, not yet a file
    order = take_order(**faces)
    synthesizer = open_model(model)
    if steps:
        order = replace(order, request=on_the_way(order.request, steps, synthesizer))
    client = FaceClient(InProcess(synthesizer))
    if animated:
        deliver_animation(order.request, client, out, scale)
    else:
        deliver(order, client)


def open_model(model: Path) -> "Synthesizer":
    """The model, ready to draw. torch takes seconds to import: call it after the mistakes."""
    from facegan.artifact import load_artifact
    from facegan.synthesis import Synthesizer

    return Synthesizer(load_artifact(model))


def on_the_way(request: GenerateRequest, steps: int, synthesizer: "Synthesizer") -> GenerateRequest:
    """The latents between a request's seeds, instead of the seeds."""
    from facegan.synthesis import latents_of_seeds, walk

    stations = latents_of_seeds(synthesizer.artifact, request.seeds or [])
    return GenerateRequest(
        latents=walk(stations, steps).numpy(),
        truncation_psi=request.truncation_psi,
        classes=request.classes,
        columns=request.columns,
    )


def deliver_animation(request: GenerateRequest, client: FaceClient, out: Path, scale: int) -> None:
    """Draw the frames of a request, write them as an animated WebP, and say where it is."""
    frames = decode_images(client.invoke(request, NPY), NPY)
    large = frames.repeat(scale, axis=1).repeat(scale, axis=2)
    write(out, encode_animation(large, FRAME_MILLISECONDS))
    click.echo(f"{out}: {request.count} frames.")


class InProcess:
    """A transport that ends at a synthesizer: the server's answer, without the server."""

    def __init__(self, synthesizer: "Synthesizer") -> None:
        self.synthesizer = synthesizer

    def send(self, body: bytes, content_type: str, accept: str) -> Reply:
        """See :class:`facegan.client.Transport`; a wrong request is raised as RequestError."""
        asked = decode_request(body, content_type)
        model = self.synthesizer
        images = model.generate(asked.seeds, asked.latents, asked.truncation_psi, asked.classes)
        classes = model.class_names(asked.count, asked.seeds, asked.classes)
        origin = Provenance.of_request(asked, model.card, classes)
        answer = encode_reply(images, asked, accept, origin)
        return Reply(200, accept, answer)
