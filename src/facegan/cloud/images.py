"""Which image in ECR an endpoint runs, where nobody names one: the newest that was pushed."""

from facegan.cloud.aws import Aws
from facegan.cloud.calls import Call
from facegan.errors import CloudError

NOT_PUSHED = "`facegan cloud push` brings facegan-inference:local there; or name one by --image."


def newest_image(aws: Aws, repository: str) -> str:
    """The address by digest, "REGISTRY/REPOSITORY@sha256:…", of what was pushed last.

    Raises:
        CloudError: there is no such repository, or nothing in it.
    """
    named = {"repositoryNames": [repository]}
    try:
        found = aws.ask(Call("ecr", "DescribeRepositories", named, repository))["repositories"][0]
    except CloudError as error:
        if error.code != "RepositoryNotFoundException":
            raise
        raise CloudError(f"ECR has no repository {repository}.", NOT_PUSHED, error.code) from error
    listing = Call("ecr", "DescribeImages", {"repositoryName": repository}, repository)
    images = list(aws.pages(listing, "imageDetails"))
    if not images:
        raise CloudError(f"The repository {repository} is empty.", NOT_PUSHED, "ImageNotFound")
    newest = max(images, key=lambda image: image["imagePushedAt"])
    return f"{found['repositoryUri']}@{newest['imageDigest']}"
