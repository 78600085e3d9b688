"""Draws the picture of rooms in docs/architecture.md from the table in tests/test_rooms.py."""

import ast
import sys
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "tests" / "test_rooms.py"
PICTURE = ROOT / "docs" / "images" / "rooms.svg"
HEIGHT, STOREY, MARGIN, WIDTH = 38, 118, 24, 1680
LABELS = 74  # the column that numbers the floors
LETTER, LANE = 9.7, 10  # pixels of a letter; of a line that passes a floor
COLOURS = ("#2563a8", "#b1521b", "#2c7a4b", "#8a3ffc", "#a3144d", "#0f766e", "#7a5c00", "#4b5563")
TOP = "cli, container/* → every room"

Floors = list[list[str]]
Arrows = list[tuple[str, str]]


def table() -> tuple[dict[str, list[str]], Floors]:
    """Who may import whom, and the floors from the ground up, as the test has them."""
    found: dict[str, Any] = {}
    for node in ast.parse(TABLE.read_text()).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            if name in ("MAY_IMPORT", "FLOORS"):
                found[name] = ast.literal_eval(node.value)
    ours = {room: row[0].split() for room, row in found["MAY_IMPORT"].items()}
    return ours, [sorted(floor) for floor in found["FLOORS"]]


def with_lanes(ours: dict[str, list[str]], floors: Floors) -> tuple[Floors, list[list[str]]]:
    """The floors with a lane for every arrow that passes one, and each arrow as its stops.

    Arrows to the ground floor are left out: every room may import that.
    """
    level = {room: number for number, floor in enumerate(floors) for room in floor}
    full, ways = [list(floor) for floor in floors], []
    for room, others in ours.items():
        for other in others:
            if level[other] == 0:
                continue
            stops = [room]
            for between in range(level[room] - 1, level[other], -1):
                stops.append(f"|{room}>{other}>{between}")
                full[between].append(stops[-1])
            ways.append([*stops, other])
    return full, ways


def ordered(floors: Floors, ways: list[list[str]]) -> Floors:
    """The rooms of each floor so that few arrows cross: each near the middle of its neighbours."""
    steps = [pair for way in ways for pair in pairwise(way)]
    floors = [list(floor) for floor in floors]
    for sweep in range(24):
        places = {n: x for floor in floors for n, x in zip(floor, spread(floor), strict=True)}
        up = sweep % 2 == 0
        for floor in floors if up else floors[::-1]:
            floor.sort(key=lambda name: (middle(name, steps, places), name))
            places.update(zip(floor, spread(floor), strict=True))
    return floors


def middle(name: str, steps: Arrows, places: dict[str, float]) -> float:
    """Where the neighbours of a room, above and below, are on average."""
    near = [places[a if b == name else b] for a, b in steps if name in (a, b)]
    return sum(near) / len(near) if near else places[name]


def width(name: str) -> float:
    return LANE if name.startswith("|") else len(name) * LETTER + 16


def spread(floor: list[str]) -> list[float]:
    """The middle of each room of a floor, spread over the whole width."""
    free = WIDTH - 2 * MARGIN - LABELS - sum(map(width, floor))
    assert free > 0, f"the boxes of {floor} would overlap: raise WIDTH"
    gap = free / (len(floor) + 1)
    places, left = [], MARGIN + LABELS + gap
    for name in floor:
        places.append(left + width(name) / 2)
        left += width(name) + gap
    return places


def picture() -> str:
    """The picture as SVG."""
    ours, floors = table()
    full, ways = with_lanes(ours, floors)
    full = ordered(full, ways)
    highest = len(full)
    at = {}
    for number, floor in enumerate(full):
        y = MARGIN + (highest - number) * STOREY + HEIGHT / 2
        at.update({name: (x, y) for name, x in zip(floor, spread(floor), strict=True)})
    colour = {
        room: COLOURS[i % len(COLOURS)] for i, room in enumerate(sorted({w[0] for w in ways}))
    }
    parts = [storey(number, highest) for number in range(highest)]
    parts += [arrow([at[stop] for stop in way], colour[way[0]], way) for way in ways]
    parts += [box(name, *at[name], colour.get(name, "#4b5563")) for f in floors for name in f]
    parts.append(box(TOP, (WIDTH + LABELS) / 2, MARGIN + HEIGHT / 2, "#111827"))
    parts.append(note(f"floor {highest}", MARGIN, MARGIN + HEIGHT / 2 + 4))
    whole = MARGIN * 2 + highest * STOREY + HEIGHT
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {whole}" '
        f'font-family="ui-monospace, Menlo, Consolas, monospace" font-size="16">\n'
        f"<title>The rooms of facegan and who may import whom</title>\n"
        f'<rect width="{WIDTH}" height="{whole}" rx="8" fill="#ffffff" stroke="#d1d5db"/>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def storey(number: int, highest: int) -> str:
    """A band behind a floor, and its number."""
    y = MARGIN + (highest - number) * STOREY - 12
    words = f"floor {number}"
    band = (
        f'<rect x="{MARGIN / 2}" y="{y}" width="{WIDTH - MARGIN}" height="{HEIGHT + 24}" rx="6" '
        f'fill="#f3f4f6"/>'
    )
    return band + note(words, MARGIN, y + 12 + HEIGHT / 2 + 4)


def note(words: str, x: float, y: float) -> str:
    return f'<text x="{x}" y="{y}" fill="#6b7280" font-size="15">{escape(words)}</text>'


def arrow(stops: list[tuple[float, float]], colour: str, way: list[str]) -> str:
    """A curve from under one room to above another, straight where it passes a floor."""
    (x, y) = stops[0]
    path, y = f"M{x:.0f},{y + HEIGHT / 2:.0f}", y + HEIGHT / 2
    for number, (to_x, to_y) in enumerate(stops[1:], 2):
        head = 5 if number == len(stops) else 0
        end = to_y - HEIGHT / 2 - head
        bend = (y + end) / 2
        path += f" C{x:.0f},{bend:.0f} {to_x:.0f},{bend:.0f} {to_x:.0f},{end:.0f}"
        if not head:
            path += f" V{to_y + HEIGHT / 2:.0f}"
        x, y = to_x, to_y + HEIGHT / 2
    tip = stops[-1][1] - HEIGHT / 2
    head_shape = f'<path d="M{x:.0f},{tip:.0f} l-4,-8 h8 z" fill="{colour}"/>'
    line = f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.4" opacity="0.75"/>'
    return f"<g><title>{escape(f'{way[0]} → {way[-1]}')}</title>{line}{head_shape}</g>"


def box(name: str, x: float, y: float, colour: str) -> str:
    wide = width(name)
    size = f'x="{x - wide / 2:.1f}" y="{y - HEIGHT / 2}" width="{wide:.1f}" height="{HEIGHT}"'
    return (
        f'<rect {size} rx="5" fill="#ffffff" stroke="{colour}" stroke-width="1.6"/>'
        f'<text x="{x:.1f}" y="{y + 5.5}" text-anchor="middle" fill="#111827">{escape(name)}</text>'
    )


if __name__ == "__main__":
    PICTURE.write_text(picture())
    sys.stdout.write(f"{PICTURE.relative_to(ROOT)}\n")
