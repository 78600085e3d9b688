"""What every command on AWS may be told once, in a ``facegan.toml``, and on its own command line.

Flags count first, then the file, then the AWS profile. The file holds no secret: keys stay where
AWS's own tools keep them.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Self

from facegan.errors import CloudError, ConfigError, did_you_mean

FILE = Path("facegan.toml")
PROJECT_TAG = "facegan:project"  # on everything we make: what `destroy` goes by
EXAMPLE = """\
[cloud]
project = "faces"                  # a tag on all that is made, and what `destroy` goes by
region = "eu-west-1"
role = "arn:aws:iam::123456789012:role/facegan-training"
bucket = "my-bucket"               # data, models and checkpoints go below faces/ in it
"""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The table ``[cloud]`` of facegan.toml; None where neither it nor a flag says anything."""

    project: str = "facegan"
    region: str | None = None
    profile: str | None = None
    role: str | None = None  # ARN that jobs and endpoints act as
    serving_role: str | None = None  # ARN for endpoints; None: `role`
    bucket: str | None = None
    repository: str = "facegan"  # ECR: REPOSITORY-training and REPOSITORY-inference
    training_image: str | None = None  # its address; None: the newest of `repository`
    inference_image: str | None = None
    kms_key: str | None = None  # of volumes and outputs
    subnets: tuple[str, ...] = ()  # a VPC's, with security_groups
    security_groups: tuple[str, ...] = ()
    price: Mapping[str, float] = field(default_factory=dict)  # instance type → $ an hour
    tags: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, file: Path | None = None) -> Self:
        """The settings in a file; the defaults where there is no facegan.toml and none is named.

        Raises:
            ConfigError: the file is missing, no TOML, or says something that is unknown.
        """
        path = file or FILE
        try:
            table = tomllib.loads(path.read_text()).get("cloud", {})
        except FileNotFoundError:
            if file is None:
                return cls()
            raise ConfigError(f"{path} does not exist.", f"Write one:\n{EXAMPLE}") from None
        except (OSError, ValueError) as cause:
            raise ConfigError(f"{path} cannot be read: {cause}.") from cause
        return cls(**{name: checked(path, name, value) for name, value in table.items()})

    def but(self, **flags: Any) -> Self:
        """The same, with what flags say (those that are None say nothing)."""
        return replace(self, **{name: it for name, it in flags.items() if it is not None})

    def need(self, name: str) -> str:
        """A setting that a command cannot do without.

        Raises:
            CloudError: neither flag nor file has it.
        """
        value: str | None = getattr(self, name)
        if not value:
            flag = "--" + name.replace("_", "-")
            raise CloudError(
                f"No {name.replace('_', ' ')} is known.",
                f"Name it by {flag}, or in facegan.toml: [cloud] {name} = …",
            )
        return value

    @property
    def all_tags(self) -> dict[str, str]:
        """The tags of what we make, the project's among them."""
        return {PROJECT_TAG: self.project, **self.tags}


def checked(path: Path, name: str, value: Any) -> Any:
    """One line of the file as the dataclass has it.

    Raises:
        ConfigError: the name is unknown, or the value of another type.
    """
    known = [one.name for one in fields(Settings)]
    if name not in known:
        raise ConfigError(f"{path}: [cloud] has {name!r}.", did_you_mean(name, known, "settings"))
    if name in ("price", "tags"):
        kinds = (int, float) if name == "price" else str
        if isinstance(value, dict) and all(isinstance(it, kinds) for it in value.values()):
            return value
        wanted = "a table of " + ("prices" if name == "price" else "texts")
    elif name in ("subnets", "security_groups"):
        if isinstance(value, list) and all(isinstance(it, str) for it in value):
            return tuple(value)
        wanted = "a list of texts"
    else:
        if isinstance(value, str):
            return value
        wanted = "a text"
    raise ConfigError(f"{path}: {name} is {value!r}.", f"It must be {wanted}.")
