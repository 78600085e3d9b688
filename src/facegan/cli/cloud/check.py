"""`facegan cloud check`: what is missing before a launch, and what mends it."""

import click

from facegan.cli.cloud.desk import Desk, settings_options
from facegan.cloud.check import MISSING, OK, QUOTAS, Finding, check
from facegan.errors import CloudError

COLOURS = {OK: "green", MISSING: "red"}  # unknown: yellow


@click.command("check")
@click.option(
    "--instance-type", "instances", multiple=True, metavar="TYPE", help="Look at its quotas."
)
@click.option(
    "--for",
    "purposes",
    multiple=True,
    type=click.Choice(list(QUOTAS)),
    help="What the instances are for; may be repeated.  [default: training, and all else]",
)
@click.option("--instances", "count", default=1, show_default=True, help="How many at once.")
@click.option("--role", metavar="ARN", help="What jobs act as.  [default: facegan.toml]")
@click.option("--serving-role", metavar="ARN", help="What endpoints act as.  [default: the same]")
@click.option("--bucket", metavar="BUCKET", help="The bucket.  [default: facegan.toml]")
@click.option("--project", metavar="NAME", help="The project.  [default: facegan]")
@settings_options
def command(
    desk: Desk,
    instances: tuple[str, ...],
    purposes: tuple[str, ...],
    count: int,
    role: str | None,
    serving_role: str | None,
    bucket: str | None,
) -> None:
    """Look at all that a launch needs: credentials, region, bucket, roles, images, quotas.

    Each line is ok, missing (with what mends it), or unknown (you may not look). It reads only, and
    costs nothing. What a role may do, IAM is asked (SimulatePrincipalPolicy); policies of the
    bucket itself and of an organisation are not in its answer. --for also narrows down which roles
    and images are looked at. The exit code is 9 where something is missing.

    \b
      facegan cloud check
      facegan cloud check --instance-type ml.g5.xlarge --for training --for spot --instances 4
      facegan cloud check --instance-type ml.m5.large --for endpoint --json
    """
    settings = desk.settings.but(role=role, serving_role=serving_role, bucket=bucket)
    findings: list[Finding] = []
    for finding in check(desk.aws, settings, instances, purposes, count):
        findings.append(finding)
        if not desk.as_json:
            click.echo(line(finding))
    if desk.as_json:
        desk.answer([finding.described() for finding in findings], "")
    missing = [finding.what for finding in findings if finding.state == MISSING]
    if missing:
        raise CloudError(f"Missing: {', '.join(missing)}.", "What mends each is beside it.")


def line(finding: Finding) -> str:
    """A finding for people, in colour on terminals."""
    state = click.style(f"{finding.state:<8}", COLOURS.get(finding.state, "yellow"))
    mend = f"\n{'':8}→ {finding.mend}" if finding.mend else ""
    return f"{state}{finding.what}: {finding.told}{mend}"
