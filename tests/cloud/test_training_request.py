"""A training job's request: what AWS's own model of the API takes, and what is refused before."""

import json
from typing import Any

import pytest
from api_model import complaints

from facegan.cloud.training_request import Channel, TrainingJob
from facegan.errors import ConfigError
from facegan.hyperparameters.run_spec import RunSpec
from facegan.tick_line import METRIC_DEFINITIONS
from facegan.training.run import complete_spec

LEAST: dict[str, Any] = {
    "name": "faces-1",
    "image": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/facegan-training:1",
    "role": "arn:aws:iam::123456789012:role/facegan",
    "pictures": "s3://bucket/pictures",
    "output": "s3://bucket/faces",
    "instance_type": "ml.g5.xlarge",
}
MOST: dict[str, Any] = LEAST | {
    "instance_count": 2,
    "hyperparameters": {"family": "stylegan2", "total_kimg": 500, "beta1": 0.5, "conv": True},
    "held_out_pictures": "s3://bucket/held-out",
    "checkpoints": "s3://bucket/checkpoints",
    "curves": "s3://bucket/curves",
    "input_mode": "FastFile",
    "distribution": "ShardedByS3Key",
    "volume_gb": 100,
    "max_run_seconds": 3600,
    "max_wait_seconds": 7200,
    "network_isolation": True,
    "environment": {"OMP_NUM_THREADS": "4"},
    "tags": {"project": "faces"},
}
LOCAL: dict[str, Any] = LEAST | {
    "image": "facegan-training:local",
    "instance_type": "local",
    "pictures": "file:///data/training",
    "output": "file:///data/out",
}


SECRET: dict[str, Any] = LEAST | {
    "kms_key": "arn:aws:kms:eu-west-1:123456789012:key/1234",
    "subnets": ("subnet-0a1b", "subnet-0c1d"),
    "security_groups": ("sg-0a1b",),
    "encrypt_between_hosts": True,
}
GROUPED: dict[str, Any] = LEAST | {
    "warm_seconds": 600,
    "retries": 3,
    "experiment": "faces",
    "run": "first",
    "distribution": "ShardedByS3Key",
    "more_channels": (Channel(name="manifest", place="s3://bucket/m", input_mode="File"),),
}
WISHES = {"least": LEAST, "most": MOST, "local": LOCAL, "secret": SECRET, "grouped": GROUPED}


@pytest.mark.parametrize("wish", WISHES.values(), ids=WISHES)
def test_the_request_is_one_that_the_api_takes(wish: dict[str, Any]) -> None:
    assert complaints("CreateTrainingJob", TrainingJob(**wish).request()) == ""


def test_what_nobody_asked_for_is_not_in_the_request() -> None:
    assert set(TrainingJob(**LEAST).request()) == {
        "TrainingJobName", "RoleArn", "AlgorithmSpecification", "HyperParameters",
        "InputDataConfig", "OutputDataConfig", "ResourceConfig", "StoppingCondition",
    }  # fmt: skip


def test_everything_that_was_asked_for_is_in_the_request() -> None:
    request = TrainingJob(**MOST).request()
    channels = {one["ChannelName"]: one["DataSource"] for one in request["InputDataConfig"]}
    assert {name: one["S3DataSource"]["S3Uri"] for name, one in channels.items()} == {
        "training": "s3://bucket/pictures", "evaluation": "s3://bucket/held-out",
    }  # fmt: skip
    spread = [one["S3DataSource"]["S3DataDistributionType"] for one in channels.values()]
    assert spread == ["ShardedByS3Key", "FullyReplicated"]
    assert request["AlgorithmSpecification"]["TrainingInputMode"] == "FastFile"
    assert request["AlgorithmSpecification"]["MetricDefinitions"] == METRIC_DEFINITIONS
    assert request["ResourceConfig"] == {
        "InstanceType": "ml.g5.xlarge", "InstanceCount": 2, "VolumeSizeInGB": 100,
    }  # fmt: skip
    assert request["StoppingCondition"] == {
        "MaxRuntimeInSeconds": 3600, "MaxWaitTimeInSeconds": 7200,
    }  # fmt: skip
    assert request["EnableManagedSpotTraining"] and request["EnableNetworkIsolation"]
    assert request["CheckpointConfig"] == {"S3Uri": "s3://bucket/checkpoints"}
    assert request["TensorBoardOutputConfig"] == {"S3OutputPath": "s3://bucket/curves"}
    assert request["Environment"] == {"OMP_NUM_THREADS": "4"}
    assert request["Tags"] == [{"Key": "project", "Value": "faces"}]


def test_what_is_kept_secret_is_in_the_request() -> None:
    request = TrainingJob(**SECRET).request()
    assert request["OutputDataConfig"]["KmsKeyId"] == SECRET["kms_key"]
    assert request["VpcConfig"] == {
        "Subnets": ["subnet-0a1b", "subnet-0c1d"], "SecurityGroupIds": ["sg-0a1b"],
    }  # fmt: skip
    assert request["EnableInterContainerTrafficEncryption"] is True


@pytest.mark.parametrize(
    ("kind", "takes_a_key"),
    [("ml.m5.large", True), ("ml.c7i.large", True), ("ml.p3.2xlarge", True),
     ("ml.g5.xlarge", False), ("ml.g4dn.xlarge", False), ("ml.m5d.large", False),
     ("ml.p4de.24xlarge", False), ("ml.p5.48xlarge", False), ("ml.trn1.2xlarge", False)],
)  # fmt: skip
def test_volumes_get_the_key_but_for_instances_whose_own_disks_take_none(
    kind: str, takes_a_key: bool
) -> None:
    request = TrainingJob(**SECRET | {"instance_type": kind}).request()
    assert ("VolumeKmsKeyId" in request["ResourceConfig"]) is takes_a_key


def test_grouping_warmth_and_retries_are_in_the_request() -> None:
    request = TrainingJob(**GROUPED).request()
    assert request["ResourceConfig"]["KeepAlivePeriodInSeconds"] == 600
    assert request["RetryStrategy"] == {"MaximumRetryAttempts": 3}
    assert request["ExperimentConfig"] == {
        "ExperimentName": "faces",
        "TrialName": "faces-first",
        "TrialComponentDisplayName": "faces-1",
    }


def test_each_channel_has_its_distribution_and_may_have_its_mode() -> None:
    pictures, manifest = TrainingJob(**GROUPED).request()["InputDataConfig"]
    source = pictures["DataSource"]["S3DataSource"]
    assert source["S3DataDistributionType"] == "ShardedByS3Key" and "InputMode" not in pictures
    assert (manifest["ChannelName"], manifest["InputMode"]) == ("manifest", "File")
    source = manifest["DataSource"]["S3DataSource"]
    assert source["S3DataDistributionType"] == "FullyReplicated"


def test_local_mode_is_sent_what_aws_would_be_but_for_places_image_and_type() -> None:
    cloud, local = TrainingJob(**LEAST).request(), TrainingJob(**LOCAL).request()
    texts = [json.dumps(request, sort_keys=True) for request in (cloud, local)]
    for name in ("image", "pictures", "output"):
        texts = [text.replace(LEAST[name], "…").replace(LOCAL[name], "…") for text in texts]
    assert texts[0].replace('"ml.g5.xlarge"', '"local"') == texts[1]


def test_a_request_can_be_changed_without_changing_the_next() -> None:
    """The SDK's local mode writes into the one that it is given."""
    job = TrainingJob(**MOST)
    job.request()["AlgorithmSpecification"]["MetricDefinitions"][0]["Name"] = "changed"
    job.request()["InputDataConfig"][0]["DataUri"] = "changed"
    assert "changed" not in json.dumps(job.request())


def test_hyperparameters_arrive_as_they_were_meant() -> None:
    numbers = {"total_kimg": 0.064, "share_fakes": True, "beta1": "0.50", "tick_kimg": 1}
    sent = TrainingJob(**LEAST, hyperparameters=numbers).request()["HyperParameters"]
    assert sent == {
        "total_kimg": "0.064", "share_fakes": "true", "beta1": "0.50", "tick_kimg": "1",
    }  # fmt: skip
    named = {"data": "faces", "family": "dcgan", "preset": "tiny"}
    complete_spec(RunSpec.from_mapping({**named, **sent}))  # raises nothing


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"name": "faces_1"}, "training job is named 'faces_1'. It must be 1 to 63 letters"),
        ({"name": "x" * 64}, "It must be 1 to 63"),
        ({"image": ""}, "The image is ''"),
        ({"role": "facegan"}, "The role is 'facegan'. It must be like arn:aws:iam::"),
        ({"pictures": "bucket/pictures"}, "pictures is 'bucket/pictures'. Give s3://"),
        ({"pictures": "file:///data"}, "only local mode reads this machine's files"),
        ({"output": "s3:///faces"}, "output is 's3:///faces'"),
        ({"instance_type": "g5.xlarge"}, "instance type is 'g5.xlarge'. Give one like ml.g5"),
        ({"instance_count": 0}, "instance_count is 0. It must be from 1"),
        ({"instance_count": True}, "instance_count is True"),
        ({"input_mode": "Tube"}, "input_mode is 'Tube'. The container reads File, FastFile"),
        ({"input_mode": "Pipe"}, "The input mode Pipe is not supported. Use FastFile"),
        ({"distribution": "Sharded"}, "distribution is 'Sharded'. Give FullyReplicated or"),
        ({"max_run_seconds": 29 * 24 * 3600}, "max_run_seconds is"),
        ({"max_wait_seconds": 60}, "max_wait_seconds is 60. It must be from 86400"),
        ({"max_wait_seconds": 90000}, "spot instances has no place for its checkpoints"),
        ({"warm_seconds": 21601}, "warm_seconds is 21601"),
        (
            {"warm_seconds": 60, "max_wait_seconds": 90000, "checkpoints": "s3://b/c"},
            "warm pool of spot instances",
        ),
        ({"retries": 31}, "retries is 31. It must be from 1 to 30"),
        ({"subnets": ("subnet-1",)}, "one of the two is missing. Give both"),
        ({"subnets": ("a b",), "security_groups": ("sg-1",)}, "A subnet is 'a b'"),
        ({"kms_key": "my key"}, "The KMS key is 'my key'"),
        (
            {"kms_key": "alias/k", "instance_type": "ml.m5.large"},
            "volumes take no alias. Give its id or ARN",
        ),
        ({"run": "first"}, "The run 'first' has no experiment"),
        ({"experiment": "a_b"}, "The experiment is named 'a_b'"),
        ({"experiment": "e" * 63, "run": "r" * 60}, "Together they may have 119"),
        ({"tags": {"aws:x": "1"}}, "A tag is named 'aws:x'"),
        ({"tags": {"x": "<"}}, "The tag x is '<'"),
        (
            {"more_channels": (Channel(name="training", place="s3://b/c"),)},
            "The channel training is given twice",
        ),
        (
            {"more_channels": (Channel(name="x", place="data"),)},
            "channel x is 'data'. Give s3://",
        ),
        ({"hyperparameters": {"classes": None}}, "hyperparameter classes is None"),
        ({"hyperparameters": {"x": "y" * 2501}}, "'x' is too long"),
        ({"hyperparameters": {str(n): n for n in range(101)}}, "101 hyperparameters"),
        ({"environment": {"A B": "1"}}, "variable 'A B'"),
        ({"environment": {"A": "x" * 513}}, "at most 512 characters"),
    ],
)
def test_what_the_service_would_refuse_is_refused_here(change: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError) as refused:
        TrainingJob(**LEAST | change)
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)


def test_local_mode_needs_absolute_paths() -> None:
    with pytest.raises(ConfigError, match="an absolute path"):
        TrainingJob(**LOCAL | {"pictures": "file://data"})


@pytest.mark.parametrize(
    ("wish", "told"),
    [
        ({"name": "a b"}, "A channel is named 'a b'"),
        ({"input_mode": "Slow"}, "input_mode is 'Slow'"),
    ],
)
def test_a_channel_that_the_service_would_refuse_is_refused(
    wish: dict[str, Any], told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        Channel(**{"name": "x", "place": "s3://b/x"} | wish)
