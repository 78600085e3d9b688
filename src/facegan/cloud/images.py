"""Finds the image that a job or an endpoint runs: the named one, else the newest pushed."""

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from facegan import __version__
from facegan.cloud.aws import Aws
from facegan.cloud.calls import Call
from facegan.cloud.settings import Settings
from facegan.errors import CloudError, ConfigError
from facegan.gpu_check import has_gpu

ECR = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(\.cn)?"
    r"/(?P<repository>[^:@]+)(:(?P<tag>[^@]+))?(@(?P<digest>sha256:[0-9a-f]{64}))?"
)
ABSENT = ("RepositoryNotFoundException", "ImageNotFoundException")
PUSH = "Push it: `facegan cloud push`; or name another image in facegan.toml."


def image_address(settings: Settings, kind: str, region: str | None) -> str:
    """Return the address of an image of ours, without asking AWS.

    Args:
        settings: May name it; else its repository, in the account that the role belongs to.
        kind: "training" or "inference".
        region: Where the repository is.

    Returns:
        The named image; else the repository's address without a tag, which means the image that
        was pushed to it last (:func:`pinned`).

    Raises:
        CloudError: nothing tells the account, or the region.
    """
    named: str | None = getattr(settings, f"{kind}_image")
    if named:
        return named
    role = settings.need("role").split(":")
    if not region:
        hint = "Name a --region, as eu-west-1, or write one into facegan.toml."
        raise CloudError("No region is known.", hint)
    account = role[4] if len(role) > 4 else ""
    domain = "amazonaws.com.cn" if role[1:2] == ["aws-cn"] else "amazonaws.com"
    return f"{account}.dkr.ecr.{region}.{domain}/{settings.repository}-{kind}"


def unpinned(address: str) -> str:
    """Return an address for a dry run, which asks nobody: this version's tag where it has none."""
    return f"{address}:{__version__}" if means_newest(address) else address


def means_newest(address: str) -> bool:
    """Return whether an address in ECR has neither tag nor digest: it means the newest image."""
    parts = ECR.fullmatch(address)
    return bool(parts and not parts["tag"] and not parts["digest"])


def find_image(aws: Aws, address: str) -> dict[str, Any]:
    """Return what ECR says of an image: the named one, or the one that was pushed last.

    Only tagged images count as pushed: behind a tag with attestations there are further manifests
    without one.

    Args:
        aws: Where it is looked up.
        address: REGISTRY/REPOSITORY, with :TAG or @sha256:… or neither; the repository's name alone
            means the caller's own account.

    Returns:
        An ``ImageDetail`` of ECR's DescribeImages.

    Raises:
        CloudError: it is not there (code in ``ABSENT``), or may not be looked at.
    """
    parts = ECR.fullmatch(address)
    repository = parts["repository"] if parts else address
    request: dict[str, Any] = {"repositoryName": repository}
    if parts:
        request |= {"registryId": parts["account"]}
    if parts and parts["digest"]:
        request |= {"imageIds": [{"imageDigest": parts["digest"]}]}
    elif parts and parts["tag"]:
        request |= {"imageIds": [{"imageTag": parts["tag"]}]}
    else:
        request |= {"filter": {"tagStatus": "TAGGED"}}
    try:
        call = Call("ecr", "DescribeImages", request, address)
        images: Iterator[dict[str, Any]] = aws.pages(call, "imageDetails")
        found = max(images, key=pushed_at, default=None)
    except CloudError as error:
        if error.code not in ABSENT:
            raise
        told = f"The image {address} is not in ECR."
        if error.code == "RepositoryNotFoundException":
            told = f"There is no repository {repository} in ECR, for the image {address}."
        raise CloudError(told, PUSH, error.code) from error
    if found is None:
        raise CloudError(f"No image was pushed to {address} yet.", PUSH, "ImageNotFoundException")
    return found


def pushed_at(image: Mapping[str, Any]) -> datetime:
    """Return when an image came to ECR."""
    at: datetime = image.get("imagePushedAt") or datetime.min.replace(tzinfo=UTC)
    return at


def pinned(aws: Aws, address: str, instance_type: str | None = None) -> str:
    """Return the same image by its digest, which no later push changes.

    Args:
        aws: Where it is looked up.
        address: In ECR; another registry's is left as it is.
        instance_type: Where the image will run, as "ml.g5.xlarge".

    Raises:
        CloudError: it is not there, or may not be looked at.
        ConfigError: it was pushed as the variant without CUDA, and the instance has a GPU.
    """
    if not ECR.fullmatch(address):
        return address
    try:
        found = find_image(aws, address)
    except CloudError as error:
        if not error.code.startswith("AccessDenied"):
            raise
        if not means_newest(address):
            return address  # the role may pull what the caller may not look at
        told = f"Your credentials may not list {address}, so its newest image is not known."
        hint = "Name one (--image ADDRESS:TAG), or get ecr:DescribeImages (infra/iam)."
        raise CloudError(told, hint, error.code) from error
    check_runs_on(found.get("imageTags", ()), instance_type, address)
    return re.split(r"[@]|:(?=[^/]*$)", address)[0] + f"@{found['imageDigest']}"


def check_runs_on(tags: Iterable[str], instance_type: str | None, address: str) -> None:
    """Refuse to pay for a GPU that the image cannot use: `make build` names those tags -cpu.

    Raises:
        ConfigError: every tag of the image ends in -cpu, and the instance type has a GPU.
    """
    names = list(tags)
    if has_gpu(instance_type) and names and all(name.endswith("-cpu") for name in names):
        raise ConfigError(
            f"{instance_type} has a GPU, and the image {address} ({', '.join(sorted(names))}) is "
            "the variant without CUDA.",
            "Push the other one (facegan cloud push --variant cuda), name an --image, or choose "
            "an instance type without a GPU.",
        )
