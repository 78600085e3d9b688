"""What SageMaker's API takes, checked here, where a refusal costs nothing and names the mend.

botocore checks a request's shape, not its patterns and ranges: those the service checks, after the
pictures are uploaded. The numbers and patterns are those of botocore's model of SageMaker's API.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from facegan.errors import ConfigError

LOCAL_INSTANCES = ("local", "local_cpu", "local_gpu")  # the SDK's names for this machine
NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")
ROLE = re.compile(r"arn:aws[a-z\-]*:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+")
VARIABLE = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
INSTANCE = re.compile(r"ml\.[a-z0-9-]+\.[a-z0-9]+")
MAX_PAIRS = 100  # hyperparameters, and variables
MAX_KEY, MAX_VALUE = 256, 2500  # characters of a hyperparameter's name and value


def is_local(instance_type: str) -> bool:
    """Whether an instance type means containers on this machine, by the SDK's local mode."""
    return instance_type in LOCAL_INSTANCES


def check_name(name: str, kind: str) -> None:
    """Refuse a name that the service would.

    Raises:
        ConfigError: names it.
    """
    if not NAME.fullmatch(name):
        hint = "It must be 1 to 63 letters, digits and hyphens, with no hyphen at either end."
        raise ConfigError(f"The {kind} is named {name!r}.", hint)


def check_role(role: str) -> None:
    """Refuse what is no role's ARN.

    Raises:
        ConfigError: says what one looks like.
    """
    if not ROLE.fullmatch(role):
        hint = "It must be like arn:aws:iam::123456789012:role/facegan."
        raise ConfigError(f"The role is {role!r}.", hint)


def check_image(image: str) -> None:
    """Refuse an image's name that is empty, has blanks, or is too long.

    Raises:
        ConfigError: names it.
    """
    if not re.fullmatch(r"\S{1,255}", image):
        hint = "Give its address in ECR, or a tag of this machine for local mode."
        raise ConfigError(f"The image is {image!r}.", hint)


def check_instances(instance_type: str, count: int) -> None:
    """Refuse an instance type that is neither the service's nor local mode's, or none of them.

    Raises:
        ConfigError: names it.
    """
    if not is_local(instance_type) and not INSTANCE.fullmatch(instance_type):
        hint = "Give one like ml.g5.xlarge, or local or local_gpu for this machine."
        raise ConfigError(f"The instance type is {instance_type!r}.", hint)
    check_number("instance_count", count, 1, 1000)


def check_place(uri: str, what: str, instance_type: str) -> None:
    """Refuse a URI that the job could not reach: of this machine's files, only local mode can.

    Raises:
        ConfigError: names it.
    """
    if re.fullmatch(r"s3://[^/]+(/.*)?", uri, re.DOTALL) and len(uri) <= 1024:
        return
    if is_local(instance_type):
        if re.fullmatch(r"file:///.+", uri, re.DOTALL):
            return
        hint = "Give file:// and an absolute path, or s3://bucket/prefix."
    else:
        hint = "Give s3://bucket/prefix; only local mode reads this machine's files."
    raise ConfigError(f"{what} is {uri!r}.", hint)


def check_number(name: str, number: int, low: int, high: int) -> None:
    """Refuse what is no whole number in a range.

    Raises:
        ConfigError: names it and the range.
    """
    if type(number) is not int or not low <= number <= high:
        raise ConfigError(f"{name} is {number!r}.", f"It must be from {low} to {high}.")


def check_variables(variables: Mapping[str, str], max_characters: int) -> None:
    """Refuse environment variables that the service would.

    Raises:
        ConfigError: names the variable.
    """
    if len(variables) > MAX_PAIRS:
        raise ConfigError(f"{len(variables)} variables are set.", f"At most {MAX_PAIRS} can be.")
    for name, value in variables.items():
        if not VARIABLE.fullmatch(name):
            raise ConfigError(f"The variable {name!r} has no name that a shell takes.")
        if not isinstance(value, str) or len(value) > max_characters:
            hint = f"It must be a text of at most {max_characters} characters."
            raise ConfigError(f"The variable {name} is {str(value)[:40]!r}.", hint)


def check_network(subnets: Sequence[str], security_groups: Sequence[str]) -> None:
    """Refuse half a VPC, or what are no ids of one's parts.

    Raises:
        ConfigError: names it.
    """
    if bool(subnets) != bool(security_groups):
        told = "A VPC is given by subnets and security groups, and one of the two is missing."
        raise ConfigError(told, "Give both, or neither.")
    for kind, ids, most in (("subnet", subnets, 16), ("security group", security_groups, 5)):
        if len(ids) > most:
            raise ConfigError(f"{len(ids)} {kind}s are given.", f"At most {most} can be.")
        for one in ids:
            if not re.fullmatch(r"[-0-9a-zA-Z]{1,32}", one):
                hint = "It must be like subnet-0a1b2c3d, or sg-0a1b2c3d."
                raise ConfigError(f"A {kind} is {one!r}.", hint)


def check_key(key: str) -> None:
    """Refuse what names no key of KMS.

    Raises:
        ConfigError: says what does.
    """
    if not re.fullmatch(r"[a-zA-Z0-9:/_-]{1,2048}", key):
        hint = "Give a key's id, its ARN, or alias/name."
        raise ConfigError(f"The KMS key is {key!r}.", hint)


def check_tags(tags: Mapping[str, str]) -> None:
    """Refuse tags that the service would.

    Raises:
        ConfigError: names the tag.
    """
    if len(tags) > 50:
        raise ConfigError(f"{len(tags)} tags are given.", "A resource has 50 at most.")
    for key, value in tags.items():
        hint = "Letters, digits, blanks and _.:/=+-@ can be in one; not aws: in front."
        if not re.fullmatch(r"[\w\s.:/=+\-@]{1,128}", key) or key.startswith("aws:"):
            raise ConfigError(f"A tag is named {key!r}.", hint)
        if not re.fullmatch(r"[\w\s.:/=+\-@]{0,256}", value):
            raise ConfigError(f"The tag {key} is {value!r}.", hint)


def hyperparameter_strings(values: Mapping[str, Any]) -> dict[str, str]:
    """Hyperparameters as the API takes them: texts as they are, numbers and truths as JSON.

    Raises:
        ConfigError: there are too many, or one is something else, or too long.
    """
    if len(values) > MAX_PAIRS:
        told = f"{len(values)} hyperparameters are set."
        raise ConfigError(told, f"SageMaker takes {MAX_PAIRS} at most.")
    return {name: hyperparameter_string(name, value) for name, value in values.items()}


def hyperparameter_string(name: str, value: Any) -> str:
    """One hyperparameter's value as a text."""
    if not isinstance(value, (str, int, float)):
        hint = "Give a text, a number, or true or false; leave out what keeps its default."
        raise ConfigError(f"The hyperparameter {name} is {value!r}.", hint)
    text = value if isinstance(value, str) else json.dumps(value)
    if not 1 <= len(name) <= MAX_KEY or len(text) > MAX_VALUE:
        hint = f"SageMaker takes names of {MAX_KEY} characters and values of {MAX_VALUE} at most."
        raise ConfigError(f"The hyperparameter {name[:40]!r} is too long.", hint)
    return text
