"""An endpoint's requests, of every kind, and that what was half made goes again."""

from typing import Any

import pytest
from api_model import complaints
from fake_aws import FakeAws, absent

from facegan.cloud.calls import carry_out
from facegan.cloud.deploying import is_named_after
from facegan.cloud.endpoint_requests import (
    Asynchronous,
    Capture,
    ModelEndpoint,
    Rival,
    Serverless,
    delete_all,
    deletion,
)
from facegan.errors import CloudError, ConfigError

FACES: dict[str, Any] = {
    "name": "faces",
    "image": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/facegan-inference:1",
    "role": "arn:aws:iam::123456789012:role/facegan",
    "model": "s3://bucket/faces/model.tar.gz",
    "instance_type": "ml.c7i.large",
}
MOST = FACES | {
    "instance_count": 2,
    "start_seconds": 600,
    "network_isolation": True,
    "environment": {"FACEGAN_MAX_IMAGES": "16"},
    "tags": {"project": "faces"},
}
LOCAL = FACES | {"instance_type": "local", "model": "file:///runs/model.tar.gz"}
GPU = FACES | {"instance_type": "ml.g5.xlarge"}


@pytest.mark.parametrize("wish", [FACES, MOST, LOCAL, GPU], ids=["least", "most", "local", "gpu"])
def test_the_requests_are_ones_that_the_api_takes(wish: dict[str, Any]) -> None:
    endpoint = ModelEndpoint(**wish)
    assert complaints("CreateModel", endpoint.model_request()) == ""
    assert complaints("CreateEndpointConfig", endpoint.configuration_request()) == ""
    assert complaints("CreateEndpoint", endpoint.endpoint_request()) == ""


@pytest.mark.parametrize(("wish", "is_told"), [(FACES, False), (LOCAL, False), (GPU, True)])
def test_gpus_get_the_system_whose_driver_torch_can_use(
    wish: dict[str, Any], is_told: bool
) -> None:
    (variant,) = ModelEndpoint(**wish).configuration_request()["ProductionVariants"]
    assert ("InferenceAmiVersion" in variant) is is_told


def test_everything_that_was_asked_for_is_in_the_requests() -> None:
    endpoint = ModelEndpoint(**MOST)
    model = endpoint.model_request()
    assert model["EnableNetworkIsolation"] and model["Tags"]
    assert model["PrimaryContainer"]["Environment"] == {"FACEGAN_MAX_IMAGES": "16"}
    (variant,) = endpoint.configuration_request()["ProductionVariants"]
    assert (variant["InitialInstanceCount"], variant["InstanceType"]) == (2, "ml.c7i.large")
    assert variant["ContainerStartupHealthCheckTimeoutInSeconds"] == 600


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"name": "my faces"}, "The endpoint is named 'my faces'"),
        ({"model": "s3://bucket/faces/"}, "it ends with model.tar.gz"),
        ({"model": "runs/model.tar.gz"}, "Give s3://bucket/prefix"),
        ({"instance_type": "ml.c7i"}, "instance type"),
        ({"start_seconds": 5}, "start_seconds is 5"),
        ({"environment": {"A": 1}}, "variable A is '1'"),
        ({**LOCAL, "instance_count": 2}, "Local mode serves from one container"),
    ],
)
def test_what_the_service_would_refuse_is_refused_here(change: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError) as refused:
        ModelEndpoint(**FACES | change)
    assert told in str(refused.value)


def test_an_endpoint_is_made_in_three_calls_and_each_can_be_taken_back() -> None:
    calls = ModelEndpoint(**MOST).creation()
    assert [call.action for call in calls] == [
        "CreateModel", "CreateEndpointConfig", "CreateEndpoint",
    ]  # fmt: skip
    assert [call.undo for call in reversed(calls)] == deletion("faces")


def test_what_was_made_before_a_refusal_goes_again() -> None:
    refusal = CloudError("Too many.", "", "ResourceLimitExceeded")
    aws = FakeAws(CreateEndpointConfig=refusal)
    with pytest.raises(CloudError, match="Too many"):
        carry_out(aws.ask, ModelEndpoint(**FACES).creation())
    assert aws.made == ["CreateModel faces", "CreateEndpointConfig faces", "DeleteModel faces"]


def test_an_endpoint_of_that_name_that_was_there_before_stays() -> None:
    """The model's name is taken: nothing was made, so nothing is deleted."""
    aws = FakeAws(CreateModel=CloudError("Cannot create already existing model"))
    with pytest.raises(CloudError, match="existing"):
        carry_out(aws.ask, ModelEndpoint(**FACES).creation())
    assert aws.made == ["CreateModel faces"]


def test_deleting_goes_on_over_what_is_not_there() -> None:
    aws = FakeAws(DeleteEndpoint=absent("faces"), DeleteEndpointConfig=absent("faces"))
    delete_all(aws.ask, deletion("faces"))
    assert aws.made == ["DeleteEndpoint faces", "DeleteEndpointConfig faces", "DeleteModel faces"]


def test_a_refusal_to_delete_is_told_after_the_rest_was_deleted() -> None:
    aws = FakeAws(DeleteEndpointConfig=CloudError("No.", "", "AccessDeniedException"))
    with pytest.raises(CloudError, match=r"No\. Still there: faces \(DeleteEndpointConfig\)"):
        delete_all(aws.ask, deletion("faces"))
    assert aws.made[-1] == "DeleteModel faces"


def test_an_endpoint_that_stays_keeps_what_it_lives_on() -> None:
    aws = FakeAws(DeleteEndpoint=CloudError("Cannot update in-progress endpoint.", "", "X"))
    with pytest.raises(CloudError, match=r"DeleteEndpoint\), .*Config\), .*DeleteModel\)"):
        delete_all(aws.ask, deletion("faces"))
    assert aws.made == ["DeleteEndpoint faces"]


# --- kinds of endpoints ---------------------------------------------------------------------------

TOPIC = "arn:aws:sns:eu-west-1:123456789012:faces"
KEY = "arn:aws:kms:eu-west-1:123456789012:key/1"
SERVERLESS = FACES | {"instance_type": "", "serverless": Serverless(memory_mb=2048, provisioned=2)}
QUEUED = Asynchronous(
    output="s3://bucket/out", max_concurrent=4, success_topic=TOPIC, error_topic=TOPIC
)
ASYNCHRONOUS = FACES | {"asynchronous": QUEUED, "kms_key": KEY}
MANY = FACES | {"is_multi_model": True, "model": "s3://bucket/models/"}
CAPTURED = FACES | {"capture": Capture(place="s3://bucket/seen", percent=5), "kms_key": KEY}
RIVAL = Rival(name="new", model="s3://bucket/new/model.tar.gz", weight=1.0)
RIVALS = FACES | {"weight": 9.0, "rivals": (RIVAL,)}
NETWORK = {"subnets": ("subnet-1", "subnet-2"), "security_groups": ("sg-1",)}
INSIDE = FACES | NETWORK
KINDS = [SERVERLESS, ASYNCHRONOUS, MANY, CAPTURED, RIVALS, INSIDE]


@pytest.mark.parametrize(
    "wish", KINDS, ids=["serverless", "asynchronous", "many", "captured", "rivals", "vpc"]
)
def test_every_kind_of_endpoint_is_one_that_the_api_takes(wish: dict[str, Any]) -> None:
    for call in ModelEndpoint(**wish).creation():
        assert complaints(call.action, call.request) == ""


def configuration(wish: dict[str, Any]) -> dict[str, Any]:
    return ModelEndpoint(**wish).configuration_request()


def test_a_serverless_variant_has_memory_and_no_machine() -> None:
    (variant,) = configuration(SERVERLESS)["ProductionVariants"]
    assert variant == {
        "VariantName": "AllTraffic",
        "ModelName": "faces",
        "ServerlessConfig": {
            "MemorySizeInMB": 2048, "MaxConcurrency": 5, "ProvisionedConcurrency": 2,
        },
    }  # fmt: skip


def test_asynchronous_answers_and_failures_have_places_topics_and_a_key() -> None:
    assert configuration(ASYNCHRONOUS)["AsyncInferenceConfig"] == {
        "OutputConfig": {
            "S3OutputPath": "s3://bucket/out",
            "S3FailurePath": "s3://bucket/out/failures",
            "KmsKeyId": KEY,
            "NotificationConfig": {"SuccessTopic": TOPIC, "ErrorTopic": TOPIC},
        },
        "ClientConfig": {"MaxConcurrentInvocationsPerInstance": 4},
    }


def test_asynchronous_answers_may_be_longer_than_the_six_megabytes_of_others() -> None:
    wish = ASYNCHRONOUS | {"environment": {"FACEGAN_MAX_IMAGES": "1024"}}
    container = ModelEndpoint(**wish).model_request()["PrimaryContainer"]
    assert container["Environment"] == {
        "SAGEMAKER_MAX_PAYLOAD_IN_MB": "100", "FACEGAN_MAX_IMAGES": "1024",
    }  # fmt: skip


def test_many_models_are_a_prefix_in_a_mode() -> None:
    container = ModelEndpoint(**MANY).model_request()["PrimaryContainer"]
    assert (container["Mode"], container["ModelDataUrl"]) == ("MultiModel", "s3://bucket/models/")


def test_rivals_share_the_requests_by_weight_each_with_a_model() -> None:
    endpoint = ModelEndpoint(**RIVALS)
    models = {it["ModelName"]: it["PrimaryContainer"] for it in endpoint.model_requests()}
    variants = configuration(RIVALS)["ProductionVariants"]
    assert [(it["VariantName"], it["InitialVariantWeight"]) for it in variants] == [
        ("AllTraffic", 9.0), ("new", 1.0),
    ]  # fmt: skip
    assert models[variants[1]["ModelName"]]["ModelDataUrl"] == RIVAL.model
    assert is_named_after(variants[1]["ModelName"], "faces")


def test_a_key_of_volumes_goes_only_where_the_api_takes_one() -> None:
    """Machines with disks of their own refuse it; they encrypt by hardware."""
    assert configuration(CAPTURED)["KmsKeyId"] == KEY
    assert "KmsKeyId" not in configuration(CAPTURED | {"instance_type": "ml.g5.xlarge"})
    assert "KmsKeyId" not in configuration(SERVERLESS | {"kms_key": KEY})


def test_a_vpc_is_of_the_model() -> None:
    assert ModelEndpoint(**INSIDE).model_request()["VpcConfig"] == {
        "Subnets": ["subnet-1", "subnet-2"], "SecurityGroupIds": ["sg-1"],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (SERVERLESS | {"instance_type": "ml.g5.xlarge"}, "asked for an instance type"),
        (SERVERLESS | {"asynchronous": QUEUED}, "asked for asynchronous answers"),
        (SERVERLESS | {"capture": Capture(place="s3://b/c")}, "asked for data capture"),
        (SERVERLESS | NETWORK, "asked for a VPC"),
        (SERVERLESS | {"network_isolation": True}, "asked for network isolation"),
        ({"name": "f" * 55}, "name has 55 characters"),
        ({"subnets": ("subnet-1",)}, "One of subnets and security_groups"),
        ({"rivals": (RIVAL, RIVAL)}, "Each name once"),
        ({"weight": -1.0}, "The weight is -1.0"),
        (MANY | {"rivals": (RIVAL,)}, "Many models have no variants"),
        (MANY | {"model": "s3://bucket/models"}, "with a slash at its end"),
    ],
)
def test_what_does_not_go_together_is_refused_here(change: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError) as refused:
        ModelEndpoint(**FACES | change)
    assert told in str(refused.value)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Serverless(memory_mb=1000), "serverless memory is 1000"),
        (lambda: Serverless(max_concurrency=201), "max_concurrency is 201"),
        (lambda: Serverless(max_concurrency=2, provisioned=3), "provisioned concurrency is 3"),
        (lambda: Asynchronous(output="/tmp/out"), "output is '/tmp/out'"),
        (lambda: Asynchronous(output="s3://b/o", error_topic="faces"), "topic is 'faces'"),
        (lambda: Capture(place="s3://b/c", percent=101), "capture percent is 101"),
        (lambda: Rival(name="AllTraffic", model="s3://b/m.tar.gz"), "the first one's name"),
    ],
)
def test_a_part_that_the_service_would_refuse_is_refused_here(make: Any, told: str) -> None:
    with pytest.raises(ConfigError) as refused:
        make()
    assert told in str(refused.value)
