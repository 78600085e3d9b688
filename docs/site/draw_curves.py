"""Draws the curves of training runs side by side: docs/training.md shows a good and a lost one."""

import json
import sys
from html import escape
from pathlib import Path

CURVES = {  # of metrics.jsonl: name → colour
    "losses": {"generator": "#2b5fd0", "reals": "#12805f", "fakes": "#d4541b"},
    "signs, variety": {"real_sign": "#12805f", "fake_sign": "#d4541b", "variety": "#9a3cae"},
}
LIMITS = {"losses": (0.0, 16.0), "signs, variety": (-1.0, 1.0)}
WIDTH, HEIGHT, LEFT, TOP, GAP = 300, 150, 44, 58, 64


def panel(ticks: list[dict[str, float]], group: str, x: float, y: float) -> str:
    """One chart: the curves of a group over kimg."""
    low, high = LIMITS[group]
    last = ticks[-1]["kimg"]
    parts = [f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" fill="#f8fafc"/>']
    for step in range(5):
        value = low + (high - low) * step / 4
        level = y + HEIGHT * (1 - step / 4)
        parts.append(f'<path d="M{x},{level} h{WIDTH}" stroke="#e2e8f0"/>')
        parts.append(text(f"{value:g}", x - 6, level + 4, "end"))
    for step in range(5):
        parts.append(
            text(f"{last * step / 4:.0f}", x + WIDTH * step / 4, y + HEIGHT + 17, "middle")
        )
    for name, colour in CURVES[group].items():
        points = [
            (x + WIDTH * tick["kimg"] / last,
             y + HEIGHT * (1 - (min(max(tick[name], low), high) - low) / (high - low)))
            for tick in ticks if name in tick
        ]  # fmt: skip
        line = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
    return "\n".join(parts)


def text(words: str, x: float, y: float, anchor: str = "start", colour: str = "#475569") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f'<text {place} fill="{colour}">{escape(words)}</text>'


def picture(runs: dict[str, list[dict[str, float]]]) -> str:
    """A column a run, a row a group of curves."""
    wide = LEFT + len(runs) * (WIDTH + GAP) - 20
    high = TOP + len(CURVES) * (HEIGHT + GAP) - 14
    parts = [f'<rect width="{wide}" height="{high}" rx="8" fill="#ffffff" stroke="#d1d5db"/>']
    for column, (title, ticks) in enumerate(runs.items()):
        x = LEFT + column * (WIDTH + GAP)
        parts.append(f'<g font-weight="600">{text(title, x, 24, colour="#0f172a")}</g>')
        for row, group in enumerate(CURVES):
            y = TOP + row * (HEIGHT + GAP)
            parts.append(panel(ticks, group, x, y))
            at = x
            for name, colour in CURVES[group].items():
                parts.append(text(name, at, y - 8, colour=colour))
                at += len(name) * 8 + 22
        parts.append(text("kimg", x + WIDTH, high - 12, "end"))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" '
        'font-family="system-ui, sans-serif" font-size="13">\n' + "\n".join(parts) + "\n</svg>\n"
    )


def read(run: Path) -> list[dict[str, float]]:
    """The ticks of a run."""
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


if __name__ == "__main__":
    *named, out = sys.argv[1:]
    pairs = [one.partition("=") for one in named]
    Path(out).write_text(picture({title: read(Path(run)) for title, _, run in pairs}))
