"""A tuning job's request: what AWS's model of the API takes, and what is refused before."""

from typing import Any

import pytest
from api_model import complaints

from facegan.cloud.training_request import TrainingJob
from facegan.cloud.tuning_request import Choice, Range, TuningJob
from facegan.errors import ConfigError

JOB: dict[str, Any] = {
    "name": "faces",
    "image": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/facegan-training:1",
    "role": "arn:aws:iam::123456789012:role/facegan",
    "pictures": "s3://bucket/pictures",
    "output": "s3://bucket/faces",
    "checkpoints": "s3://bucket/checkpoints",
    "instance_type": "ml.g5.xlarge",
    "hyperparameters": {"family": "dcgan", "preset": "article32", "evaluate_kimg": "20"},
}
RATE = Range("generator_learning_rate", "1e-4", "1e-3", "log")
WIDTH = Range("conv_dim", "1.6e1", "64")
LAYOUT = Choice("self_modulation", ("true", "false"))


def tuning(job: dict[str, Any] = JOB, **wish: Any) -> TuningJob:
    least: dict[str, Any] = {"name": "faces-tune", "ranges": (RATE,)}
    return TuningJob(job=TrainingJob(**job), **least | wish)


SPOT = JOB | {"max_wait_seconds": 90000, "subnets": ("subnet-1",), "security_groups": ("sg-1",)}
MOST = {"ranges": (RATE, WIDTH), "choices": (LAYOUT,), "early_stopping": True, "seed": 7}


@pytest.mark.parametrize(
    "job",
    [
        tuning(),
        tuning(SPOT, **MOST, tags={"facegan:project": "faces"}),
        tuning(ranges=(), choices=(LAYOUT,), strategy="Grid"),
    ],
    ids=["least", "most", "grid"],
)
def test_the_request_is_one_that_the_api_takes(job: TuningJob) -> None:
    assert complaints("CreateHyperParameterTuningJob", job.request()) == ""


def test_ranges_are_sorted_as_the_api_wants_them() -> None:
    ranges = tuning(**MOST).request()["HyperParameterTuningJobConfig"]["ParameterRanges"]
    assert ranges == {
        "ContinuousParameterRanges": [
            {
                "Name": "generator_learning_rate",
                "MinValue": "1e-4",
                "MaxValue": "1e-3",
                "ScalingType": "Logarithmic",
            }
        ],
        "IntegerParameterRanges": [
            {"Name": "conv_dim", "MinValue": "16", "MaxValue": "64", "ScalingType": "Auto"}
        ],
        "CategoricalParameterRanges": [{"Name": "self_modulation", "Values": ["true", "false"]}],
    }


@pytest.mark.parametrize(
    ("objective", "goal"), [("kid_lite0", "Minimize"), ("recall_lite0", "Maximize")]
)
def test_an_objective_knows_which_way_is_better(objective: str, goal: str) -> None:
    config = tuning(objective=objective).request()["HyperParameterTuningJobConfig"]
    told = config["HyperParameterTuningJobObjective"]
    assert told == {"Type": goal, "MetricName": objective}


def test_the_objective_is_a_metric_that_the_jobs_declare() -> None:
    request = tuning().request()
    declared = request["TrainingJobDefinition"]["AlgorithmSpecification"]["MetricDefinitions"]
    assert "kid_lite0" in [one["Name"] for one in declared]


def test_checkpoints_are_for_spot_instances_alone() -> None:
    assert "CheckpointConfig" not in tuning().request()["TrainingJobDefinition"]
    definition = tuning(SPOT).request()["TrainingJobDefinition"]
    assert definition["CheckpointConfig"] == {"S3Uri": "s3://bucket/checkpoints"}
    assert definition["EnableManagedSpotTraining"] is True


def test_what_is_not_tuned_is_the_same_for_all() -> None:
    definition = tuning().request()["TrainingJobDefinition"]
    assert definition["StaticHyperParameters"] == JOB["hyperparameters"]
    assert "TrainingJobName" not in definition


def test_a_grid_has_as_many_jobs_as_points() -> None:
    both = (LAYOUT, Choice("conv_dim", ("16", "32", "64")))
    job = tuning(ranges=(), choices=both, strategy="Grid")
    assert job.count == 6
    limits = job.request()["HyperParameterTuningJobConfig"]["ResourceLimits"]
    assert limits == {"MaxParallelTrainingJobs": 2}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"name": "x" * 33}, "33 characters. It may have 32"),
        ({"name": "a_b"}, "tuning job is named 'a_b'"),
        ({"strategy": "Bayes"}, "Unknown strategy 'Bayes'. Did you mean Bayesian"),
        ({"max_jobs": 0}, "max_jobs is 0"),
        ({"max_parallel": 13}, "max_parallel is 13. It must be from 1 to 12"),
        ({"ranges": ()}, "0 hyperparameters are to be found. Say what by --range"),
        ({"ranges": (RATE, RATE)}, "generator_learning_rate is given twice"),
        ({"ranges": (Range("evaluate_kimg", "1", "2"),)}, "evaluate_kimg is given twice"),
        ({"ranges": (Range("resolution", "32", "64"),)}, "resolution cannot be tuned"),
        ({"ranges": (Range("r1_gamma", "1", "2"),)}, "Unknown hyperparameter 'r1_gamma'"),
        ({"ranges": (Range("self_modulation", "0", "1"),)}, "no range. Use --choice"),
        ({"ranges": (Range("conv_dim", "1.5", "2"),)}, "conv_dim is '1.5'. It must be a whole"),
        ({"choices": (Choice("conv_dim", ("a", "b")),)}, "conv_dim is 'a'"),
        ({"strategy": "Grid"}, "A grid is of choices"),
        ({"objective": "generator"}, "losses say nothing of faces"),
        ({"objective": "fid"}, "Over lite0 there are kid_lite0"),
    ],
)
def test_what_the_service_would_refuse_is_refused_here(change: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError) as refused:
        tuning(**change)
    assert told in str(refused.value)


def test_its_jobs_have_fewer_variables() -> None:
    with pytest.raises(ConfigError, match=r"49 variables are set\. .* 48 at most"):
        tuning(JOB | {"environment": {f"A{number}": "" for number in range(49)}})


def test_an_objective_that_nobody_measures_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"no job would measure it. Say how often: --evaluate"):
        tuning(JOB | {"hyperparameters": {}})


@pytest.mark.parametrize(
    ("low", "high", "scale", "told"),
    [
        ("2", "1", "auto", "from 2 to 1"),
        ("a", "1", "auto", "reach 'a'. It must be a number"),
        ("0", "1", "log", "begins above 0"),
        ("0", "1", "cubic", "The scale of beta1 is 'cubic'"),
    ],
)
def test_what_is_no_range_is_refused(low: str, high: str, scale: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        Range("beta1", low, high, scale)


def test_a_choice_has_two_values_each_once() -> None:
    for values in (("a",), ("a", "a")):
        with pytest.raises(ConfigError, match="two to thirty values"):
            Choice("augment", values)
