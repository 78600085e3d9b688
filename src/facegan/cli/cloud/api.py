"""`facegan cloud api`: the public door, made, found and taken down."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

import facegan
from facegan.cli.cloud.desk import Desk, acting_options, settings_options
from facegan.cloud import deploy_door, stacks
from facegan.cloud.public_door import (
    ACCESS,
    CACHING,
    PublicDoor,
    archive,
    check_stack_name,
    find_model,
)
from facegan.cloud.stacks import Stack
from facegan.errors import CloudError, ConfigError

name_option = click.option(
    "--name", metavar="NAME", help="The door's name, and its stack's.  [default: PROJECT-door]"
)
bucket_option = click.option("--bucket", metavar="BUCKET", help="Where the function's zip goes.")
DOOR_OPTIONS = (
    click.option("--access", type=click.Choice(ACCESS), help="Who may pass.  [default: key]"),
    click.option("--jwt-issuer", metavar="URL", help="Of --access jwt: who makes the tokens."),
    click.option("--jwt-audience", multiple=True, metavar="ID", help="And for whom; repeatable."),
    click.option(
        "--origin", "origins", multiple=True, metavar="URL",
        help="A site whose pages may ask (CORS), or *, or none; repeatable.  [default: none]",
    ),
    click.option(
        "--caching", type=click.Choice(CACHING),
        help="private: no shared cache hands faces to callers without a key.  [default: public]",
    ),
    click.option(
        "--rate", "requests_per_second", type=int, metavar="N",
        help="Requests a second, of all callers together.  [default: 10]",
    ),
    click.option("--burst", type=int, metavar="N", help="And at once.  [default: 20]"),
    click.option(
        "--concurrency", type=int, metavar="N",
        help="Functions at once, reserved of the account's; 0: no limit.  [default: 10]",
    ),
    click.option(
        "--log-days", type=int, metavar="N", help="How long logs are kept, in days.  [default: 14]"
    ),
    click.option("--alarm-topic", metavar="ARN", help="SNS topic that alarms go to."),
    click.option(
        "--model-id", metavar="ID",
        help="What the endpoint serves, in every ETag.  [default: by its configuration]",
    ),
)  # fmt: skip


def door_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the door's own options."""
    for option in reversed(DOOR_OPTIONS):
        command = option(command)
    return command


@click.group("api")
def command() -> None:
    """The public door: an HTTPS address that answers GET /faces/7.png and POST /faces.

    API Gateway, a Lambda function and a role that may ask one endpoint, as one CloudFormation
    stack. infra/README.md has its limits and costs.

    \b
      facegan cloud api deploy faces --bucket my-bucket
      facegan cloud api url
      facegan cloud api delete
    """


@command.command("deploy")
@click.argument("endpoint")
@name_option
@bucket_option
@door_options
@click.option(
    "--infra", type=click.Path(path_type=Path), metavar="FOLDER",
    help="Where template.yaml and face_api/ are.  [default: the clone's infra/]",
)  # fmt: skip
@acting_options
def deploy(
    desk: Desk, endpoint: str, name: str | None, bucket: str | None, infra: Path | None,
    model_id: str | None, **told: Any,
) -> None:  # fmt: skip
    """Make the door to ENDPOINT, or change it; what is not told stays as it is.

    Give it again after `facegan cloud update`: the endpoint then has another model, and the door
    has to know, for faces are kept for a year by their model's name.

    At rest it costs $0.30 a month for three alarms, and $0.40 for its key; then about $3 a million
    requests (prices of us-east-1 where this was written), beside the endpoint itself.
    `facegan cloud api delete` takes it down, not the endpoint.

    --dry-run asks nobody, so it takes the door to be new and does not know the model. This command
    has not been run against AWS yet: a fake CloudFormation stood in.

    \b
      facegan cloud api deploy faces --bucket my-bucket --origin https://example.com
      facegan cloud api deploy faces --access jwt --jwt-issuer https://example.auth0.com/ \\
          --jwt-audience faces
      facegan cloud api deploy faces --dry-run
    """
    folder = infra_folder(infra)
    code, template = archive(folder / "face_api"), template_in(folder)
    given = {name: value for name, value in told.items() if value is not None}
    if model_id is not None:
        given["model_id"] = model_id
    door = PublicDoor(
        name=door_name(desk, name),
        endpoint=endpoint,
        bucket=desk.settings.but(bucket=bucket).need("bucket"),
        project=desk.settings.project,
        tags=desk.settings.all_tags,
        **given,
    )
    if desk.is_dry:
        desk.act(deploy_door.dry_calls(door, code, template), "")
        return
    former = stacks.find_stack(desk.aws, door.name)
    if former is not None:
        stacks.check_ours(former)
        stacks.check_changeable(former, f"facegan cloud api delete --name {door.name}")
    if model_id is None:
        given["model_id"] = find_model(desk.aws, endpoint)
        door = PublicDoor(**(vars(door) | given))
    desk.confirm(question_of(door, former))
    made = deploy_door.deploy(desk.aws, door, code, template, former, desk.say)
    if made is None:
        desk.say("Nothing to change: the door is as it was told.")
        made = former
    if made is not None:
        show(desk, made)


@command.command("url")
@name_option
@settings_options
def url(desk: Desk, name: str | None) -> None:
    """Print the door's address, and a command that fetches a face.

    The API key is in Secrets Manager; the command reads it, and nothing here prints it.
    """
    name = door_name(desk, name)
    found = stacks.find_stack(desk.aws, name)
    if found is None or stacks.is_only_planned(found):
        raise CloudError(
            f"There is no door {name!r} in {desk.aws.region}.",
            "`facegan cloud api deploy ENDPOINT` makes one; --name and --region name another.",
        )
    if "Url" not in found.outputs:
        told = f"The stack {name} is {found.status}, and has no address."
        raise CloudError(told, "If it is being made, wait; else `facegan cloud api delete`.")
    show(desk, found)


@command.command("delete")
@name_option
@bucket_option
@acting_options
def delete(desk: Desk, name: str | None, bucket: str | None) -> None:
    """Take the door down: list what it is made of, ask, delete it and the function's zips.

    Its key and its logs go too. The endpoint stays, and goes on costing: `facegan cloud delete`.
    A bucket with versioning keeps old versions of the zips.
    """
    name = door_name(desk, name)
    settings = desk.settings.but(bucket=bucket)
    prefix = f"{settings.project}/doors/{name}/"
    if desk.is_dry:
        where = settings.bucket or "(of DescribeStacks)"
        desk.act(deploy_door.dry_removal(name, where, prefix), "")
        return
    found = stacks.find_stack(desk.aws, name)
    where, gone = settings.bucket or "", []
    if found is not None:
        stacks.check_ours(found)
        where = found.parameters.get("CodeBucket", where)
        key = found.parameters.get("CodeKey", prefix)
        prefix = key[: key.rindex("/") + 1]
        things = stacks.resources(desk.aws, found.name)
        desk.say(f"The door {name} in {desk.aws.region}:")
        for kind, what in sorted(things):
            desk.say(f"  {kind:<32} {what}")
        desk.say(f"  {'zips of its function':<32} s3://{where}/{prefix}")
        desk.confirm(f"Delete all of it? The URL will be gone for good; {kept(found)} stays.")
    else:
        desk.say(f"There is no door {name!r} in {desk.aws.region}.")
    gone = deploy_door.take_down(desk.aws, found, where, prefix, desk.say)
    answer = {"name": name, "was_there": found is not None, "zips": gone}
    is_idle = found is None and not gone
    desk.answer(answer, "Nothing to delete." if is_idle else f"Deleted the door {name}.")


def kept(stack: Stack) -> str:
    """The endpoint that a door does not take with it."""
    return f"the endpoint {stack.parameters.get('EndpointName', '')}".rstrip()


def door_name(desk: Desk, name: str | None) -> str:
    """The door's name, checked."""
    name = name or f"{desk.settings.project}-door"
    check_stack_name(name)
    return name


def infra_folder(named: Path | None) -> Path:
    """The folder with the template: as named, else here, else in the clone that runs."""
    clone = Path(facegan.__file__).parents[2] / "infra"
    places = [named] if named else [Path("infra"), clone]
    return next((place for place in places if (place / "template.yaml").is_file()), places[0])


def template_in(folder: Path) -> str:
    """The template's text."""
    try:
        return (folder / "template.yaml").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as cause:
        raise ConfigError(f"{folder / 'template.yaml'} cannot be read: {cause}.") from cause


def question_of(door: PublicDoor, former: Stack | None) -> str:
    """What is asked before a door is made or changed."""
    if former is not None and not stacks.is_only_planned(former):
        return f"Change the door {door.name} to {door.endpoint}?"
    who = {
        "open": "EVERYONE who has the URL may pass",
        "jwt": f"who has a token of {door.jwt_issuer} may pass",
    }.get(door.access or "key", "who has the key may pass")
    return (
        f"Make the door {door.name} to {door.endpoint}? On the internet; {who}. About $0.70 a "
        "month at rest and $3 a million requests, beside the endpoint. "
        f"`facegan cloud api delete --name {door.name}` takes it down."
    )


def show(desk: Desk, stack: Stack) -> None:
    """The answer of deploy and url."""
    about = deploy_door.described(stack, desk.aws.region)
    told = f"{about['url']}\n\n{about['example']}" if about["url"] else f"{stack.name}: no address."
    desk.answer(about, told)
