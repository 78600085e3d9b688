"""An endpoint's three requests, and that what was half made goes again."""

from typing import Any

import boto3
import pytest
from api_model import complaints
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from facegan.cloud.endpoint_requests import ModelEndpoint, create_endpoint, delete_endpoint
from facegan.errors import ConfigError

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
ARN = "arn:aws:sagemaker:eu-west-1:123456789012:"
NAMED = (("delete_endpoint", "EndpointName"), ("delete_endpoint_config", "EndpointConfigName"),
         ("delete_model", "ModelName"))  # fmt: skip


@pytest.fixture
def client() -> Any:
    return boto3.client(
        "sagemaker", "eu-west-1", aws_access_key_id="x", aws_secret_access_key="x"
    )  # fmt: skip


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


def test_an_endpoint_is_made_in_three_calls(client: Any) -> None:
    endpoint = ModelEndpoint(**MOST)
    with Stubber(client) as aws:
        aws.add_response("create_model", {"ModelArn": ARN + "model/faces"},
                         endpoint.model_request())  # fmt: skip
        aws.add_response("create_endpoint_config", {"EndpointConfigArn": ARN + "config/faces"},
                         endpoint.configuration_request())  # fmt: skip
        aws.add_response("create_endpoint", {"EndpointArn": ARN + "endpoint/faces"},
                         endpoint.endpoint_request())  # fmt: skip
        create_endpoint(client, endpoint)
        aws.assert_no_pending_responses()


def test_what_was_made_before_a_refusal_goes_again(client: Any) -> None:
    with Stubber(client) as aws:
        aws.add_response("create_model", {"ModelArn": ARN + "model/faces"})
        aws.add_client_error("create_endpoint_config", "ResourceLimitExceeded", "Too many.")
        aws.add_response("delete_model", {}, {"ModelName": "faces"})
        with pytest.raises(ClientError, match="Too many"):
            create_endpoint(client, ModelEndpoint(**FACES))
        aws.assert_no_pending_responses()


def test_an_endpoint_of_that_name_that_was_there_before_stays(client: Any) -> None:
    """The model's name is taken: nothing was made, so nothing is deleted."""
    with Stubber(client) as aws:
        aws.add_client_error("create_model", "ValidationException", "Cannot create existing model")
        with pytest.raises(ClientError, match="existing"):
            create_endpoint(client, ModelEndpoint(**FACES))


def test_deleting_goes_on_over_what_is_not_there(client: Any) -> None:
    with Stubber(client) as aws:
        for action, name in NAMED[:2]:
            aws.add_client_error(action, "ValidationException", 'Could not find "faces".',
                                 expected_params={name: "faces"})  # fmt: skip
        aws.add_response("delete_model", {}, {"ModelName": "faces"})
        delete_endpoint(client, "faces")
        aws.assert_no_pending_responses()


def test_a_refusal_to_delete_is_not_hidden(client: Any) -> None:
    with Stubber(client) as aws:
        aws.add_client_error("delete_endpoint", "AccessDeniedException", "No.")
        with pytest.raises(ClientError, match="No"):
            delete_endpoint(client, "faces")
