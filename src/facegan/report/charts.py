"""Line charts as coordinates for inline SVG: axes with round numbers and one colour per curve."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

Points = Sequence[tuple[float, float]]

WIDTH, HEIGHT = 480, 300
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 14, 44  # margins for the numbers and the axis' title
COLOURS = 8  # defined by the page's style as --curve-0 …, for light and for dark
DOTS = 80  # a curve of more points is drawn without dots
SMALLEST = 1e-300  # a range below it, divided, would be rounded to zero
LOG_SPAN = 100  # curves whose medians differ by more get a logarithmic axis


@dataclass(frozen=True)
class Axis:
    """A linear or logarithmic scale from values to coordinates."""

    low: float
    high: float
    start: float  # the coordinate of `low`
    end: float
    is_log: bool = False

    def coordinate(self, value: float) -> float:
        """Return the coordinate of a value."""
        scaled = math.log10 if self.is_log else float
        share = (scaled(value) - scaled(self.low)) / (scaled(self.high) - scaled(self.low))
        return self.start + (self.end - self.start) * share

    def tick_values(self) -> list[float]:
        """Return the values to label: about five round numbers, or powers of ten."""
        if self.is_log:
            powers = range(round(math.log10(self.low)), round(math.log10(self.high)) + 1)
            return [10.0**power for power in powers[:: math.ceil(len(powers) / 6)]]
        step = round_step((self.high - self.low) / 5)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [index * step for index in range(first, last + 1)]

    def labels(self) -> list[tuple[str, str]]:
        """Return the coordinate and the text of each labelled value."""
        return [(f"{self.coordinate(value):.1f}", f"{value:g}") for value in self.tick_values()]


@dataclass(frozen=True)
class Curve:
    """One line of a chart."""

    name: str
    last: str
    colour: str
    points: str  # as SVG's polyline takes them
    dots: list[tuple[str, str, str]]  # x, y and the text of a tooltip


@dataclass(frozen=True)
class Chart:
    """A chart ready to be drawn; without curves, there is nothing to draw yet."""

    title: str
    x_title: str
    curves: list[Curve]
    x_labels: list[tuple[str, str]]
    y_labels: list[tuple[str, str]]
    is_log: bool


def line_chart(title: str, x_title: str, curves: Mapping[str, Points]) -> Chart:
    """Lay out a chart.

    Args:
        title: What is shown; read aloud in place of the chart.
        x_title: The x axis, with its unit.
        curves: name → points (x, y), finite, x ascending from 0 or above; one colour each.
    """
    shown = {name: points for name, points in curves.items() if points}
    if not shown:
        return Chart(title, x_title, [], [], [], is_log=False)
    x_axis = Axis(0.0, max(p[-1][0] for p in shown.values()) or 1.0, LEFT, WIDTH - RIGHT)
    y_axis = value_axis(list(shown.values()))
    drawn = [curve(name, index, shown[name], x_axis, y_axis) for index, name in enumerate(shown)]
    return Chart(title, x_title, drawn, x_axis.labels(), y_axis.labels(), y_axis.is_log)


def curve(name: str, index: int, points: Points, x_axis: Axis, y_axis: Axis) -> Curve:
    """Lay out one curve."""
    places = [(f"{x_axis.coordinate(x):.1f}", f"{y_axis.coordinate(y):.1f}") for x, y in points]
    tooltips = [f"{name} {y:.4g} at {x:.4g}" for x, y in points]
    dots = [(*place, text) for place, text in zip(places, tooltips, strict=True)]
    return Curve(
        name=name,
        last=f"{points[-1][1]:.3g}",
        colour=f"var(--curve-{index % COLOURS})",
        points=" ".join(map(",".join, places)),
        dots=dots if len(dots) <= DOTS else [],
    )


def value_axis(curves: Sequence[Points]) -> Axis:
    """Return the y axis: from zero, or logarithmic where the curves are far apart."""
    values = [[y for _, y in points] for points in curves]
    low, high = min(map(min, values)), max(map(max, values))
    medians = [median(curve) for curve in values]
    start, end = HEIGHT - BOTTOM, TOP
    if low > SMALLEST and max(medians) / min(medians) > LOG_SPAN:
        decades = math.floor(math.log10(low)), math.ceil(math.log10(high) + 1e-9)
        return Axis(10.0 ** decades[0], 10.0 ** decades[1], start, end, is_log=True)
    low, high = min(low, 0.0), max(high, 0.0)
    step = round_step((high - low if high - low > SMALLEST else 1.0) / 5)
    low, high = math.floor(low / step + 1e-9) * step, (math.ceil(high / step) or 1) * step
    return Axis(low, high, start, end)


def round_step(raw: float) -> float:
    """Return the smallest of 1, 2, 5 × 10ⁿ that is not below a number."""
    power = 10.0 ** math.floor(math.log10(raw))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * (1 - 1e-9))
