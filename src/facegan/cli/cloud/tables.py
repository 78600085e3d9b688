"""Tables, ages and prices, as every list of the cloud's commands shows them."""

from collections.abc import Container, Sequence
from datetime import UTC, datetime
from typing import Any

import click

from facegan.cloud.settings import Settings


def table(head: Sequence[str], rows: Sequence[Sequence[Any]], right: Container[int] = ()) -> str:
    """Rows in aligned columns, below a head if there is one.

    Args:
        head: The columns' names.
        rows: A cell a column; styled ones align by what is seen of them.
        right: Which columns are numbers, and end at one edge.
    """
    texts = [[str(cell) for cell in row] for row in ((head, *rows) if head else rows)]
    seen = [[len(click.unstyle(cell)) for cell in row] for row in texts]
    widths = [max(column) for column in zip(*seen, strict=True)]
    return "\n".join(
        "  ".join(
            " " * (width - size) + cell if index in right else cell + " " * (width - size)
            for index, (cell, size, width) in enumerate(zip(row, sizes, widths, strict=True))
        ).rstrip()
        for row, sizes in zip(texts, seen, strict=True)
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
