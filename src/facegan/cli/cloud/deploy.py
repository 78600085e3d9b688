"""`facegan cloud deploy` and `update`: an endpoint, and another model behind it."""

from typing import Any

import click

from facegan.cli.cloud.desk import Desk, acting_options
from facegan.cli.cloud.serving_options import (
    MODEL_HELP,
    Served,
    explained_json,
    image_option,
    pairs,
    role_option,
    unapproved_option,
    waiting,
    what_serves,
)
from facegan.cloud.costs import sentence
from facegan.cloud.deploying import check_free, deploy, taken, update
from facegan.cloud.endpoint_requests import (
    Asynchronous,
    Capture,
    ModelEndpoint,
    Rival,
    Serverless,
)
from facegan.cloud.model_registry import find_model
from facegan.cloud.scaling import ANSWERED, Scaling
from facegan.cloud.updating import WAYS, Change, Rollout, plan_update
from facegan.errors import CloudError

ASYNCHRONOUS_ONLY = ("output", "failures", "max_concurrent", "success_topic", "error_topic")
NO_MACHINES = ("instances", "min_instances", "max_instances")


@click.command("deploy")
@click.argument("name")
@click.option("--model", metavar="MODEL", help=MODEL_HELP)
@click.option("--multi-model", metavar="S3", help="Prefix of many archives, instead of --model.")
@click.option("--instance-type", metavar="TYPE", help="Machine, as ml.c7i.large, ml.g6.xlarge.")
@click.option("--instances", type=int, metavar="N", help="How many.  [default: 1]")
@click.option("--min-instances", type=int, metavar="N", help="Scale down to; 0: asynchronous only.")
@click.option("--max-instances", type=int, metavar="N", help="Scale up to.")
@click.option(
    "--load",
    type=float,
    metavar="N",
    help="Of a machine: requests a minute, or if asynchronous those that wait.  [60; 5]",
)
@click.option("--serverless", type=int, metavar="MB", help="No machine, 1024 to 6144 MB; no GPU.")
@click.option("--concurrency", type=int, metavar="N", help="Of a serverless one.  [default: 5]")
@click.option("--provisioned", type=int, metavar="N", help="Of these how many are kept warm.")
@click.option("--asynchronous", is_flag=True, help="Requests wait in S3; may scale to zero.")
@click.option("--output", metavar="S3", help="Where asynchronous answers go.")
@click.option("--failures", metavar="S3", help="Where failures go.  [default: OUTPUT/failures]")
@click.option("--max-concurrent", type=int, metavar="N", help="Asynchronous requests a machine.")
@click.option("--success-topic", metavar="ARN", help="SNS topic that hears of answers.")
@click.option("--error-topic", metavar="ARN", help="SNS topic that hears of failures.")
@click.option(
    "--variant",
    "variants",
    multiple=True,
    metavar="NAME=WEIGHT:S3",
    help="A further model, which gets its share of the requests (A/B).",
)
@click.option("--weight", type=float, metavar="W", help="Share of --model then.  [default: 1]")
@click.option("--capture", metavar="S3", help="Keep requests and answers there.")
@click.option("--capture-percent", type=int, default=10, show_default=True, metavar="N")
@click.option("--isolated", is_flag=True, help="The container reaches no network.")
@click.option("--start-seconds", type=int, default=300, show_default=True, metavar="N")
@click.option("--env", multiple=True, metavar="NAME=VALUE", help="Variable of the container.")
@role_option
@image_option
@unapproved_option
@click.option("--keep", is_flag=True, help="Leave what failed, to look at it.")
@click.option("--no-wait", is_flag=True, help="Return once it is asked for.")
@acting_options
def command(
    desk: Desk, name: str, keep: bool, no_wait: bool, unapproved: bool, **wish: Any
) -> None:
    """Serve a model as the endpoint NAME, and wait until it answers.

    An endpoint costs by the hour from when it is in service until `facegan cloud delete NAME`,
    asked or not; a serverless one by the request, an asynchronous one that scales to zero while
    it works. One that fails shows its log, and is taken down again.

    VPC, KMS key and tags are those of facegan.toml. --serverless has no GPU, and takes images of
    10 GB at most. None of this could be tried against AWS itself where it was written.

    \b
      facegan cloud deploy faces --model s3://my-bucket/model.tar.gz \\
          --instance-type ml.c7i.large
      facegan cloud deploy faces --model faces/latest --serverless 4096
      facegan cloud deploy faces --model faces-1 --instance-type ml.g6.xlarge \\
          --max-instances 4
      facegan cloud deploy slow --model faces-1 --instance-type ml.g6.xlarge \\
          --asynchronous --output s3://my-bucket/answers \\
          --min-instances 0 --max-instances 2
      facegan cloud deploy ab --model s3://my-bucket/a.tar.gz --weight 9 \\
          --variant new=1:s3://my-bucket/b.tar.gz --instance-type ml.c7i.large
      facegan cloud deploy many --multi-model s3://my-bucket/models/ \\
          --instance-type ml.c7i.xlarge
    """
    check_wish(wish, no_wait)
    multi = wish["multi_model"]
    served = what_serves(desk, multi or wish["model"], wish, unapproved)
    endpoint = endpoint_of(desk, name, served, wish)
    scaling = scaling_of(desk, name, wish)
    if desk.is_dry:
        calls = endpoint.creation()
        if scaling:
            calls += scaling.creation()
            calls += [scaling.wake_alarm(ANSWERED)] if scaling.minimum == 0 else []
        desk.act(calls, "")
        return
    check_free(desk.aws, name)
    desk.confirm(question(desk, endpoint, scaling))
    if no_wait:
        ask_for(desk, endpoint)
        return
    take_down = f"`facegan cloud delete {name}` takes it down"
    goes_on = f"If {name} is there it goes on, and costs once it is in service: {take_down}, "
    with waiting(desk, f"{goes_on}`facegan cloud endpoints {name} --wait` waits again."):
        described = deploy(desk.aws, endpoint, scaling, desk.say, is_kept=keep)
    told = f"{name} is in service.\n{how_to_ask(endpoint)}\n{take_down}."
    desk.answer(explained_json(described), told)


def ask_for(desk: Desk, endpoint: ModelEndpoint) -> None:
    """Make an endpoint without waiting for it."""
    name = endpoint.name
    try:
        desk.act(endpoint.creation(), "")
    except CloudError as error:
        raise taken(error, name) from error
    told = f"`facegan cloud endpoints {name} --wait` waits for it."
    desk.answer({"EndpointName": name}, told)


def check_wish(wish: dict[str, Any], no_wait: bool) -> None:
    """Options that go together, and that do not.

    Raises:
        click.UsageError: they do not.
    """
    if bool(wish["model"]) == bool(wish["multi_model"]):
        raise click.UsageError("Say which model: either --model or --multi-model.")
    if wish["multi_model"] and not str(wish["multi_model"]).startswith("s3://"):
        raise click.UsageError("--multi-model is a prefix in S3, as s3://bucket/models/.")
    if bool(wish["serverless"]) == bool(wish["instance_type"]):
        raise click.UsageError("Say on what: either --instance-type or --serverless.")
    for option in ASYNCHRONOUS_ONLY:
        if wish[option] and not wish["asynchronous"]:
            raise click.UsageError(f"{flag(option)} goes with --asynchronous.")
    if wish["asynchronous"] and not wish["output"]:
        raise click.UsageError("--asynchronous needs --output, where answers go in S3.")
    for option in ("concurrency", "provisioned"):
        if wish[option] and not wish["serverless"]:
            raise click.UsageError(f"{flag(option)} goes with --serverless.")
    for option in NO_MACHINES:
        if wish[option] is not None and wish["serverless"]:
            raise click.UsageError(f"{flag(option)}: a serverless endpoint has no machines.")
    is_scaled = wish["max_instances"] is not None
    for option in ("min_instances", "load"):
        if wish[option] is not None and not is_scaled:
            raise click.UsageError(f"{flag(option)} goes with --max-instances.")
    if is_scaled and wish["variants"]:
        raise click.UsageError("Machines of several variants are not scaled: give --instances.")
    if is_scaled and no_wait:
        raise click.UsageError("Machines can be scaled once they are there: drop --no-wait.")
    if wish["weight"] is not None and not wish["variants"]:
        raise click.UsageError("--weight goes with --variant.")


def flag(option: str) -> str:
    """An option as it is typed."""
    return "--" + option.replace("_", "-")


def endpoint_of(desk: Desk, name: str, served: Served, wish: dict[str, Any]) -> ModelEndpoint:
    """The endpoint that the options and facegan.toml describe."""
    settings = desk.settings
    serverless, asynchronous = None, None
    if wish["serverless"]:
        serverless = Serverless(
            memory_mb=wish["serverless"],
            max_concurrency=wish["concurrency"] or Serverless().max_concurrency,
            provisioned=wish["provisioned"],
        )
    if wish["asynchronous"]:
        asynchronous = Asynchronous(**{option: wish[option] for option in ASYNCHRONOUS_ONLY})
    capture = wish["capture"] and Capture(place=wish["capture"], percent=wish["capture_percent"])
    return ModelEndpoint(
        name=name,
        image=served.image,
        role=served.role,
        model=served.model,
        instance_type=wish["instance_type"] or "",
        instance_count=begin_with(wish),
        serverless=serverless,
        asynchronous=asynchronous,
        is_multi_model=bool(wish["multi_model"]),
        weight=1.0 if wish["weight"] is None else wish["weight"],
        rivals=tuple(map(rival_of, wish["variants"])),
        capture=capture or None,
        start_seconds=wish["start_seconds"],
        network_isolation=wish["isolated"],
        subnets=settings.subnets,
        security_groups=settings.security_groups,
        kms_key=settings.kms_key,
        environment=pairs(wish["env"], "--env"),
        tags=settings.all_tags,
    )


def begin_with(wish: dict[str, Any]) -> int:
    """How many machines there are at first: one at least, from which it scales to none."""
    if wish["instances"] is not None:
        return int(wish["instances"])
    return max(1, wish["min_instances"] or 1)


def rival_of(text: str) -> Rival:
    """A variant as it is typed, NAME=WEIGHT:S3."""
    name, _, rest = text.partition("=")
    weight, _, model = rest.partition(":")
    try:
        return Rival(name=name, weight=float(weight), model=model)
    except ValueError as cause:
        raise click.UsageError(f"--variant {text}: write new=1:s3://…/model.tar.gz.") from cause


def scaling_of(desk: Desk, name: str, wish: dict[str, Any]) -> Scaling | None:
    """How many machines there are, where that is to change by itself."""
    if wish["max_instances"] is None:
        return None
    usual = 5.0 if wish["asynchronous"] else 60.0
    return Scaling(
        endpoint=name,
        minimum=1 if wish["min_instances"] is None else wish["min_instances"],
        maximum=wish["max_instances"],
        per_instance=wish["load"] or usual,
        is_asynchronous=wish["asynchronous"],
        tags=desk.settings.all_tags,
    )


def question(desk: Desk, endpoint: ModelEndpoint, scaling: Scaling | None) -> str:
    """What is asked before an endpoint is made, with what it costs and how it goes."""
    asked = f"Deploy {endpoint.model} as {endpoint.name}?"
    end = f"Until `facegan cloud delete {endpoint.name}`."
    if endpoint.serverless:
        on = f"Serverless, {endpoint.serverless.memory_mb} MB: it costs by the request"
        kept = endpoint.serverless.provisioned
        return f"{asked} {on}" + (f", and for {kept} kept warm by the hour. {end}" if kept else ".")
    count = endpoint.instance_count * (1 + len(endpoint.rivals))
    costs = sentence(endpoint.instance_type, count, None, desk.settings)
    if scaling:
        most = sentence(endpoint.instance_type, scaling.maximum, None, desk.settings)
        costs += f" It scales from {scaling.minimum}; at most {most}"
    return f"{asked} {costs} {end}"


def how_to_ask(endpoint: ModelEndpoint) -> str:
    """The command that asks an endpoint for faces."""
    extra = ""
    if endpoint.asynchronous:
        extra = " --asynchronous"
    if endpoint.is_multi_model:
        extra = " --target-model NAME.tar.gz"
    return f"  facegan invoke --endpoint {endpoint.name}{extra} --seeds 0-15 --out faces.png"


@click.command("update")
@click.argument("name")
@click.option("--model", metavar="MODEL", help=MODEL_HELP)
@click.option("--instance-type", metavar="TYPE", help="Another machine.")
@click.option("--instances", type=int, metavar="N", help="How many.")
@click.option("--image", metavar="ADDRESS", help="Another image.  [as now, or the version's own]")
@click.option(
    "--way",
    type=click.Choice(list(WAYS)),
    default="all-at-once",
    show_default=True,
    help="How requests move: at once; some, then all; or in equal steps.",
)
@click.option("--percent", type=int, default=10, show_default=True, help="Of a step of these.")
@click.option(
    "--wait-seconds", type=int, default=300, show_default=True, help="After each, while watched."
)
@click.option(
    "--max-errors", type=int, default=5, show_default=True, help="5xx a minute that are borne."
)
@click.option("--max-latency-ms", type=int, metavar="MS", help="Nine of ten answers are quicker.")
@unapproved_option
@acting_options
def update_command(
    desk: Desk,
    name: str,
    model: str | None,
    instance_type: str | None,
    instances: int | None,
    image: str | None,
    way: str,
    percent: int,
    wait_seconds: int,
    max_errors: int,
    max_latency_ms: int | None,
    unapproved: bool,
) -> None:
    """Another model behind the endpoint NAME, which answers all the while (blue/green).

    New machines start beside the old ones, so an update costs both for its minutes. Alarms watch
    the answers; if one goes off, AWS turns the update back, and the endpoint serves as before. The
    alarms stay ($0.10 each a month) until `facegan cloud delete NAME`. What was replaced goes.

    --dry-run asks AWS what the endpoint is now, and changes nothing. A serverless endpoint moves
    all at once, without alarms.

    \b
      facegan cloud update faces --model faces/latest
      facegan cloud update faces --model faces-1 --way canary --percent 10 --wait-seconds 600
      facegan cloud update faces --instance-type ml.g6.xlarge --max-latency-ms 500
    """
    source = find_model(desk.aws, model, unapproved) if model else None
    change = Change(
        model=source.model if source else None,
        image=image or (source.image if source else None),
        instance_type=instance_type,
        instance_count=instances,
    )
    rollout = Rollout(
        way=way,
        percent=percent,
        wait_seconds=wait_seconds,
        max_errors=max_errors,
        max_milliseconds=max_latency_ms,
    )
    plan = plan_update(desk.aws, name, change, rollout, desk.settings.all_tags)
    if desk.is_dry:
        desk.hint("The endpoint was looked at; nothing is changed.")
        desk.act(plan.calls, "")
        return
    alarms = f", and {len(plan.alarms)} alarms $0.10 a month each" if plan.alarms else ""
    both = "" if plan.is_serverless else " While it runs, old and new machines cost both"
    desk.confirm(f"Update {name}?{both}{alarms}{'.' if both else ''}".strip())
    goes_on = f"The update of {name} goes on: `facegan cloud endpoints {name} --wait` waits again; "
    with waiting(desk, f"{goes_on}what it replaces stays: `facegan cloud delete` finds it."):
        described = update(desk.aws, plan, desk.say)
    desk.answer(explained_json(described), f"{name} serves the new model.")
