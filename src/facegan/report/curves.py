"""Line charts as inline SVG: axes with round numbers, one colour a curve, no library."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from facegan.report.markup import Markup, element

Points = Sequence[tuple[float, float]]

WIDTH, HEIGHT = 480, 300
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 14, 44  # margins for the numbers and the axis' title
COLOURS = 8  # defined by the page's style as --curve-0 …, for light and for dark
DOTS = 80  # more points than this are drawn as a line alone
SMALLEST = 1e-300  # a spread below it, divided, would be rounded to zero
LOG_SPAN = 100  # terms further apart than this are drawn over a logarithmic axis


@dataclass(frozen=True)
class Axis:
    """Values onto a stretch of the picture, and the round numbers written along it."""

    low: float
    high: float
    start: float  # the picture's coordinate of `low`
    end: float
    is_log: bool = False

    def place(self, value: float) -> float:
        """The coordinate of a value."""
        scaled = math.log10 if self.is_log else float
        share = (scaled(value) - scaled(self.low)) / (scaled(self.high) - scaled(self.low))
        return self.start + (self.end - self.start) * share

    def marks(self) -> list[float]:
        """Round numbers inside the axis: about five, or the powers of ten."""
        if self.is_log:
            powers = range(round(math.log10(self.low)), round(math.log10(self.high)) + 1)
            return [10.0**power for power in powers[:: math.ceil(len(powers) / 6)]]
        step = round_step((self.high - self.low) / 5)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [index * step for index in range(first, last + 1)]


def round_step(raw: float) -> float:
    """The smallest of 1, 2, 5 × 10ⁿ that is not below a number."""
    power = 10.0 ** math.floor(math.log10(raw))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * (1 - 1e-9))


def value_axis(curves: Sequence[Points]) -> Axis:
    """The upright axis: from zero, or logarithmic where the curves are far apart."""
    values = [[y for _, y in points] for points in curves]
    everything = [y for curve in values for y in curve]
    low, high = min(everything), max(everything)
    middles = [median(curve) for curve in values]
    start, end = HEIGHT - BOTTOM, TOP
    if low > 0 and max(middles) / min(middles) > LOG_SPAN:
        decades = math.floor(math.log10(low)), math.ceil(math.log10(high) + 1e-9)
        return Axis(10.0 ** decades[0], 10.0 ** decades[1], start, end, is_log=True)
    low, high = min(low, 0.0), max(high, 0.0)
    spread = high - low if high - low > SMALLEST else 1.0
    step = round_step(spread / 5)
    return Axis(
        math.floor(low / step + 1e-9) * step, (math.ceil(high / step) or 1) * step, start, end
    )


def line_chart(title: str, x_title: str, curves: Mapping[str, Points]) -> Markup:
    """A chart with its legend.

    Args:
        title: What is shown; read aloud in place of the picture.
        x_title: What runs along the level axis, with its unit.
        curves: name → points (x, y), finite, x ascending from 0 or above; one colour each.

    Returns:
        A ``figure``; every curve is one polyline with a vertex a point.
    """
    drawn = {name: points for name, points in curves.items() if points}
    if not drawn:
        return element("p", "No tick has been written yet.", class_="absent")
    across = Axis(0.0, max(p[-1][0] for p in drawn.values()) or 1.0, LEFT, WIDTH - RIGHT)
    upright = value_axis(list(drawn.values()))
    picture = element(
        "svg",
        element("title", title),
        grid(across, upright),
        axis_title(x_title),
        [curve(name, points, index, across, upright)
         for index, (name, points) in enumerate(drawn.items())],
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        role="img",
    )  # fmt: skip
    heading = f"{title} (logarithmic)" if upright.is_log else title
    return element("figure", element("h3", heading), legend(drawn), picture, class_="chart")


def legend(curves: Mapping[str, Points]) -> Markup:
    """Each curve's colour, name and last value."""
    entries = [
        element(
            "li",
            element("i", style=f"background:{colour(index)}"),
            f"{name} ",
            element("b", f"{points[-1][1]:.3g}"),
        )
        for index, (name, points) in enumerate(curves.items())
    ]
    return element("ul", entries, class_="legend")


def colour(index: int) -> str:
    """The colour of a curve, as the page's style names it."""
    return f"var(--curve-{index % COLOURS})"


def grid(across: Axis, upright: Axis) -> Markup:
    """The numbers along both axes, and a hair line for each upright one."""
    right, foot = WIDTH - RIGHT, HEIGHT - BOTTOM
    parts = []
    for mark in upright.marks():
        y = f"{upright.place(mark):.1f}"
        parts.append(element("line", x1=LEFT, x2=right, y1=y, y2=y, class_="hair"))
        parts.append(element("text", f"{mark:g}", x=LEFT - 8, y=y, dy="0.32em", class_="end"))
    for mark in across.marks():
        x = f"{across.place(mark):.1f}"
        parts.append(element("text", f"{mark:g}", x=x, y=foot + 18, class_="mid"))
    return element("g", parts)


def axis_title(text: str) -> Markup:
    """What runs along the level axis, under its numbers."""
    return element("text", text, x=(LEFT + WIDTH - RIGHT) / 2, y=HEIGHT - 6, class_="mid")


def curve(name: str, points: Points, index: int, across: Axis, upright: Axis) -> Markup:
    """One curve; where there are few points, each is a dot that tells its figures."""
    places = [(f"{across.place(x):.1f}", f"{upright.place(y):.1f}") for x, y in points]
    line = element("polyline", points=" ".join(map(",".join, places)), stroke=colour(index))
    dots = [
        element("circle", element("title", f"{name} {y:.4g} at {x:.4g}"), cx=left, cy=top, r=3)
        for (x, y), (left, top) in zip(points, places, strict=True)
    ]
    shown = dots if len(points) <= DOTS else []
    return element("g", line, element("g", shown, fill=colour(index)))
