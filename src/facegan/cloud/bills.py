"""What something cost, and what costs right now: SageMaker's own seconds, times a price."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from facegan.cloud.aws import Aws
from facegan.cloud.calls import Ask, Call
from facegan.cloud.inventory import inventory, is_missing
from facegan.errors import CloudError

PriceOf = Callable[[str, str], float | None]  # (instance type, use) → dollars an hour


@dataclass(frozen=True, kw_only=True)
class JobBill:
    """A training job's seconds, as SageMaker counts them."""

    name: str
    status: str
    instance_type: str
    count: int
    training_seconds: int
    billable_seconds: int  # of one instance; SageMaker's, or those since the start
    warm_pool_seconds: int
    is_spot: bool
    is_running: bool
    price: float | None  # dollars for an hour of one instance

    @property
    def savings(self) -> float | None:
        """The part that spot instances saved; None for a job without, or one that still runs."""
        if not self.is_spot or self.is_running or not self.training_seconds:
            return None
        return 1 - self.billable_seconds / self.training_seconds

    @property
    def dollars(self) -> float | None:
        """What the instances cost; None where no price is known."""
        if self.price is None:
            return None
        seconds = self.billable_seconds + self.warm_pool_seconds
        return seconds * self.count * self.price / 3600

    def as_data(self) -> dict[str, Any]:
        """The bill for programs."""
        return {
            "job": self.name,
            "status": self.status,
            "instance_type": self.instance_type,
            "instances": self.count,
            "training_seconds": self.training_seconds,
            "billable_seconds": self.billable_seconds,
            "billable_instance_seconds": self.billable_seconds * self.count,
            "warm_pool_seconds": self.warm_pool_seconds,
            "spot": self.is_spot,
            "spot_savings": self.savings,
            "dollars": self.dollars,
        }


def job_bill(ask: Ask, name: str, price_of: PriceOf, now: datetime) -> JobBill:
    """What a training job was billed for; so far, where it still runs.

    Args:
        ask: Makes a call.
        name: The job's.
        price_of: Knows an hour's price, or None.
        now: The time, with its zone.

    Raises:
        CloudError: there is no such job, or the call failed.
    """
    told = ask(describe_job(name))
    machines = told["ResourceConfig"]
    kind = str(machines.get("InstanceType") or machines["InstanceGroups"][0]["InstanceType"])
    groups = machines.get("InstanceGroups", ())
    count = int(machines.get("InstanceCount") or sum(one["InstanceCount"] for one in groups))
    is_running = told["TrainingJobStatus"] in ("InProgress", "Stopping")
    started = told.get("TrainingStartTime")
    ran = (told.get("TrainingEndTime") or now) - started if started else None
    so_far = int(ran.total_seconds()) if ran else 0
    pool = told.get("WarmPoolStatus", {})
    return JobBill(
        name=name,
        status=told["TrainingJobStatus"],
        instance_type=kind,
        count=count,
        training_seconds=told.get("TrainingTimeInSeconds", so_far),
        billable_seconds=told.get("BillableTimeInSeconds", so_far),
        warm_pool_seconds=pool.get("ResourceRetainedBillableTimeInSeconds", 0),
        is_spot=bool(told.get("EnableManagedSpotTraining")),
        is_running=is_running,
        price=price_of(kind, "training"),
    )


@dataclass(frozen=True, kw_only=True)
class Running:
    """Something that costs by the hour now."""

    kind: str  # endpoint, training job, warm pool, transform job
    name: str
    status: str
    instance_type: str  # "" for a serverless variant
    count: int
    price: float | None  # dollars for an hour of one instance
    stop: str  # the command that ends it

    @property
    def hourly(self) -> float | None:
        """Dollars an hour; None where no price is known."""
        return None if self.price is None else self.price * self.count

    def as_data(self) -> dict[str, Any]:
        """One line for programs."""
        return {
            "kind": self.kind,
            "name": self.name,
            "status": self.status,
            "instance_type": self.instance_type or None,
            "instances": self.count,
            "dollars_per_hour": self.hourly,
            "stop": self.stop,
        }


def running(aws: Aws, project: str, price_of: PriceOf) -> list[Running]:
    """What of a project costs by the hour now: endpoints, jobs, machines kept warm.

    Raises:
        CloudError: a call failed.
    """
    ours = inventory(aws, project)
    found: list[Running] = []
    for one in ours.endpoints():
        found += found_or_nothing(endpoint_lines(aws.ask, one.name, price_of))
    for one in ours.training_jobs(StatusEquals="InProgress"):
        found += found_or_nothing(job_lines(aws.ask, one.name, price_of))
    for one in ours.training_jobs(WarmPoolStatusEquals="Available"):
        found += found_or_nothing(job_lines(aws.ask, one.name, price_of, is_pool=True))
    for one in ours.transform_jobs(StatusEquals="InProgress"):
        found += found_or_nothing(transform_lines(aws.ask, one.name, price_of))
    return found


def found_or_nothing(lines: Iterator[Running]) -> list[Running]:
    """The lines of one thing; none where it went meanwhile."""
    try:
        return list(lines)
    except CloudError as error:
        if is_missing(error):
            return []
        raise


def endpoint_lines(ask: Ask, name: str, price_of: PriceOf) -> Iterator[Running]:
    """One line for each variant of an endpoint."""
    told = ask(describe_endpoint(name))
    wanted = ask(describe_configuration(str(told["EndpointConfigName"])))
    kinds = {
        one["VariantName"]: one.get("InstanceType", "") for one in wanted["ProductionVariants"]
    }
    for variant in told.get("ProductionVariants", wanted["ProductionVariants"]):
        kind = kinds.get(variant["VariantName"], "")
        count = variant.get("CurrentInstanceCount", variant.get("InitialInstanceCount", 0))
        yield Running(
            kind="endpoint" if kind else "serverless endpoint",
            name=name,
            status=told["EndpointStatus"],
            instance_type=kind,
            count=count if kind else 0,
            price=price_of(kind, "endpoint") if kind else 0.0,
            stop=f"facegan cloud delete {name}",
        )


def job_lines(ask: Ask, name: str, price_of: PriceOf, is_pool: bool = False) -> Iterator[Running]:
    """The line of a training job, or of the machines that one keeps warm."""
    told = ask(describe_job(name))
    machines = told["ResourceConfig"]
    groups = machines.get("InstanceGroups") or [machines]
    pool_end = f"destroy, or wait: {machines.get('KeepAlivePeriodInSeconds', 0)} s at most"
    for group in groups:
        yield Running(
            kind="warm pool" if is_pool else "training job",
            name=name,
            status="Available" if is_pool else told["TrainingJobStatus"],
            instance_type=group["InstanceType"],
            count=group["InstanceCount"],
            price=price_of(group["InstanceType"], "training"),
            stop=f"facegan cloud {pool_end if is_pool else f'stop {name}'}",
        )


def transform_lines(ask: Ask, name: str, price_of: PriceOf) -> Iterator[Running]:
    """The line of a batch job."""
    told = ask(Call("sagemaker", "DescribeTransformJob", {"TransformJobName": name}, name))
    machines = told["TransformResources"]
    yield Running(
        kind="transform job",
        name=name,
        status=told["TransformJobStatus"],
        instance_type=machines["InstanceType"],
        count=machines["InstanceCount"],
        price=price_of(machines["InstanceType"], "endpoint"),
        stop=f"facegan cloud transform stop {name}",
    )


def describe_job(name: str) -> Call:
    """The call that tells of a training job."""
    return Call("sagemaker", "DescribeTrainingJob", {"TrainingJobName": name}, name)


def describe_endpoint(name: str) -> Call:
    """The call that tells of an endpoint."""
    return Call("sagemaker", "DescribeEndpoint", {"EndpointName": name}, name)


def describe_configuration(name: str) -> Call:
    """The call that tells of an endpoint's configuration."""
    return Call("sagemaker", "DescribeEndpointConfig", {"EndpointConfigName": name}, name)
