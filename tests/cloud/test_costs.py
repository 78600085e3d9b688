"""What something will cost: prices that are given, remembered, asked for, and misread by nobody."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any, cast

import pytest
from botocore.stub import Stubber
from canned_aws import CannedAws, complaints

from facegan.cloud.aws import Aws
from facegan.cloud.costs import (
    Estimate,
    Prices,
    estimate,
    hourly_price,
    money,
    price_request,
    pricing_region,
    sentence,
    time_text,
)
from facegan.cloud.settings import Settings
from facegan.errors import CloudError, ConfigError

TYPE = "ml.g5.xlarge"
GIVEN = Settings(price={TYPE: 2.0}, region="eu-west-1")


def product(usage: str, *dollars: str, unit: str = "Hrs", term: str = "OnDemand") -> str:
    """An entry of a price list, as AWS's has it."""
    dimensions = {
        str(number): {"unit": unit, "pricePerUnit": {"USD": one}}
        for number, one in enumerate(dollars)
    }
    return json.dumps(
        {
            "product": {"attributes": {"usagetype": usage, "instanceName": TYPE}},
            "terms": {term: {"SKU.JRTCKXETXF": {"priceDimensions": dimensions}}},
        }
    )


LIST = [
    product(f"EUW1-Train:{TYPE}", "1.4080000000"),
    product(f"EUW1-Host:{TYPE}", "1.5110000000"),
    product(f"EUW1-Studio:KernelGateway-{TYPE}", "9"),
    product(f"EUW1-Train:{TYPE}.but.not", "9"),
]


def test_the_price_is_that_of_the_use() -> None:
    assert hourly_price(LIST, TYPE, "training") == 1.408
    assert hourly_price(LIST, TYPE, "endpoint") == 1.511
    assert hourly_price([product(f"Train:{TYPE}", "3")], TYPE, "training") == 3


@pytest.mark.parametrize(
    "odd",
    [
        "{}",
        "",
        "[]",
        "null",
        '{"product": {"attributes": {"usagetype": 5}}}',
        product(f"EUW1-Train:{TYPE}", "much"),
        '{"product": {}}',
        product("", "9"),
        product(f"EUW1-Train:{TYPE}", "9", unit="GB-Mo"),
        product(f"EUW1-Train:{TYPE}", "9", term="Reserved"),
        product(f"EUW1-Train:{TYPE}", "0.0000000000"),
        product(f"EUW1-Train:{TYPE}"),
    ],
)
def test_what_is_not_a_price_by_the_hour_is_passed_over(odd: str) -> None:
    assert hourly_price([odd], TYPE, "training") is None
    assert hourly_price([odd, *LIST], TYPE, "training") == 1.408


def test_the_component_says_the_use_too() -> None:
    odd = json.loads(product(f"EUW1-Something:{TYPE}", "3"))
    odd["product"]["attributes"]["component"] = "Hosting"
    assert hourly_price([json.dumps(odd)], TYPE, "endpoint") == 3
    assert hourly_price([json.dumps(odd)], TYPE, "training") is None


def test_of_several_prices_the_highest_counts() -> None:
    two = [product(f"A-Train:{TYPE}", "0", "1.5"), product(f"B-Train:{TYPE}", "1.6")]
    assert hourly_price(two, TYPE, "training") == 1.6


def test_the_request_fits_and_goes_to_a_region_that_answers() -> None:
    call = price_request(TYPE, "eu-west-1")
    assert complaints(call) == ""
    assert {one["Field"]: one["Value"] for one in call.request["Filters"]} == {
        "regionCode": "eu-west-1", "instanceName": TYPE,
    }  # fmt: skip
    near = {"eu-west-1": "eu-central-1", "ap-northeast-1": "ap-south-1", "sa-east-1": "us-east-1"}
    assert {region: pricing_region(region) for region in near} == near
    assert pricing_region(None) == "us-east-1"


class Asked:
    """A Pricing API that counts who opens it."""

    def __init__(self, products: list[str]) -> None:
        self.aws = CannedAws({"GetProducts": {"PriceList": products}})
        self.regions: list[str] = []

    def __call__(self, region: str) -> Aws:
        self.regions.append(region)
        return cast(Aws, self.aws)


@pytest.fixture
def prices(tmp_path: Path) -> Callable[..., Prices]:
    def make(products: list[str], **others: Any) -> Prices:
        kept = {"settings": Settings(), "cache": tmp_path / "prices.json"} | others
        return Prices(open_pricing=Asked(products), **kept)

    return make


def test_a_given_price_asks_nobody(prices: Callable[..., Prices]) -> None:
    asking = prices(LIST, settings=GIVEN)
    assert asking.of(TYPE, "training", "eu-west-1") == 2.0
    assert asking.of("local_gpu", "training", None) == 0.0
    assert cast(Asked, asking.open_pricing).regions == []


def test_a_price_is_asked_for_once_a_day(prices: Callable[..., Prices]) -> None:
    today = date(2026, 11, 25)
    first, again = prices(LIST, today=today), prices([], today=today)
    assert first.of(TYPE, "training", "eu-west-1") == 1.408
    assert again.of(TYPE, "training", "eu-west-1") == 1.408  # from the file
    assert first.of(TYPE, "endpoint", "eu-west-1") == 1.511  # beside it
    assert cast(Asked, first.open_pricing).regions == ["eu-central-1"] * 2
    tomorrow = prices([], today=date(2026, 11, 26))
    assert tomorrow.of(TYPE, "training", "eu-west-1") is None


@pytest.mark.parametrize("text", ["", "{", "[]", '"x"', '{"day": 1}', "null"])
def test_a_damaged_memory_is_none(prices: Callable[..., Prices], text: str) -> None:
    asking = prices(LIST)
    assert asking.cache
    asking.cache.write_text(text)
    assert asking.of(TYPE, "training", "eu-west-1") == 1.408


def test_a_memory_that_cannot_be_written_is_none(
    prices: Callable[..., Prices], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    asking = prices(LIST, cache=tmp_path / "file" / "prices.json")
    assert asking.of(TYPE, "training", "eu-west-1") == 1.408


def test_a_role_without_the_permission_is_told_its_name(credentials: pytest.MonkeyPatch) -> None:
    aws = Aws("us-east-1")
    with Stubber(aws.client("pricing")) as stub:
        stub.add_client_error("get_products", "AccessDeniedException", "no")
        asking = Prices(settings=Settings(), open_pricing=lambda region: aws)
        with pytest.raises(CloudError, match="lack the permission pricing:GetProducts"):
            asking.of(TYPE, "training", "us-east-1")


def test_a_list_of_several_pages_is_read_whole(credentials: pytest.MonkeyPatch) -> None:
    aws = Aws("us-east-1")
    with Stubber(aws.client("pricing")) as stub:
        stub.add_response("get_products", {"PriceList": LIST[:1], "NextToken": "2"})
        stub.add_response("get_products", {"PriceList": LIST[1:]})
        asking = Prices(settings=Settings(), open_pricing=lambda region: aws)
        assert asking.of(TYPE, "endpoint", "us-east-1") == 1.511


def test_a_job_costs_for_its_time_and_an_endpoint_until_it_is_deleted() -> None:
    given = Prices(settings=GIVEN)
    job = estimate(given, TYPE, 2, 36000)
    assert (job.hourly, job.most) == (4.0, 40.0)
    assert job.sentence() == f"2 × {TYPE} for at most 10 h: $4.00 an hour, $40.00 at most."
    spot = estimate(given, TYPE, 2, 36000, is_spot=True)
    assert spot.sentence().endswith("$40.00 at most, less on spot instances.")
    endpoint = estimate(given, TYPE)
    assert endpoint.most is None
    assert endpoint.sentence() == (
        f"1 × {TYPE}: $2.00 an hour until it is deleted, $1,460.00 a month."
    )
    assert endpoint.as_data()["dollars_per_month"] == 1460


def test_a_price_that_is_not_known_is_said_and_nobody_is_asked(no_aws: pytest.MonkeyPatch) -> None:
    told = sentence("ml.p4d.24xlarge", 4, 3600, replace(GIVEN, region=None))
    assert told.startswith("4 × ml.p4d.24xlarge for at most 1 h, at a price that is not known here")
    assert "costs estimate --instance-type ml.p4d.24xlarge" in told
    assert "until it is deleted" in sentence("ml.p4d.24xlarge", 1, None, GIVEN)
    assert "costs nothing" in sentence("local", 1, 60, GIVEN)
    assert Estimate(instance_type=TYPE).as_data()["dollars_per_hour"] is None


def test_a_confirmation_knows_what_was_asked_for_today(prices: Callable[..., Prices]) -> None:
    asking = prices(LIST)
    asking.of(TYPE, "training", "eu-west-1")
    settings = Settings(region="eu-west-1")
    assert "$1.41 an hour" in sentence(TYPE, 1, 60, settings, cache=asking.cache)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"instance_type": "g5.xlarge"}, "instance type is 'g5.xlarge'"),
        ({"count": 0}, "instance_count is 0"),
        ({"price": -1.0}, "price is -1"),
        ({"price": float("nan")}, "price is nan"),
        ({"seconds": 0.0}, "time is 0"),
        ({"seconds": float("inf")}, "time is inf"),
    ],
)
def test_what_is_no_number_of_anything_is_refused(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        Estimate(**{"instance_type": TYPE} | wrong)


def test_money_and_time_are_written_as_people_do() -> None:
    assert [money(one) for one in (0, 0.0123, 0.5, 0.204, 1, 1234.567)] == [
        "$0.00", "$0.0123", "$0.50", "$0.204", "$1.00", "$1,234.57",
    ]  # fmt: skip
    assert [time_text(one) for one in (5, 60, 3600, 95400)] == [
        "5 s", "1 min", "1 h", "26 h 30 min",
    ]  # fmt: skip
