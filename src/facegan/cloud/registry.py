"""Amazon ECR: a repository that scans and tidies itself, a login, a push, the digest to deploy."""

import base64
import json
import tempfile
from collections.abc import Sequence

from facegan.cloud.aws import Aws
from facegan.cloud.calls import Call
from facegan.docker_engine import Docker
from facegan.errors import CloudError

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


def ensure_repository(aws: Aws, name: str) -> str:
    """The repository's address; made, with scanning and its lifecycle, where it is missing.

    One that is there keeps its own settings.
    """
    create, tidy = creation(name)
    try:
        made = aws.ask(create)
    except CloudError as error:
        if error.code != "RepositoryAlreadyExistsException":
            raise
        found = aws.ask(Call("ecr", "DescribeRepositories", {"repositoryNames": [name]}, name))
        return str(found["repositories"][0]["repositoryUri"])
    aws.ask(tidy)
    return str(made["repository"]["repositoryUri"])


def creation(name: str) -> list[Call]:
    """The calls that make a repository that scans and tidies itself."""
    create = {"repositoryName": name, "imageScanningConfiguration": {"scanOnPush": True}}
    lifecycle = {"repositoryName": name, "lifecyclePolicyText": json.dumps(LIFECYCLE)}
    return [
        Call("ecr", "CreateRepository", create, name),
        Call("ecr", "PutLifecyclePolicy", lifecycle, name),
    ]


def push_image(docker: Docker, aws: Aws, image: str, repository: str, tags: Sequence[str]) -> str:
    """Push a local image under several tags.

    Args:
        docker: The engine that holds it.
        aws: Where the repository is.
        image: Its local name, as "facegan-training:local".
        repository: Name of the repository, as "facegan-training".
        tags: What it is called there.

    Returns:
        Its address by digest, "REGISTRY/REPOSITORY@sha256:…", which no later push changes.

    Raises:
        CloudError: a call of AWS failed.
        EngineError: there is no such image, or the registry does not take it.
    """
    docker.ask("image", "inspect", "--format", "{{.Id}}", image, doing=image)
    address = ensure_repository(aws, repository)
    token = aws.ask(Call("ecr", "GetAuthorizationToken", {}, repository))["authorizationData"][0]
    user, _, password = base64.b64decode(token["authorizationToken"]).decode().partition(":")
    # A configuration of its own: the login, good for twelve hours, is gone when the push is over.
    with tempfile.TemporaryDirectory() as own:
        docker.ask(
            "--config", own, "login", "--username", user, "--password-stdin",
            token["proxyEndpoint"], given=password, doing=f"Logging in to {token['proxyEndpoint']}",
        )  # fmt: skip
        names = [f"{address}:{tag}" for tag in tags]
        for name in names:
            docker.ask("tag", image, name)
            docker.ask("--config", own, "push", "--quiet", name, doing=f"Pushing {name}")
    told = docker.ask("image", "inspect", "--format", "{{json .RepoDigests}}", image)
    docker.ask("image", "rm", "--no-prune", *names)  # the names; the image keeps its own
    return next(str(digest) for digest in json.loads(told) if digest.startswith(f"{address}@"))
