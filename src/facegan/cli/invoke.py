"""`facegan invoke`: faces from a running endpoint, on AWS or on this machine."""

from typing import Any

import click

from facegan.cli.face_output import check_streamed, parse_output, write_faces, write_faces_streamed
from facegan.cli.inputs import URL
from facegan.cli.options import face_options
from facegan.client import FaceClient, Transport
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
    type=URL,
    metavar="URL",
    help="A server's own address, as http://localhost:8080.  [default: AWS]",
)
@face_options
@click.option("--stream", is_flag=True, help="Write each face as it comes; --out is a folder.")
@click.option("--target-model", metavar="NAME", help="Of an endpoint of many models: NAME.tar.gz.")
@click.option("--target-variant", metavar="NAME", help="Of an endpoint of several variants (A/B).")
@click.option("--asynchronous", is_flag=True, help="Of an asynchronous endpoint, through S3.")
@click.option(
    "--input",
    "inputs",
    metavar="S3",
    help="Where the request is put then.  [s3://BUCKET/PROJECT/requests, of facegan.toml]",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=1),
    metavar="SECONDS",
    help="How long the answer is waited for then.  [default: 900]",
)
@click.option("--region", metavar="REGION", help="AWS region.  [default: your AWS settings]")
@click.option("--profile", metavar="PROFILE", help="AWS profile.  [default: your AWS settings]")
def command(
    endpoint: str,
    endpoint_url: str | None,
    region: str | None,
    profile: str | None,
    stream: bool,
    target_model: str | None,
    target_variant: str | None,
    asynchronous: bool,
    inputs: str | None,
    timeout: float | None,
    **faces: Any,
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
    A walk between faces, as an animation; a table of mixed styles, of a stylegan2 at port 8081:
      facegan invoke --endpoint-url http://localhost:8080 --seeds 3,8 --interpolate 24 --out a.webp
      facegan invoke --endpoint-url http://localhost:8081 --seeds 0-3 --mix 7,8,9 --out mixed.png

    \b
    A smaller file; a zip of PNGs named by seed; a line of JSON a face, streamed:
      facegan invoke --endpoint-url http://localhost:8080 --seeds 0-15 --quality 80 --out faces.jpg
      facegan invoke --endpoint-url http://localhost:8080 --seeds 0-15 --out faces.zip
      facegan invoke --endpoint-url http://localhost:8080 --seeds 0-15 --out faces.jsonl

    
    Each face as soon as it is drawn; one of many models; an asynchronous endpoint, whose machine
    may have to start first (the request goes through S3, and is deleted there afterwards):
      facegan invoke --endpoint my-faces --seeds 0-63 --stream --out faces/
      facegan invoke --endpoint many --target-model cats.tar.gz --seeds 0-15 --out cats.png
      facegan invoke --endpoint slow --asynchronous --input s3://my-bucket/in --seeds 3 --out f.png
    """
    order = parse_output(**faces)
    if stream:
        check_streamed(order)
    transport: Transport
    if asynchronous:
        if endpoint_url or target_model or target_variant or stream:
            raise click.UsageError(
                "--asynchronous goes without --endpoint-url, --stream and the targets."
            )
        transport = asynchronous_transport(endpoint, region, profile, inputs, timeout)
    else:
        if inputs or timeout:
            raise click.UsageError("--input and --timeout go with --asynchronous.")
        transport = SageMakerTransport(
            endpoint, endpoint_url, region, profile, target_model, target_variant
        )
    (write_faces_streamed if stream else write_faces)(order, FaceClient(transport))


def asynchronous_transport(
    endpoint: str,
    region: str | None,
    profile: str | None,
    inputs: str | None,
    timeout: float | None,
) -> Transport:
    """The way to an asynchronous endpoint; what flags leave open is facegan.toml's."""
    from facegan.cloud.aws import Aws
    from facegan.cloud.invoke_asynchronously import AsynchronousTransport
    from facegan.cloud.settings import Settings

    settings = Settings.read().but(region=region, profile=profile)
    if inputs is None and not settings.bucket:
        raise click.UsageError("Say by --input where in S3 the request goes, as s3://bucket/in.")
    return AsynchronousTransport(
        Aws(settings.region, settings.profile),
        endpoint,
        inputs or f"s3://{settings.bucket}/{settings.project}/requests",
        timeout or 900,
        say=lambda line: click.echo(line, err=True),
    )
