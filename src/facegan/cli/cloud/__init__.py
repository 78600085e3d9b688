"""`facegan cloud`: the line on AWS, each verb with a sibling that takes it back."""

import click

from facegan.cli.lazy import LazyVerbs, Verb

HERE = "facegan.cli.cloud"
VERBS = {
    "push": Verb(f"{HERE}.push", "The images to ECR, as `make push` does."),
    "api": Verb(f"{HERE}.api", "The public door: an HTTPS address that answers with faces."),
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
