"""Taking a project down: what goes, in which order, what stays, what is refused, what is left."""

from collections.abc import Callable
from typing import Any, cast

import pytest
from botocore.stub import Stubber
from canned_aws import CannedAws, index, missing
from whole_account import INDEX, STOPPED, account, arn, listed

from facegan.cloud.aws import Aws
from facegan.cloud.calls import Call
from facegan.cloud.inventory import Tagged
from facegan.cloud.settings import PROJECT_TAG, Settings
from facegan.cloud.takedown import (
    Outcome,
    Plan,
    Thing,
    Wishes,
    by_hand,
    look,
    size_text,
    still_there,
    take_down,
)
from facegan.errors import CloudError

SETTINGS = Settings(project="faces", bucket="bucket")
ALL = Wishes(data=True, images=True, jobs=True)


def plan(aws: CannedAws, wishes: Wishes = ALL, settings: Settings = SETTINGS) -> Plan:
    return look(cast(Aws, aws), settings, wishes)


def test_everything_of_the_project_goes_in_an_order_that_works_and_nothing_of_others() -> None:
    aws = account()
    asked = [call for thing in plan(aws).going for call in thing.calls]
    assert [f"{call.action} {call.on}" for call in asked] == [
        "DeleteStack faces-door",
        "StopHyperParameterTuningJob search",
        "StopTrainingJob Faces-2",
        "StopTransformJob draw",
        "UpdateTrainingJob Faces-1",
        "DeregisterScalableTarget Faces",
        "DeleteEndpoint Faces",
        "DeleteEndpointConfig Faces",
        "DeleteModel Faces",
        f"DeleteModelPackage {arn('model-package/faces/1')}",
        f"DeleteModelPackage {arn('model-package/faces/2')}",
        "DeleteModelPackageGroup Faces",
        "DisassociateTrialComponent faces-first",
        "DeleteTrial faces-first",
        "DeleteExperiment Faces",
        "DeleteAlarms faces-5xx",
        "DeleteLogGroup /aws/sagemaker/Endpoints/Faces",
        "DeleteRepository facegan-training",
        "DeleteObjects s3://bucket/faces/",
        "DeleteObjects s3://bucket/faces/",
        "AbortMultipartUpload s3://bucket/faces/",
        "DeleteBucket bucket",
        "DeleteTrainingJob Faces-1",
    ]
    assert aws.actions("Delete", "Stop", "Update", "Abort", "Deregister") == []
    done = CannedAws(STOPPED | {"DescribeStacks": missing(), "DescribeEndpoint": missing()})
    outcome = Outcome()
    take_down(done.ask, plan(aws).going, outcome, wait=never)  # each request fits the service
    assert [len(outcome.gone), outcome.refused] == [16, []]


def test_every_version_of_an_object_goes() -> None:
    deletions = [
        call.request["Delete"]["Objects"]
        for thing in plan(account()).going
        for call in thing.calls
        if call.action == "DeleteObjects"
    ]
    assert [len(one) for one in deletions] == [1000, 501]
    assert deletions[1][-1] == {"Key": "faces/old", "VersionId": "w"}
    lost = {thing.kind: thing.loses for thing in plan(account()).going}["data"]
    assert lost.startswith("1500 objects, 3 GB")


def test_data_images_and_records_stay_unless_they_are_asked_for() -> None:
    aws = account()
    found = plan(aws, Wishes())
    kinds = {"data", "bucket", "image repository", "job's record"}
    assert not kinds & {thing.kind for thing in found.going}
    staying = {(one.kind, one.name): one.why for one in found.staying}
    assert "--with-data" in staying["data", "s3://bucket/faces/"]
    assert "--with-images" in staying["image repository", "facegan-training"]
    assert "--with-jobs" in staying["job's record", "3 in all"]
    assert "no call" in staying["transform's record", "1 in all"]
    assert "put-retention-policy" in staying["log streams", "/aws/sagemaker/TrainingJobs"]
    assert "console" in staying["dynamodb table", INDEX[-1]["ResourceARN"]]
    assert not [name for _, name in staying if "door" in name]  # goes with its stack
    assert aws.actions("ListObjectVersions") == []


def test_what_the_index_still_has_and_the_services_do_not_is_gone() -> None:
    empty = {
        action: {}
        for action in (
            "ListEndpoints", "ListEndpointConfigs", "ListModels", "ListModelPackageGroups",
            "ListExperiments", "ListTrainingJobs", "ListHyperParameterTuningJobs",
            "ListTransformJobs", "DescribeAlarms", "DescribeLogGroups", "ListObjectVersions",
            "ListMultipartUploads",
        )
    }  # fmt: skip
    gone: dict[str, Any] = {
        "DescribeStacks": {"Stacks": [{"StackStatus": "DELETE_COMPLETE"}]},
        "DescribeRepositories": CloudError("no", "", "RepositoryNotFoundException"),
        "HeadBucket": CloudError("no", "", "404"),
    }
    assert plan(account(**empty, **gone)).going == []


def test_a_bucket_that_is_not_there_holds_no_data() -> None:
    gone = CloudError("no", "", "NoSuchBucket")
    going = plan(account(ListObjectVersions=gone, ListMultipartUploads=gone)).going
    assert "data" not in {thing.kind for thing in going}


def never(seconds: float) -> None:
    raise AssertionError("nothing is waited for here")


def test_a_job_is_waited_for_until_it_has_ended_and_what_costs_is_told_to_end_before() -> None:
    states = iter(["Stopping", "Stopped"])
    aws = CannedAws(
        {
            "DescribeTrainingJob": lambda request: {"TrainingJobStatus": next(states)},
            "DescribeEndpoint": missing(),
        }
    )
    kinds = ("training job", "endpoint", "configuration")
    waits = list[float]()
    going = [one for one in plan(account()).going if one.kind in kinds]
    take_down(aws.ask, going, Outcome(), wait=waits.append)
    assert aws.actions() == [
        "StopTrainingJob Faces-2", "DeregisterScalableTarget Faces", "DeleteEndpoint Faces",
        "DescribeTrainingJob Faces-2", "DescribeTrainingJob Faces-2", "DescribeEndpoint Faces",
        "DeleteEndpointConfig Faces",
    ]  # fmt: skip
    assert waits == [5.0]


def thing(kind: str, name: str, until: bool = False) -> Thing:
    request = {"EndpointName": name}
    delete = Call("sagemaker", "DeleteEndpoint", request, name)
    described = Call("sagemaker", "DescribeEndpoint", request, name) if until else None
    return Thing(kind=kind, name=name, loses="", calls=(delete,), until=described)


def refusing(names: dict[str, BaseException]) -> Callable[[dict[str, Any]], Any]:
    def answer(request: dict[str, Any]) -> Any:
        if request["EndpointName"] in names:
            raise names[request["EndpointName"]]
        return {}

    return answer


def test_what_is_refused_is_noted_and_the_others_go() -> None:
    refused = {"b": CloudError("no.", "", "AccessDeniedException"), "c": missing("c")}
    aws = CannedAws({"DeleteEndpoint": refusing(refused)})
    outcome, told = Outcome(), list[str]()
    things = [thing("endpoint", name) for name in "abcd"]
    take_down(aws.ask, things, outcome, lambda it: told.append(it.name), never)
    assert told == [one.name for one in outcome.gone] == ["a", "c", "d"]  # c was gone already
    assert [(one.name, str(error)) for one, error in outcome.refused] == [("b", "no.")]


def test_a_job_that_its_tuning_job_stopped_already_is_as_good_as_stopped() -> None:
    told = "The request was rejected because the training job is in status Stopping."
    refused = {"StopTrainingJob": CloudError(told, "", "ValidationException")}
    aws = CannedAws(STOPPED | refused)
    things = [one for one in plan(account()).going if one.kind == "training job"]
    outcome = Outcome()
    take_down(aws.ask, things, outcome, wait=never)
    assert (outcome.gone, outcome.refused) == (things, [])


def test_what_an_endpoint_lives_on_is_left_where_the_endpoint_stays() -> None:
    why = CloudError("Cannot update in-progress endpoint.", "", "ValidationException")
    aws = CannedAws(STOPPED | {"DescribeStacks": missing(), "DeleteEndpoint": why})
    outcome = Outcome()
    take_down(aws.ask, plan(account()).going, outcome, wait=never)
    kept = [it.kind for it, _ in outcome.refused]
    assert kept == ["endpoint", "configuration", "model", "image repository", "data", "bucket"]
    assert "for the endpoint Faces stays" in str(outcome.refused[1][1])
    assert "DeleteModelPackageGroup Faces" in aws.actions()  # of which no endpoint lives
    asked = {call.action for call in aws.asked}
    assert not asked & {"DeleteModel", "DeleteEndpointConfig", "DeleteObjects"}


def test_all_of_a_kind_are_deleted_before_one_is_waited_for() -> None:
    polls = iter([{"EndpointStatus": "Deleting"}, missing(), missing()])

    def describe(request: dict[str, Any]) -> Any:
        answer = next(polls)
        if isinstance(answer, CloudError):
            raise answer
        return answer

    aws = CannedAws({"DescribeEndpoint": describe})
    waits = list[float]()
    take_down(
        aws.ask, [thing("endpoint", "a", True), thing("endpoint", "b", True), thing("model", "m")],
        Outcome(), wait=waits.append,
    )  # fmt: skip
    assert aws.actions() == [
        "DeleteEndpoint a", "DeleteEndpoint b", "DescribeEndpoint a", "DescribeEndpoint a",
        "DescribeEndpoint b", "DeleteEndpoint m",
    ]  # fmt: skip
    assert waits == [5.0]


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ({"Stacks": [{"StackStatus": "DELETE_FAILED", "StackStatusReason": "in use."}]}, "in use."),
        ({"Stacks": [{"StackStatus": "DELETE_IN_PROGRESS"}]}, "not ended yet: DELETE_IN"),
        (CloudError("slowly", "", "ThrottlingException"), "slowly"),
    ],
)
def test_what_does_not_go_is_noted_with_its_reason(state: Any, told: str) -> None:
    aws = CannedAws({"DescribeStacks": state})
    request = {"StackName": "door"}
    stack = Thing(
        kind="stack", name="door", loses="",
        calls=(Call("cloudformation", "DeleteStack", request, "door"),),
        until=Call("cloudformation", "DescribeStacks", request, "door"),
    )  # fmt: skip
    outcome = Outcome()
    take_down(aws.ask, [stack], outcome, wait=lambda seconds: None)
    assert [told in str(error) for _, error in outcome.refused] == [True]


def test_objects_that_s3_keeps_are_named_though_it_answers_200() -> None:
    kept = [{"Key": "faces/locked", "Code": "AccessDenied", "Message": "object lock"}]
    aws = CannedAws({"DeleteObjects": {"Errors": kept}})
    things = [one for one in plan(account()).going if one.kind == "data"]
    outcome = Outcome()
    take_down(aws.ask, things, outcome, wait=never)
    assert "faces/locked: AccessDenied: object lock" in str(outcome.refused[0][1])


def test_an_interrupt_leaves_word_of_what_is_gone() -> None:
    aws = CannedAws({"DeleteEndpoint": refusing({"b": KeyboardInterrupt()})})
    outcome = Outcome()
    with pytest.raises(KeyboardInterrupt):
        take_down(aws.ask, [thing(name, name) for name in "abc"], outcome, wait=never)
    assert [one.name for one in outcome.gone] == ["a"]


def test_what_is_there_after_all_is_found_but_not_what_was_refused() -> None:
    outcome = Outcome()
    going = plan(account()).going
    outcome.gone = [one for one in going if one.kind != "model"]
    outcome.refused = [(one, CloudError("no")) for one in going if one.kind == "model"]
    aws = account(ListEndpoints={"Endpoints": listed("Endpoint", "endpoint", "Faces")})
    left = {one.kind for one in still_there(cast(Aws, aws), SETTINGS, ALL, outcome)}
    assert "endpoint" in left
    assert "model" not in left


def test_each_thing_has_a_command_of_awss_own_tool() -> None:
    commands = {one.kind: by_hand(one) for one in plan(account()).going}
    assert commands["endpoint"] == "aws sagemaker delete-endpoint --endpoint-name Faces"
    assert commands["stack"] == "aws cloudformation delete-stack --stack-name faces-door"
    assert commands["alarm"] == "aws cloudwatch delete-alarms --alarm-names faces-5xx"
    assert commands["data"] == "aws s3 rm --recursive s3://bucket/faces/"
    assert commands["bucket"] == "aws s3api delete-bucket --bucket bucket"
    assert commands["image repository"] == (
        "aws ecr delete-repository --repository-name facegan-training --force"
    )
    assert commands["warm pool"].endswith("--resource-config KeepAlivePeriodInSeconds=0")


def test_sizes_are_written_as_people_do() -> None:
    told = [size_text(one) for one in (0, 1500, 2e6, 3.2e9, 4e12)]
    assert told == ["0 B", "1.5 kB", "2 MB", "3.2 GB", "4,000 GB"]


def test_throttling_is_a_sentence_with_the_next_step(credentials: pytest.MonkeyPatch) -> None:
    aws = Aws()
    with Stubber(aws.client("resourcegroupstaggingapi")) as stub:
        stub.add_client_error("get_resources", "ThrottlingException", "Rate exceeded")
        with pytest.raises(CloudError, match="wait a minute"):
            look(aws, SETTINGS, Wishes())


def test_the_permission_of_the_index_is_named_as_iam_does(credentials: pytest.MonkeyPatch) -> None:
    aws = Aws()
    with Stubber(aws.client("resourcegroupstaggingapi")) as stub:
        stub.add_client_error("get_resources", "AccessDeniedException", "no")
        with pytest.raises(CloudError, match="permission tag:GetResources"):
            look(aws, SETTINGS, Wishes())


def test_pages_of_the_index_and_of_the_lists_are_read_to_their_end(
    credentials: pytest.MonkeyPatch,
) -> None:
    aws = Aws()
    entries = index(*(f"model/m-{number}" for number in range(4)))
    models = [
        one | {"CreationTime": 0} for one in listed("Model", "model", "M-0", "M-1", "M-2", "M-3")
    ]
    wanted = {"TagFilters": [{"Key": PROJECT_TAG, "Values": ["faces"]}]}
    tags, sagemaker = (
        Stubber(aws.client(name)) for name in ("resourcegroupstaggingapi", "sagemaker")
    )
    with tags, sagemaker:
        first = {"ResourceTagMappingList": entries[:2], "PaginationToken": "2"}
        tags.add_response("get_resources", first, wanted)
        last = {"ResourceTagMappingList": entries[2:], "PaginationToken": ""}
        tags.add_response("get_resources", last, wanted | {"PaginationToken": "2"})
        sagemaker.add_response("list_models", {"Models": models[:1], "NextToken": "2"}, {})
        sagemaker.add_response("list_models", {"Models": models[1:]}, {"NextToken": "2"})
        going = look(aws, SETTINGS, Wishes()).going
    assert [one.name for one in going] == ["M-0", "M-1", "M-2", "M-3"]


@pytest.mark.parametrize(
    ("arn", "kind", "name"),
    [
        ("arn:aws:s3:::bucket-of-mine", "bucket", "bucket-of-mine"),
        ("arn:aws:cloudwatch:eu-west-1:1:alarm:a:b", "alarm", "a:b"),
        ("arn:aws:logs:eu-west-1:1:log-group:/aws/x:*", "log-group", "/aws/x:*"),
        ("arn:aws:sagemaker:eu-west-1:1:model-package/g/1", "model-package", "g/1"),
        ("arn:aws:apigateway:eu-west-1::/apis/abc", "apis", "abc"),
        ("arn:aws:sns:eu-west-1:1:topic", "", "topic"),
    ],
)
def test_an_arn_says_what_it_names(arn: str, kind: str, name: str) -> None:
    assert (Tagged(arn, {}).kind, Tagged(arn, {}).name) == (kind, name)
