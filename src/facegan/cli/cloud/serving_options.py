"""What commands that serve a model on AWS share: which role, which image, which model."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import click

from facegan.cli.cloud.desk import Desk
from facegan.cloud.images import image_address, pinned
from facegan.cloud.model_registry import find_model, needs_aws

MODEL_HELP = (
    "s3://…/model.tar.gz; or a training job's name; or of the registry GROUP/3, or GROUP/latest, "
    "its newest approved version."
)
unapproved_option = click.option(
    "--unapproved", is_flag=True, help="Take a registered version that nobody has approved."
)
role_option = click.option(
    "--role", metavar="ARN", help="What it acts as.  [serving_role, or role, of facegan.toml]"
)
image_option = click.option(
    "--image",
    metavar="ADDRESS",
    help="What serves.  [the version's own; inference_image of facegan.toml; what was pushed last]",
)


@dataclass(frozen=True)
class Served:
    """A model to serve, by what, as whom."""

    model: str
    image: str
    role: str


def what_serves(
    desk: Desk, model: str, image: str | None, role: str | None, is_unapproved_taken: bool
) -> Served:
    """What the options and facegan.toml come to; AWS is asked what they leave open.

    Raises:
        CloudError: a setting is missing, or there is no such model.
    """
    settings = desk.settings
    acting = role or settings.serving_role or settings.need("role")
    if needs_aws(model) and desk.is_dry:
        desk.hint(f"What {model} is, only AWS knows: it is asked, and nothing is made.")
    source = find_model(desk.aws, model, is_unapproved_taken) if needs_aws(model) else None
    address = source.model if source else model
    named = image or (source.image if source else None)
    return Served(address, named or image_in_ecr(desk, acting), acting)


def image_in_ecr(desk: Desk, role: str) -> str:
    """The image that facegan.toml names, or we pushed last; a dry run does not ask its digest.

    Args:
        desk: Where to act.
        role: Of the account whose images they are.

    Raises:
        CloudError: it is not there, or no region is known.
    """
    settings = desk.settings.but(role=role)
    address = image_address(settings, "inference", settings.region or desk.aws.region)
    if desk.is_dry:
        desk.hint("The image will be named by its digest, which a dry run does not ask for.")
        return address
    return pinned(desk.aws, address)


def pairs(texts: tuple[str, ...], option: str) -> dict[str, str]:
    """NAME=VALUE, several times, as a dict.

    Raises:
        click.UsageError: one has no "=".
    """
    found = {}
    for text in texts:
        name, is_pair, value = text.partition("=")
        if not is_pair or not name:
            raise click.UsageError(f"{option} {text}: write NAME=VALUE.")
        found[name] = value
    return found


@contextmanager
def waiting(desk: Desk, goes_on: str) -> Iterator[None]:
    """Within, something is waited for; an interrupt says what goes on without us.

    Raises:
        KeyboardInterrupt: there was one.
    """
    try:
        yield
    except KeyboardInterrupt:
        desk.hint(f"\n{goes_on}")
        raise


def explained_json(described: Any) -> Any:
    """A description of AWS's without boto3's own part."""
    return {name: value for name, value in described.items() if name != "ResponseMetadata"}
