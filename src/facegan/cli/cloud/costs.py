"""`facegan cloud costs`: what something will cost, what a job cost, what costs right now."""

import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import click

from facegan.cache_folder import default_cache
from facegan.cli.cloud.desk import Desk, settings_options
from facegan.cli.cloud.tables import table
from facegan.cloud.aws import Aws
from facegan.cloud.bills import JobBill, Running, job_bill, running
from facegan.cloud.costs import (
    ENDPOINT_NOTES,
    MONTH_HOURS,
    NOT_COUNTED,
    SPOT_NOTE,
    Prices,
    estimate,
    money,
    need_price,
    time_text,
)
from facegan.errors import CloudError

UNKNOWN = "not known"


def cache_file() -> Path | None:
    """Where the prices that AWS told today are kept; None where nothing can be."""
    folder = default_cache(os.environ)
    return None if folder is None else folder / "prices.json"


@click.group("costs")
def command() -> None:
    """What something will cost, what a job cost, and what costs right now.

    Prices are those of [cloud.price] in facegan.toml, where it has the instance type, else those of
    AWS's price list, asked once a day. Neither knows of your discounts.

    \b
      facegan cloud costs estimate --instance-type ml.g5.xlarge --hours 10
      facegan cloud costs job faces-1
      facegan cloud costs running
    """


@command.command("estimate")
@click.option("--instance-type", required=True, metavar="TYPE", help="As ml.g5.xlarge.")
@click.option("--instances", type=int, default=1, show_default=True, help="How many.")
@click.option("--hours", type=float, metavar="H", help="A job's longest time.  [default: 24]")
@click.option("--spot", is_flag=True, help="The job takes spot instances.")
@click.option("--endpoint", is_flag=True, help="An endpoint, which has no end of its own.")
@click.option("--price", type=float, metavar="DOLLARS", help="Of one instance's hour; asks nobody.")
@settings_options
def estimate_command(
    desk: Desk,
    instance_type: str,
    instances: int,
    hours: float | None,
    spot: bool,
    endpoint: bool,
    price: float | None,
) -> None:
    """What a training job costs at most, or an endpoint by the hour and the month.

    Needs an account (the permission pricing:GetProducts) only where no price is given.

    \b
      facegan cloud costs estimate --instance-type ml.g5.xlarge --instances 2 --hours 10
      facegan cloud costs estimate --instance-type ml.c7i.xlarge --endpoint
      facegan cloud costs estimate --instance-type ml.g5.xlarge --price 1.41
    """
    if endpoint and (hours is not None or spot):
        raise click.UsageError("--endpoint has neither --hours nor --spot: it runs till deleted.")
    given = {} if price is None else {instance_type: price}
    desk.settings = replace(desk.settings, price={**desk.settings.price, **given})
    region = desk.settings.region
    if instance_type not in desk.settings.price:
        region = region or desk.aws.region
    seconds = None if endpoint else 3600 * (24 if hours is None else hours)
    prices = prices_of(desk)
    found = estimate(prices, instance_type, instances, seconds, region=region, is_spot=spot)
    need_price(found.price, instance_type, region)
    notes = list(ENDPOINT_NOTES) if endpoint else [SPOT_NOTE]
    lines = [found.sentence(), *notes, NOT_COUNTED]
    desk.answer(found.as_data() | {"notes": lines[1:]}, "\n".join(lines))


@command.command("job")
@click.argument("name")
@settings_options
def job_command(desk: Desk, name: str) -> None:
    """What a training job cost: the seconds that SageMaker bills, and what spot instances saved.

    A job that still runs costs at least what is said. Money is shown where a price is known: spot
    instances' billed seconds are fewer, at the full price, as SageMaker counts them.

    \b
      facegan cloud costs job faces-1
    """
    try:
        bill = job_bill(desk.aws.ask, name, lenient_prices(desk), datetime.now(UTC))
    except CloudError as error:
        if error.code in ("ValidationException", "ResourceNotFound"):
            raise CloudError(
                error.message, "`facegan cloud jobs` lists them.", error.code
            ) from error
        raise
    desk.answer(bill.as_data(), job_text(bill))


def job_text(bill: JobBill) -> str:
    """A job's bill for people."""
    so_far = " so far" if bill.is_running else ""
    saved = f"{bill.savings:.0%}" if bill.savings is not None else "known when it has ended"
    rows = [
        ("job", f"{bill.name} ({bill.status})"),
        ("instances", f"{bill.count} × {bill.instance_type}{', spot' if bill.is_spot else ''}"),
        ("ran" + so_far, f"{bill.training_seconds} s ({time_text(bill.training_seconds)})"),
        ("billed" + so_far, f"{bill.billable_seconds} s on each instance"),
    ]
    if bill.warm_pool_seconds:
        rows.append(("kept warm", f"{bill.warm_pool_seconds} s on each instance, billed too"))
    if bill.is_spot:
        rows.append(("spot saved", saved))
    rows.append(("cost" + so_far, UNKNOWN if bill.dollars is None else money(bill.dollars)))
    return f"{table((), rows)}\n{NOT_COUNTED}"


@command.command("running")
@click.option("--project", metavar="NAME", help="Whose.  [default: facegan]")
@settings_options
def running_command(desk: Desk) -> None:
    """What of this project costs by the hour right now, in one region, and what stops it.

    Endpoints, training and batch jobs, machines kept warm. What has not our tag is not seen, nor
    what was made in the last minutes: AWS's index of tags is that late.

    \b
      facegan cloud costs running
      facegan cloud costs running --project faces --region eu-west-1
    """
    found = running(desk.aws, desk.settings.project, lenient_prices(desk))
    known = [one.hourly for one in found if one.hourly is not None]
    value = {
        "project": desk.settings.project,
        "region": desk.aws.region,
        "running": [one.as_data() for one in found],
        "dollars_per_hour": sum(known) if len(known) == len(found) else None,
    }
    where = f"project {desk.settings.project} in {desk.aws.region}"
    desk.answer(value, running_text(found, where, sum(known), len(found) - len(known)))


def running_text(found: list[Running], where: str, hourly: float, unknown: int) -> str:
    """What costs by the hour, for people."""
    if not found:
        return f"Nothing of {where} costs by the hour. What S3 and ECR store costs by the GB."
    rows = [("", "name", "status", "instances", "an hour", "ends by")]
    for one in found:
        machines = f"{one.count} × {one.instance_type}" if one.instance_type else "none"
        cost = UNKNOWN if one.hourly is None else money(one.hourly)
        rows.append((one.kind, one.name, one.status, machines, cost, one.stop))
    known = f"{money(hourly)} an hour, {money(hourly * MONTH_HOURS)} a month"
    parts = [known] * (unknown < len(found))
    parts += [f"{unknown} at a price that is not known here"] * bool(unknown)
    return f"{table((), rows)}\nTogether {', and '.join(parts)} ({where}).\n{NOT_COUNTED}"


def prices_of(desk: Desk) -> Prices:
    """Who knows a price: the settings, today's memory, AWS."""

    def open_pricing(region: str) -> Aws:
        return Aws(region, desk.settings.profile)

    return Prices(settings=desk.settings, open_pricing=open_pricing, cache=cache_file())


def lenient_prices(desk: Desk) -> Callable[[str, str], float | None]:
    """Prices where they are a help and no more: a refusal is said once, on stderr."""
    prices = prices_of(desk)
    refused: list[CloudError] = []

    def price_of(instance_type: str, use: str) -> float | None:
        if refused:
            return desk.settings.price.get(instance_type)
        try:
            return prices.of(instance_type, use, desk.aws.region)
        except CloudError as error:
            refused.append(error)
            first, *_ = error.message.splitlines()
            click.echo(f"No prices from AWS: {first} {error.hint}".rstrip(), err=True)
            return None

    return price_of
