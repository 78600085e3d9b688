"""The part of the page that says how good the faces are: metrics over kimg, the best, the last."""

from facegan.metrics import EARLIER_NAMES, EXTRACTORS, metric_name
from facegan.report.curves import line_chart
from facegan.report.markup import Markup, element, join, paragraph, section
from facegan.report.run_record import RunRecord, Tick, kimg_text

TITLES = {"kid": "KID", "fd": "Fréchet distance", "precision": "Precision", "recall": "Recall"}
CHARTS = (("kid",), ("fd",), ("precision", "recall"))
ABOUT = (
    "Faces of the averaged generator against real pictures. KID and the Fréchet distance fall as "
    "faces get better; precision is the share of faces that look real, recall the share of the "
    "pictures' variety that the faces have. The best is that of the lowest KID."
)
NOT_PUBLISHED = (
    "Made with the embedded extractor {}: the numbers compare runs of one protocol with one "
    "another, and not with anybody's FID or KID."
)
OURS = "Precision and recall are ours: over Inception's features, where the paper has VGG-16's."


def quality_sections(run: RunRecord) -> list[Markup]:
    """Metrics over kimg and the best's figures; nothing where a run is not evaluated."""
    return [quality_section(run, extractor) for extractor in EXTRACTORS
            if any(metric_name("kid", extractor) in tick for tick in run.ticks)]  # fmt: skip


def quality_section(run: RunRecord, extractor: str) -> Markup:
    """The figures that one extractor made."""
    names = {metric: metric_name(metric, extractor) for metric in (*TITLES, "kid_std")}
    ticks = [tick for tick in map(renamed, run.ticks) if set(names.values()) <= set(tick)]
    charts = []
    for metrics in CHARTS:
        curves = {names[m]: [(tick["kimg"], tick[names[m]]) for tick in ticks] for m in metrics}
        title = " and ".join([TITLES[metrics[0]], *(TITLES[m].lower() for m in metrics[1:])])
        charts.append(line_chart(title, "kimg", curves))
    best = min(ticks, key=lambda tick: tick[names["kid"]])
    rows = {f"Best: {run.path.name}/best.tar.gz": best, "Last": ticks[-1]}
    published = names["fd"] == "fid"
    notes = [paragraph(OURS if published else NOT_PUBLISHED.format(extractor))]
    return section(
        "Quality",
        paragraph(ABOUT),
        *notes,
        element("div", charts, class_="charts"),
        figures_table(rows, names),
    )


def renamed(tick: Tick) -> Tick:
    """Return a tick whose figures have today's names, whichever version wrote it."""
    return {**{new: tick[old] for new, old in EARLIER_NAMES.items() if old in tick}, **tick}


def figures_table(rows: dict[str, Tick], names: dict[str, str]) -> Markup:
    """Moments, and the figures of each."""
    shown = [name for metric, name in names.items() if metric != "kid_std"]
    head = element("tr", [element("th", text, scope="col") for text in ("", "kimg", *shown)])
    body = []
    for title, tick in rows.items():
        cells = [f"{tick[name]:.4g}" for name in shown]
        cells[0] += f" ± {tick[names['kid_std']]:.2g}"
        figures = [element("td", text) for text in (kimg_text(tick["kimg"]), *cells)]
        body.append(element("tr", element("th", title, scope="row"), figures))
    return element("table", join(head, *body), class_="figures")
