"""SageMaker's model registry: versions of a model with their cards, approved before they serve.

https://docs.aws.amazon.com/sagemaker/latest/dg/model-registry.html
"""

import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from facegan.cloud.aws import Aws
from facegan.cloud.calls import Call
from facegan.cloud.endpoint_requests import check_archive_address, is_absent
from facegan.cloud.limits import check_image, check_name, check_place
from facegan.cloud.model_archive import check_archive
from facegan.cloud.training_request import tag_list
from facegan.errors import CloudError, ConfigError

APPROVED, PENDING, REJECTED = "Approved", "PendingManualApproval", "Rejected"
REQUEST_TYPES = ["application/json", "application/jsonlines", "application/x-npy"]
REPLY_TYPES = [
    "image/png", "image/jpeg", "image/webp", "application/json", "application/jsonlines",
    "application/x-npy", "application/zip",
]  # fmt: skip
VERSION = re.compile(r"([a-zA-Z0-9](?:-*[a-zA-Z0-9])*)/(\d{1,9}|latest)")
PACKAGE_ARN = re.compile(r"arn:aws[a-z\-]*:sagemaker:[a-z0-9\-]+:\d{12}:model-package/\S+")
MAX_PROPERTIES = 50


@dataclass(frozen=True, kw_only=True)
class RegisteredModel:
    """A model's version, with what its card says; checked when it is made.

    Raises:
        ConfigError: something the service would refuse; it is named.
    """

    group: str
    image: str
    model: str  # s3://…/model.tar.gz
    card: Mapping[str, Any]
    tags: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_name(self.group, "group of models")
        check_image(self.image)
        check_place(self.model, "model", "")
        check_archive_address(self.model)

    def group_request(self) -> dict[str, Any]:
        """The arguments of ``create_model_package_group``."""
        request: dict[str, Any] = {
            "ModelPackageGroupName": self.group,
            "ModelPackageGroupDescription": "Generators of faces, by facegan.",
        }
        return request | ({"Tags": tag_list(self.tags)} if self.tags else {})

    def request(self) -> dict[str, Any]:
        """The arguments of ``create_model_package``; versions take their tags from the group."""
        return {
            "ModelPackageGroupName": self.group,
            "ModelPackageDescription": self.summary,
            "ModelApprovalStatus": PENDING,
            "InferenceSpecification": {
                "Containers": [{"Image": self.image, "ModelDataUrl": self.model}],
                "SupportedContentTypes": REQUEST_TYPES,
                "SupportedResponseMIMETypes": REPLY_TYPES,
            },
            "CustomerMetadataProperties": properties(self.card),
        }

    @property
    def summary(self) -> str:
        """The card in a line."""
        card = self.card
        side = (card.get("image_shape") or ["?"])[-1]
        trained = f"{card.get('kimg', 0):g} kimg"
        return f"{card.get('family')} {card.get('preset')}, {side} pixels, {trained}"


def properties(card: Mapping[str, Any]) -> dict[str, str]:
    """A card's facts as the registry keeps them: short texts by name, numbers of quality first."""
    facts = {name: card.get(name) for name in ("family", "preset", "kimg", "weights_sha256")}
    facts["resolution"] = (card.get("image_shape") or [None])[-1]
    dataset = card.get("dataset") or {}
    facts |= {f"dataset.{name}": dataset.get(name) for name in ("name", "images", "digest")}
    metrics = card.get("metrics") or {}
    for when in ("best", "last"):
        figures = metrics.get(when) or {}
        facts |= {f"{when}.{name}": value for name, value in figures.items()}
    texts = {
        re.sub(r"[^\w.:/=+@-]", "_", name)[:128]: written(value)[:256]
        for name, value in facts.items()
        if isinstance(value, (str, int, float)) and written(value)
    }
    return dict(list(texts.items())[:MAX_PROPERTIES])


def written(value: Any) -> str:
    """A fact as a text, within the signs that the registry takes."""
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return re.sub(r"[^\w\s.:/=+@-]", "_", text)


def card_of(aws: Aws, model: str) -> dict[str, Any]:
    """The card in a model.tar.gz in S3, which is fetched and checked.

    Raises:
        CloudError: it is not there.
        ArtifactError: it is damaged, or no model of ours.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tar.gz"
        with path.open("wb") as file:
            shutil.copyfileobj(get_object(aws, model), file)
        return check_archive(path)


def get_object(aws: Aws, address: str) -> Any:
    """The stream of an object's bytes.

    Raises:
        CloudError: it is not there, or may not be read.
    """
    bucket, _, key = address.removeprefix("s3://").partition("/")
    try:
        return aws.ask(Call("s3", "GetObject", {"Bucket": bucket, "Key": key}, address))["Body"]
    except CloudError as error:
        if error.code != "NoSuchKey":
            raise
        hint = f"`aws s3 ls s3://{bucket}/{key.rpartition('/')[0]}/` lists what lies there."
        raise CloudError(f"{address} does not exist.", hint, error.code) from error


def register(aws: Aws, wish: RegisteredModel) -> tuple[str, bool]:
    """Register a version, once: weights that the group has already are not registered again.

    Returns:
        Its ARN, and whether it is new.

    Raises:
        CloudError: AWS refused.
    """
    try:
        described = {"ModelPackageGroupName": wish.group}
        aws.ask(Call("sagemaker", "DescribeModelPackageGroup", described, wish.group))
        for version in versions(aws, wish.group):
            known = version.get("CustomerMetadataProperties", {})
            if known.get("weights_sha256") == wish.card.get("weights_sha256"):
                return str(version["ModelPackageArn"]), False
    except CloudError as error:
        if not is_absent(error) and "does not exist" not in error.message:
            raise
        aws.ask(creation(wish)[0])
    return str(aws.ask(creation(wish)[1])["ModelPackageArn"]), True


def creation(wish: RegisteredModel) -> list[Call]:
    """The group, and the version in it."""
    return [
        Call("sagemaker", "CreateModelPackageGroup", wish.group_request(), wish.group),
        Call("sagemaker", "CreateModelPackage", wish.request(), wish.group),
    ]


def versions(aws: Aws, group: str) -> list[Any]:
    """All versions of a group, described, the newest first."""
    request = {"ModelPackageGroupName": group, "SortBy": "CreationTime", "SortOrder": "Descending"}
    listed = aws.pages(
        Call("sagemaker", "ListModelPackages", request, group), "ModelPackageSummaryList"
    )
    return [describe(aws, one["ModelPackageArn"]) for one in listed]


def groups(aws: Aws, tag: tuple[str, str] | None = None) -> list[str]:
    """The names of all groups of models; of one project where its tag is given."""
    found = aws.pages(
        Call("sagemaker", "ListModelPackageGroups", {}, "groups"), "ModelPackageGroupSummaryList"
    )
    return [
        one["ModelPackageGroupName"]
        for one in found
        if tag is None or tag in tags_of(aws, one["ModelPackageGroupArn"])
    ]


def tags_of(aws: Aws, arn: str) -> set[tuple[str, str]]:
    """The tags of a thing of SageMaker's."""
    found = aws.pages(Call("sagemaker", "ListTags", {"ResourceArn": arn}, arn), "Tags")
    return {(tag["Key"], tag["Value"]) for tag in found}


def describe(aws: Aws, arn: str) -> Any:
    """A version as it is."""
    return aws.ask(Call("sagemaker", "DescribeModelPackage", {"ModelPackageName": arn}, arn))


def find_version(aws: Aws, text: str, group: str | None = None) -> Any:
    """The version that a text names: GROUP/3, GROUP/latest (the newest approved), its ARN, or 3.

    Args:
        aws: Where to look.
        text: Names it.
        group: Whose a bare number is.

    Raises:
        CloudError: there is none.
        ConfigError: the text names no version.
    """
    if PACKAGE_ARN.fullmatch(text):
        return describe(aws, text)
    if group and re.fullmatch(r"\d+|latest", text):
        text = f"{group}/{text}"
    found = VERSION.fullmatch(text)
    if not found:
        hint = "Write GROUP/3, GROUP/latest or its ARN; `facegan cloud models` lists them."
        raise ConfigError(f"{text!r} names no registered version.", hint)
    name, wanted = found.groups()
    try:
        there = versions(aws, name)
    except CloudError as error:
        if not is_absent(error):
            raise
        there = []
    for one in there:
        is_it = one["ModelApprovalStatus"] == APPROVED if wanted == "latest" else False
        if is_it or str(one.get("ModelPackageVersion")) == wanted:
            return one
    numbers = ", ".join(str(one.get("ModelPackageVersion")) for one in there) or "none"
    kind = "approved version" if wanted == "latest" else f"version {wanted}"
    hint = f"Its versions are: {numbers}. `facegan cloud models` lists all."
    raise CloudError(f"The group {name} has no {kind}.", hint)


def decide(arn: str, status: str, why: str) -> Call:
    """Approve or reject a version."""
    request = {"ModelPackageArn": arn, "ModelApprovalStatus": status}
    if why:
        request["ApprovalDescription"] = why
    return Call("sagemaker", "UpdateModelPackage", request, arn)


def removal(arn: str) -> Call:
    """Take a version out of the registry; the archive in S3 stays."""
    return Call("sagemaker", "DeleteModelPackage", {"ModelPackageName": arn}, arn)


def group_removal(group: str) -> Call:
    """Delete a group that has no version."""
    return Call("sagemaker", "DeleteModelPackageGroup", {"ModelPackageGroupName": group}, group)


# --- what may be deployed -------------------------------------------------------------------------


@dataclass(frozen=True)
class Source:
    """Where a model comes from, and the image that its version names."""

    model: str
    image: str | None = None


def needs_aws(text: str) -> bool:
    """Whether AWS must be asked what a text means."""
    return not text.startswith("s3://")


def find_model(aws: Aws, text: str, is_unapproved_taken: bool = False) -> Source:
    """The model that a text names: an address in S3, a registered version, or a training job.

    Raises:
        CloudError: there is none, the version is not approved, or the job left no model.
        ConfigError: the text names nothing of the kind.
    """
    if not needs_aws(text):
        return Source(text)
    if VERSION.fullmatch(text) or PACKAGE_ARN.fullmatch(text):
        version = find_version(aws, text)
        status = version["ModelApprovalStatus"]
        if status != APPROVED and not is_unapproved_taken:
            hint = f"`facegan cloud approve {text}` approves it; --unapproved takes it as it is."
            raise CloudError(f"The version {text} is {status}.", hint)
        (container, *_) = version["InferenceSpecification"]["Containers"]
        return Source(container["ModelDataUrl"], container["Image"])
    check_name(text, "training job")
    return Source(job_model(aws, text))


def job_model(aws: Aws, job: str) -> str:
    """The address of a training job's model.tar.gz.

    Raises:
        CloudError: there is no such job, or it has none.
    """
    try:
        described = aws.ask(Call("sagemaker", "DescribeTrainingJob", {"TrainingJobName": job}, job))
    except CloudError as error:
        if error.code not in ("ValidationException", "ResourceNotFound"):
            raise
        hint = (
            "Give s3://…/model.tar.gz, a job of `facegan cloud jobs`, or GROUP/3 of the registry."
        )
        raise CloudError(f"There is no training job {job}.", hint, error.code) from error
    status = described["TrainingJobStatus"]
    if status != "Completed":
        hint = "A job that was stopped leaves checkpoints and no model: `facegan cloud resume`."
        raise CloudError(f"The training job {job} is {status}; it has no model.", hint)
    return str(described["ModelArtifacts"]["S3ModelArtifacts"])
