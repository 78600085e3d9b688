"""The public door's requests: API Gateway and a function before one endpoint, as one stack.

The template and the function are in infra/. CloudFormation reads the function's zip from S3.
"""

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from facegan.cloud.aws import Aws
from facegan.cloud.calls import Call
from facegan.cloud.limits import check_name, check_number
from facegan.cloud.training_request import tag_list
from facegan.errors import CloudError, ConfigError

STACK_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9-]{0,99}")  # 128; ours stands in longer names
ORIGIN = re.compile(r"\*|https?://[^\s/,*]+")
MODEL_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
TOPIC = re.compile(r"arn:aws[a-z-]*:sns:[a-z0-9-]+:\d{12}:[A-Za-z0-9_-]{1,256}")
ACCESS = ("key", "jwt", "open")
CACHING = ("public", "private")
LOG_DAYS = (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731)
MAX_TEMPLATE_BYTES = 51_200  # in a request; a longer one would have to be in S3
MODEL_IS_ASKED = "of-DescribeEndpointConfig"  # in a dry run, where nobody is asked
ORIGIN_HINT = "Write https://example.com, without a path; or *; or none, alone."
NO_ORIGIN = ("none",)
JWT_HINT = "Give jwt_issuer, as https://cognito-idp.REGION.amazonaws.com/POOL, and jwt_audience."


@dataclass(frozen=True, kw_only=True)
class PublicDoor:
    """A door to one endpoint; checked when it is made.

    What is None is the template's default at first, and stays as it is in an update.

    Raises:
        ConfigError: something CloudFormation, or the template, would refuse; it is named.
    """

    name: str  # the stack's
    endpoint: str
    bucket: str  # where the function's zip is put
    project: str = "facegan"
    model_id: str = MODEL_IS_ASKED
    access: str | None = None
    jwt_issuer: str | None = None
    jwt_audience: Sequence[str] = ()
    origins: Sequence[str] = ()
    caching: str | None = None
    requests_per_second: int | None = None
    burst: int | None = None
    concurrency: int | None = None
    log_days: int | None = None
    alarm_topic: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_stack_name(self.name)
        check_name(self.endpoint, "endpoint")
        check_one_of("access", self.access, ACCESS)
        check_one_of("caching", self.caching, CACHING)
        check_one_of("log_days", self.log_days, LOG_DAYS)
        for name, low, high in (
            ("requests_per_second", 1, 10_000),
            ("burst", 1, 5000),
            ("concurrency", 0, 1000),
        ):
            if (number := getattr(self, name)) is not None:
                check_number(name, number, low, high)
        check_text("model_id", self.model_id, MODEL_ID, "Give letters, digits, and ._- (64).")
        for origin in () if tuple(self.origins) == NO_ORIGIN else self.origins:
            check_text("An origin", origin, ORIGIN, ORIGIN_HINT)
        if self.alarm_topic is not None:
            hint = "Give an SNS topic's ARN, as arn:aws:sns:eu-west-1:123456789012:alarms."
            check_text("alarm_topic", self.alarm_topic, TOPIC, hint)
        self.check_jwt()

    def check_jwt(self) -> None:
        """Tokens are checked against who issues them, and for whom."""
        is_told = bool(self.jwt_issuer and self.jwt_audience)
        if self.access == "jwt" and not is_told:
            raise ConfigError("Access by JWT needs an issuer and an audience.", JWT_HINT)
        if self.access != "jwt" and (self.jwt_issuer or self.jwt_audience):
            raise ConfigError("A JWT is described, and access is not 'jwt'.", "Say so (--access).")
        if self.jwt_issuer and not re.fullmatch(r"https://\S+", self.jwt_issuer):
            raise ConfigError(f"jwt_issuer is {self.jwt_issuer!r}.", "It must begin with https://.")

    @property
    def prefix(self) -> str:
        """Where its zips are in the bucket; nothing else is there."""
        return f"{self.project}/doors/{self.name}/"

    def key(self, code: bytes) -> str:
        """The zip's key: by its contents, so that CloudFormation sees another function."""
        return f"{self.prefix}{hashlib.sha256(code).hexdigest()[:16]}.zip"

    @property
    def allowed_origins(self) -> str | None:
        """The origins as the template takes them; None where nothing is told."""
        if not self.origins:
            return None
        return "" if tuple(self.origins) == NO_ORIGIN else ",".join(self.origins)

    def upload(self, code: bytes) -> Call:
        """The call that puts the function's zip into the bucket."""
        key = self.key(code)
        request = {"Bucket": self.bucket, "Key": key, "Body": code}
        return Call("s3", "PutObject", request, f"s3://{self.bucket}/{key}")

    def settings(self, code: bytes) -> dict[str, str]:
        """The template's parameters that are told: name → value."""
        told: dict[str, Any] = {
            "Project": self.project,
            "EndpointName": self.endpoint,
            "EndpointLowerName": self.endpoint.lower(),
            "ModelId": self.model_id,
            "CodeBucket": self.bucket,
            "CodeKey": self.key(code),
            "Access": self.access,
            "JwtIssuer": self.jwt_issuer,
            "JwtAudience": ",".join(self.jwt_audience) or None,
            "AllowedOrigins": self.allowed_origins,
            "Caching": self.caching,
            "RequestsPerSecond": self.requests_per_second,
            "Burst": self.burst,
            "Concurrency": self.concurrency,
            "LogDays": self.log_days,
            "AlarmTopic": self.alarm_topic,
        }
        return {name: str(value) for name, value in told.items() if value is not None}

    def change(
        self, code: bytes, template: str, former: Mapping[str, str] | None
    ) -> dict[str, Any]:
        """The arguments of CreateChangeSet.

        Args:
            code: The function's zip.
            template: infra/template.yaml.
            former: The stack's parameters, kept where nothing else is told; None: it is new.

        Raises:
            ConfigError: the template is too long for a request.
        """
        if len(template.encode()) > MAX_TEMPLATE_BYTES:
            raise ConfigError(f"The template has over {MAX_TEMPLATE_BYTES} bytes.", "Shorten it.")
        told = self.settings(code)
        parameters: list[dict[str, Any]] = [
            {"ParameterKey": name, "ParameterValue": value} for name, value in told.items()
        ]
        parameters += [
            {"ParameterKey": name, "UsePreviousValue": True}
            for name in sorted(former or ())
            if name not in told and re.search(rf"^  {name}:$", template, re.MULTILINE)
        ]
        named = hashlib.sha256(json.dumps([parameters, template]).encode()).hexdigest()[:16]
        request: dict[str, Any] = {
            "StackName": self.name,
            "ChangeSetName": f"facegan-{named}",
            "ChangeSetType": "CREATE" if former is None else "UPDATE",
            "TemplateBody": template,
            "Parameters": parameters,
            "Capabilities": ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
            "Tags": tag_list(self.tags),
        }
        # What a failed creation has made goes again by itself.
        return request | ({"OnStackFailure": "DELETE"} if former is None else {})


def check_stack_name(name: str) -> None:
    """Refuse a stack's name that CloudFormation would.

    Raises:
        ConfigError: names it.
    """
    hint = "Give letters, digits and hyphens, a letter first, 100 at most (--name)."
    check_text("The door's name", name, STACK_NAME, hint)


def check_text(what: str, text: str, pattern: re.Pattern[str], hint: str) -> None:
    """Refuse a text that is not of a form."""
    if not pattern.fullmatch(text):
        raise ConfigError(f"{what} is {text!r}.", hint)


def check_one_of(what: str, value: Any, known: Sequence[Any]) -> None:
    """Refuse what is none of those there are; None is no answer."""
    if value is not None and value not in known:
        listed = ", ".join(map(str, known))
        raise ConfigError(f"{what} is {value!r}.", f"It must be one of {listed}.")


def archive(folder: Path) -> bytes:
    """The function's folder as a zip, the same bytes for the same files on every machine.

    Raises:
        ConfigError: it is not there.
    """
    files = sorted(folder.glob("*.py"))
    if not files:
        hint = "Give the command in a clone of the repository, or name its infra/ by --infra."
        raise ConfigError(f"{folder} has no function.", hint)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as zipped:  # stored: compressors differ
        for file in files:
            entry = zipfile.ZipInfo(f"{folder.name}/{file.name}", (1980, 1, 1, 0, 0, 0))
            entry.create_system, entry.external_attr = 3, 0o644 << 16
            zipped.writestr(entry, file.read_bytes())
    return packed.getvalue()


def find_model(aws: Aws, endpoint: str) -> str:
    """A name for what an endpoint serves: another after every update of the endpoint.

    Raises:
        CloudError: there is no such endpoint, or it has failed.
    """
    asked = Call("sagemaker", "DescribeEndpoint", {"EndpointName": endpoint}, endpoint)
    try:
        found = aws.ask(asked)
    except CloudError as error:
        if "not find" not in error.message:
            raise
        hint = f"`facegan cloud deploy` makes one; is it in {aws.region}?"
        raise CloudError(f"There is no endpoint {endpoint!r}.", hint, error.code) from error
    if found["EndpointStatus"] == "Failed":
        reason = found.get("FailureReason", "it does not say why")
        raise CloudError(f"The endpoint {endpoint!r} has failed: {reason}.", "Deploy it again.")
    name = found["EndpointConfigName"]
    plan = Call("sagemaker", "DescribeEndpointConfig", {"EndpointConfigName": name}, name)
    made = aws.ask(plan)["CreationTime"]
    return hashlib.sha256(f"{endpoint}\0{name}\0{made}".encode()).hexdigest()[:12]
