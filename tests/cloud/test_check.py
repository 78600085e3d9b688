"""`facegan cloud check`: each thing that may be missing is named, with what mends it."""

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.stub import Stubber

from facegan.cli.__main__ import facegan, run_safely
from facegan.cli.cloud import desk
from facegan.cloud.aws import Aws
from facegan.cloud.check import Finding, check, trusts
from facegan.cloud.settings import Settings
from facegan.errors import ConfigError

ROLE = "arn:aws:iam::123456789012:role/facegan-training"
NOW = datetime(2026, 11, 25, tzinfo=UTC)
WHO = {"Arn": "arn:aws:iam::123456789012:user/me", "Account": "123456789012", "UserId": "A" * 16}
TRUST = {
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "sagemaker.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ]
}
SERVICES = ("sts", "s3", "iam", "ecr", "service-quotas")


class Account:
    """Stubbed services, told one by one what to answer."""

    def __init__(self, aws: Aws) -> None:
        self.aws = aws
        self.stubs = {name: Stubber(self.aws.client(name)) for name in SERVICES}
        for stub in self.stubs.values():
            stub.activate()

    def answers(self, service: str, method: str, *answers: dict[str, Any]) -> None:
        for answer in answers:
            self.stubs[service].add_response(method, answer)

    def refuses(self, service: str, method: str, code: str, status: int = 400) -> None:
        self.stubs[service].add_client_error(method, code, "no", http_status_code=status)


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    """The clients, once for all: to make them takes a second."""
    return {}


@pytest.fixture
def account(
    made: dict[str, Any], credentials: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Account]:
    credentials.chdir(tmp_path)
    aws = Aws()
    aws.clients = made
    account = Account(aws)
    account.answers("sts", "get_caller_identity", WHO)
    yield account
    for stub in account.stubs.values():
        stub.assert_no_pending_responses()
        stub.deactivate()


def role(trust: Any = TRUST) -> dict[str, Any]:
    return {
        "Role": {
            "Path": "/", "RoleName": "facegan-training", "RoleId": "A" * 16, "Arn": ROLE,
            "CreateDate": NOW, "AssumeRolePolicyDocument": json.dumps(trust),
        }
    }  # fmt: skip


def simulated(*denied: str) -> list[dict[str, Any]]:
    """IAM's answers to the statements of training.json; those named come back denied."""
    statements = json.loads((Path(__file__).parents[2] / "infra/iam/training.json").read_text())[
        "Statement"
    ]
    return [
        {
            "EvaluationResults": [
                {
                    "EvalActionName": action,
                    "EvalDecision": "implicitDeny" if action in denied else "allowed",
                }
                for action in one["Action"]
            ]
        }
        for one in statements
        for _ in one["Resource"]
    ]


def image(days: int) -> dict[str, Any]:
    return {
        "imageDigest": f"sha256:{days}", "imageTags": [f"{days}"], "imageSizeInBytes": 5 * 10**9,
        "imagePushedAt": NOW - timedelta(days=days),
    }  # fmt: skip


def found(
    account: Account, purposes: Sequence[str] = ("training",), instances: Sequence[str] = (),
    count: int = 1, **settings: Any,
) -> dict[str, Finding]:  # fmt: skip
    given = Settings(**{"bucket": "my-bucket", "role": ROLE, **settings})
    findings = check(account.aws, given, instances, purposes, count, now=NOW)
    return {finding.what: finding for finding in findings}


def all_well(account: Account, but: str = "") -> None:
    """Everything is there, but for one service, which the test itself tells."""
    answers: dict[str, Callable[[], None]] = {
        "s3": lambda: account.answers("s3", "head_bucket", {"BucketRegion": "eu-west-1"}),
        "iam": lambda: (
            account.answers("iam", "get_role", role()),
            account.answers("iam", "simulate_principal_policy", *simulated()),
        )[0],
        "ecr": lambda: account.answers(
            "ecr", "describe_images", {"imageDetails": [image(9), image(2)]}
        ),
    }
    for service, answer in answers.items():
        if service != but:
            answer()


def test_all_is_well(account: Account) -> None:
    all_well(account)
    findings = found(account)
    assert {finding.state for finding in findings.values()} == {"ok"}
    assert "user/me, account 123456789012" in findings["credentials"].told
    assert "(2), 2 days old, 5.0 GB, sha256:2" in findings["training image"].told


def test_a_permission_that_a_role_lacks_is_named(account: Account) -> None:
    all_well(account, but="iam")
    account.answers("iam", "get_role", role())
    account.answers("iam", "simulate_principal_policy", *simulated("s3:PutObject"))
    lacking = found(account)["training role: permissions"]
    assert lacking.state == "missing"
    assert lacking.told == "lacks s3:PutObject on arn:aws:s3:::my-bucket/facegan/*"
    assert "infra/iam/training.json" in lacking.mend


def test_where_nobody_may_ask_iam_it_is_unknown(account: Account) -> None:
    all_well(account, but="iam")
    account.answers("iam", "get_role", role())
    account.refuses("iam", "simulate_principal_policy", "AccessDenied", 403)
    asked = found(account)["training role: permissions"]
    assert asked.state == "unknown" and "iam:SimulatePrincipalPolicy" in asked.mend


def test_a_role_that_is_not_there_is_missing(account: Account) -> None:
    all_well(account, but="iam")
    account.refuses("iam", "get_role", "NoSuchEntity", 404)
    missing = found(account)["training role"]
    assert (missing.state, missing.mend) == ("missing", "facegan cloud role create training")


def test_a_role_that_sagemaker_may_not_take_is_said(account: Account) -> None:
    all_well(account, but="iam")
    account.answers("iam", "get_role", role({"Statement": []}))
    account.answers("iam", "simulate_principal_policy", *simulated())
    assert found(account)["training role: trust"].state == "missing"


@pytest.mark.parametrize(
    ("service", "allowed"), [("sagemaker.amazonaws.com", True), ("lambda.amazonaws.com", False)]
)
def test_trust_is_read_with_or_without_lists(service: str, allowed: bool) -> None:
    one = {"Effect": "Allow", "Principal": {"Service": [service]}, "Action": ["sts:AssumeRole"]}
    assert trusts({"Statement": one}) is allowed
    assert trusts({"Statement": [{**one, "Effect": "Deny"}]}) is False


@pytest.mark.parametrize(
    ("code", "status", "state", "told"),
    [("404", 404, "missing", "there is none"), ("403", 403, "unknown", "another account's")],
)
def test_a_bucket_that_is_not_there_or_not_yours(
    account: Account, code: str, status: int, state: str, told: str
) -> None:
    all_well(account, but="s3")
    account.refuses("s3", "head_bucket", code, status)
    bucket = found(account)["bucket my-bucket"]
    assert bucket.state == state and told in bucket.told


def test_a_bucket_in_another_region_is_said(account: Account) -> None:
    all_well(account, but="s3")
    account.answers("s3", "head_bucket", {"BucketRegion": "us-east-1"})
    bucket = found(account)["bucket my-bucket"]
    assert bucket.state == "missing" and "--region us-east-1" in bucket.mend


def test_an_image_that_was_not_pushed_is_missing(account: Account) -> None:
    all_well(account, but="ecr")
    account.refuses("ecr", "describe_images", "RepositoryNotFoundException")
    missing = found(account)["training image"]
    assert missing.state == "missing" and "facegan cloud push" in missing.mend


def test_nothing_is_named(account: Account) -> None:
    account.answers("ecr", "describe_images", {"imageDetails": []})
    findings = found(account, bucket=None, role=None)
    assert findings["bucket"].state == findings["training role"].state == "missing"
    assert findings["training image"].told == "No image was pushed to facegan-training yet."


def test_endpoints_need_the_serving_role_and_image(account: Account) -> None:
    account.answers("ecr", "describe_images", {"imageDetails": [image(1)]})
    findings = found(account, ("endpoint",), bucket=None, role=None)
    assert {"serving role", "inference image"} <= findings.keys()
    assert "training role" not in findings


QUOTA = "ml.g5.xlarge for spot training job usage"


@pytest.mark.parametrize(
    ("value", "count", "state", "told"),
    [(4.0, 4, "ok", "4 (L-AB12)"), (0.0, 2, "missing", "0, and 2 wanted (L-AB12)")],
)
def test_a_quota_is_named_with_its_code_and_how_to_ask_for_more(
    account: Account, value: float, count: int, state: str, told: str
) -> None:
    all_well(account)
    other = {"QuotaName": "ml.g5.xlarge for endpoint usage", "QuotaCode": "L-0", "Value": 9.0}
    its = {"QuotaName": QUOTA, "QuotaCode": "L-AB12", "Value": value}
    account.answers(
        "service-quotas", "list_service_quotas",
        {"Quotas": [other], "NextToken": "more"}, {"Quotas": [its]},
    )  # fmt: skip
    quota = found(account, ("spot",), ["ml.g5.xlarge"], count)[f"quota {QUOTA}"]
    assert (quota.state, quota.told) == (state, told)
    if state == "missing":
        assert "--quota-code L-AB12 --desired-value 2 --region eu-west-1" in quota.mend


def test_a_quota_that_nobody_may_see_or_that_is_not_there_is_unknown(account: Account) -> None:
    all_well(account)
    account.answers("service-quotas", "list_service_quotas", {"Quotas": []})
    assert found(account, ("spot",), ["ml.g5.xlarge"])[f"quota {QUOTA}"].state == "unknown"
    all_well(account)
    account.answers("sts", "get_caller_identity", WHO)
    account.refuses("service-quotas", "list_service_quotas", "AccessDeniedException")
    refused = found(account, ("spot",), ["ml.g5.xlarge"])[f"quota {QUOTA}"]
    assert "servicequotas:ListServiceQuotas" in refused.mend


def test_a_type_that_is_none_is_refused_before_anything_is_asked(no_aws: object) -> None:
    with pytest.raises(ConfigError, match="g5"):
        list(check(Aws("eu-west-1"), Settings(), ["g5"]))


def test_no_credentials_end_the_look(
    no_aws: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    no_aws.chdir(tmp_path)
    no_aws.setenv("AWS_ACCESS_KEY_ID", "")
    assert run_safely(facegan, ["cloud", "check", "--region", "eu-west-1"]) == 9
    said = capsys.readouterr()
    assert "Unable to locate credentials" in said.out and "aws configure" in said.out
    assert "Missing: credentials." in said.err


def test_the_command_answers_in_json_and_by_its_exit_code(
    account: Account, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    all_well(account, but="ecr")
    account.refuses("ecr", "describe_images", "ImageNotFoundException")
    monkeypatch.setattr(desk, "Aws", lambda *_: account.aws)
    words = ["--role", ROLE, "--bucket", "my-bucket", "--for", "training", "--json"]
    assert run_safely(facegan, ["cloud", "check", *words]) == 9
    said = capsys.readouterr()
    assert [it["what"] for it in json.loads(said.out) if it["state"] == "missing"] == [
        "training image"
    ]
    assert "Missing: training image." in said.err
