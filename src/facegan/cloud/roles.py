"""The roles that jobs and endpoints act as: made of the policies in infra/iam, and deleted."""

import json
from collections.abc import Mapping
from typing import Any

from facegan.cloud.aws import Aws
from facegan.cloud.calls import Call
from facegan.cloud.policies import filled, policies_of, read_policy, role_name
from facegan.cloud.settings import PROJECT_TAG, Settings
from facegan.cloud.training_request import tag_list
from facegan.errors import CloudError

ABSENT = "NoSuchEntity"


def creation(settings: Settings, kind: str, names: Mapping[str, str]) -> list[Call]:
    """The calls that make a role.

    Args:
        settings: Whose tags it gets.
        kind: "training" or "serving".
        names: For the policies' places.
    """
    name = role_name(settings, kind)
    create = {
        "RoleName": name,
        "AssumeRolePolicyDocument": json.dumps(filled(read_policy("trust"), names)),
        "Description": f"What facegan's {kind} acts as, in the project {settings.project}",
        "Tags": tag_list(settings.all_tags),
    }
    undo = Call("iam", "DeleteRole", {"RoleName": name}, name)
    return [Call("iam", "CreateRole", create, name, undo), *permission(settings, kind, names)]


def renewal(settings: Settings, kind: str, names: Mapping[str, str]) -> list[Call]:
    """The calls that bring a role of ours, which is there, to the policies as they are now."""
    name = role_name(settings, kind)
    trust = json.dumps(filled(read_policy("trust"), names))
    request = {"RoleName": name, "PolicyDocument": trust}
    return [
        Call("iam", "UpdateAssumeRolePolicy", request, name),
        *permission(settings, kind, names),
    ]


def permission(settings: Settings, kind: str, names: Mapping[str, str]) -> list[Call]:
    """The calls that write a role's own policies."""
    name = role_name(settings, kind)
    calls = []
    for policy in policies_of(settings, kind):
        told = json.dumps(filled(read_policy(policy), names))
        own = {"RoleName": name, "PolicyName": f"facegan-{policy}"}
        undo = Call("iam", "DeleteRolePolicy", own, name)
        calls.append(Call("iam", "PutRolePolicy", own | {"PolicyDocument": told}, name, undo))
    return calls


def find_role(aws: Aws, name: str) -> dict[str, Any] | None:
    """A role as IAM has it; None where there is none.

    Raises:
        CloudError: it cannot be looked at.
    """
    try:
        found: dict[str, Any] = aws.ask(Call("iam", "GetRole", {"RoleName": name}, name))["Role"]
    except CloudError as error:
        if error.code == ABSENT:
            return None
        raise
    return found


def check_ours(role: Mapping[str, Any], project: str) -> None:
    """Refuse to change a role that this project has not made.

    Raises:
        CloudError: its tag says so.
    """
    tags = {tag["Key"]: tag["Value"] for tag in role.get("Tags", ())}
    if tags.get(PROJECT_TAG) != project:
        told = f"The role {role['RoleName']} is not of the project {project}."
        told_tag = tags.get(PROJECT_TAG, "missing")
        hint = f"Its tag {PROJECT_TAG} is {told_tag}. Give --project another name."
        raise CloudError(told, hint)


def removal(aws: Aws, name: str) -> list[Call]:
    """The calls that delete a role of ours.

    Raises:
        CloudError: it cannot be looked at.
    """
    listing = Call("iam", "ListRolePolicies", {"RoleName": name}, name)
    policies = aws.pages(listing, "PolicyNames")
    return [
        *(
            Call("iam", "DeleteRolePolicy", {"RoleName": name, "PolicyName": policy}, name)
            for policy in policies
        ),
        Call("iam", "DeleteRole", {"RoleName": name}, name),
    ]
