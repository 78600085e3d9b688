"""Tables, ages and prices, as every list of the cloud's commands shows them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from facegan.cloud.settings import Settings


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Rows in aligned columns, below a head if there is one."""
    texts = [[str(cell) for cell in row] for row in ((head, *rows) if head else rows)]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in texts
    )


def age(since: datetime | None, now: datetime | None = None) -> str:
    """How long ago, as 3d, 5h or 12m."""
    if since is None:
        return "?"
    seconds = ((now or datetime.now(UTC)) - since).total_seconds()
    for name, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{int(seconds // length)}{name}"
    return "now"


def hourly(settings: Settings, instance_type: str, count: int) -> float | None:
    """Dollars an hour of machines, where facegan.toml has their price."""
    price = settings.price.get(instance_type)
    return None if price is None else price * count
