"""`facegan cloud endpoints` and `delete`: what serves, what it costs, and how it goes."""

from typing import Any

import click

from facegan.cli.cloud.desk import Desk, acting_options, settings_options
from facegan.cli.cloud.serving_options import explained_json, waiting
from facegan.cli.cloud.tables import age, hourly, table
from facegan.cloud.aws import Aws
from facegan.cloud.calls import Call
from facegan.cloud.deploying import (
    belongings,
    models_of,
    progress,
    wait_for_endpoint,
    wait_until_gone,
)
from facegan.cloud.endpoint_requests import delete_all
from facegan.cloud.model_registry import tags_of
from facegan.cloud.settings import PROJECT_TAG, Settings
from facegan.cloud.updating import describe_configuration, describe_endpoint, describe_model
from facegan.errors import CloudError

HEAD = ("NAME", "STATUS", "ON", "AGE", "$/HOUR", "MODEL")


@click.command("endpoints")
@click.argument("name", required=False)
@click.option("--wait", is_flag=True, help="Wait until NAME is in service, or failed.")
@click.option("--all", "is_all", is_flag=True, help="Those of other projects too.")
@settings_options
def command(desk: Desk, name: str | None, wait: bool, is_all: bool) -> None:
    """List the endpoints of this project: status, machines, age, model, dollars an hour.

    The price is that of [cloud.price] in facegan.toml; nothing is made or changed.

    \b
      facegan cloud endpoints
      facegan cloud endpoints faces --wait
      facegan cloud endpoints --all --json
    """
    if wait and not name:
        raise click.UsageError("--wait needs the NAME to wait for.")
    if wait and name:
        with waiting(desk, f"{name} goes on; `facegan cloud delete {name}` takes it down."):
            described = wait_for_endpoint(desk.aws, name, desk.say)
        desk.answer(explained_json(described), f"{name} is in service.")
        return
    found = [endpoint_row(desk.aws, desk.settings, one) for one in named(desk, name, is_all)]
    shown = [tuple(row.values()) for row in found]
    whose = "" if is_all or name else f" of the project {desk.settings.project}"
    desk.answer(found, table(HEAD, shown) if found else f"There is no endpoint{whose}.")


def named(desk: Desk, name: str | None, is_all: bool) -> list[str]:
    """The names of the endpoints that are asked for."""
    if name:
        return [name]
    listed = desk.aws.pages(Call("sagemaker", "ListEndpoints", {}, "endpoints"), "Endpoints")
    tag = (PROJECT_TAG, desk.settings.project)
    return [
        one["EndpointName"]
        for one in listed
        if is_all or tag in tags_of(desk.aws, one["EndpointArn"])
    ]


def endpoint_row(aws: Aws, settings: Settings, name: str) -> dict[str, Any]:
    """What a list says of an endpoint."""
    described = describe_endpoint(aws, name)
    configuration = aws.ask(describe_configuration(described["EndpointConfigName"]))
    variants = configuration["ProductionVariants"]
    counts = {
        one["VariantName"]: one.get("CurrentInstanceCount")
        for one in described.get("ProductionVariants", ())
    }
    prices = [price_of(settings, one, counts) for one in variants]
    total = None if None in prices else sum(price or 0.0 for price in prices)
    machines = [machine(one, counts) for one in variants]
    if configuration.get("AsyncInferenceConfig"):
        machines.append("asynchronous")
    return {
        "name": name,
        "status": progress(described),
        "on": ", ".join(machines),
        "age": age(described.get("CreationTime")),
        "hourly": "?" if total is None else f"{total:.2f}",
        "model": ", ".join(sorted(archive(aws, it) for it in models_of(
            aws, described["EndpointConfigName"]))),
    }  # fmt: skip


def count_of(variant: Any, counts: dict[str, int | None]) -> int:
    """A variant's machines, as they are or as they were asked for."""
    found = counts.get(variant["VariantName"])
    return int(variant.get("InitialInstanceCount", 1) if found is None else found)


def machine(variant: Any, counts: dict[str, int | None]) -> str:
    """What a variant runs on."""
    if variant.get("ServerlessConfig"):
        return f"serverless {variant['ServerlessConfig']['MemorySizeInMB']} MB"
    return f"{count_of(variant, counts)} {variant.get('InstanceType', '?')}"


def price_of(settings: Settings, variant: Any, counts: dict[str, int | None]) -> float | None:
    """Dollars an hour of a variant, asked or not."""
    if variant.get("ServerlessConfig"):
        return None if variant["ServerlessConfig"].get("ProvisionedConcurrency") else 0.0
    return hourly(settings, variant.get("InstanceType", ""), count_of(variant, counts))


def archive(aws: Aws, model: str) -> str:
    """Where a model lies; its name where it is gone."""
    try:
        described = aws.ask(describe_model(model))
    except CloudError:
        return f"{model} (gone)"
    return str(described.get("PrimaryContainer", {}).get("ModelDataUrl", model))


@click.command("delete")
@click.argument("name")
@acting_options
def delete_command(desk: Desk, name: str) -> None:
    """Take the endpoint NAME down, with its configurations, models, scaling and alarms.

    All of it is listed first, and what half-done commands left behind is found too. Archives in S3
    and log lines stay. --dry-run asks AWS what there is, and deletes nothing.

    \b
      facegan cloud delete faces
      facegan cloud delete faces --dry-run
    """
    found = belongings(desk.aws, name)
    calls = found.deletion()
    if not calls:
        raise CloudError(
            f"There is nothing that belongs to an endpoint {name}.",
            "`facegan cloud endpoints` lists those there are; --region names another region.",
        )
    if desk.is_dry:
        desk.hint("AWS was asked what there is; nothing is deleted.")
        desk.act(calls, "")
        return
    desk.say(found.described())
    desk.confirm("Delete these? Who asks the endpoint then gets an error.")
    gone: list[str] = []

    def done(call: Call) -> None:
        gone.append(f"{call.action} {call.on}")
        desk.say(f"  {gone[-1]}")

    with waiting(desk, f"What is not gone yet: `facegan cloud delete {name} --dry-run` lists it."):
        delete_all(desk.aws.ask, calls, done)
        if found.endpoint:
            wait_until_gone(desk.aws, name, desk.say)
    desk.answer({"deleted": gone}, f"{name} is gone, and costs no longer.")
