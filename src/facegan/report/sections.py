"""The parts of the page that tell: figures, curves, what was set and what to type next."""

import math
import shlex
from collections.abc import Mapping
from typing import Any

from facegan.report.curves import line_chart
from facegan.report.markup import Markup, absent, element, join, paragraph, section
from facegan.report.run_record import GAUGES, RunRecord, kimg_text


def header(run: RunRecord) -> Markup:
    """What run this is, how far it came, how fast, and in which numbers."""
    state = "Finished" if run.is_finished else "In progress, or stopped"
    data = f" · {run.dataset['images']:,} pictures of {run.dataset['name']} · {run.path}"
    tiles = [
        element("div", element("dt", name), element("dd", value))
        for name, value in figures_of(run).items()
    ]
    return element(
        "header",
        element("h1", f"{run.plan['family']} {run.plan['preset']}"),
        element("p", element("span", state, class_=f"state {'finished' * run.is_finished}"), data),
        element("dl", tiles, class_="tiles"),
    )


def figures_of(run: RunRecord) -> dict[str, str]:
    """The figures at the head of the page; a dash where one is not known yet."""
    training = run.numbers["training"]
    hardware = training.get("hardware", training.get("device", "–"))
    seconds = run.ticks[-1].get("train_seconds", 0.0) if run.ticks else 0.0
    return {
        "kimg": kimg_text(run.kimg),
        "images per second": f"{run.kimg * 1000 / seconds:,.0f}" if seconds else "–",
        "minutes of training": f"{seconds / 60:,.1f}",
        "resolution": f"{run.dataset['resolution']} px",
        "hardware": str(hardware),
        "number format": str(training.get("computed_in", run.plan.get("precision", "–"))),
    }


def curves_section(run: RunRecord) -> Markup:
    """How the losses went, and the speed."""
    if not run.ticks:
        return section("Losses and speed", absent("No tick has been written yet."))
    losses, gauges = (
        {name: [(tick["kimg"], tick[name]) for tick in run.ticks if name in tick] for name in names}
        for names in (run.terms, GAUGES)
    )
    speed = [
        (tick["train_seconds"] / 60, tick["images_per_second"])
        for tick in run.ticks
        if "train_seconds" in tick and "images_per_second" in tick
    ]
    charts = [
        line_chart("Loss terms", "kimg", losses),
        *([line_chart("Balance", "kimg", gauges)] if any(gauges.values()) else []),
        line_chart("Images per second", "minutes of training", {"images per second": speed}),
    ]
    about = (
        "A point is the mean over a tick. A falling loss does not say that faces get better: the "
        "players are measured against each other. Balance: real_sign and fake_sign are the mean "
        "signs of the discriminator's logits, 1 and -1 where it is always right; variety is how "
        "far fakes are from one another, 1 being as far as reals."
    )
    return section("Losses and speed", paragraph(about), element("div", charts, class_="charts"))


def configuration_section(run: RunRecord) -> Markup:
    """Everything that was set, and on what it ran."""
    tables = {
        "Asked for": run.plan,
        "Data": run.dataset,
        "Networks": run.numbers["settings"],
        "Training": run.numbers["training"],
        "Versions": run.numbers["versions"],
        "Quality": run.artifact.card.metrics.get("protocol", {}) if run.artifact else {},
    }
    drawn = [
        element("div", element("h3", title), table(rows)) for title, rows in tables.items() if rows
    ]
    return section("Configuration", element("div", drawn, class_="tables"))


def table(rows: Mapping[str, Any]) -> Markup:
    """Names and values."""
    return element("table", [
        element("tr", element("th", str(name).replace("_", " "), scope="row"),
                element("td", "–" if value is None else str(value)))
        for name, value in rows.items()
    ])  # fmt: skip


def commands_section(run: RunRecord) -> Markup:
    """What can be done with the run next, to be typed where the report was made."""
    path = shlex.quote(str(run.path))
    model = shlex.quote(str(run.path / "model.tar.gz"))
    longer = f" --total-kimg {max(1, round(2 * run.kimg))}" if run.is_finished else ""
    if run.is_finished and "max_minutes" in run.plan:
        minutes = run.ticks[-1].get("train_seconds", 60) / 60 if run.ticks else 1
        longer += f" --max-minutes {math.ceil(2 * minutes)}"
    commands = {"Train on" if longer else "Resume": f"facegan train --out {path} --resume{longer}"}
    if run.artifact:
        commands |= {
            "Draw faces, without a server": f"facegan generate {model} --seeds 0-15 "
            "--out faces.png",
            "Serve": f"facegan serve {model}",
            "Ask the server": "facegan invoke --endpoint-url http://localhost:8080 --seeds 0-15 "
            "--out faces.png",
        }
    commands["Write this page again"] = f"facegan report {path}"
    if not run.is_finished:
        commands["Watch the run"] = f"facegan report {path} --watch 30"
    written = [join(element("h3", name), element("pre", element("code", text)))
               for name, text in commands.items()]  # fmt: skip
    notes = [] if run.artifact else [absent("Serving and drawing need the model.")]
    return section("What next", *written, *notes)
