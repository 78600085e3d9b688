"""What a launch on AWS needs, looked at before it: what is missing, and what mends it."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote

from facegan.cloud.aws import Aws
from facegan.cloud.calls import Call
from facegan.cloud.images import ABSENT, ECR, find_image, pushed_at
from facegan.cloud.limits import INSTANCE
from facegan.cloud.policies import (
    filled,
    names_of,
    policies_of,
    read_policy,
    statements,
)
from facegan.cloud.settings import Settings
from facegan.errors import CloudError, ConfigError

OK, MISSING, UNKNOWN = "ok", "missing", "unknown"
QUOTAS = {  # what an instance is for → how Service Quotas calls that
    "training": "{instance} for training job usage",
    "spot": "{instance} for spot training job usage",
    "endpoint": "{instance} for endpoint usage",
    "transform": "{instance} for transform job usage",
    "warm-pool": "{instance} for training warm pool usage",
}
TRAINING = {"training", "spot", "warm-pool"}  # the others are for endpoints
REFUSED = ("AccessDenied", "AccessDeniedException", "403", "UnauthorizedOperation")
SERVICE = "sagemaker.amazonaws.com"


@dataclass(frozen=True)
class Finding:
    """What was looked at.

    Args:
        what: As "role".
        state: "ok", "missing", or "unknown", where nobody may look.
        told: What was seen.
        mend: The command, or the file, that mends it.
    """

    what: str
    state: str
    told: str
    mend: str = ""

    def described(self) -> dict[str, str]:
        """For programs."""
        return asdict(self)


def check(
    aws: Aws,
    settings: Settings,
    instances: Sequence[str] = (),
    purposes: Sequence[str] = (),
    count: int = 1,
    now: datetime | None = None,
) -> Iterator[Finding]:
    """Look at everything, one finding after another.

    Args:
        aws: Where.
        settings: What is to be there.
        instances: Types whose quotas are looked at, as "ml.g5.xlarge".
        purposes: What for: keys of ``QUOTAS``. Where there are none, the quotas are those of
            training, and all else is looked at.
        count: How many of each are wanted at once.
        now: The time; for ages.

    Raises:
        ConfigError: an instance type is none.
    """
    for instance in instances:
        if not INSTANCE.fullmatch(instance):
            hint = "Give one like ml.g5.xlarge."
            raise ConfigError(f"The instance type is {instance!r}.", hint)
    try:
        who = aws.ask(Call("sts", "GetCallerIdentity", {}, "your credentials"))
    except CloudError as error:
        yield Finding("credentials", MISSING, error.message, error.hint)
        return
    yield Finding("credentials", OK, f"{who['Arn']}, account {who['Account']}")
    if not aws.region:
        yield Finding("region", MISSING, "none is known", "--region, or region in facegan.toml")
        return
    yield Finding("region", OK, aws.region)
    yield from check_bucket(aws, settings)
    trains = not purposes or bool(set(purposes) & TRAINING)
    serves = not purposes or bool(set(purposes) - TRAINING)
    for kind in ["training"] * trains + ["serving"] * serves:
        yield from check_role(aws, settings, kind, str(who["Account"]))
    for image in ["training"] * trains + ["inference"] * serves:
        yield check_image(aws, settings, image, now or datetime.now(UTC))
    if instances:
        yield from check_quotas(aws, instances, purposes or ("training",), count)


def refusal(what: str, error: CloudError) -> Finding:
    """A finding about what could not be looked at."""
    if error.code in REFUSED:
        return Finding(what, UNKNOWN, "your credentials may not look", error.hint)
    return Finding(what, UNKNOWN, error.message, error.hint)


def check_bucket(aws: Aws, settings: Settings) -> Iterator[Finding]:
    """Whether the bucket is there, and where."""
    name = settings.bucket
    if not name:
        yield Finding("bucket", MISSING, "none is named", "--bucket, or bucket in facegan.toml")
        return
    what = f"bucket {name}"
    try:
        found = aws.ask(Call("s3", "HeadBucket", {"Bucket": name}, name))
    except CloudError as error:
        if error.code in ("404", "NoSuchBucket"):
            mend = f"facegan cloud upload DIR s3://{name}/PREFIX --make-bucket"
            yield Finding(what, MISSING, "there is none", mend)
        elif error.code in REFUSED:
            told = "another account's, or you may not look"
            yield Finding(what, UNKNOWN, told, "infra/iam/developer.json: s3:ListBucket")
        else:
            yield refusal(what, error)
        return
    region = found.get("BucketRegion") or aws.region
    if region != aws.region:
        told = f"is in {region}; jobs of {aws.region} cannot write to it"
        yield Finding(what, MISSING, told, f"--region {region}, or another bucket")
        return
    yield Finding(what, OK, f"in {region}")


def check_role(aws: Aws, settings: Settings, kind: str, account: str) -> Iterator[Finding]:
    """Whether a role is there, SageMaker may act as it, and it may do what its work needs."""
    arn = settings.role if kind == "training" else settings.serving_role or settings.role
    what = f"{kind} role"
    if not arn:
        mend = f"facegan cloud role create {kind}; then name it in facegan.toml"
        yield Finding(what, MISSING, "none is named", mend)
        return
    name = arn.rpartition("/")[2]
    try:
        role = aws.ask(Call("iam", "GetRole", {"RoleName": name}, name))["Role"]
    except CloudError as error:
        if error.code == "NoSuchEntity":
            mend = f"facegan cloud role create {kind}"
            yield Finding(what, MISSING, f"{arn} does not exist", mend)
        else:
            yield refusal(what, error)
        return
    if role["Arn"] != arn:
        yield Finding(what, MISSING, f"{name} is {role['Arn']}, not {arn}", "role in facegan.toml")
        return
    yield Finding(what, OK, arn)
    if trusts(role["AssumeRolePolicyDocument"]):
        yield Finding(f"{kind} role: trust", OK, f"{SERVICE} may act as it")
    else:
        mend = "facegan cloud policy trust; aws iam update-assume-role-policy"
        yield Finding(f"{kind} role: trust", MISSING, f"{SERVICE} may not act as it", mend)
    if settings.bucket:
        yield check_permissions(aws, settings, kind, arn, account)


def trusts(document: Any) -> bool:
    """Whether a trust policy lets SageMaker act as the role."""
    policy = json.loads(unquote(document)) if isinstance(document, str) else document
    for statement in listed(policy.get("Statement")):
        principal = statement.get("Principal", {})
        services = principal.get("Service") if isinstance(principal, dict) else principal
        if (
            statement.get("Effect") == "Allow"
            and "sts:AssumeRole" in listed(statement.get("Action"))
            and SERVICE in listed(services)
        ):
            return True
    return False


def listed(value: Any) -> list[Any]:
    """IAM writes one thing without its list."""
    return value if isinstance(value, list) else [value]


def check_permissions(aws: Aws, settings: Settings, kind: str, arn: str, account: str) -> Finding:
    """Whether IAM, asked what it would say, allows a role all that its policy file has.

    It knows the role's own policies and its boundary; not those of the bucket, nor of an
    organisation.
    """
    what = f"{kind} role: permissions"
    names = names_of(settings, account, str(aws.region))
    lacking, files = [], [f"infra/iam/{policy}.json" for policy in policies_of(settings, kind)]
    try:
        for policy in policies_of(settings, kind):
            for statement in statements(filled(read_policy(policy), names)):
                lacking += denied(aws, arn, statement)
    except CloudError as error:
        return refusal(what, error)
    if not lacking:
        return Finding(what, OK, f"all of {' and '.join(files)}")
    mend = f"facegan cloud role create {kind}, or add what {' and '.join(files)} has"
    return Finding(what, MISSING, "lacks " + ", ".join(dict.fromkeys(lacking)), mend)


def denied(aws: Aws, arn: str, statement: Mapping[str, Any]) -> list[str]:
    """What of a statement's actions a role may not do, each with its resource."""
    entries = [
        {
            "ContextKeyName": key,
            "ContextKeyValues": [str(it).replace("*", "x") for it in listed(values)],
            "ContextKeyType": "boolean" if kind == "Bool" else "string",
        }
        for kind, keys in statement.get("Condition", {}).items()
        for key, values in keys.items()
    ]
    found = []
    for resource in listed(statement["Resource"]):
        request = {
            "PolicySourceArn": arn,
            "ActionNames": listed(statement["Action"]),
            "ResourceArns": [resource],
            **({"ContextEntries": entries} if entries else {}),
        }
        call = Call("iam", "SimulatePrincipalPolicy", request, arn)
        for result in aws.pages(call, "EvaluationResults"):
            if result["EvalDecision"] != "allowed":
                found.append(f"{result['EvalActionName']} on {resource}")
    return found


def check_image(aws: Aws, settings: Settings, image: str, now: datetime) -> Finding:
    """Return whether ECR has the image that a launch would take: the named one, or the newest."""
    what = f"{image} image"
    named = getattr(settings, f"{image}_image")
    if named and not ECR.fullmatch(named):
        return Finding(what, UNKNOWN, f"{named} is not in ECR, so it is not looked at")
    address = named or f"{settings.repository}-{image}"
    try:
        found = find_image(aws, address)
    except CloudError as error:
        if error.code not in ABSENT:
            return refusal(what, error)
        return Finding(what, MISSING, error.message, "make build; facegan cloud push")
    days = (now - pushed_at(found)).days
    tags = ", ".join(sorted(found.get("imageTags", ()))) or "no tag"
    size = found.get("imageSizeInBytes", 0) / 1e9
    told = f"{address} ({tags}), {days} days old, {size:.1f} GB, {found['imageDigest']}"
    return Finding(what, OK, told)


def check_quotas(
    aws: Aws, instances: Sequence[str], purposes: Sequence[str], count: int
) -> Iterator[Finding]:
    """How many instances of each type the account may have at once, by what they are for."""
    listing = Call("service-quotas", "ListServiceQuotas", {"ServiceCode": "sagemaker"}, "quotas")
    wanted = [QUOTAS[use].format(instance=it) for it in instances for use in purposes]
    try:
        quotas = {it["QuotaName"]: it for it in aws.pages(listing, "Quotas")}
    except CloudError as error:
        for name in wanted:
            yield refusal(f"quota {name}", error)
        return
    for name in wanted:
        quota = quotas.get(name)
        if quota is None:
            told = f"AWS lists no such quota in {aws.region}: is the type offered there?"
            yield Finding(f"quota {name}", UNKNOWN, told, "Service Quotas in the console")
        elif quota["Value"] >= count:
            yield Finding(f"quota {name}", OK, f"{quota['Value']:g} ({quota['QuotaCode']})")
        else:
            mend = (
                "aws service-quotas request-service-quota-increase --service-code sagemaker "
                f"--quota-code {quota['QuotaCode']} --desired-value {count} --region {aws.region}"
            )
            told = f"{quota['Value']:g}, and {count} wanted ({quota['QuotaCode']})"
            yield Finding(f"quota {name}", MISSING, told, mend)
