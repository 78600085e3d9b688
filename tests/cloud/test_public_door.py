"""The public door's requests as data, and its life at CloudFormation's stand-ins."""

import io
import json
import re
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.stub import Stubber

from facegan.cli.__main__ import facegan, run_safely
from facegan.cloud import stacks
from facegan.cloud.aws import Aws
from facegan.cloud.deploy_door import deploy, example, take_down
from facegan.cloud.public_door import PublicDoor, archive
from facegan.cloud.stacks import Stack, find_stack
from facegan.errors import CloudError, ConfigError

INFRA = Path(__file__).parents[2] / "infra"
TEMPLATE = (INFRA / "template.yaml").read_text()
CODE = b"zip"
KEYS = {
    "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_CONFIG_FILE": "/nowhere",
    "AWS_EC2_METADATA_DISABLED": "true",
}
PLAIN: dict[str, Any] = {"name": "faces-door", "endpoint": "Faces", "bucket": "my-bucket"}
# What moto's CloudFormation cannot make, and roles, for which it reads all of AWS's policies. The
# rest of the template it makes, though no outputs.
NOT_MOTOS = "Type: AWS::(ApiGatewayV2|Serverless|Lambda|CloudWatch|SecretsManager|IAM)"


def door(**told: Any) -> PublicDoor:
    return PublicDoor(**(PLAIN | told))


# The requests


def test_a_new_door_is_told_in_the_templates_parameters() -> None:
    told = door(
        access="jwt", jwt_issuer="https://a.example", jwt_audience=["x", "y"], model_id="m1",
        origins=["https://b.example", "*"], requests_per_second=5, concurrency=0, log_days=7,
        tags={"facegan:project": "facegan"},
    ).change(CODE, TEMPLATE, None)  # fmt: skip
    parameters = {it["ParameterKey"]: it["ParameterValue"] for it in told["Parameters"]}
    assert parameters == {
        "Project": "facegan",
        "EndpointName": "Faces",
        "EndpointLowerName": "faces",
        "ModelId": "m1",
        "CodeBucket": "my-bucket",
        "CodeKey": door().key(CODE),
        "Access": "jwt",
        "JwtIssuer": "https://a.example",
        "JwtAudience": "x,y",
        "AllowedOrigins": "https://b.example,*",
        "RequestsPerSecond": "5",
        "Concurrency": "0",
        "LogDays": "7",
    }
    assert set(parameters) <= parameters_of(TEMPLATE)
    assert (told["ChangeSetType"], told["OnStackFailure"]) == ("CREATE", "DELETE")
    assert told["Capabilities"] == ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]
    assert told["Tags"] == [{"Key": "facegan:project", "Value": "facegan"}]


def parameters_of(template: str) -> set[str]:
    part = template[template.index("Parameters:") : template.index("Rules:")]
    return set(re.findall(r"^  (\w+):$", part, re.MULTILINE))


def test_what_an_update_is_not_told_stays() -> None:
    former = {"Access": "open", "Burst": "5", "EndpointName": "x", "Unknown": "of an old template"}
    told = door(burst=7).change(CODE, TEMPLATE, former)
    by_name = {it.pop("ParameterKey"): it for it in told["Parameters"]}
    assert by_name["Access"] == {"UsePreviousValue": True}
    assert by_name["Burst"] == {"ParameterValue": "7"}
    assert by_name["EndpointName"] == {"ParameterValue": "Faces"}
    assert "Unknown" not in by_name
    assert told["ChangeSetType"] == "UPDATE" and "OnStackFailure" not in told


def test_origins_can_be_taken_back() -> None:
    assert door(origins=["none"]).settings(CODE)["AllowedOrigins"] == ""
    assert "AllowedOrigins" not in door().settings(CODE)


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ({"name": "1door"}, "door's name is '1door'.*--name"),
        ({"endpoint": "my_faces"}, "endpoint is named 'my_faces'"),
        ({"access": "all"}, "access is 'all'.*key, jwt, open"),
        ({"access": "jwt"}, "needs an issuer and an audience"),
        ({"access": "jwt", "jwt_issuer": "a", "jwt_audience": ["x"]}, "begin with https"),
        ({"jwt_issuer": "https://a"}, "access is not 'jwt'"),
        ({"origins": ["https://a.example/path"]}, "origin is .*without a path"),
        ({"origins": ["a,b"]}, "origin is"),
        ({"requests_per_second": 0}, "requests_per_second is 0.*1 to 10000"),
        ({"concurrency": -1}, "concurrency is -1"),
        ({"log_days": 8}, "log_days is 8.*7, 14"),
        ({"alarm_topic": "alarms"}, "alarm_topic is 'alarms'.*SNS"),
        ({"model_id": "a b"}, "model_id is 'a b'"),
        ({"caching": "never"}, "caching is 'never'"),
    ],
)
def test_what_the_template_would_refuse_is_refused_here(told: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        door(**told)


def test_the_zip_is_the_same_bytes_and_runs(tmp_path: Path) -> None:
    code = archive(INFRA / "face_api")
    assert code == archive(INFRA / "face_api")
    with zipfile.ZipFile(io.BytesIO(code)) as packed:
        assert "face_api/handler.py" in packed.namelist()
        assert all(not name.endswith(".pyc") for name in packed.namelist())
        assert {it.external_attr >> 16 for it in packed.infolist()} == {0o644}


def test_a_folder_without_a_function_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no function.*--infra"):
        archive(tmp_path)


# At moto's CloudFormation


@pytest.fixture(scope="module")
def shared(moto_url: str) -> Iterator[Aws]:
    """Clients of moto's, made once."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in KEYS.items():
            patch.setenv(name, value)
        patch.setenv("AWS_ENDPOINT_URL", moto_url)
        aws = Aws("eu-west-1")
        for service in ("cloudformation", "s3", "sagemaker"):
            aws.client(service)
        yield aws


@pytest.fixture
def aws(shared: Aws, moto: str, monkeypatch: pytest.MonkeyPatch) -> Aws:
    """An empty moto, which the commands see through the same clients."""
    monkeypatch.setattr("facegan.cli.cloud.desk.Aws", lambda region, profile: shared)
    return shared


@pytest.fixture
def infra(tmp_path: Path) -> Path:
    """The template without what moto does not know, and a function."""
    head, _, rest = TEMPLATE.partition("Resources:\n")
    body = rest.partition("Outputs:\n")[0]
    parts = re.split(r"(?m)^(?=  [A-Z]\w+:\n)", body)
    known = [it for it in parts if not re.search(NOT_MOTOS, it)]
    folder = tmp_path / "infra"
    (folder / "face_api").mkdir(parents=True)
    (folder / "face_api" / "handler.py").write_text("def handle(event, context): ...\n")
    text = f"{head}Resources:\n{''.join(known)}"
    (folder / "template.yaml").write_text(text)
    assert "AWS::Logs::LogGroup" in text
    return folder


@pytest.fixture
def endpoint(aws: Aws) -> str:
    """An endpoint and a bucket."""
    region = {"LocationConstraint": "eu-west-1"}
    aws.client("s3").create_bucket(Bucket="my-bucket", CreateBucketConfiguration=region)
    sagemaker = aws.client("sagemaker")
    role = "arn:aws:iam::123456789012:role/x"
    sagemaker.create_model(
        ModelName="faces", ExecutionRoleArn=role, PrimaryContainer={"Image": "x"}
    )
    variant = {
        "VariantName": "a", "ModelName": "faces", "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 1,
    }  # fmt: skip
    sagemaker.create_endpoint_config(EndpointConfigName="faces", ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName="Faces", EndpointConfigName="faces")
    return "Faces"


def zips(aws: Aws) -> list[str]:
    listed = aws.client("s3").list_objects_v2(Bucket="my-bucket")
    return [it["Key"] for it in listed.get("Contents", [])]


def run(*arguments: str) -> int:
    return run_safely(facegan, ["cloud", "api", *arguments])


def test_a_door_is_made_once_changed_found_and_taken_down(
    aws: Aws, endpoint: str, infra: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make = ["deploy", endpoint, "--bucket", "my-bucket", "--yes", "--infra", str(infra)]
    assert run(*make) == 0
    assert "CREATE_COMPLETE" in capsys.readouterr().out
    made = find_stack(aws, "facegan-door")
    assert made is not None and made.tags["facegan:project"] == "facegan"
    assert made.parameters["EndpointLowerName"] == "faces"
    assert zips(aws) == [made.parameters["CodeKey"]]
    model = made.parameters["ModelId"]
    assert re.fullmatch("[0-9a-f]{12}", model)

    assert run(*make) == 0
    assert "Nothing to change" in capsys.readouterr().out

    (infra / "face_api" / "handler.py").write_text("def handle(event, context): return 1\n")
    assert run(*make, "--burst", "7", "--json") == 0
    assert json.loads(capsys.readouterr().out)["name"] == "facegan-door"
    changed = find_stack(aws, "facegan-door")
    assert changed is not None and changed.parameters["Burst"] == "7"
    assert changed.parameters["ModelId"] == model
    assert zips(aws) == [changed.parameters["CodeKey"]] != [made.parameters["CodeKey"]]

    assert run("delete", "--yes") == 0
    told = capsys.readouterr().out
    assert "zips of its function" in told and "Deleted the door facegan-door" in told
    assert find_stack(aws, "facegan-door") is None and zips(aws) == []
    assert run("delete", "--yes") == 0
    assert "Nothing to delete" in capsys.readouterr().out


def test_nothing_is_made_where_nobody_can_answer(
    aws: Aws, endpoint: str, infra: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("deploy", endpoint, "--bucket", "my-bucket", "--infra", str(infra)) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert "On the internet" in told and "a month" in told and "add --yes" in told
    assert zips(aws) == [] and find_stack(aws, "facegan-door") is None


def test_an_endpoint_that_is_missing_is_said_before_anything_is_made(
    aws: Aws, endpoint: str, infra: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--bucket", "my-bucket", "--yes", "--infra", str(infra)]
    assert run("deploy", "nobody", *options) != 0
    assert "no endpoint 'nobody'" in capsys.readouterr().err
    assert zips(aws) == [] and find_stack(aws, "facegan-door") is None


def test_a_stack_of_somebody_elses_is_left_alone(
    aws: Aws, endpoint: str, infra: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    template = "Resources: {Logs: {Type: AWS::Logs::LogGroup}}"
    aws.client("cloudformation").create_stack(StackName="facegan-door", TemplateBody=template)
    options = ["--bucket", "my-bucket", "--yes", "--infra", str(infra)]
    for command in (["deploy", endpoint, *options], ["delete", "--yes"]):
        assert run(*command) != 0
        assert "has no tag facegan:project" in capsys.readouterr().err
    assert find_stack(aws, "facegan-door") is not None


def test_a_missing_bucket_leaves_nothing(
    aws: Aws, endpoint: str, infra: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--bucket", "not-there", "--yes", "--infra", str(infra)]
    assert run("deploy", endpoint, *options) != 0
    assert "NoSuchBucket" in capsys.readouterr().err
    assert find_stack(aws, "facegan-door") is None


def test_the_address_comes_with_a_command_and_no_key(
    aws: Aws, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs = {"Url": "https://id.example", "Access": "key", "KeySecret": "arn:s", "Model": "m1"}
    template = {
        "Resources": {"Logs": {"Type": "AWS::Logs::LogGroup"}},
        "Outputs": {name: {"Value": value} for name, value in outputs.items()},
    }
    aws.client("cloudformation").create_stack(StackName="d", TemplateBody=json.dumps(template))
    assert run("url", "--name", "d", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["url"], told["model"]) == ("https://id.example", "m1")
    assert run("url", "--name", "d") == 0
    assert told["example"] in capsys.readouterr().out


def test_the_address_of_no_door_is_said(aws: Aws, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("url", "--name", "nobody") != 0
    assert "no door 'nobody' in eu-west-1" in capsys.readouterr().err


# Without an account


def test_a_dry_run_prints_the_requests_and_asks_nobody(
    no_aws: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--bucket", "my-bucket", "--infra", str(INFRA), "--dry-run"]
    assert run("deploy", "faces", *options) == 0
    asked = json.loads(capsys.readouterr().out)
    assert [it["action"] for it in asked] == [
        "DescribeStacks", "DescribeEndpoint", "DescribeEndpointConfig", "PutObject",
        "CreateChangeSet", "ExecuteChangeSet",
    ]  # fmt: skip
    assert asked[4]["request"]["TemplateBody"] == TEMPLATE
    assert run("delete", "--dry-run") == 0
    asked = json.loads(capsys.readouterr().out)
    assert asked[1] == {
        "service": "cloudformation", "action": "DeleteStack",
        "request": {"StackName": "facegan-door"},
    }  # fmt: skip


def test_help_names_the_costs_and_the_taking_down(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("deploy", "--help") == 0
    told = capsys.readouterr().out
    assert "$" in told and "delete" in told and "not been" in told


# At a CloudFormation that refuses

ID = "arn:aws:cloudformation:eu-west-1:123456789012:stack/faces-door/1"
NAMED = {"StackName": "faces-door"}


class Script:
    """Answers of CloudFormation and S3 in an order, held to botocore's model of their APIs."""

    def __init__(self, cloud: Stubber, store: Stubber) -> None:
        self.cloud, self.store = cloud, store
        self.number = 0

    def answer(self, method: str, response: dict[str, Any], asked: Any = None) -> None:
        self.cloud.add_response(method, response, asked)

    def stack(self, status: str | None) -> None:
        """What DescribeStacks says; None: there is none."""
        if status is None:
            told = f"Stack with id {ID} does not exist"
            self.cloud.add_client_error("describe_stacks", "ValidationError", told)
            return
        it = {"StackId": ID, "StackName": "faces-door", "StackStatus": status}
        self.answer("describe_stacks", {"Stacks": [it | {"CreationTime": datetime.now(UTC)}]})

    def events(self, *told: tuple[str, str, str]) -> None:
        """What DescribeStackEvents says, the oldest first: who, status, why."""
        found = []
        for name, status, reason in told:
            self.number += 1
            found.append({
                "StackId": ID, "StackName": "faces-door", "EventId": str(self.number),
                "Timestamp": datetime.now(UTC), "LogicalResourceId": name,
                "PhysicalResourceId": ID if name == "faces-door" else name,
                "ResourceType": "AWS::X", "ResourceStatus": status, "ResourceStatusReason": reason,
            })  # fmt: skip
        self.answer("describe_stack_events", {"StackEvents": found[::-1]})

    def planned(self, status: str = "CREATE_COMPLETE", reason: str = "") -> None:
        """The upload, and the change set's making."""
        self.store.add_response("put_object", {})
        self.answer("create_change_set", {"Id": "arn:x", "StackId": ID})
        self.answer("describe_change_set", {"Status": status, "StatusReason": reason})


@pytest.fixture(scope="module")
def refusing() -> Iterator[tuple[Aws, Stubber, Stubber]]:
    """Clients made once: that takes a fifth of a second."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in KEYS.items():
            patch.setenv(name, value)
        patch.delenv("AWS_ENDPOINT_URL", raising=False)
        aws = Aws("eu-west-1")
        yield aws, Stubber(aws.client("cloudformation")), Stubber(aws.client("s3"))


@pytest.fixture
def script(refusing: tuple[Aws, Stubber, Stubber]) -> Iterator[Script]:
    _, cloud, store = refusing
    for stub in (cloud, store):
        stub._queue.clear()
    with cloud, store:
        yield Script(cloud, store)
        cloud.assert_no_pending_responses()
        store.assert_no_pending_responses()


class Told(list[str]):
    """Lines for people."""

    @property
    def text(self) -> str:
        return "\n".join(self)


def stack(status: str = "CREATE_COMPLETE", **parameters: str) -> Stack:
    return Stack(ID, "faces-door", status, "", parameters, {}, {"facegan:project": "facegan"})


def go(refusing: Any, former: Stack | None = None, slept: list[float] | None = None) -> Any:
    """Deploy; no second is slept."""
    told = Told()
    naps: Callable[[float], Any] = (slept if slept is not None else []).append
    try:
        return deploy(refusing[0], door(), CODE, TEMPLATE, former, told.append, naps), told
    except CloudError as error:
        return error, told


def empty_bucket(script: Script, *keys: str) -> None:
    """The zips are listed, and deleted."""
    asked = {"Bucket": "my-bucket", "Prefix": door().prefix}
    listed = {"Contents": [{"Key": key} for key in keys]}
    script.store.add_response("list_objects_v2", listed, asked)


def test_a_failed_creation_is_gone_and_says_which_resource_and_why(
    refusing: Any, script: Script
) -> None:
    script.planned()
    script.answer("execute_change_set", {})
    script.stack("CREATE_IN_PROGRESS")
    script.events(("faces-door", "CREATE_IN_PROGRESS", ""))
    script.stack("DELETE_COMPLETE")
    why = "decreases account's UnreservedConcurrentExecution below its minimum value"
    script.events(
        ("Function", "CREATE_FAILED", why),
        ("Key", "CREATE_FAILED", "Resource creation cancelled"),
        ("faces-door", "DELETE_COMPLETE", ""),
    )
    empty_bucket(script, "a.zip")
    script.store.add_response("delete_object", {}, {"Bucket": "my-bucket", "Key": "a.zip"})
    slept: list[float] = []
    error, told = go(refusing, slept=slept)
    assert f"Function (AWS::X): {why}" in error.message
    assert "--concurrency 0" in error.hint and "deleted again" in error.hint
    assert slept == [stacks.POLL_SECONDS]
    assert "CREATE_FAILED" in told.text and "Function" in told.text


def test_a_failed_change_leaves_the_door_as_it_was(refusing: Any, script: Script) -> None:
    live = f"{door().prefix}old.zip"
    script.events(("faces-door", "CREATE_COMPLETE", ""))
    script.planned()
    script.answer("execute_change_set", {})
    script.stack("UPDATE_ROLLBACK_COMPLETE")
    script.events(
        ("Role", "UPDATE_FAILED", "User: x is not authorized to perform: iam:PutRolePolicy")
    )
    empty_bucket(script, live, door().key(CODE))
    gone = {"Bucket": "my-bucket", "Key": door().key(CODE)}
    script.store.add_response("delete_object", {}, gone)
    error, _ = go(refusing, stack(CodeKey=live))
    assert "iam:PutRolePolicy" in error.message and "as it was before" in error.hint
    assert "infra/README.md" in error.hint


def test_the_resource_counts_before_the_stacks_own_verdict(refusing: Any, script: Script) -> None:
    """Where no resource failed, the stack's own words are what there is."""
    for events, told in (
        (
            [("faces-door", "ROLLBACK_IN_PROGRESS", "No rights."), ("Api", "CREATE_FAILED", "x")],
            "Api",
        ),
        ([("faces-door", "ROLLBACK_IN_PROGRESS", "No rights.")], "No rights."),
    ):
        script.planned()
        script.answer("execute_change_set", {})
        script.stack("ROLLBACK_COMPLETE")
        script.events(*events)
        error, _ = go(refusing)
        assert told in error.message and ".." not in error.message


def test_what_cannot_be_rolled_back_is_named_with_its_taking_down(
    refusing: Any, script: Script
) -> None:
    script.planned()
    script.answer("execute_change_set", {})
    script.stack("ROLLBACK_FAILED")
    script.events(("Api", "DELETE_FAILED", "no"))
    error, _ = go(refusing)
    assert "ROLLBACK_FAILED" in error.hint
    assert "facegan cloud api delete --name faces-door" in error.hint


def test_a_template_that_is_refused_leaves_neither_stack_nor_zip(
    refusing: Any, script: Script
) -> None:
    script.planned("FAILED", "Template error: x")
    script.answer("delete_stack", {}, NAMED)
    gone = {"Bucket": "my-bucket", "Key": door().key(CODE)}
    script.store.add_response("delete_object", {}, gone)
    error, _ = go(refusing)
    assert "refuses the stack faces-door: Template error: x" in error.message


@pytest.mark.parametrize("reason", ["No updates are to be performed.", "didn't contain changes."])
def test_a_change_of_nothing_is_forgotten_and_the_code_stays(
    refusing: Any, script: Script, reason: str
) -> None:
    script.events()
    script.planned("FAILED", f"The submitted information {reason}")
    script.answer("delete_change_set", {})
    made, told = go(refusing, stack(CodeKey=door().key(CODE)))
    assert made is None and not told


def test_what_cannot_be_taken_back_is_named(refusing: Any, script: Script) -> None:
    script.planned("FAILED", "Template error: x")
    script.cloud.add_client_error("delete_stack", "AccessDenied")
    script.store.add_client_error("delete_object", "AccessDenied")
    _, told = go(refusing)
    assert "Left behind" in told.text
    assert "cloudformation:DeleteStack" in told.text and "s3:DeleteObject" in told.text


def test_a_change_set_that_an_interrupt_left_is_replaced(refusing: Any, script: Script) -> None:
    script.events()
    script.store.add_response("put_object", {})
    script.cloud.add_client_error("create_change_set", "AlreadyExistsException")
    script.answer("delete_change_set", {})
    script.answer("create_change_set", {"Id": "arn:x", "StackId": ID})
    script.answer("describe_change_set", {"Status": "CREATE_COMPLETE"})
    script.answer("execute_change_set", {})
    script.stack("UPDATE_COMPLETE")
    script.events()
    empty_bucket(script)
    made, _ = go(refusing, stack())
    assert made.status == "UPDATE_COMPLETE"


def test_an_interrupt_before_the_start_takes_all_back(refusing: Any, script: Script) -> None:
    script.store.add_response("put_object", {})
    script.answer("create_change_set", {"Id": "arn:x", "StackId": ID})
    script.answer("describe_change_set", {"Status": "CREATE_IN_PROGRESS"})
    script.answer("delete_stack", {}, NAMED)
    script.store.add_response("delete_object", {})

    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        deploy(refusing[0], door(), CODE, TEMPLATE, None, Told().append, interrupt)


def test_an_interrupt_while_it_is_made_says_what_goes_on(refusing: Any, script: Script) -> None:
    script.planned()
    script.answer("execute_change_set", {})
    script.stack("CREATE_IN_PROGRESS")
    script.events()
    told = Told()

    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        deploy(refusing[0], door(), CODE, TEMPLATE, None, told.append, interrupt)
    assert "goes on" in told.text and "facegan cloud api delete --name faces-door" in told.text


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ("UPDATE_IN_PROGRESS", "Wait until"),
        ("ROLLBACK_COMPLETE", "Take it down: `x`"),
        ("DELETE_FAILED", "Take it down: `x`"),
    ],
)
def test_a_stack_that_takes_no_change_is_said(status: str, told: str) -> None:
    with pytest.raises(CloudError, match=told):
        stacks.check_changeable(stack(status), "x")


def test_what_a_door_is_made_of_is_listed(refusing: Any, script: Script) -> None:
    made = {
        "LogicalResourceId": "Role", "PhysicalResourceId": "role-1", "ResourceStatus": "x",
        "ResourceType": "AWS::IAM::Role", "LastUpdatedTimestamp": datetime.now(UTC),
    }  # fmt: skip
    script.answer("list_stack_resources", {"StackResourceSummaries": [made]}, NAMED)
    assert stacks.resources(refusing[0], "faces-door") == [("AWS::IAM::Role", "role-1")]


def test_what_cannot_be_deleted_is_named(refusing: Any, script: Script) -> None:
    script.events(("faces-door", "CREATE_COMPLETE", ""))
    script.answer("delete_stack", {}, {"StackName": ID})
    script.stack("DELETE_FAILED")
    script.events(("Role", "DELETE_FAILED", "has policies attached"))
    with pytest.raises(CloudError, match=r"Role \(AWS::X\): has policies attached"):
        take_down(refusing[0], stack(), "my-bucket", "p/", Told().append, lambda seconds: None)


@pytest.mark.parametrize(
    ("access", "part"),
    [("key", "--region eu-west-1 --secret-id arn:s "), ("jwt", "Bearer $TOKEN"), ("open", "curl")],
)
def test_the_example_fits_the_lock(access: str, part: str) -> None:
    outputs = {"Url": "https://id.example", "Access": access, "KeySecret": "arn:s"}
    told = example(Stack(ID, "d", "CREATE_COMPLETE", "", {}, outputs, {}), "eu-west-1")
    assert part in told and "https://id.example/faces/7.png" in told
    assert ("x-api-key" in told) == (access == "key")
