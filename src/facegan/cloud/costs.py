"""What AWS will ask for something: an hour's price, given or asked for, and what it comes to."""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from facegan.cloud.aws import Aws
from facegan.cloud.calls import Call
from facegan.cloud.limits import check_instances, is_local
from facegan.cloud.settings import Settings
from facegan.errors import CloudError, ConfigError
from facegan.files import write_atomic

MONTH_HOURS = 730  # as AWS's own calculator counts
NOT_COUNTED = "Not counted: disks, S3, logs, data out, requests, taxes, discounts."
SPOT_NOTE = (
    "Spot instances cost less (AWS says up to 90 %); what one saved is known after the job: "
    "`facegan cloud costs job NAME`."
)
ENDPOINT_NOTES = (
    "It costs from the moment it is in service until it is deleted, whether anyone asks or not.",
    "Asynchronous endpoints cost the same while they have instances, and nothing while scaled to "
    "zero.",
    "Serverless endpoints have no instances: they cost by memory, by the millisecond in which they "
    "draw, and by the data in and out; nothing while nobody asks.",
)
# What the price list calls the two uses: in `usagetype`, as "EUW1-Train:ml.g5.xlarge", and in
# `component`. One of them is enough: the list's form is not promised.
USAGES = {"training": "Train", "endpoint": "Host"}
COMPONENTS = {"training": "Training", "endpoint": "Hosting"}


def pricing_region(region: str | None) -> str:
    """Where the Pricing API is, next to a region: it answers in three, for all of them."""
    near = {"eu": "eu-central-1", "me": "eu-central-1", "af": "eu-central-1", "ap": "ap-south-1"}
    return near.get((region or "").partition("-")[0], "us-east-1")


def price_request(instance_type: str, region: str) -> Call:
    """The call that lists a machine's prices in a region, for all its uses."""
    wanted = {"regionCode": region, "instanceName": instance_type}
    request = {
        "ServiceCode": "AmazonSageMaker",
        "Filters": [
            {"Type": "TERM_MATCH", "Field": field, "Value": value}
            for field, value in wanted.items()
        ],
        "FormatVersion": "aws_v1",
    }
    return Call("pricing", "GetProducts", request, f"{instance_type} in {region}")


def hourly_price(products: Iterable[str], instance_type: str, use: str) -> float | None:
    """The dollars that a price list asks for an hour of one machine.

    Args:
        products: The entries of its ``PriceList``, each a text of JSON.
        instance_type: As ml.g5.xlarge.
        use: "training" or "endpoint".

    Returns:
        The highest, should several fit; None where none does. What is not as expected is passed
        over.
    """
    prices: list[float] = []
    for text in products:
        try:
            product = json.loads(text)
            if is_for(product["product"]["attributes"], instance_type, use):
                prices += on_demand_prices(product)
        except (ValueError, TypeError, KeyError, AttributeError):
            continue
    return max(prices, default=None)


def is_for(about: Mapping[str, Any], instance_type: str, use: str) -> bool:
    """Whether a product's attributes are those of a machine in a use."""
    wanted = rf"(.*-)?{USAGES[use]}:{re.escape(instance_type)}"
    component = (about.get("instanceName"), about.get("component"))
    return bool(
        re.fullmatch(wanted, about.get("usagetype", ""))
        or component == (instance_type, COMPONENTS[use])
    )


def on_demand_prices(product: Mapping[str, Any]) -> list[float]:
    """Every price in dollars by the hour that a product has; those of nothing are left out."""
    found = []
    for term in product.get("terms", {}).get("OnDemand", {}).values():
        for one in term.get("priceDimensions", {}).values():
            if str(one.get("unit", "")).lower() in ("hrs", "hours", "hour"):
                found.append(float(one.get("pricePerUnit", {}).get("USD", 0)))
    return [price for price in found if price > 0]


@dataclass(frozen=True, kw_only=True)
class Prices:
    """Prices by the instance hour: those that the user gives, else those of AWS's list.

    Args:
        settings: Whose ``price`` counts first.
        open_pricing: Opens AWS in a region of the Pricing API; None where it must not be asked.
        cache: File of what AWS's list said today; None for none.
        today: The day's date.
    """

    settings: Settings
    open_pricing: Callable[[str], Aws] | None = None
    cache: Path | None = None
    today: date = field(default_factory=date.today)

    def of(self, instance_type: str, use: str, region: str | None) -> float | None:
        """Dollars an hour; None where nobody knows, or may be asked.

        Raises:
            CloudError: the Pricing API refused.
        """
        if is_local(instance_type):
            return 0.0
        if (given := self.settings.price.get(instance_type)) is not None:
            return float(given)
        if region is None:
            return None
        key = f"{region} {use} {instance_type}"
        known = self.remembered()
        if key not in known and self.open_pricing:
            call = price_request(instance_type, region)
            products = self.open_pricing(pricing_region(region)).pages(call, "PriceList")
            known[key] = hourly_price(products, instance_type, use)
            self.remember(known)
        return known.get(key)

    def remembered(self) -> dict[str, float | None]:
        """What the list said today; nothing where the file is of another day, or is none."""
        try:
            kept = json.loads(self.cache.read_text()) if self.cache else {}
            return dict(kept["prices"]) if kept.get("day") == self.today.isoformat() else {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}

    def remember(self, prices: Mapping[str, float | None]) -> None:
        """Keep what the list said; a cache that cannot be written is none."""
        if self.cache:
            kept = {"day": self.today.isoformat(), "prices": prices}
            try:
                write_atomic(self.cache, json.dumps(kept, indent=1).encode())
            except OSError:
                return


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What instances cost; checked when it is made.

    Raises:
        ConfigError: a number or the instance type is none; it is named.
    """

    instance_type: str
    count: int = 1
    price: float | None = None  # dollars for an hour of one instance; None: unknown
    seconds: float | None = None  # None: until it is deleted
    is_spot: bool = False

    def __post_init__(self) -> None:
        check_instances(self.instance_type, self.count)
        if self.price is not None and not 0 <= self.price < float("inf"):
            raise ConfigError(f"The price is {self.price}.", "Give dollars for an hour, as 1.41.")
        if self.seconds is not None and not 0 < self.seconds < float("inf"):
            raise ConfigError(f"The time is {self.seconds} seconds.", "It must be more than none.")

    @property
    def hourly(self) -> float | None:
        """Dollars an hour for all instances."""
        return None if self.price is None else self.price * self.count

    @property
    def most(self) -> float | None:
        """Dollars at most, for a time that ends by itself."""
        if self.hourly is None or self.seconds is None:
            return None
        return self.hourly * self.seconds / 3600

    def sentence(self, until: str = "it is deleted") -> str:
        """The estimate as a confirmation says it; until when it costs, where no time is set."""
        machines = f"{self.count} × {self.instance_type}"
        if is_local(self.instance_type):
            return f"{machines}: this machine, which costs nothing."
        at_most = "" if self.seconds is None else f" for at most {time_text(self.seconds)}"
        if self.hourly is None:
            return (
                f"{machines}{at_most or f' until {until}'}, at a price that is not known here "
                f"(`facegan cloud costs estimate --instance-type {self.instance_type}` asks AWS)."
            )
        by_the_hour = f"{money(self.hourly)} an hour"
        if self.most is None:
            month = money(self.hourly * MONTH_HOURS)
            return f"{machines}: {by_the_hour} until {until}, {month} a month."
        spot = ", less on spot instances" if self.is_spot else ""
        return f"{machines}{at_most}: {by_the_hour}, {money(self.most)} at most{spot}."

    def as_data(self) -> dict[str, Any]:
        """The estimate for programs; dollars and seconds."""
        monthly = None if self.hourly is None else self.hourly * MONTH_HOURS
        return {
            "instance_type": self.instance_type,
            "instances": self.count,
            "dollars_per_instance_hour": self.price,
            "dollars_per_hour": self.hourly,
            "dollars_per_month": monthly if self.seconds is None else None,
            "seconds": self.seconds,
            "dollars_at_most": self.most,
        }


def estimate(
    prices: Prices,
    instance_type: str,
    count: int = 1,
    seconds: float | None = None,
    *,
    region: str | None = None,
    is_spot: bool = False,
) -> Estimate:
    """What instances will cost: a job's for a time, an endpoint's until it is deleted.

    Args:
        prices: Who knows an hour's price.
        instance_type: As ml.g5.xlarge.
        count: How many.
        seconds: A job's longest time; None for an endpoint.
        region: Where; the settings' where None.
        is_spot: Whether the job takes spot instances.

    Raises:
        ConfigError: the type or a number is none.
        CloudError: the Pricing API refused.
    """
    check_instances(instance_type, count)  # before AWS is asked about it
    use = "endpoint" if seconds is None else "training"
    price = prices.of(instance_type, use, region or prices.settings.region)
    return Estimate(
        instance_type=instance_type, count=count, price=price, seconds=seconds, is_spot=is_spot
    )


def sentence(
    instance_type: str,
    count: int,
    seconds: float | None,
    settings: Settings,
    *,
    is_spot: bool = False,
    until: str = "it is deleted",
    cache: Path | None = None,
) -> str:
    """What a command's confirmation says of costs. Asks nobody: dry runs may use it.

    Args:
        instance_type: As ml.g5.xlarge.
        count: How many.
        seconds: A job's longest time; None for an endpoint, which has none.
        settings: Whose prices count.
        is_spot: Whether the job takes spot instances.
        until: When it ends to cost, where it has no longest time.
        cache: File of prices that `costs estimate` was told today (`cli.cloud.costs.cache_file`).

    Raises:
        ConfigError: the type or a number is none.
    """
    prices = Prices(settings=settings, cache=cache)
    return estimate(prices, instance_type, count, seconds, is_spot=is_spot).sentence(until)


def money(dollars: float) -> str:
    """Dollars as people write them; below one with four digits where there are so many."""
    cents, _, more = f"{dollars:,.4f}".partition(".")
    rest = more[2:].rstrip("0") if dollars < 1 else ""
    return f"${cents}.{more[:2]}{rest}" if rest else f"${dollars:,.2f}"


def time_text(seconds: float) -> str:
    """A time as people say it: 45 s, 12 min, 3 h, 26 h 30 min."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    parts = [f"{hours} h"] * bool(hours) + [f"{minutes} min"] * bool(minutes)
    return " ".join(parts)


def need_price(price: float | None, instance_type: str, region: str | None) -> float:
    """A price that an estimate cannot do without.

    Raises:
        CloudError: AWS's list has none; says how to give one.
    """
    if price is not None:
        return price
    raise CloudError(
        f"AWS's price list has no price for {instance_type} in {region or 'an unknown region'}.",
        "Check the type and --region, or give --price, or [cloud.price] in facegan.toml: "
        f'"{instance_type}" = dollars an hour.',
    )
