"""The IAM policies in infra/iam, with an account's own names in their places."""

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from facegan.cloud.aws import Aws
from facegan.cloud.calls import Call
from facegan.cloud.settings import Settings
from facegan.errors import CloudError, ConfigError, did_you_mean

FOLDERS = (  # in a checkout; where pip puts them
    Path(__file__).parents[3] / "infra/iam",
    Path(sys.prefix) / "share/facegan/infra/iam",
)
PLACEHOLDER = re.compile(r"\$\{([A-Za-z]+)\}")  # ${Bucket}; IAM's own have a colon, ${aws:username}
PARTITIONS = (("cn-", "aws-cn"), ("us-gov-", "aws-us-gov"))
ROLES = ("training", "serving")  # those that jobs and endpoints act as


def folder() -> Path:
    """Where the policies are.

    Raises:
        CloudError: this installation has none.
    """
    for place in FOLDERS:
        if place.is_dir():
            return place
    hint = "They are in the repository: infra/iam."
    raise CloudError("This installation of facegan has no IAM policies.", hint)


def policy_names() -> list[str]:
    """The policies there are."""
    return sorted(path.stem for path in folder().glob("*.json"))


def read_policy(name: str) -> dict[str, Any]:
    """A policy as it is in its file.

    Raises:
        ConfigError: there is none of this name.
        CloudError: this installation has none.
    """
    if name not in policy_names():
        hint = did_you_mean(name, policy_names(), "policies")
        raise ConfigError(f"There is no policy {name!r}.", hint)
    document: dict[str, Any] = json.loads((folder() / f"{name}.json").read_text())
    return document


def filled(value: Any, names: Mapping[str, str]) -> Any:
    """A policy, or any part of one, with names in their places.

    Raises:
        ConfigError: a place has no name.
    """
    if isinstance(value, dict):
        return {key: filled(it, names) for key, it in value.items()}
    if isinstance(value, list):
        return [filled(it, names) for it in value]

    def name_of(found: re.Match[str]) -> str:
        if found[1] in names:
            return names[found[1]]
        raise ConfigError(f"The policy has ${{{found[1]}}}, and nothing is known to put there.")

    return PLACEHOLDER.sub(name_of, value) if isinstance(value, str) else value


def names_of(settings: Settings, account: str, region: str) -> dict[str, str]:
    """What goes into the places of policies.

    Args:
        settings: Names the bucket.
        account: Twelve digits.
        region: Where all is.

    Raises:
        CloudError: no bucket is known.
    """
    names = {
        "Partition": partition_of(region),
        "Account": account,
        "Region": region,
        "Bucket": settings.need("bucket"),
        "Project": settings.project,
        "Repository": settings.repository,
        "TrainingRole": role_name(settings, "training"),
        "ServingRole": role_name(settings, "serving"),
    }
    return names | ({"KmsKey": settings.kms_key} if settings.kms_key else {})


def role_name(settings: Settings, kind: str) -> str:
    """The name, without its path, of the role that jobs or endpoints act as."""
    arn = settings.role if kind == "training" else settings.serving_role
    return arn.rpartition("/")[2] if arn else f"{settings.project}-{kind}"


def policies_of(settings: Settings, kind: str) -> list[str]:
    """The policies that a role of ours has."""
    extra = {"vpc": settings.subnets, "kms": settings.kms_key}
    return [kind, *(name for name, is_used in extra.items() if is_used)]


def partition_of(region: str) -> str:
    """The part of AWS that a region is in: ARNs begin with it."""
    return next((it for start, it in PARTITIONS if region.startswith(start)), "aws")


def account_of(aws: Aws) -> str:
    """The account of the credentials.

    Raises:
        CloudError: there are none, or they are not valid.
    """
    return str(aws.ask(Call("sts", "GetCallerIdentity", {}, "your credentials"))["Account"])


def statements(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A policy's statements."""
    return list(document["Statement"])
