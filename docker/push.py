"""Pushes both images to ECR and prints the digests to deploy: `python docker/push.py --help`."""

import os
import sys

import click
from build import IMAGES, tags

from facegan.cli.__main__ import run_safely
from facegan.cloud.aws import Aws
from facegan.cloud.registry import push_image
from facegan.docker_engine import Docker


@click.command("push")
@click.option("--prefix", default="facegan", show_default=True, help="PREFIX-training, -inference")
@click.option("--variant", type=click.Choice(["cuda", "cpu"]), default="cuda", show_default=True)
@click.option("--region", metavar="REGION", help="AWS region.  [default: your AWS settings]")
@click.option("--profile", metavar="PROFILE", help="AWS profile.  [default: your AWS settings]")
def push(prefix: str, variant: str, region: str | None, profile: str | None) -> None:
    """Push the images of this version and commit; repositories that are missing are made."""
    docker = Docker(os.environ)
    docker.check()
    aws = Aws(region, profile)
    for image in IMAGES:
        names = [name for name in tags(image, variant) if not name.endswith(":local")]
        docker.check_architecture(names[0])
        wanted = [name.partition(":")[2] for name in names]
        click.echo(push_image(docker, aws, names[0], f"{prefix}-{image}", wanted))


if __name__ == "__main__":
    sys.exit(run_safely(push))
