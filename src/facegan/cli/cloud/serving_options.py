"""What commands that serve a model on AWS share: which role, which image, which model."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import click

from facegan.cli.cloud.desk import Desk
from facegan.cloud.images import image_address, pinned, unpinned
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
    desk: Desk, model: str, wish: Mapping[str, Any], is_unapproved_taken: bool
) -> Served:
    """Return what the options and facegan.toml come to; AWS is asked what they leave open.

    Args:
        desk: Where to act.
        model: What ``MODEL_HELP`` says.
        wish: The options ``image``, ``role``, ``instance_type`` and ``env``.
        is_unapproved_taken: Whether a registered version may be unapproved.

    Raises:
        CloudError: a setting is missing, or there is no such model.
    """
    settings = desk.settings
    acting = wish["role"] or settings.serving_role or settings.need("role")
    if needs_aws(model) and desk.is_dry:
        desk.hint(f"What {model} is, only AWS knows: it is asked, and nothing is made.")
    source = find_model(desk.aws, model, is_unapproved_taken) if needs_aws(model) else None
    address = source.model if source else model
    named = wish["image"] or (source.image if source else None)
    is_on_gpu = "FACEGAN_DEVICE=cpu" not in wish["env"]
    machine = wish["instance_type"] if is_on_gpu else None
    return Served(address, named or image_in_ecr(desk, acting, machine), acting)


def image_in_ecr(desk: Desk, role: str, instance_type: str | None = None) -> str:
    """Return the image that facegan.toml names, or that was pushed last, by its digest.

    Args:
        desk: Where to act; a dry run asks nobody, and gets this version's tag.
        role: Of the account whose images they are.
        instance_type: Where it will run; None: anywhere.

    Raises:
        CloudError: it is not there, or no region is known.
    """
    settings = desk.settings.but(role=role)
    address = image_address(settings, "inference", settings.region or desk.aws.region)
    if desk.is_dry:
        desk.hint("A real run takes the newest image that was pushed, by its digest.")
        return unpinned(address)
    return pinned(desk.aws, address, instance_type)


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
