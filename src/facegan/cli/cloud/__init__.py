"""`facegan cloud`: the line on AWS, each verb with a sibling that takes it back."""

import click

from facegan.cli.lazy import LazyVerbs, Verb

HERE = "facegan.cli.cloud"
VERBS = {
    "push": Verb(f"{HERE}.push", "The images to ECR, as `make push` does."),
    "register": Verb(f"{HERE}.models", "A model into the registry, with its card."),
    "approve": Verb(f"{HERE}.models", "Approve, or reject, a registered version.", "approve"),
    "models": Verb(f"{HERE}.models", "What is registered.", "models"),
    "unregister": Verb(f"{HERE}.models", "Take versions out of the registry.", "unregister"),
    "deploy": Verb(f"{HERE}.deploy", "Serve a model: by machines, serverless, asynchronously."),
    "update": Verb(f"{HERE}.deploy", "Another model behind an endpoint.", "update_command"),
    "endpoints": Verb(f"{HERE}.endpoints", "What serves, and what it costs."),
    "delete": Verb(f"{HERE}.endpoints", "Take an endpoint down, all of it.", "delete_command"),
    "transform": Verb(f"{HERE}.transform", "Draw a file of requests, without an endpoint."),
}


@click.command(cls=LazyVerbs, verbs=VERBS, title="Commands, in the order of the line")
def command() -> None:
    """Train and serve on Amazon SageMaker, with your AWS credentials.

    Flags count first, then [cloud] in facegan.toml, then your AWS profile. Every command that makes
    something prints the exact requests with --dry-run, which needs no account, and asks before
    anything that costs.

    \b
      facegan cloud check --instance-type ml.g5.xlarge
      facegan cloud upload runs/photos64
      facegan cloud push
      facegan cloud train --data s3://my-bucket/photos64 --instance-type ml.g5.xlarge
      facegan cloud deploy faces --model s3://my-bucket/faces/model.tar.gz
      facegan cloud delete faces
    """
