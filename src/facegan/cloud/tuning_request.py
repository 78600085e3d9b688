"""A tuning job as SageMaker's API takes it: training jobs that differ in some hyperparameters.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateHyperParameterTuningJob.html
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from facegan.cloud.limits import check_name, check_number
from facegan.cloud.training_request import TrainingJob, given, tag_list
from facegan.errors import ConfigError, did_you_mean
from facegan.gans.resolve import resolve, types_of
from facegan.hyperparameters.run_spec import DEFAULT_FAMILY, RunSpec
from facegan.hyperparameters.setting import KINDS

MAX_VARIABLES = 48
MAX_NAME = 32  # the training jobs' names begin with it
STRATEGIES = ("Bayesian", "Random", "Grid")
SCALES = {"auto": "Auto", "linear": "Linear", "log": "Logarithmic"}
# What may be tuned for, and which way is better: figures of quality, measured over an extractor.
OBJECTIVES = {
    "lite0": {
        "kid_lite0": "Minimize",
        "fd_lite0": "Minimize",
        "precision_lite0": "Maximize",
        "recall_lite0": "Maximize",
    },
    "inception": {
        "fid": "Minimize",
        "kid": "Minimize",
        "precision_inception": "Maximize",
        "recall_inception": "Maximize",
    },
}
# Parts of a training job's request that a tuning job's definition has too.
OF_A_DEFINITION = (
    *("AlgorithmSpecification", "RoleArn", "InputDataConfig", "OutputDataConfig"),
    *("ResourceConfig", "StoppingCondition", "EnableNetworkIsolation", "VpcConfig"),
    *("EnableInterContainerTrafficEncryption", "EnableManagedSpotTraining", "CheckpointConfig"),
    *("RetryStrategy", "Environment"),
)


@dataclass(frozen=True)
class Range:
    """A number to be found between two.

    Args:
        name: The hyperparameter's.
        low: The least, as text.
        high: The most, as text.
        scale: "auto", "linear" or "log".

    Raises:
        ConfigError: it is no range.
    """

    name: str
    low: str
    high: str
    scale: str = "auto"

    def __post_init__(self) -> None:
        if self.scale not in SCALES:
            hint = did_you_mean(self.scale, tuple(SCALES), "scales")
            raise ConfigError(f"The scale of {self.name} is {self.scale!r}.", hint)
        low, high = as_number(self.name, self.low), as_number(self.name, self.high)
        if not low < high:
            hint = "Write it as name=low:high, or name=low:high:log."
            raise ConfigError(f"{self.name} is to be from {self.low} to {self.high}.", hint)
        if self.scale == "log" and low <= 0:
            hint = "A logarithmic range begins above 0."
            raise ConfigError(f"{self.name} is to be from {self.low}, logarithmically.", hint)

    def whole(self) -> "Range":
        """The same with its ends as the API takes those of whole numbers: no 1e3."""
        low, high = (str(int(float(end))) for end in (self.low, self.high))
        return Range(self.name, low, high, self.scale)

    def request(self) -> dict[str, str]:
        """As the API lists it."""
        ends = {"MinValue": self.low, "MaxValue": self.high}
        return {"Name": self.name, **ends, "ScalingType": SCALES[self.scale]}


@dataclass(frozen=True)
class Choice:
    """A value to be found among some.

    Args:
        name: The hyperparameter's.
        values: Those there are, as text.

    Raises:
        ConfigError: there are fewer than two, or one twice.
    """

    name: str
    values: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(set(self.values)) != len(self.values) or not 2 <= len(self.values) <= 30:
            hint = "Write it as name=a,b: two to thirty values, each once."
            raise ConfigError(f"{self.name} is to be one of {', '.join(self.values)}.", hint)

    def request(self) -> dict[str, Any]:
        """As the API lists it."""
        return {"Name": self.name, "Values": list(self.values)}


def as_number(name: str, text: str) -> float:
    """The end of a range.

    Raises:
        ConfigError: it is no number.
    """
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ConfigError(f"{name} is to reach {text!r}.", "It must be a number.")
    return number


@dataclass(frozen=True, kw_only=True)
class TuningJob:
    """What is to be found, how, and by training what; checked when it is made.

    Raises:
        ConfigError: something the service, or the container, would refuse; it is named.
    """

    name: str
    job: TrainingJob  # what each of them is; its name and tags are not used
    ranges: tuple[Range, ...] = ()
    choices: tuple[Choice, ...] = ()
    objective: str = "kid_lite0"
    strategy: str = "Bayesian"
    max_jobs: int = 12
    max_parallel: int = 2
    early_stopping: bool = False  # of jobs that do worse than the median; they have no model
    seed: int | None = None  # of what is tried
    tags: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_name(self.name, "tuning job")
        if len(self.name) > MAX_NAME:
            hint = f"It may have {MAX_NAME}: the jobs' names begin with it."
            raise ConfigError(f"The tuning job's name has {len(self.name)} characters.", hint)
        if self.strategy not in STRATEGIES:
            hint = did_you_mean(self.strategy, STRATEGIES, "strategies")
            raise ConfigError(f"Unknown strategy {self.strategy!r}.", hint)
        check_number("max_jobs", self.max_jobs, 1, 750)
        check_number("max_parallel", self.max_parallel, 1, min(self.max_jobs, 100))
        if self.seed is not None:
            check_number("seed", self.seed, 0, 2**31 - 1)
        self.check_wishes()
        self.check_objective()
        if len(self.job.environment) > MAX_VARIABLES:
            told = f"{len(self.job.environment)} variables are set."
            raise ConfigError(told, f"Jobs of a tuning job have {MAX_VARIABLES} at most.")
        if self.job.warm_seconds or self.job.experiment:
            told = "A tuning job has no warm pools and no experiments."
            raise ConfigError(told, "Leave keep-warm and experiment out.")

    def check_wishes(self) -> None:
        """What is to be found: of known names, each once, of the right kinds, and not given."""
        names = [wish.name for wish in self.ranges] + [wish.name for wish in self.choices]
        if not 1 <= len(names) <= 30:
            hint = "Say what by --range name=low:high or --choice name=a,b; thirty at most."
            raise ConfigError(f"{len(names)} hyperparameters are to be found.", hint)
        for name in names:
            if names.count(name) > 1 or name in self.job.hyperparameters:
                hint = "Give a value, a range, or a choice: one of them."
                raise ConfigError(f"{name} is given twice.", hint)
            if name in (*RunSpec.own_settings(), "processes"):
                raise ConfigError(f"{name} cannot be tuned.", "It shapes what the others mean.")
        family = str(self.job.hyperparameters.get("family", DEFAULT_FAMILY))
        for wish in self.ranges:
            for end in (wish.low, wish.high):
                resolve(RunSpec.from_mapping({"family": family, wish.name: end}))
            types = types_of(family, wish.name)
            if float not in types and types != {int}:
                hint = f"Use --choice: it is {' or '.join(sorted(KINDS[it] for it in types))}."
                raise ConfigError(f"{wish.name} has no range.", hint)
        for choice in self.choices:
            for value in choice.values:
                resolve(RunSpec.from_mapping({"family": family, choice.name: value}))
        if self.strategy == "Grid" and self.ranges:
            hint = "Use --choice for all, or another strategy."
            raise ConfigError("A grid is of choices; it has no ranges.", hint)

    def check_objective(self) -> None:
        """A figure of quality, that the jobs will measure."""
        values = self.job.hyperparameters
        extractor = str(values.get("evaluate_extractor", "lite0"))
        known = OBJECTIVES.get(extractor, {})
        if self.objective not in known:
            hint = f"Over {extractor} there are {', '.join(known)}; losses say nothing of faces."
            raise ConfigError(f"The objective is {self.objective!r}.", hint)
        if not float(values.get("evaluate_kimg") or 0):
            told = f"The objective is {self.objective}, and no job would measure it."
            raise ConfigError(told, "Say how often: --evaluate-kimg 20.")

    @property
    def goal(self) -> str:
        """Which way the objective is better: "Minimize" or "Maximize"."""
        return next(them[self.objective] for them in OBJECTIVES.values() if self.objective in them)

    @property
    def count(self) -> int:
        """How many jobs there will be at most; of a grid, all its points."""
        if self.strategy == "Grid":
            return math.prod(len(choice.values) for choice in self.choices)
        return self.max_jobs

    def request(self) -> dict[str, Any]:
        """The arguments of ``create_hyper_parameter_tuning_job``, each time a new dict."""
        limits = {"MaxParallelTrainingJobs": self.max_parallel}
        if self.strategy != "Grid":
            limits["MaxNumberOfTrainingJobs"] = self.max_jobs
        seeded = {} if self.seed is None else {"RandomSeed": self.seed}
        return {
            "HyperParameterTuningJobName": self.name,
            "HyperParameterTuningJobConfig": {
                "Strategy": self.strategy,
                "HyperParameterTuningJobObjective": {
                    "Type": self.goal,
                    "MetricName": self.objective,
                },
                "ResourceLimits": limits,
                "ParameterRanges": self.parameter_ranges(),
                "TrainingJobEarlyStoppingType": "Auto" if self.early_stopping else "Off",
                **seeded,
            },
            "TrainingJobDefinition": self.definition(),
        } | given({"Tags": tag_list(self.tags)})

    def parameter_ranges(self) -> dict[str, Any]:
        """What is to be found, as the API sorts it."""
        family = str(self.job.hyperparameters.get("family", DEFAULT_FAMILY))
        whole = [wish for wish in self.ranges if types_of(family, wish.name) == {int}]
        other = [wish for wish in self.ranges if wish not in whole]
        return given(
            {
                "IntegerParameterRanges": [wish.whole().request() for wish in whole],
                "ContinuousParameterRanges": [wish.request() for wish in other],
                "CategoricalParameterRanges": [choice.request() for choice in self.choices],
            }
        )

    def definition(self) -> dict[str, Any]:
        """What each training job is.

        Checkpoints are kept for spot instances alone: without them each job has a disk of its own,
        and nothing to go on with.
        """
        request = self.job.request()
        parts = {part: request[part] for part in OF_A_DEFINITION if part in request}
        if self.job.max_wait_seconds is None:
            parts.pop("CheckpointConfig", None)
        return {"StaticHyperParameters": request["HyperParameters"], **parts}
