"""`facegan cloud`: the line on AWS, each verb with a sibling that takes it back."""

import click

from facegan.cli.lazy import LazyCommand, LazyGroup

HERE = "facegan.cli.cloud"
COMMANDS = {
    "check": LazyCommand(f"{HERE}.check", "What is missing: permissions, bucket, images, quotas."),
    "policy": LazyCommand(f"{HERE}.iam", "Print an IAM policy, filled in.", "policy"),
    "role": LazyCommand(
        f"{HERE}.iam", "Make or delete the roles that jobs and endpoints act as.", "role"
    ),
    "upload": LazyCommand(
        f"{HERE}.transfer", "A data set, or any folder or file, to S3.", "upload"
    ),
    "download": LazyCommand(f"{HERE}.transfer", "The same back.", "download"),
    "remove": LazyCommand(f"{HERE}.transfer", "Delete what is at a place on S3.", "remove_command"),
    "push": LazyCommand(f"{HERE}.push", "The images to ECR, as `make push` does."),
    "remove-images": LazyCommand(f"{HERE}.push", "Delete them there.", "remove_images"),
    "train": LazyCommand(f"{HERE}.train", "Start a training job."),
    "jobs": LazyCommand(f"{HERE}.jobs", "List training jobs.", "jobs"),
    "attach": LazyCommand(f"{HERE}.jobs", "Follow a training job to its end.", "attach"),
    "logs": LazyCommand(f"{HERE}.jobs", "What a job's hosts, or an endpoint, printed.", "logs"),
    "stop": LazyCommand(f"{HERE}.jobs", "Stop a training job; its checkpoints stay.", "stop"),
    "resume": LazyCommand(f"{HERE}.jobs", "Go on with a stopped or failed job.", "resume"),
    "metrics": LazyCommand(f"{HERE}.results", "A job's figures: a table, and curves.", "metrics"),
    "fetch": LazyCommand(f"{HERE}.results", "A job's model, record and report.", "fetch"),
    "tune": LazyCommand(f"{HERE}.tune", "Look for the best hyperparameters by many training jobs."),
    "register": LazyCommand(f"{HERE}.models", "A model into the registry, with its card."),
    "approve": LazyCommand(
        f"{HERE}.models", "Approve, or reject, a registered version.", "approve"
    ),
    "models": LazyCommand(f"{HERE}.models", "What is registered.", "models"),
    "unregister": LazyCommand(f"{HERE}.models", "Take versions out of the registry.", "unregister"),
    "deploy": LazyCommand(
        f"{HERE}.deploy", "Serve a model: by machines, serverless, asynchronously."
    ),
    "update": LazyCommand(f"{HERE}.deploy", "Another model behind an endpoint.", "update_command"),
    "endpoints": LazyCommand(f"{HERE}.endpoints", "What serves, and what it costs."),
    "delete": LazyCommand(
        f"{HERE}.endpoints", "Take an endpoint down, all of it.", "delete_command"
    ),
    "transform": LazyCommand(f"{HERE}.transform", "Draw a file of requests, without an endpoint."),
    "api": LazyCommand(f"{HERE}.api", "The public door: an HTTPS address that answers with faces."),
    "costs": LazyCommand(f"{HERE}.costs", "What something will cost, cost, or costs right now."),
    "destroy": LazyCommand(f"{HERE}.destroy", "Take down everything that the project made."),
}


@click.command(cls=LazyGroup, lazy_commands=COMMANDS, title="Commands, in the order of the line")
def command() -> None:
    """Train and serve on Amazon SageMaker, with your AWS credentials.

    Flags count first, then [cloud] in facegan.toml, then your AWS profile. Every command that makes
    something prints the exact requests with --dry-run, which needs no account, and asks before
    anything that costs.

    \b
      facegan cloud check --instance-type ml.g5.xlarge
      facegan cloud upload runs/photos64
      facegan cloud push
      facegan cloud train --data s3://my-bucket/faces/data/photos64 \\
          --instance-type ml.g5.xlarge --family stylegan2 --resolution 64 --name faces-1
      facegan cloud deploy faces --model faces-1 --instance-type ml.c7i.large
      facegan cloud delete faces
    """
