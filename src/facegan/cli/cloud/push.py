"""`facegan cloud push`: the images to ECR, and the digests to deploy."""

import os

import click

from facegan.cli.cloud.desk import Desk, acting_options
from facegan.cloud.registry import creation, push_image
from facegan.docker_engine import Docker

IMAGES = ("training", "inference")


@click.command("push")
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="Also call them so there.")
@click.option("--repository", metavar="NAME", help="NAME-training, NAME-inference.  [facegan]")
@acting_options
def command(desk: Desk, tags: tuple[str, ...], repository: str | None) -> None:
    """Push facegan-training:local and facegan-inference:local, which `make build` makes.

    Repositories that are missing are made, with scanning and a rule that deletes old images. ECR
    costs by the stored GB ($0.10 a month where this was written; the CUDA images are 5 to 8 GB).

    \b
      facegan cloud push --tag 2026-11
      facegan cloud push --dry-run
    """
    prefix = desk.settings.but(repository=repository).repository
    wanted = list(tags) or ["latest"]
    if desk.is_dry:
        desk.act([call for image in IMAGES for call in creation(f"{prefix}-{image}")], "")
        return
    docker = Docker(os.environ)
    docker.check()
    desk.confirm(f"Push to {prefix}-training and {prefix}-inference? ECR costs by the GB.")
    pushed = {}
    for image in IMAGES:
        name = f"facegan-{image}:local"
        docker.check_architecture(name)
        pushed[image] = push_image(docker, desk.aws, name, f"{prefix}-{image}", wanted)
    desk.answer(pushed, "\n".join(pushed.values()))
