"""What machines cost, in a sentence for whoever is asked to agree: by prices the user gives."""

from facegan.cloud.job_status import duration
from facegan.cloud.settings import Settings

UNKNOWN = "at a price that is not known here (--price, or [cloud.price] in facegan.toml)"


def sentence(instance_type: str, count: int, seconds: float | None, settings: Settings) -> str:
    """What so many machines cost at most; no AWS is asked.

    Args:
        instance_type: As "ml.g5.xlarge".
        count: How many.
        seconds: For how long at most; None: for as long as they are there.
        settings: Have the price, or not.
    """
    machines = f"{count} × {instance_type}"
    longest = " for as long as they are there" if seconds is None else ""
    longest = longest or f" for at most {duration(seconds)}"
    price = settings.price.get(instance_type)
    if price is None:
        return f"{machines}{longest}, {UNKNOWN}."
    most = "" if seconds is None else f", ${price * count * seconds / 3600:,.2f} at most"
    return f"{machines}{longest}: ${price * count:,.2f} an hour{most}."
