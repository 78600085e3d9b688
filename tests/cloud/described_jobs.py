"""Training jobs as SageMaker describes them."""

from datetime import UTC, datetime, timedelta
from typing import Any

BEGUN = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)


def described(status: str = "Completed", secondary: str = "", **others: Any) -> dict[str, Any]:
    """The job faces-1 in some state."""
    return {
        "TrainingJobName": "faces-1",
        "TrainingJobArn": "arn:aws:sagemaker:eu-west-1:123456789012:training-job/faces-1",
        "TrainingJobStatus": status,
        "SecondaryStatus": secondary or status,
        "HyperParameters": {"preset": "toy32", "total_kimg": "5"},
        "AlgorithmSpecification": {
            "TrainingImage": "mine:1",
            "TrainingInputMode": "File",
            "MetricDefinitions": [{"Name": "kimg", "Regex": "kimg=(.*);"}],
            "EnableSageMakerMetricsTimeSeries": False,
        },
        "RoleArn": "arn:aws:iam::123456789012:role/facegan",
        "InputDataConfig": [
            {
                "ChannelName": "training",
                "DataSource": {
                    "S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://my-bucket/d"}
                },
                "CompressionType": "None",
                "RecordWrapperType": "None",
            }
        ],
        "OutputDataConfig": {"KmsKeyId": "", "S3OutputPath": "s3://my-bucket/faces/jobs"},
        "ResourceConfig": {
            "InstanceType": "ml.g5.xlarge", "InstanceCount": 2, "VolumeSizeInGB": 30,
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
        "CheckpointConfig": {"S3Uri": "s3://my-bucket/faces/jobs/faces-1/checkpoints"},
        "ModelArtifacts": {
            "S3ModelArtifacts": "s3://my-bucket/faces/jobs/faces-1/output/model.tar.gz"
        },
        "CreationTime": BEGUN,
        "TrainingStartTime": BEGUN + timedelta(minutes=3),
        "SecondaryStatusTransitions": [
            {"Status": "Starting", "StartTime": BEGUN, "StatusMessage": "Preparing the instances"},
            {"Status": "Training", "StartTime": BEGUN, "StatusMessage": ""},
        ],
        "TrainingTimeInSeconds": 1000,
        "BillableTimeInSeconds": 300,
        "EnableManagedSpotTraining": False,
        "EnableNetworkIsolation": False,
        **others,
    }  # fmt: skip
