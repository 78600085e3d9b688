"""`facegan cloud`: the line on AWS, each verb with a sibling that takes it back."""

import click

from facegan.cli.lazy import LazyVerbs, Verb

HERE = "facegan.cli.cloud"
VERBS = {
    "check": Verb(f"{HERE}.check", "What is missing: permissions, bucket, images, quotas."),
    "policy": Verb(f"{HERE}.iam", "Print an IAM policy, filled in.", "policy"),
    "role": Verb(f"{HERE}.iam", "Make or delete the roles that jobs and endpoints act as.", "role"),
    "upload": Verb(f"{HERE}.transfer", "A data set, or any folder or file, to S3.", "upload"),
    "download": Verb(f"{HERE}.transfer", "The same back.", "download"),
    "remove": Verb(f"{HERE}.transfer", "Delete what is at a place on S3.", "remove_command"),
    "push": Verb(f"{HERE}.push", "The images to ECR, as `make push` does."),
    "remove-images": Verb(f"{HERE}.push", "Delete them there.", "remove_images"),
    "train": Verb(f"{HERE}.train", "Start a training job."),
    "jobs": Verb(f"{HERE}.jobs", "List training jobs.", "jobs"),
    "attach": Verb(f"{HERE}.jobs", "Follow a training job to its end.", "attach"),
    "logs": Verb(f"{HERE}.jobs", "What a job's hosts, or an endpoint, printed.", "logs"),
    "stop": Verb(f"{HERE}.jobs", "Stop a training job; its checkpoints stay.", "stop"),
    "resume": Verb(f"{HERE}.jobs", "Go on with a stopped or failed job.", "resume"),
    "metrics": Verb(f"{HERE}.results", "A job's figures: a table, and curves.", "metrics"),
    "fetch": Verb(f"{HERE}.results", "A job's model, record and report.", "fetch"),
    "tune": Verb(f"{HERE}.tune", "Look for the best hyperparameters by many training jobs."),
    "register": Verb(f"{HERE}.models", "A model into the registry, with its card."),
    "approve": Verb(f"{HERE}.models", "Approve, or reject, a registered version.", "approve"),
    "models": Verb(f"{HERE}.models", "What is registered.", "models"),
    "unregister": Verb(f"{HERE}.models", "Take versions out of the registry.", "unregister"),
    "deploy": Verb(f"{HERE}.deploy", "Serve a model: by machines, serverless, asynchronously."),
    "update": Verb(f"{HERE}.deploy", "Another model behind an endpoint.", "update_command"),
    "endpoints": Verb(f"{HERE}.endpoints", "What serves, and what it costs."),
    "delete": Verb(f"{HERE}.endpoints", "Take an endpoint down, all of it.", "delete_command"),
    "transform": Verb(f"{HERE}.transform", "Draw a file of requests, without an endpoint."),
    "api": Verb(f"{HERE}.api", "The public door: an HTTPS address that answers with faces."),
    "costs": Verb(f"{HERE}.costs", "What something will cost, cost, or costs right now."),
    "destroy": Verb(f"{HERE}.destroy", "Take down everything that the project made."),
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
      facegan cloud train --data s3://my-bucket/faces/data/photos64 \\
          --instance-type ml.g5.xlarge --family stylegan2 --resolution 64 --name faces-1
      facegan cloud deploy faces --model faces-1 --instance-type ml.c7i.large
      facegan cloud delete faces
    """
