"""Compares our server with LitServe, BentoML and plain Flask: same weights, cores and callers.

All draw with the same 64 px DCGAN (100 latents, conv_dim 64) of random weights, and give the same
pixels within one level, which is checked first. wrk asks over loopback: 1, 8 or 32 callers that
each wait for their answer, one or four images a request, npy or PNG. Servers run one at a time, in
turns (the bare generator, ours, the peers, and again), so that neighbours on the machine disturb
all alike. The best round counts, for each cell, each server and the bare generator alike. Answers
that a server refused are no images. A cell in which others took more than a tenth of a core is
measured again, some times; its least disturbed outcome counts, and the table says how disturbed.

The bare generator is its forward pass alone: no pixels rounded, nothing encoded. One caller's
overhead is the median of its requests less the bare generator's median for one image.
"""

import argparse
import http.client
import io
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

import numpy as np
from load import (
    TYPES,
    Cell,
    Outcome,
    busy_seconds,
    children_seconds,
    load,
    require_wrk,
)
from servers import CACHE, Running, Server, bentoml, litserve, ours, plain_flask, running

CELLS = [Cell(*cell) for cell in product((1, 4), ("npy", "png"), (1, 8, 32))]
HEADLINE, ALONE = Cell(1, "npy", 32), Cell(1, "npy", 1)
DISTURBED = 0.1  # cores taken by others, over which a cell is measured again
BARE = Path(__file__).with_name("bare_generator.py")


@dataclass
class Measured:
    """One server's best results over its rounds."""

    outcomes: dict[Cell, Outcome] = field(default_factory=dict)
    others: dict[Cell, float] = field(default_factory=dict)  # cores that neighbours took
    ready_seconds: float = float("inf")
    memory_mb: float = 0.0

    def add(self, cell: Cell, outcome: Outcome, others: float = 0.0) -> None:
        """Keep the outcome with more images."""
        known = self.outcomes.get(cell)
        if known is None or outcome.images_per_second(cell) > known.images_per_second(cell):
            self.outcomes[cell], self.others[cell] = outcome, others

    def rate(self, cell: Cell) -> float:
        """Return the images per second."""
        return self.outcomes[cell].images_per_second(cell)


def main() -> None:
    options = parse_options()
    require_wrk()
    CACHE.mkdir(exist_ok=True)
    model = write_model()
    if options.tune:
        return tune(model, options)
    servers = chosen_servers(model, options)
    table = {server.name: Measured() for server in servers}
    bare: dict[str, float] = {}
    for number in range(options.rounds):
        print(f"round {number + 1} of {options.rounds}", flush=True)
        keep_best(bare, measure_bare(model))
        for server in servers:
            measure(server, model, options, table[server.name])
    show(table, bare)
    print(json.dumps(last_line(table, bare)))


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=8, help="of load in each cell")
    parser.add_argument("--rounds", type=int, default=2, help="rounds, the best of which counts")
    parser.add_argument("--tries", type=int, default=3, help="at a cell that others disturb")
    parser.add_argument("--servers", default="ours,LitServe,BentoML,Flask", help="which to start")
    parser.add_argument("--headline", action="store_true", help="n=1, npy, 1 and 32 callers only")
    parser.add_argument("--tune", action="store_true", help="try the peers' settings instead")
    parser.add_argument("--torch-index", default="", help="where pip finds torch for the peers")
    return parser.parse_args()


def write_model() -> Path:
    """Build the model that all servers use, once."""
    folder = CACHE / "model"
    if not (folder / "generator.safetensors").exists():
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, str(BARE), "write", str(folder)], check=True)
    return folder


def chosen_servers(model: Path, options: argparse.Namespace) -> list[Server]:
    """Return the requested servers; only their environments are created."""
    makers = {
        "ours": lambda: ours(model),
        "LitServe": lambda: litserve(model, options.torch_index),
        "BentoML": lambda: bentoml(model, options.torch_index),
        "Flask": lambda: plain_flask(model, options.torch_index),
    }
    return [makers[name]() for name in options.servers.split(",")]


# --- measuring ----------------------------------------------------------------------------------


def measure_bare(model: Path) -> dict[str, float]:
    """Return the bare generator's images per second by batch size, and "one_ms"."""
    command = [sys.executable, str(BARE), "measure", str(model)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def keep_best(known: dict[str, float], found: dict[str, float]) -> None:
    """Return the faster figures of both."""
    for name, value in found.items():
        better = min if name == "one_ms" else max
        known[name] = better(known.get(name, value), value)


def measure(server: Server, model: Path, options: argparse.Namespace, into: Measured) -> None:
    """Run one round of one server."""
    with running(server) as it:
        check_pixels(it, np.load(model / "expected.npy"))
        into.ready_seconds = min(into.ready_seconds, it.ready_seconds)
        load(it.url, server.extra("npy"), HEADLINE, 2)  # first uses are behind it
        for cell in cells_of(options):
            outcome, others = load_undisturbed(it, cell, options)
            into.add(cell, outcome, others)
            print(f"  {server.name:9} {describe_cell(cell)} {describe_outcome(outcome, cell)}, "
                  f"others {others:.2f} cores", flush=True)  # fmt: skip
        into.memory_mb = max(into.memory_mb, it.memory_mb())


def load_undisturbed(it: Running, cell: Cell, options: argparse.Namespace) -> tuple[Outcome, float]:
    """Return a cell's outcome in the least disturbed try, and the cores that others used."""
    tries: list[tuple[float, Outcome]] = []
    while len(tries) < options.tries and (not tries or min(t[0] for t in tries) > DISTURBED):
        tries.append(load_watched(it, cell, options.seconds))
    others, outcome = min(tries, key=lambda one: one[0])
    return outcome, others


def load_watched(it: Running, cell: Cell, seconds: int) -> tuple[float, Outcome]:
    """Return the cores that neither the server nor wrk used, and the outcome."""

    def others() -> float:
        return busy_seconds() - it.cpu_seconds() - children_seconds()

    before = others()
    outcome = load(it.url, it.server.extra(cell.kind), cell, seconds)
    return max(0.0, others() - before) / outcome.seconds, outcome


def cells_of(options: argparse.Namespace) -> list[Cell]:
    return [ALONE, HEADLINE] if options.headline else CELLS


def check_pixels(it: Running, expected: "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]") -> None:
    """Exit if a server's pixels differ from the generator's by more than one level."""
    seeds = [1, 2, 3, 4]
    body = f'{{"seeds":{json.dumps(seeds)}{it.server.extra("npy")}}}'
    headers = {"Content-Type": "application/json", "Accept": TYPES["npy"]}
    connection = http.client.HTTPConnection("127.0.0.1", it.port, timeout=60)
    connection.request("POST", "/invocations", body, headers)
    images = np.load(io.BytesIO(connection.getresponse().read()), allow_pickle=False)
    connection.close()
    if images.shape != expected.shape or np.abs(images.astype(int) - expected).max() > 1:
        sys.exit(f"{it.server.name} does not give the pixels that the generator draws.")


def tune(model: Path, options: argparse.Namespace) -> None:
    """Measure the headline cell and one caller under each setting in the peers' documentation."""
    for server in candidates(model, options.torch_index):
        names = ("MAX_BATCH", "BATCH_SECONDS", "FAST_QUEUE", "MAX_LATENCY_MS")
        settings = {name: server.variables[name] for name in names if name in server.variables}
        with running(server) as it:
            load(it.url, server.extra("npy"), HEADLINE, 2)
            for cell in (ALONE, HEADLINE):
                outcome = load(it.url, server.extra("npy"), cell, options.seconds)
                described = f"{describe_cell(cell)} {describe_outcome(outcome, cell)}"
                print(f"{server.name:9} {settings} {described}", flush=True)


def candidates(model: Path, torch_index: str) -> Iterator[Server]:
    """Return the peers with their settings."""
    for seconds, queue, most in product(("0", "0.001", "0.005"), ("0", "1"), ("16", "32")):
        settings = {"BATCH_SECONDS": seconds, "FAST_QUEUE": queue, "MAX_BATCH": most}
        yield litserve(model, torch_index, **settings)
    for latency, most in product(("100", "1000", "60000"), ("16", "32")):
        yield bentoml(model, torch_index, MAX_LATENCY_MS=latency, MAX_BATCH=most)
    for threads in (2, 8, 32):
        yield plain_flask(model, torch_index, threads)


# --- telling ------------------------------------------------------------------------------------


def describe_cell(cell: Cell) -> str:
    return f"n={cell.images} {cell.kind} {cell.callers:2} callers"


def describe_outcome(outcome: Outcome, cell: Cell) -> str:
    lost = f", {outcome.refused} refused" * bool(outcome.refused)
    lost += f", {outcome.broken} broken" * bool(outcome.broken)
    rate = outcome.images_per_second(cell)
    return f"{rate:7.1f} images/s, p50 {outcome.p50_ms:6.1f} p99 {outcome.p99_ms:6.1f} ms{lost}"


def show(table: dict[str, Measured], bare: dict[str, float]) -> None:
    """Print the tables."""
    print(f"\n{platform.processor() or platform.machine()}, {os.cpu_count()} cores")
    sizes = [name for name in bare if name != "one_ms"]
    print("bare generator, images/s by batch: "
          + ", ".join(f"{size}: {bare[size]:.0f}" for size in sizes)
          + f"; one image {bare['one_ms']:.2f} ms")  # fmt: skip
    cells = list(next(iter(table.values())).outcomes)
    for what in ("images/s", "p50 ms", "p99 ms", "others' cores"):
        print(f"\n{what:20}" + "".join(f"{name:>11}" for name in table))
        digits = 2 if "cores" in what else 1
        for cell in cells:
            row = [value_of(measured, cell, what) for measured in table.values()]
            print(f"{describe_cell(cell):20}" + "".join(f"{value:11.{digits}f}" for value in row))
    print(f"\n{'':9} {'ready s':>8} {'memory MB':>10}")
    for name, measured in table.items():
        print(f"{name:9} {measured.ready_seconds:8.2f} {measured.memory_mb:10.0f}")


def value_of(measured: Measured, cell: Cell, what: str) -> float:
    outcome = measured.outcomes[cell]
    by_name = {
        "p50 ms": outcome.p50_ms,
        "p99 ms": outcome.p99_ms,
        "others' cores": measured.others[cell],
    }
    return by_name.get(what, measured.rate(cell))


def last_line(table: dict[str, Measured], bare: dict[str, float]) -> dict[str, object]:
    """Return the last line's figures; null for servers that were not started."""
    mine = table.get("ours")
    peers = {name: it.rate(HEADLINE) for name, it in table.items() if name != "ours"}
    best = max(peers, key=lambda name: peers[name], default=None)
    most = max(value for name, value in bare.items() if name != "one_ms")
    rate = mine and mine.rate(HEADLINE)
    return {
        "ours_images_per_second": rate and round(rate, 1),
        "best_peer_images_per_second": best and round(peers[best], 1),
        "best_peer": best,
        "ratio": rate and best and round(rate / peers[best], 2),
        "share_of_bare_generator": rate and round(rate / most, 3),
        "p50_overhead_ms_one_caller": mine
        and round(mine.outcomes[ALONE].p50_ms - bare["one_ms"], 2),
        "p99_ms_32_callers": mine and round(mine.outcomes[HEADLINE].p99_ms, 1),
        "ready_seconds": mine and round(mine.ready_seconds, 2),
        "rss_mb": mine and round(mine.memory_mb),
    }


if __name__ == "__main__":
    main()
