"""Which image a job or an endpoint runs: the one that is named, else the newest we pushed."""

import re

from facegan.cloud.aws import Aws
from facegan.cloud.calls import Call
from facegan.cloud.settings import Settings
from facegan.errors import CloudError

ECR = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(\.cn)?"
    r"/(?P<repository>[^:@]+)(:(?P<tag>[^@]+))?(@(?P<digest>sha256:[0-9a-f]{64}))?"
)
ABSENT = ("RepositoryNotFoundException", "ImageNotFoundException")
PUSH = "Push it: `facegan cloud push`; or name another image in facegan.toml."


def image_address(settings: Settings, kind: str, region: str | None) -> str:
    """The address of an image of ours, found without asking AWS.

    Args:
        settings: May name it; else its repository, in the account that the role belongs to.
        kind: "training" or "inference".
        region: Where the repository is.

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
    return f"{account}.dkr.ecr.{region}.{domain}/{settings.repository}-{kind}:latest"


def pinned(aws: Aws, address: str) -> str:
    """The same image by its digest, which no later push changes.

    Args:
        aws: Where it is looked up.
        address: In ECR; another registry's is left as it is.

    Raises:
        CloudError: it is not there, or may not be looked at.
    """
    parts = ECR.fullmatch(address)
    if not parts:
        return address
    by = (
        {"imageDigest": parts["digest"]}
        if parts["digest"]
        else {"imageTag": parts["tag"] or "latest"}
    )
    request = {
        "registryId": parts["account"],
        "repositoryName": parts["repository"],
        "imageIds": [by],
    }
    try:
        found = aws.ask(Call("ecr", "DescribeImages", request, address))
    except CloudError as error:
        if error.code in ABSENT:
            raise CloudError(f"The image {address} is not in ECR.", PUSH, error.code) from error
        raise
    digest = found["imageDetails"][0]["imageDigest"]
    return re.split(r"[@]|:(?=[^/]*$)", address)[0] + f"@{digest}"
