"""`facegan invoke`: faces from a running endpoint, on AWS or on this machine."""

from typing import Any

import click

from facegan.cli.options import face_options
from facegan.cli.orders import deliver, take_order
from facegan.client import FaceClient
from facegan.cloud.invoke_endpoint import SageMakerTransport


@click.command("invoke")
@click.option(
    "--endpoint",
    default="facegan",
    show_default=True,
    metavar="NAME",
    help="Name of the endpoint; a server on this machine answers to any.",
)
@click.option(
    "--endpoint-url",
    metavar="URL",
    help="A server's own address, as http://localhost:8080.  [default: AWS]",
)
@face_options
@click.option("--region", metavar="REGION", help="AWS region.  [default: your AWS settings]")
@click.option("--profile", metavar="PROFILE", help="AWS profile.  [default: your AWS settings]")
def command(
    endpoint: str, endpoint_url: str | None, region: str | None, profile: str | None, **faces: Any
) -> None:
    """Ask a running endpoint for faces, through boto3, as any program on AWS would.

    \b
    A grid of 16 faces from `facegan serve` on this machine; needs no AWS account:
      facegan invoke --endpoint-url http://localhost:8080 --seeds 0-15 --out faces.png

    \b
    The same from an endpoint on AWS, with your credentials (it costs what the endpoint costs):
      facegan invoke --endpoint my-faces --region eu-west-1 --seeds 0-15 --out faces.png

    \b
    One PNG a seed, into a folder; one row of four; the bare numbers:
      facegan invoke --endpoint-url http://localhost:8080 --seeds 3,8 --out faces/
      facegan invoke --endpoint-url http://localhost:8080 --seeds 0-3 --columns 4 --out row.png
      facegan invoke --endpoint-url http://localhost:8080 --latents z.npy --out faces.npy

    \b
    A walk between faces, as an animation; faces 0 to 3 with the finer styles of 7, 8 and 9:
      facegan invoke --endpoint-url http://localhost:8080 --seeds 3,8 --interpolate 24 --out a.webp
      facegan invoke --endpoint-url http://localhost:8080 --seeds 0-3 --mix 7,8,9 --out mixed.png

    \b
    A smaller file; a zip of PNGs named by seed; a line of JSON a face, streamed:
      facegan invoke --endpoint-url http://localhost:8080 --seeds 0-15 --quality 80 --out faces.jpg
      facegan invoke --endpoint-url http://localhost:8080 --seeds 0-15 --out faces.zip
      facegan invoke --endpoint-url http://localhost:8080 --seeds 0-15 --out faces.jsonl
    """
    order = take_order(**faces)
    deliver(order, FaceClient(SageMakerTransport(endpoint, endpoint_url, region, profile)))
