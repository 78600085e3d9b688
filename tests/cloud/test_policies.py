"""The policies in infra/iam: all that the code asks of AWS is allowed, and nothing is wild.

A new call fails here until its permission is in a file; the message says which line goes where.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest
from botocore import session
from botocore.stub import Stubber
from permissions_scan import DIRECT, action_of, calls, clients, formats_of

from facegan.cli.__main__ import facegan, run_safely
from facegan.cli.cloud import desk
from facegan.cloud.aws import Aws
from facegan.cloud.permissions import OTHER_NAMES, permissions_of
from facegan.cloud.policies import PLACEHOLDER, filled, names_of, policy_names, read_policy
from facegan.cloud.settings import Settings
from facegan.errors import ConfigError

MAX_CHARACTERS = 6144  # of a managed policy, without blanks, by IAM
MAX_OF_A_ROLE = 10_240  # of all policies that a role has of its own
SETTINGS = Settings(
    bucket="bucket-with-a-name-of-sixty-three-characters-as-long-as-s3-takes",
    project="a-project-with-a-long-name",
    kms_key="arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab",
)
NAMES = names_of(SETTINGS, "123456789012", "ap-southeast-1")

# Allowed on "*", each with the reason. What AWS lets nobody restrict needs none.
ON_EVERYTHING = {
    "cloudwatch:GetMetricData": "metrics have no ARN; data sets are of another kind",
    "cloudwatch:PutMetricData": "the same; a condition holds it to the namespace /aws/sagemaker/",
}
# Allowed to developers though no Call asks for it, each with the reason.
NOT_CALLED = {
    **{
        f"ecr:{name}": "docker push"
        for name in (
            "BatchCheckLayerAvailability", "BatchGetImage", "CompleteLayerUpload",
            "GetDownloadUrlForLayer", "InitiateLayerUpload", "PutImage", "UploadLayerPart",
        )
    },
    "s3:GetBucketLocation": "S3 tells clients of another region where a bucket is",
    "s3:DeleteObjectVersion": "DeleteObjects, where it names versions",
}  # fmt: skip
# Resources that the reference does not list with their actions, each with where AWS says so.
ELSEWHERE = {
    "arn:aws:cloudformation:ap-southeast-1:aws:transform/Serverless-2016-10-31": "CloudFormation's "
    "guide, IAM: who creates a change set of a template with SAM needs it on the transform",
}
# What CloudFormation asks in the caller's name to make infra/template.yaml.
FOR_THE_TEMPLATE = "developer-door"
# What SageMaker asks in a role's name: "CreateTrainingJob API: Execution Role Permissions" and its
# neighbours in docs.aws.amazon.com/sagemaker/latest/dg/sagemaker-roles.html
OF_THE_SERVICE = {
    "s3:GetBucketLocation": "where a bucket is",
    "s3:ListBucket": "what is below a channel's prefix, or a checkpoint folder's",
    "s3:GetObject": "pictures, checkpoints, models",
    "s3:PutObject": "models, outputs, checkpoints, captured requests",
    "s3:AbortMultipartUpload": "of large ones, when a job is stopped",
    "logs:CreateLogGroup": "output",
    "logs:CreateLogStream": "output",
    "logs:DescribeLogStreams": "output",
    "logs:PutLogEvents": "output",
    "cloudwatch:PutMetricData": "the metrics that a job declares, and an instance's",
    "ecr:GetAuthorizationToken": "the image",
    "ecr:BatchCheckLayerAvailability": "the image",
    "ecr:BatchGetImage": "the image",
    "ecr:GetDownloadUrlForLayer": "the image",
}


def listed(value: Any) -> list[str]:
    return value if isinstance(value, list) else [value]


def statements(name: str) -> list[dict[str, Any]]:
    return list(read_policy(name)["Statement"])


def actions(name: str) -> set[str]:
    return {action for one in statements(name) for action in listed(one["Action"])}


def developers() -> list[str]:
    return [name for name in policy_names() if name.startswith("developer")]


def file_for(permission: str) -> str:
    """Which file a permission that is missing belongs into."""
    service, _, name = permission.partition(":")
    if service == "sagemaker":
        of_jobs = r"Training|Tuning|Experiment|Trial|Search|Processing"
        return "developer-jobs" if re.search(of_jobs, name) else "developer-endpoints"
    return {
        "application-autoscaling": "developer-endpoints", "cloudformation": "developer-door",
        "cloudwatch": "developer-endpoints", "iam": "developer-setup", "logs": "developer-jobs",
        "pricing": "developer-jobs", "tag": "developer-destroy",
    }.get(service, "developer")  # fmt: skip


def advice(permission: str) -> str:
    """The line that a policy lacks."""
    arns = formats_of(permission) if action_of(permission) else []
    resource = " or ".join(arns) if arns else '"*", for AWS restricts it to no resource'
    return (
        f'add "{permission}" to an "Action" of infra/iam/{file_for(permission)}.json '
        f"(Resource: {resource})"
    )


def test_calls_name_service_and_action_as_literals() -> None:
    unclear = {where for (service, action), where in calls().items() if "?" in (service, action)}
    assert not unclear, f'write Call("service", "Action", …) with literals in {sorted(unclear)}'


def test_clients_are_used_through_calls() -> None:
    strangers = {file: line for file, line in clients().items() if file not in DIRECT}
    assert not strangers, f"use Call, or list what they call in DIRECT: {strangers}"


def test_everything_that_is_called_is_in_a_developers_policy() -> None:
    allowed = set().union(*map(actions, developers()))
    lacking = {
        f"{where} calls {service}:{action}: {advice(permission)}"
        for (service, action), where in calls().items()
        for permission in permissions_of(service, action)
        if permission not in allowed
    }
    assert not lacking, "\n".join(["", *sorted(lacking)])


def test_everything_in_a_developers_policy_is_called() -> None:
    called = {it for service, action in calls() for it in permissions_of(service, action)}
    for name in developers():
        if name != FOR_THE_TEMPLATE:
            idle = actions(name) - called - NOT_CALLED.keys()
            assert not idle, f"infra/iam/{name}.json: nobody calls {sorted(idle)}: take them out"


@pytest.mark.parametrize("role", ["training", "serving"])
def test_roles_may_do_what_sagemaker_does_in_their_name_and_no_more(role: str) -> None:
    assert actions(role) == OF_THE_SERVICE.keys()


def test_the_mapping_names_permissions_that_exist() -> None:
    for call, permissions in OTHER_NAMES.items():
        for permission in permissions:
            assert action_of(permission) is not None, f"{call}: AWS has no {permission}"


@pytest.mark.parametrize("name", [it for it in policy_names() if it != "trust"])
def test_nothing_is_wild(name: str) -> None:
    for one in statements(name):
        where = f"infra/iam/{name}.json, {one['Sid']}"
        assert one["Effect"] == "Allow" and not {"NotAction", "NotResource"} & one.keys(), where
        for action in listed(one["Action"]):
            assert action_of(action) is not None, f"{where}: AWS has no action {action}"
            if "*" in one["Resource"]:
                reason = ON_EVERYTHING.get(action) or not formats_of(action)
                assert reason, f"{where}: restrict {action} to {formats_of(action)}"


@pytest.mark.parametrize("name", [it for it in policy_names() if it not in ("trust", "kms")])
def test_actions_and_resources_fit_one_another(name: str) -> None:
    for one in filled(read_policy(name), NAMES)["Statement"]:
        if "*" in one["Resource"]:
            continue
        if set(listed(one["Resource"])) <= ELSEWHERE.keys():
            continue
        where = f"infra/iam/{name}.json, {one['Sid']}"
        fits = {
            (action, resource)
            for action in listed(one["Action"])
            for resource in listed(one["Resource"])
            if any(is_like(resource, arn) for arn in formats_of(action))
        }
        for action in listed(one["Action"]):
            assert any(it == action for it, _ in fits), f"{where}: {action} has no resource of its"
        for resource in listed(one["Resource"]):
            assert any(it == resource for _, it in fits), f"{where}: nothing acts on {resource}"


def is_like(resource: str, arn: str) -> bool:
    """Whether a resource is one of those that AWS writes as `arn`, a regular expression by now."""
    places = {"${Partition}": "aws", "${Account}": "123456789012", "${Region}": NAMES["Region"]}
    for place, value in places.items():
        arn = arn.replace(place, value)
    if ":log-group:" in resource and ":log-stream:" not in resource:
        resource = resource.removesuffix(":*")  # a group's ARN has it, or not
    return bool(re.fullmatch(re.sub(r"\$\{\w+\}", ".*", arn), resource))


@pytest.mark.parametrize("name", policy_names())
def test_a_policy_is_filled_and_short_enough(name: str) -> None:
    text = json.dumps(filled(read_policy(name), NAMES))
    assert not PLACEHOLDER.search(text)
    assert len(re.sub(r"\s", "", text)) <= MAX_CHARACTERS


def test_a_role_holds_its_policies() -> None:
    for role in ("training", "serving"):
        texts = [json.dumps(filled(read_policy(it), NAMES)) for it in (role, "vpc", "kms")]
        assert len(re.sub(r"\s", "", "".join(texts))) <= MAX_OF_A_ROLE


def test_only_sagemaker_of_the_account_may_act_as_a_role() -> None:
    (only,) = filled(read_policy("trust"), NAMES)["Statement"]
    assert only["Principal"] == {"Service": "sagemaker.amazonaws.com"}
    assert only["Condition"] == {"StringEquals": {"aws:SourceAccount": "123456789012"}}


def test_a_place_without_a_name_is_said() -> None:
    with pytest.raises(ConfigError, match=r"\$\{KmsKey\}"):
        filled(read_policy("kms"), {"Bucket": "b"})


# --- the commands -------------------------------------------------------------------------------

WHERE = ["--bucket", "my-bucket", "--account", "123456789012", "--region", "eu-west-1"]


def run(*words: str) -> int:
    return run_safely(facegan, ["cloud", *words])


def test_a_policy_is_printed_without_an_account(
    no_aws: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    no_aws.chdir(tmp_path)
    assert run("policy", "training", "--project", "faces", *WHERE) == 0
    text = capsys.readouterr().out
    assert "arn:aws:s3:::my-bucket/faces/*" in text and "repository/facegan-training" in text
    assert "${" not in text and json.loads(text)["Version"] == "2012-10-17"


def test_an_unknown_policy_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("policy", "trainig", *WHERE) == 2
    assert "Did you mean training" in capsys.readouterr().err


def test_a_role_is_printed_without_an_account(
    no_aws: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    no_aws.chdir(tmp_path)
    assert run("role", "create", "serving", "--dry-run", *WHERE) == 0
    made, permitted = json.loads(capsys.readouterr().out)
    assert (made["action"], permitted["action"]) == ("CreateRole", "PutRolePolicy")
    assert made["request"]["RoleName"] == "facegan-serving"
    assert made["request"]["Tags"] == [{"Key": "facegan:project", "Value": "facegan"}]


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    """The client, once for all: to make it takes a third of a second."""
    return {}


@pytest.fixture
def iam(made: dict[str, Any], credentials: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Stubber]:
    """IAM's answers; moto would read all of AWS's own policies first, for seconds."""
    aws = Aws()
    aws.clients = made
    credentials.chdir(tmp_path)
    credentials.setattr(desk, "Aws", lambda *_: aws)
    with Stubber(aws.client("iam")) as stub:
        yield stub
        stub.assert_no_pending_responses()


def role(name: str, project: str = "facegan") -> dict[str, Any]:
    return {
        "Role": {
            "Path": "/", "RoleName": name, "RoleId": "A" * 16, "CreateDate": 0,
            "Arn": f"arn:aws:iam::123456789012:role/{name}",
            "Tags": [{"Key": "facegan:project", "Value": project}],
        }
    }  # fmt: skip


def test_a_missing_role_is_made_of_its_policies(
    iam: Stubber, capsys: pytest.CaptureFixture[str]
) -> None:
    iam.add_client_error("get_role", "NoSuchEntity")
    iam.add_response("create_role", role("facegan-training"))
    policy = {"RoleName": "facegan-training", "PolicyName": "facegan-training"}
    iam.add_response("put_role_policy", {}, {**policy, "PolicyDocument": ANY})
    assert run("role", "create", "training", *WHERE, "--yes") == 0
    assert 'role = "arn:aws:iam::123456789012:role/facegan-training"' in capsys.readouterr().out


def test_a_role_that_cannot_get_its_policies_goes_again(iam: Stubber) -> None:
    iam.add_client_error("get_role", "NoSuchEntity")
    iam.add_response("create_role", role("facegan-training"))
    iam.add_client_error("put_role_policy", "AccessDenied")
    iam.add_response("delete_role", {}, {"RoleName": "facegan-training"})
    assert run("role", "create", "training", *WHERE, "--yes") == 9


def test_a_role_that_is_there_is_brought_up_to_date(iam: Stubber) -> None:
    iam.add_response("get_role", role("facegan-serving"))
    iam.add_response("update_assume_role_policy", {})
    iam.add_response("put_role_policy", {})
    assert run("role", "create", "serving", *WHERE, "--yes") == 0


def test_a_role_is_deleted_after_its_policies(iam: Stubber) -> None:
    iam.add_response("get_role", role("facegan-serving"))
    iam.add_response("list_role_policies", {"PolicyNames": ["facegan-serving"]})
    iam.add_response(
        "delete_role_policy", {}, {"RoleName": "facegan-serving", "PolicyName": "facegan-serving"}
    )
    iam.add_response("delete_role", {}, {"RoleName": "facegan-serving"})
    assert run("role", "delete", "serving", "--yes") == 0


@pytest.mark.parametrize("words", [["create", "training", *WHERE], ["delete", "training"]])
def test_a_role_of_somebody_else_is_left_alone(
    iam: Stubber, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    iam.add_response("get_role", role("facegan-training", "another"))
    assert run("role", *words, "--yes") == 9
    assert "not of the project facegan" in capsys.readouterr().err


def test_permissions_of_calls_exist_in_boto3() -> None:
    botocore_session = session.get_session()
    for service in {service for service, _ in calls()}:
        known = botocore_session.get_service_model(service).operation_names
        wrong = {action for it, action in calls() if it == service} - set(known)
        assert not wrong, f"boto3's {service} has no {wrong}"
