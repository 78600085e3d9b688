"""Amazon ECR: a repository that scans and tidies itself, a login, a push, the digest to deploy."""

import base64
import json
import tempfile
from collections.abc import Sequence
from typing import Any

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
HINTS = {  # error code of AWS → the next step
    "AccessDeniedException": "Your role needs the permission ecr:{action}.",
    "ExpiredTokenException": "Renew your credentials: `aws sso login`, or `aws configure`.",
    "UnrecognizedClientException": "Check your credentials: `aws sts get-caller-identity`.",
    "InvalidSignatureException": "Check your credentials, and this machine's clock.",
    "LimitExceededException": "Ask AWS for a higher quota, or delete repositories.",
}


def make_ecr(region: str | None = None, profile: str | None = None) -> Any:
    """A boto3 client of ECR.

    Raises:
        CloudError: boto3 is not installed, no region is known, or the profile is unknown.
    """
    try:
        import boto3
        from botocore.exceptions import BotoCoreError
    except ImportError as cause:
        raise CloudError("boto3 is not installed.", "pip install 'facegan[cloud]'") from cause
    try:
        return boto3.Session(profile_name=profile, region_name=region).client("ecr")
    except BotoCoreError as cause:
        hint = "Name a region or a profile: make push ARGS='--region eu-west-1'."
        raise CloudError(f"ECR: {str(cause).rstrip('.')}.", hint) from cause


def call(ecr: Any, action: str, resource: str, **asked: Any) -> Any:
    """One call of ECR's API.

    Raises:
        CloudError: it failed; names the action, the resource and the next step.
    """
    from botocore import xform_name
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return getattr(ecr, xform_name(action))(**asked)
    except ClientError as cause:
        told = cause.response["Error"]
        code = str(told.get("Code"))
        hint = HINTS.get(code, "").format(action=action)
        message = f"ecr:{action} on {resource!r} failed: {code}: {told.get('Message')}"
        raise CloudError(message, hint) from cause
    except BotoCoreError as cause:
        hint = "Run `aws configure`, or name a profile." if "redentials" in str(cause) else ""
        message = f"ecr:{action} on {resource!r}: {str(cause).rstrip('.')}."
        raise CloudError(message, hint) from cause


def ensure_repository(ecr: Any, name: str) -> str:
    """The repository's address; made, with scanning and its lifecycle, where it is missing.

    One that is there keeps its own settings.
    """
    create = {"repositoryName": name, "imageScanningConfiguration": {"scanOnPush": True}}
    try:
        made = call(ecr, "CreateRepository", name, **create)
    except CloudError as error:
        if "RepositoryAlreadyExistsException" not in error.message:
            raise
        found = call(ecr, "DescribeRepositories", name, repositoryNames=[name])
        return str(found["repositories"][0]["repositoryUri"])
    policy = json.dumps(LIFECYCLE)
    call(ecr, "PutLifecyclePolicy", name, repositoryName=name, lifecyclePolicyText=policy)
    return str(made["repository"]["repositoryUri"])


def push_image(docker: Docker, ecr: Any, image: str, repository: str, tags: Sequence[str]) -> str:
    """Push a local image under several tags.

    Args:
        docker: The engine that holds it.
        ecr: ECR's client.
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
    address = ensure_repository(ecr, repository)
    token = call(ecr, "GetAuthorizationToken", repository)["authorizationData"][0]
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
