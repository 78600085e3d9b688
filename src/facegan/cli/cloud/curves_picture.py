"""A job's curves as one SVG file: the report's charts one below the other, in its colours."""

import re
from collections.abc import Mapping

from facegan.cloud.figures import Curves
from facegan.report.curves import HEIGHT, WIDTH, Points, line_chart
from facegan.report.markup import Markup, element
from facegan.report.run_record import GAUGES, NOT_LOSSES
from facegan.report.style import STYLE

HEAD = 74  # above each chart: its title and its legend
GAP = 26
A_LINE = 4  # names of a legend beside one another


def picture_of(name: str, curves: Curves) -> str:
    """An SVG of all curves, grouped as the report does: losses, balance, quality, speed."""
    charts = {title: some for title, some in groups(curves).items() if some}
    pieces, top = [], GAP
    for title, some in charts.items():
        pieces.append(placed(title, curves.along, some, top))
        top += HEAD + HEIGHT + GAP
    width = WIDTH + 2 * GAP
    frame = element("rect", x=0, y=0, width=width, height=top, class_="page")
    drawn = element(
        "svg",
        element("title", f"{name}: figures by {curves.along}"),
        element("style", Markup(own_style())),
        frame,
        *pieces,
        xmlns="http://www.w3.org/2000/svg",
        width=width,
        height=top,
        viewBox=f"0 0 {width} {top}",
    )
    return f"{drawn}\n"


def groups(curves: Curves) -> dict[str, dict[str, Points]]:
    """Curves that belong into one chart, by its title."""
    points = curves.points
    quality = [name for name in points if name in NOT_LOSSES and not name.endswith("_std")]
    apart = ("images_per_second", "wait_share")
    return {
        "Loss terms": {n: points[n] for n in points if n not in NOT_LOSSES | set(GAUGES)},
        "Balance": {n: points[n] for n in points if n in GAUGES},
        **{n: {n: points[n]} for n in quality if n not in apart},
        "Images per second": {n: points[n] for n in points if n == "images_per_second"},
    }


def placed(title: str, along: str, curves: Mapping[str, Points], top: int) -> Markup:
    """One chart with its title and legend, moved to its place."""
    figure = line_chart(title, along, curves)
    inner = re.search(r"<svg[^>]*>(.*)</svg>", figure, re.DOTALL)
    heading = re.search(r"<h3>(.*?)</h3>", figure)
    drawn = Markup(inner[1] if inner else "")
    names = [
        element("text", f"{name} {points[-1][1]:.3g}", x=(index % A_LINE) * WIDTH / A_LINE,
                y=34 + 15 * (index // A_LINE), fill=f"var(--curve-{index % 8})", class_="name")
        for index, (name, points) in enumerate(curves.items())
    ]  # fmt: skip
    return element(
        "g",
        element("text", Markup(heading[1]) if heading else title, y=12, class_="title"),
        names,
        element("g", drawn, class_="chart", transform=f"translate(0 {HEAD})"),
        transform=f"translate({GAP} {top})",
    )


def own_style() -> str:
    """The report's colours and charts, for a picture that stands alone."""
    colours = STYLE[: STYLE.index("* {")].replace(":root", "svg")
    charts = "\n".join(line for line in STYLE.splitlines() if line.startswith(".chart"))
    charts = charts.replace(".chart svg { display: block; width: 100%; height: auto;", ".x {")
    return (
        f"{colours}\n{charts}\nsvg {{ font: 13px system-ui, sans-serif; }}\n"
        ".page { fill: var(--page); } .title { fill: var(--ink); font-weight: 600; }"
        " .name { font-size: 12px; }\n"
    )
