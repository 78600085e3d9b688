"""`facegan cloud policy` and `role`: least-privilege policies, and the roles made of them."""

import json

import click

from facegan.cli.cloud.desk import Desk, acting_options, settings_options
from facegan.cloud import roles
from facegan.cloud.policies import (
    ROLES,
    account_of,
    filled,
    names_of,
    read_policy,
    role_name,
)
from facegan.errors import CloudError

account_option = click.option(
    "--account", metavar="DIGITS", help="Account.  [default: that of the role, or your credentials]"
)
bucket_option = click.option("--bucket", metavar="BUCKET", help="Bucket.  [default: facegan.toml]")
project_option = click.option("--project", metavar="NAME", help="Project.  [default: facegan]")


@click.command("policy")
@click.argument("name")
@account_option
@bucket_option
@project_option
@settings_options
def policy(desk: Desk, name: str, account: str | None, bucket: str | None) -> None:
    """Print one of the IAM policies in infra/iam, filled in.

    \b
      training, serving   what the roles of jobs and endpoints may do
      trust               who may act as them: SageMaker, for this account
      vpc, kms            in addition, where jobs are in a VPC, or use a key
      developer           who uploads, pushes and checks; with it, as needed, developer-…
      developer-setup     who makes the bucket, the roles and the repositories

    Needs no account with --account, --bucket and --region.

    \b
      facegan cloud policy training --bucket my-bucket --account 123456789012 --region eu-west-1
      facegan cloud policy developer --bucket my-bucket > developer.json
      aws iam create-policy --policy-name facegan-developer --policy-document file://developer.json
    """
    document = read_policy(name)
    desk.settings = desk.settings.but(bucket=bucket)
    click.echo(json.dumps(filled(document, place_names(desk, account)), indent=2))


def place_names(desk: Desk, account: str | None) -> dict[str, str]:
    """What goes into a policy's places."""
    settings = desk.settings
    settings.need("bucket")
    region = settings.region or desk.aws.region
    if not region:
        raise CloudError("No region is known.", "Name it by --region, or in facegan.toml.")
    known = account or (settings.role or "").partition("::")[2].partition(":")[0]
    return names_of(settings, known or account_of(desk.aws), region)


@click.group("role")
def role() -> None:
    """Make or delete the roles that jobs and endpoints act as.

    \b
      facegan cloud role create --bucket my-bucket
      facegan cloud role delete
    """


kinds_argument = click.argument(
    "kinds", nargs=-1, type=click.Choice(ROLES), metavar="[training] [serving]"
)


@role.command("create")
@kinds_argument
@account_option
@bucket_option
@acting_options
def create(desk: Desk, kinds: tuple[str, ...], account: str | None, bucket: str | None) -> None:
    """Make PROJECT-training and PROJECT-serving, or bring them to the policies as they are now.

    Roles cost nothing. A role of this name that the project did not make is left alone.
    --dry-run prints the requests; with --account, --bucket and --region it needs no account.

    \b
      facegan cloud role create --bucket my-bucket
      facegan cloud role create training --bucket my-bucket --dry-run --account 123456789012
    """
    desk.settings = desk.settings.but(bucket=bucket)
    names = place_names(desk, account)
    made = {}
    for kind in kinds or ROLES:
        name = role_name(desk.settings, kind)
        found = None if desk.is_dry else roles.find_role(desk.aws, name)
        if found:
            roles.check_ours(found, desk.settings.project)
            question = f"Bring the role {name} to the policies of infra/iam?"
            desk.act(roles.renewal(desk.settings, kind, names), question)
            made[kind] = found["Arn"]
        else:
            question = f"Make the role {name}? To take it down: facegan cloud role delete {kind}"
            answers = desk.act(roles.creation(desk.settings, kind, names), question)
            if answers:
                made[kind] = answers[0]["Role"]["Arn"]
    if made:
        keys = {"training": "role", "serving": "serving_role"}
        lines = (f'{keys[kind]} = "{arn}"' for kind, arn in made.items())
        desk.answer(made, "For facegan.toml:\n[cloud]\n" + "\n".join(lines))


@role.command("delete")
@kinds_argument
@acting_options
def delete(desk: Desk, kinds: tuple[str, ...]) -> None:
    """Delete the project's roles: jobs and endpoints that act as them then fail.

    --dry-run asks AWS what the roles have, and deletes nothing.

    \b
      facegan cloud role delete
    """
    deleted = []
    for kind in kinds or ROLES:
        name = role_name(desk.settings, kind)
        found = roles.find_role(desk.aws, name)
        if found is None:
            desk.say(f"There is no role {name}.")
            continue
        roles.check_ours(found, desk.settings.project)
        calls = roles.removal(desk.aws, name)
        question = f"Delete the role {name}? What acts as it fails."
        if desk.act(calls, question) is not None:
            deleted.append(name)
    if not desk.is_dry:
        desk.answer({"deleted": deleted}, f"Deleted: {', '.join(deleted) or 'none'}.")
