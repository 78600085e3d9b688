"""A canned account that has everything a project can make, and something of others."""

from typing import Any

from canned_aws import CannedAws, index

STACK = "stack/faces-door/1b2c"


def arn(resource: str) -> str:
    return f"arn:aws:sagemaker:eu-west-1:123456789012:{resource}"


STOPPED = {
    "DescribeTrainingJob": {"TrainingJobStatus": "Stopped"},
    "DescribeTransformJob": {"TransformJobStatus": "Stopped"},
    "DescribeHyperParameterTuningJob": {"HyperParameterTuningJobStatus": "Stopped"},
}


def listed(stem: str, kind: str, *names: str, **more: Any) -> list[dict[str, Any]]:
    return [
        {f"{stem}Name": name, f"{stem}Arn": arn(f"{kind}/{name.lower()}")} | more for name in names
    ]


INDEX = [
    *index(
        "endpoint/faces", "endpoint-config/faces", "model/faces", "model-package-group/faces",
        "experiment/faces", "experiment-trial/faces-first",
        "training-job/faces-1", "training-job/faces-2", "hyper-parameter-tuning-job/search",
        "transform-job/draw",
    ),
    *index(STACK, service="cloudformation"),
    *index("function:door", service="lambda", **{"aws:cloudformation:stack-id": "x"}),
    *index("log-group:/aws/lambda/door", service="logs", **{"aws:cloudformation:stack-id": "x"}),
    *index("alarm:faces-5xx", service="cloudwatch"),
    *index("repository/facegan-training", service="ecr"),
    *index("bucket", service="s3"),
    *index("table/odd", service="dynamodb"),
]  # fmt: skip


def jobs(request: dict[str, Any]) -> dict[str, Any]:
    running = listed("TrainingJob", "training-job", "Faces-2", TrainingJobStatus="InProgress")
    ended = listed("TrainingJob", "training-job", "Faces-1", TrainingJobStatus="Completed")
    if request.get("StatusEquals"):
        return {"TrainingJobSummaries": running}
    return {"TrainingJobSummaries": ended if request else running + ended}


def tunings(request: dict[str, Any]) -> dict[str, Any]:
    stem = "HyperParameterTuningJob"
    state = {f"{stem}Status": "InProgress"}
    found = listed(stem, "hyper-parameter-tuning-job", "search", "theirs", **state)
    return {f"{stem}Summaries": found}


def versions(request: dict[str, Any]) -> dict[str, Any]:
    each = {"VersionId": "v", "Size": 2_000_000}
    keys = [{"Key": f"faces/{number}"} | each for number in range(1500)]
    return {"Versions": keys, "DeleteMarkers": [{"Key": "faces/old", "VersionId": "w"}]}


def account(**others: Any) -> CannedAws:
    """An account with everything that a project can make, and something of others."""
    target = {
        "ServiceNamespace": "sagemaker",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount", "MinCapacity": 1,
    }  # fmt: skip
    targets = [
        target | {"ResourceId": f"endpoint/{name}/variant/AllTraffic"}
        for name in ("Faces", "Faces2")
    ]
    answers = {
        "GetResources": {"ResourceTagMappingList": INDEX},
        "ListEndpoints": {"Endpoints": listed("Endpoint", "endpoint", "Faces", "theirs")},
        "ListEndpointConfigs": {
            "EndpointConfigs": listed("EndpointConfig", "endpoint-config", "Faces", "theirs")
        },
        "ListModels": {"Models": listed("Model", "model", "Faces", "theirs")},
        "ListModelPackageGroups": {
            "ModelPackageGroupSummaryList": listed(
                "ModelPackageGroup", "model-package-group", "Faces", "theirs"
            )
        },
        "ListModelPackages": {
            "ModelPackageSummaryList": [
                {"ModelPackageArn": arn(f"model-package/faces/{n}")} for n in (1, 2)
            ]
        },
        "ListExperiments": {
            "ExperimentSummaries": listed("Experiment", "experiment", "Faces", "theirs")
        },
        "ListTrials": {"TrialSummaries": [{"TrialName": "faces-first"}]},
        "ListTrialComponents": {
            "TrialComponentSummaries": [{"TrialComponentName": "faces-1-aws-training-job"}]
        },
        "ListTrainingJobs": jobs,
        "ListHyperParameterTuningJobs": tunings,
        "ListTransformJobs": {
            "TransformJobSummaries": listed("TransformJob", "transform-job", "draw")
        },
        "DescribeScalableTargets": {"ScalableTargets": targets},
        "DescribeStacks": {"Stacks": [{"StackStatus": "CREATE_COMPLETE"}]},
        "DescribeAlarms": {"MetricAlarms": [{"AlarmName": "faces-5xx"}]},
        "DescribeLogGroups": {
            "logGroups": [
                {"logGroupName": f"/aws/sagemaker/Endpoints/{name}", "storedBytes": 1500}
                for name in ("Faces", "Faces2")
            ]
        },
        "DescribeRepositories": {"repositories": [{}]},
        "ListObjectVersions": versions,
        "ListMultipartUploads": {"Uploads": [{"Key": "faces/half", "UploadId": "u"}]},
    }
    return CannedAws(STOPPED | answers | others)
