"""Amazon ECR: a repository that scans and tidies itself, a login, a push, the digest to deploy."""

import base64
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from facegan.cloud.aws import Aws
from facegan.cloud.calls import Call, carry_out
from facegan.cloud.training_request import tag_list
from facegan.docker_engine import Docker
from facegan.errors import CloudError

BATCH = 100  # images that one request deletes, by ECR
# Untagged images are what a tag left behind; of tagged ones as many are kept as anyone rolls back.
LIFECYCLE = {
    "rules": [
        {
            "rulePriority": 1,
            "description": "What no tag names any more, after two weeks",
            "selection": {
                "tagStatus": "untagged", "countType": "sinceImagePushed",
                "countUnit": "days", "countNumber": 14,
            },
            "action": {"type": "expire"},
        },
        {
            "rulePriority": 2,
            "description": "All but the newest thirty",
            "selection": {
                "tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 30,
            },
            "action": {"type": "expire"},
        },
    ]
}  # fmt: skip


def ensure_repository(aws: Aws, name: str, labels: Mapping[str, str] | None = None) -> str:
    """The repository's address; made, with scanning and its lifecycle, where it is missing.

    One that is there keeps its own settings.
    """
    try:
        found = aws.ask(Call("ecr", "DescribeRepositories", {"repositoryNames": [name]}, name))
        return str(found["repositories"][0]["repositoryUri"])
    except CloudError as error:
        if error.code != "RepositoryNotFoundException":
            raise
    made, _ = carry_out(aws.ask, creation(name, labels or {}))
    return str(made["repository"]["repositoryUri"])


def creation(name: str, labels: Mapping[str, str]) -> list[Call]:
    """The calls that make a repository that scans and tidies itself.

    Args:
        name: Its name.
        labels: Its tags on AWS, which are none of its images' tags.
    """
    create = {
        "repositoryName": name,
        "imageScanningConfiguration": {"scanOnPush": True},
        "tags": tag_list(labels),
    }
    lifecycle = {"repositoryName": name, "lifecyclePolicyText": json.dumps(LIFECYCLE)}
    undo = Call("ecr", "DeleteRepository", {"repositoryName": name}, name)
    return [
        Call("ecr", "CreateRepository", create, name, undo),
        Call("ecr", "PutLifecyclePolicy", lifecycle, name),
    ]


def push_image(
    docker: Docker,
    aws: Aws,
    image: str,
    repository: str,
    tags: Sequence[str],
    labels: Mapping[str, str] | None = None,
) -> str:
    """Push a local image under several tags.

    Args:
        docker: The engine that holds it.
        aws: Where the repository is.
        image: Its local name, as "facegan-training:local".
        repository: Name of the repository, as "facegan-training".
        tags: What it is called there.
        labels: Tags on AWS of a repository that has to be made.

    Returns:
        Its address by digest, "REGISTRY/REPOSITORY@sha256:…", which no later push changes.

    Raises:
        CloudError: a call of AWS failed.
        DockerError: there is no such image, or the registry does not take it.
    """
    docker.output("image", "inspect", "--format", "{{.Id}}", image, doing=image)
    address = ensure_repository(aws, repository, labels)
    token = aws.ask(Call("ecr", "GetAuthorizationToken", {}, repository))["authorizationData"][0]
    user, _, password = base64.b64decode(token["authorizationToken"]).decode().partition(":")
    # A configuration of its own: the login, good for twelve hours, is gone when the push is over.
    with tempfile.TemporaryDirectory() as own:
        docker.output(
            "--config", own, "login", "--username", user, "--password-stdin",
            token["proxyEndpoint"], stdin=password, doing=f"Logging in to {token['proxyEndpoint']}",
        )  # fmt: skip
        names = [f"{address}:{tag}" for tag in tags]
        for name in names:
            docker.output("tag", image, name)
            docker.output("--config", own, "push", "--quiet", name, doing=f"Pushing {name}")
    told = docker.output("image", "inspect", "--format", "{{json .RepoDigests}}", image)
    docker.output("image", "rm", "--no-prune", *names)  # the names; the image keeps its own
    return next(str(digest) for digest in json.loads(told) if digest.startswith(f"{address}@"))


def local_tags(docker: Docker, image: str) -> list[str]:
    """What an image is called here besides `local`: `make build` names version and commit.

    Raises:
        DockerError: there is no such image.
    """
    told = docker.output("image", "inspect", "--format", "{{json .RepoTags}}", image, doing=image)
    own = image.partition(":")[0]
    names = (str(name).rpartition(":") for name in json.loads(told) or ())
    return sorted(tag for name, _, tag in names if name == own and tag != "local")


@dataclass(frozen=True)
class Stored:
    """A repository with what is in it.

    Args:
        name: Its name.
        images: As DescribeImages has them, the newest first.
    """

    name: str
    images: tuple[dict[str, Any], ...]

    @property
    def size(self) -> int:
        """Bytes, of which images may share some."""
        return sum(int(image.get("imageSizeInBytes", 0)) for image in self.images)


def stored(aws: Aws, name: str) -> Stored | None:
    """A repository and its images; None where there is none.

    Raises:
        CloudError: it cannot be looked at.
    """
    listing = Call("ecr", "DescribeImages", {"repositoryName": name}, name)
    try:
        images = list(aws.pages(listing, "imageDetails"))
    except CloudError as error:
        if error.code == "RepositoryNotFoundException":
            return None
        raise
    images.sort(key=lambda image: str(image.get("imagePushedAt")), reverse=True)
    return Stored(name, tuple(images))


def removal(found: Stored, keep: int) -> list[Call]:
    """The calls that delete a repository, or all of its images but the newest.

    Args:
        found: The repository.
        keep: How many images stay; where none does, the repository goes.
    """
    if not keep:
        request: dict[str, Any] = {"repositoryName": found.name, "force": True}
        return [Call("ecr", "DeleteRepository", request, found.name)]
    old = [{"imageDigest": image["imageDigest"]} for image in found.images[keep:]]
    batches = [old[start : start + BATCH] for start in range(0, len(old), BATCH)]
    return [
        Call(
            "ecr",
            "BatchDeleteImage",
            {"repositoryName": found.name, "imageIds": batch},
            f"{len(batch)} images of {found.name}",
        )
        for batch in batches
    ]
