"""`facegan cloud costs` at its edge: what people and programs are told, and what asks nobody."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from canned_aws import CannedAws, index, missing

from facegan.cli.__main__ import facegan, run_safely
from facegan.cli.cloud import costs
from facegan.cli.cloud.desk import Desk
from facegan.errors import CloudError

TYPE = "ml.g5.xlarge"


@pytest.fixture(autouse=True)
def own_folder(no_aws: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty folder, and an empty cache."""
    no_aws.chdir(tmp_path)
    no_aws.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


@pytest.fixture
def canned(no_aws: pytest.MonkeyPatch) -> CannedAws:
    """AWS, and its price list, which know what the test says."""
    aws = CannedAws({})
    no_aws.setattr(Desk, "aws", aws)
    no_aws.setattr(costs, "Aws", lambda region, profile: aws)
    return aws


def run(*words: str) -> int:
    return run_safely(facegan, ["cloud", "costs", *words])


def priced(dollars: str) -> dict[str, Any]:
    product = {
        "product": {"attributes": {"usagetype": f"EUW1-Train:{TYPE}"}},
        "terms": {
            "OnDemand": {
                "a": {"priceDimensions": {"b": {"unit": "Hrs", "pricePerUnit": {"USD": dollars}}}}
            }
        },
    }
    return {"PriceList": [json.dumps(product)]}


def test_with_a_price_an_estimate_needs_no_account(capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--instance-type", TYPE, "--instances", "2", "--hours", "10", "--price", "1.41")
    assert run("estimate", *words) == 0
    told = capsys.readouterr().out
    assert f"2 × {TYPE} for at most 10 h: $2.82 an hour, $28.20 at most." in told
    assert "Not counted: disks, S3" in told
    assert "Spot instances cost less" in told


def test_the_price_of_the_file_counts(capsys: pytest.CaptureFixture[str], own_folder: Path) -> None:
    (own_folder / "facegan.toml").write_text(f'[cloud.price]\n"{TYPE}" = 2\n')
    assert run("estimate", "--instance-type", TYPE, "--endpoint", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["dollars_per_hour"], told["dollars_per_month"]) == (2.0, 1460.0)
    assert any("scaled to zero" in note for note in told["notes"])


def test_else_aws_is_asked_once(capsys: pytest.CaptureFixture[str], canned: CannedAws) -> None:
    canned.answers["GetProducts"] = priced("1.5")
    for _ in range(2):
        assert run("estimate", "--instance-type", TYPE) == 0
        assert "for at most 24 h: $1.50 an hour, $36.00 at most." in capsys.readouterr().out
    assert canned.actions() == [f"GetProducts {TYPE} in eu-west-1"]


def test_a_type_without_a_price_is_said_with_what_to_do(
    capsys: pytest.CaptureFixture[str], canned: CannedAws
) -> None:
    canned.answers["GetProducts"] = {"PriceList": []}
    assert run("estimate", "--instance-type", "ml.g99.xlarge") == 9
    told = capsys.readouterr().err
    assert "no price for ml.g99.xlarge in eu-west-1" in told
    assert "[cloud.price]" in told


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--instance-type", "g5.xlarge"), "Give one like ml.g5.xlarge"),
        (("--instance-type", TYPE, "--endpoint", "--hours", "1"), "--endpoint has neither"),
        (("--instance-type", TYPE, "--price", "1", "--hours", "-1"), "It must be more than none"),
        (("--instance-type", TYPE, "--price", "-1"), "Give dollars for an hour"),
        (("--instance-type", TYPE, "--price", "1", "--instances", "0"), "from 1 to"),
    ],
)
def test_a_wrong_estimate_is_a_sentence(
    capsys: pytest.CaptureFixture[str], credentials: None, words: tuple[str, ...], told: str
) -> None:
    assert run("estimate", *words) == 2
    assert told in capsys.readouterr().err


def test_without_credentials_an_estimate_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("estimate", "--instance-type", TYPE, "--region", "eu-west-1") == 9
    assert "aws configure" in capsys.readouterr().err


JOB = {
    "TrainingJobStatus": "Completed", "EnableManagedSpotTraining": True,
    "ResourceConfig": {"InstanceType": TYPE, "InstanceCount": 2},
    "TrainingTimeInSeconds": 3600, "BillableTimeInSeconds": 1080,
}  # fmt: skip


def test_a_jobs_bill_is_read_by_people(
    capsys: pytest.CaptureFixture[str], canned: CannedAws
) -> None:
    canned.answers |= {"DescribeTrainingJob": JOB, "GetProducts": priced("1.5")}
    assert run("job", "faces-1") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:6] == [
        "job         faces-1 (Completed)",
        f"instances   2 × {TYPE}, spot",
        "ran         3600 s (1 h)",
        "billed      1080 s on each instance",
        "spot saved  70%",
        "cost        $0.90",
    ]


def test_a_bill_without_prices_is_one_still(
    capsys: pytest.CaptureFixture[str], canned: CannedAws
) -> None:
    refused = CloudError("pricing:GetProducts failed.", "", "AccessDeniedException")
    canned.answers |= {"DescribeTrainingJob": JOB, "GetProducts": refused}
    assert run("job", "faces-1", "--json") == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["dollars"] is None
    assert json.loads(told.out)["spot_savings"] == pytest.approx(0.7)
    assert "No prices from AWS: pricing:GetProducts failed." in told.err


def test_a_job_that_is_none_is_said_with_the_list(
    capsys: pytest.CaptureFixture[str], canned: CannedAws
) -> None:
    canned.answers["DescribeTrainingJob"] = missing("job")
    assert run("job", "faces-9") == 9
    assert "facegan cloud jobs" in capsys.readouterr().err


def test_what_runs_is_a_table_with_its_sum(
    capsys: pytest.CaptureFixture[str], canned: CannedAws, own_folder: Path
) -> None:
    (own_folder / "facegan.toml").write_text('[cloud.price]\n"ml.c7i.xlarge" = 0.25\n')
    place = index("endpoint/faces")
    canned.answers |= {
        "GetResources": {"ResourceTagMappingList": place},
        "ListEndpoints": {
            "Endpoints": [{"EndpointName": "faces", "EndpointArn": place[0]["ResourceARN"]}]
        },
        "DescribeEndpoint": {"EndpointConfigName": "faces", "EndpointStatus": "InService"},
        "DescribeEndpointConfig": {
            "ProductionVariants": [
                {"VariantName": "a", "InstanceType": "ml.c7i.xlarge", "InitialInstanceCount": 2}
            ]
        },
    }
    assert run("running", "--project", "faces") == 0
    told = capsys.readouterr().out.splitlines()
    assert told[1] == (
        "endpoint  faces  InService  2 × ml.c7i.xlarge  $0.50    facegan cloud delete faces"
    )
    assert told[2] == ("Together $0.50 an hour, $365.00 a month (project faces in eu-west-1).")
    (own_folder / "facegan.toml").unlink()
    page = CloudError("pricing:GetProducts failed: 500: <!doctype html>\n<title>", "Wait.", "500")
    canned.answers["GetProducts"] = page
    assert run("running") == 0
    printed = capsys.readouterr()
    assert "Together 1 at a price that is not known here (project facegan in" in printed.out
    assert (
        printed.err
        == "No prices from AWS: pricing:GetProducts failed: 500: <!doctype html> Wait.\n"
    )
    (own_folder / "facegan.toml").write_text('[cloud.price]\n"ml.c7i.xlarge" = 0.25\n')
    assert run("running", "--json") == 0
    assert json.loads(capsys.readouterr().out)["dollars_per_hour"] == 0.5


def test_where_nothing_runs_that_is_said(moto: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("running") == 0
    assert capsys.readouterr().out.startswith("Nothing of project facegan in eu-west-1 costs")


def test_botocore_says_nothing_of_where_it_found_credentials() -> None:
    run("--help")
    assert not logging.getLogger("botocore.credentials").isEnabledFor(logging.INFO)
