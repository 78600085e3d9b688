"""`facegan invoke`: gets images from a running endpoint, on AWS or on this machine."""

from typing import Any

import click

from facegan.cli.face_output import parse_output, write_faces, write_faces_streamed
from facegan.cli.inputs import URL
from facegan.cli.options import image_options
from facegan.cli.source_folder import parse_folder, write_folder
from facegan.client import FaceClient, Transport
from facegan.cloud.invoke_endpoint import SageMakerTransport

# Imports inside functions: boto3 takes 0.2 s, and only AWS needs it.


@click.command("invoke")
@click.option(
    "--endpoint",
    default="facegan",
    show_default=True,
    metavar="NAME",
    help="Name of the endpoint; a server on this machine accepts any.",
)
@click.option(
    "--endpoint-url",
    type=URL,
    metavar="URL",
    help="Address of a server, e.g. http://localhost:8080.  [default: AWS]",
)
@image_options
@click.option("--stream", is_flag=True, help="Write each image as it arrives; --out is a folder.")
@click.option("--target-model", metavar="NAME", help="Model of a multi-model endpoint.")
@click.option("--target-variant", metavar="NAME", help="Production variant of the endpoint.")
@click.option("--asynchronous", is_flag=True, help="Call an asynchronous endpoint, through S3.")
@click.option(
    "--input",
    "inputs",
    metavar="S3",
    help="S3 prefix for the asynchronous request.  "
    "[default: s3://BUCKET/PROJECT/requests, from facegan.toml]",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=1),
    metavar="SECONDS",
    help="Timeout for --asynchronous.  [default: 900]",
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
    **options: Any,
) -> None:
    """Get images from a running endpoint, through boto3, as any program on AWS would.

    \b
    A grid of 16 images from `facegan serve` on this machine; needs no AWS account:
      facegan invoke --endpoint-url http://localhost:8080 --seeds 0-15 --out faces.png

    \b
    The same from an endpoint on AWS, with your credentials (the endpoint is billed):
      facegan invoke --endpoint my-faces --region eu-west-1 --seeds 0-15 --out faces.png

    \b
    One PNG per seed, in a folder; one row of four; the bare pixels of your own latents:
      facegan invoke --endpoint-url http://localhost:8080 --seeds 3,8 --out faces/
      facegan invoke --endpoint-url http://localhost:8080 --seeds 0-3 --columns 4 --out row.png
      facegan invoke --endpoint-url http://localhost:8080 --latents z.npy --out faces.npy

    \b
    An interpolation, as an animation; a table of mixed styles from a stylegan2 on port 8081:
      facegan invoke --endpoint-url http://localhost:8080 --seeds 3,8 --interpolate 24 --out a.webp
      facegan invoke --endpoint-url http://localhost:8081 --seeds 0-3 --mix 7,8,9 --out mixed.png

    \b
    A smaller file; a zip of PNGs named by seed; one line of JSON per image, streamed:
      facegan invoke --endpoint-url http://localhost:8080 --seeds 0-15 --quality 80 --out faces.jpg
      facegan invoke --endpoint-url http://localhost:8080 --seeds 0-15 --out faces.zip
      facegan invoke --endpoint-url http://localhost:8080 --seeds 0-15 --out faces.jsonl

    \b
    A photo translated by a model on port 8082; a label map painted by one on port 8083:
      facegan invoke --endpoint-url http://localhost:8082 --image photo.jpg --out night.png
      facegan invoke --endpoint-url http://localhost:8082 --image photos/ --out nights/
      facegan invoke --endpoint-url http://localhost:8083 --label-map map.png --seeds 1 --out a.png

    \b
    Each image as soon as it is generated; a multi-model endpoint; an asynchronous endpoint, which
    may have to start an instance first (the request is uploaded to S3 and deleted afterwards):
      facegan invoke --endpoint my-faces --seeds 0-63 --stream --out faces/
      facegan invoke --endpoint many --target-model cats.tar.gz --seeds 0-15 --out cats.png
      facegan invoke --endpoint slow --asynchronous --input s3://my-bucket/in --seeds 3 --out f.png
    """
    folder = parse_folder(options)
    output = None if folder else parse_output(**options)
    if stream and output and output.content_type is not None:
        raise click.UsageError(
            f"--out {output.path}: --stream writes one file per image; give a folder, e.g. images/."
        )
    transport: Transport
    if asynchronous:
        if endpoint_url or target_model or target_variant or stream:
            raise click.UsageError(
                "--asynchronous cannot be combined with --endpoint-url, --stream, --target-model "
                "and --target-variant."
            )
        transport = asynchronous_transport(endpoint, region, profile, inputs, timeout)
    else:
        if inputs or timeout:
            raise click.UsageError("--input and --timeout go with --asynchronous.")
        transport = SageMakerTransport(
            endpoint, endpoint_url, region, profile, target_model, target_variant
        )
    if folder:
        write_folder(folder, FaceClient(transport), is_streamed=stream)
    elif output:
        (write_faces_streamed if stream else write_faces)(output, FaceClient(transport))


def asynchronous_transport(
    endpoint: str,
    region: str | None,
    profile: str | None,
    inputs: str | None,
    timeout: float | None,
) -> Transport:
    """Return the transport to an asynchronous endpoint; facegan.toml has defaults for the flags."""
    from facegan.cloud.aws import Aws
    from facegan.cloud.invoke_asynchronously import AsynchronousTransport
    from facegan.cloud.settings import Settings

    settings = Settings.read().but(region=region, profile=profile)
    if inputs is None and not settings.bucket:
        raise click.UsageError("Pass an S3 prefix for the request: --input s3://bucket/in.")
    return AsynchronousTransport(
        Aws(settings.region, settings.profile),
        endpoint,
        inputs or f"s3://{settings.bucket}/{settings.project}/requests",
        timeout or 900,
        say=lambda line: click.echo(line, err=True),
    )
