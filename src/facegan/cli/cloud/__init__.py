"""`facegan cloud`: the line on AWS, each verb with a sibling that takes it back."""

import click

from facegan.cli.lazy import LazyVerbs, Verb

HERE = "facegan.cli.cloud"
VERBS = {
    "push": Verb(f"{HERE}.push", "The images to ECR, as `make push` does."),
    "train": Verb(f"{HERE}.train", "Start a training job."),
    "jobs": Verb(f"{HERE}.jobs", "List training jobs.", "jobs"),
    "attach": Verb(f"{HERE}.jobs", "Follow a training job to its end.", "attach"),
    "logs": Verb(f"{HERE}.jobs", "What a job's hosts, or an endpoint, printed.", "logs"),
    "stop": Verb(f"{HERE}.jobs", "Stop a training job; its checkpoints stay.", "stop"),
    "resume": Verb(f"{HERE}.jobs", "Go on with a stopped or failed job.", "resume"),
    "metrics": Verb(f"{HERE}.results", "A job's figures: a table, and curves.", "metrics"),
    "fetch": Verb(f"{HERE}.results", "A job's model, record and report.", "fetch"),
    "tune": Verb(f"{HERE}.tune", "Look for the best hyperparameters by many training jobs."),
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
