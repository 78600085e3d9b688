"""What of a project is on AWS: the index of tags says what is ours, the services what is there.

The index (Resource Groups Tagging API) is minutes late, and SageMaker writes its ARNs in lower
case: so names and states come from each service's own list, and are matched by ARN.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from facegan.cloud.aws import Aws
from facegan.cloud.calls import Call
from facegan.cloud.settings import PROJECT_TAG
from facegan.errors import CloudError

OF_A_STACK = "aws:cloudformation:stack-id"  # AWS's own tag on what a stack made
MISSING_CODES = {
    "ResourceNotFound", "ResourceNotFoundException", "ObjectNotFoundException",
    "RepositoryNotFoundException", "NoSuchBucket", "NoSuchUpload", "404",
}  # fmt: skip
MISSING_WORDS = ("could not find", "does not exist", "not found", "cannot find")


@dataclass(frozen=True)
class Tagged:
    """One entry of the index.

    Args:
        arn: Its ARN.
        tags: All its tags.
    """

    arn: str
    tags: Mapping[str, str]

    @property
    def service(self) -> str:
        """As sagemaker, s3."""
        return self.arn.split(":")[2]

    @property
    def kind(self) -> str:
        """What it is to its service, as endpoint."""
        return self.parts[0]

    @property
    def name(self) -> str:
        """Its name, as the ARN has it: in lower case for SageMaker's."""
        return self.parts[1]

    @property
    def parts(self) -> tuple[str, str]:
        """Kind and name; a bucket's ARN does not say what it is."""
        resource = self.arn.split(":", 5)[5]
        kind, *name = re.split("[:/]", resource.lstrip("/"), maxsplit=1)
        if not name:
            return {"s3": "bucket"}.get(self.service, ""), kind
        return kind, name[0]


@dataclass(frozen=True)
class Found:
    """Something of SageMaker's that is ours.

    Args:
        name: Its name.
        about: Its entry in the service's list.
    """

    name: str
    about: Mapping[str, Any]


class Inventory:
    """What the index has of a project.

    Args:
        aws: Where to look.
        entries: Of the index.
    """

    def __init__(self, aws: Aws, entries: list[Tagged]) -> None:
        self.aws, self.entries = aws, entries
        self.arns = {one.arn.lower() for one in entries}
        self.seen: dict[str, list[Found]] = {}  # call → what it listed

    def of(self, service: str, kind: str) -> list[Tagged]:
        """The entries of one kind."""
        return [one for one in self.entries if (one.service, one.kind) == (service, kind)]

    def endpoints(self) -> list[Found]:
        """The endpoints that are there."""
        call = Call("sagemaker", "ListEndpoints", {}, "endpoints")
        return self.listed("endpoint", call, "Endpoints", "Endpoint")

    def configurations(self) -> list[Found]:
        """The endpoints' configurations that are there."""
        call = Call("sagemaker", "ListEndpointConfigs", {}, "endpoint configurations")
        return self.listed("endpoint-config", call, "EndpointConfigs", "EndpointConfig")

    def models(self) -> list[Found]:
        """The models that are there."""
        call = Call("sagemaker", "ListModels", {}, "models")
        return self.listed("model", call, "Models", "Model")

    def model_groups(self) -> list[Found]:
        """The registry's groups that are there."""
        call = Call("sagemaker", "ListModelPackageGroups", {}, "model package groups")
        items = "ModelPackageGroupSummaryList"
        return self.listed("model-package-group", call, items, "ModelPackageGroup")

    def experiments(self) -> list[Found]:
        """The groups of runs that are there."""
        call = Call("sagemaker", "ListExperiments", {}, "experiments")
        return self.listed("experiment", call, "ExperimentSummaries", "Experiment")

    def training_jobs(self, **only: Any) -> list[Found]:
        """The training jobs, those in a state where one is named."""
        call = Call("sagemaker", "ListTrainingJobs", only, "training jobs")
        return self.listed("training-job", call, "TrainingJobSummaries", "TrainingJob")

    def tuning_jobs(self, **only: Any) -> list[Found]:
        """The tuning jobs, those in a state where one is named."""
        call = Call("sagemaker", "ListHyperParameterTuningJobs", only, "tuning jobs")
        items, stem = "HyperParameterTuningJobSummaries", "HyperParameterTuningJob"
        return self.listed("hyper-parameter-tuning-job", call, items, stem)

    def transform_jobs(self, **only: Any) -> list[Found]:
        """The batch jobs, those in a state where one is named."""
        call = Call("sagemaker", "ListTransformJobs", only, "transform jobs")
        return self.listed("transform-job", call, "TransformJobSummaries", "TransformJob")

    def listed(self, kind: str, call: Call, items: str, stem: str) -> list[Found]:
        """What a service lists of what is ours; not asked where the index has none of the kind."""
        if not self.of("sagemaker", kind):
            return []
        asked = f"{call.action} {call.request}"
        if asked not in self.seen:
            self.seen[asked] = [
                Found(str(one[f"{stem}Name"]), one)
                for one in self.aws.pages(call, items)
                if str(one[f"{stem}Arn"]).lower() in self.arns
            ]
        return self.seen[asked]


def inventory(aws: Aws, project: str) -> Inventory:
    """What the index of tags has of a project, in one region.

    Raises:
        CloudError: a call failed.
    """
    wanted = {"TagFilters": [{"Key": PROJECT_TAG, "Values": [project]}]}
    call = Call("resourcegroupstaggingapi", "GetResources", wanted, f"project {project}")
    found = aws.pages(call, "ResourceTagMappingList")
    return Inventory(aws, [entry(one) for one in found])


def entry(one: Mapping[str, Any]) -> Tagged:
    """An entry as the index has it."""
    return Tagged(one["ResourceARN"], {tag["Key"]: tag["Value"] for tag in one.get("Tags", ())})


def is_missing(error: CloudError) -> bool:
    """Whether a call failed because what it was about is not there."""
    if error.code in MISSING_CODES:
        return True
    told = error.message.lower()
    return error.code in ("ValidationException", "ValidationError") and any(
        words in told for words in MISSING_WORDS
    )


def there(aws: Aws, call: Call) -> Any:
    """The answer of a call that describes something; None where that is not there.

    Raises:
        CloudError: the call failed for another reason.
    """
    try:
        return aws.ask(call)
    except CloudError as error:
        if is_missing(error):
            return None
        raise


def pages_or_none(aws: Aws, call: Call, items: str) -> Iterator[Any]:
    """Everything that a call lists; nothing where what it lists in is not there."""
    try:
        yield from aws.pages(call, items)
    except CloudError as error:
        if not is_missing(error):
            raise
