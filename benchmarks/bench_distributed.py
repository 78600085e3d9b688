"""Compares two processes with one, on the same cores and batches: step time and final weights.

One process computes with two threads; two processes, joined by gloo, with a thread each. Work,
cores and the batch of 64 are the same, so the ratio of their times is what sharing costs or gains.
The weights are compared after 50 steps by |two - one| / |one|, a norm over all weights of a
player; the worst player counts. Games multiply every rounding of float32, by thousands in a few
steps, whoever computes them: the table shows it by one process alone, all of whose first weights
were moved by a ten-millionth. So the comparison that would show a mistake is made in float64.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from unittest import mock

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from facegan.data.toy_faces import draw_faces
from facegan.environment import WorkerEnvironment
from facegan.gans import build_gan
from facegan.training import Trainer, TrainingConfig, trainer
from facegan.training.distributed.launcher import launch
from facegan.training.distributed.process_group import SINGLE_PROCESS, ProcessGroup
from facegan.training.distributed.rendezvous import exit_process, join_process_group

GAMES = {"dcgan": "toy32", "r3gan": "tiny", "stylegan2": "tiny"}
BATCH, WARM_UP = 64, 5
NUDGE = 1e-7  # about a rounding of float32


def main() -> None:
    options = parse_options()
    if options.order:
        take_part(Order(**json.loads(options.order)))
        exit_process(0)
    print(f"{os.cpu_count()} cores, torch {torch.__version__}, batch {BATCH}, float32 on the CPU")
    print(f"{'':17} {'ms a step':^17} {'':6}  weights after {options.steps} steps")
    print(f"{'game':17} {'one':>8} {'two':>8} {'ratio':>6} {'float32':>10} {'float64':>10} "
          f"{'a nudge':>10}")  # fmt: skip
    rows = [measure(*game, options) for game in GAMES.items()]
    print(json.dumps({
        "overhead_ratio": round(max(row["ratio"] for row in rows), 3),
        "max_relative_difference": worst(rows, "float32"),
        "in_float64": worst(rows, "float64"),
        "of_one_process_nudged": worst(rows, "nudged"),
    }))  # fmt: skip


def worst(rows: list[dict[str, float]], name: str) -> float:
    """Return the largest value of a column, to two digits."""
    return float(f"{max(row[name] for row in rows):.1e}")


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=50, help="steps of each run")
    parser.add_argument("--rounds", type=int, default=3, help="runs for time; the best counts")
    parser.add_argument("--order", help=argparse.SUPPRESS)
    return parser.parse_args()


@dataclass
class Order:
    """The arguments of one run, as a process receives them."""

    family: str
    preset: str
    steps: int
    out: str
    is_double: bool = False
    nudge: float = 0.0
    resolution: int = 32
    batch: int = BATCH
    device: str = "cpu"
    precision: str = "fp32"


def measure(family: str, preset: str, options: argparse.Namespace) -> dict[str, float]:
    """Measure a preset in one process and in two; print and return a line of the table."""
    with tempfile.TemporaryDirectory() as folder:
        order = Order(family, preset, options.steps, folder)
        ones, twos = [], []
        for _ in range(options.rounds):  # in turns, so that neighbours disturb both alike
            ones.append(run_one(order))
            twos.append(run_two(order))
        one, two = min(run.seconds for run in ones), min(run.seconds for run in twos)
        double = Order(family, preset, options.steps, folder, is_double=True)
        nudged = Order(family, preset, options.steps, folder, nudge=NUDGE)
        row = {
            "ratio": two / one,
            "float32": difference(ones[0], twos[0]),
            "float64": difference(run_one(double), run_two(double)),
            "nudged": difference(ones[0], run_one(nudged)),
        }
    print(f"{family + ' ' + preset:17} {one * 1e3:8.1f} {two * 1e3:8.1f} {row['ratio']:6.2f} "
          f"{row['float32']:10.1e} {row['float64']:10.1e} {row['nudged']:10.1e}",
          flush=True)  # fmt: skip
    return row


# --- runs ---------------------------------------------------------------------------------------


@dataclass
class Run:
    """The result of a run: the median time of its steps, and its networks' weights."""

    seconds: float
    weights: dict[str, Tensor]


def run_one(order: Order) -> Run:
    """Run one process with the threads of two cores."""
    environment = {**os.environ, "OMP_NUM_THREADS": "2"}
    subprocess.run(command_of(order), env=environment, check=True)
    return read_run(order)


def run_two(order: Order) -> Run:
    """Run two processes with one thread each."""
    with mock.patch.dict(os.environ, {"OMP_NUM_THREADS": "1"}):
        launch(command_of(order), 2)
    return read_run(order)


def command_of(order: Order) -> list[str]:
    return [sys.executable, str(Path(__file__)), "--order", json.dumps(order.__dict__)]


def read_run(order: Order) -> Run:
    seconds = json.loads((Path(order.out) / "seconds.json").read_text())
    return Run(seconds, load_file(Path(order.out) / "weights.safetensors"))


def take_part(order: Order) -> None:
    """Run one of a run's processes, or the only one."""
    environment = WorkerEnvironment.from_mapping(os.environ)
    joined = join_process_group(environment, lambda error: 1) if environment else None
    with joined or nullcontext(SINGLE_PROCESS) as group:
        faces = ToyFaces(order.resolution)
        with in_float64() if order.is_double else nullcontext():
            seconds, weights = play(order, faces, group)
        if group.is_main_process:
            save_file(weights, Path(order.out) / "weights.safetensors")
            (Path(order.out) / "seconds.json").write_text(json.dumps(seconds))


def play(order: Order, faces: "ToyFaces", group: ProcessGroup) -> tuple[float, dict[str, Tensor]]:
    """Train some steps; return the median seconds of one, and all weights."""
    gan = build_gan(order.family, order.preset, faces.image_shape, seed=0)
    config = TrainingConfig(
        batch_size=order.batch, total_kimg=1e6, precision=order.precision, device=order.device
    )
    run = Trainer(gan, faces, config, group=group)
    with torch.no_grad():
        for player in gan.players.values():
            for weight in player.parameters():
                weight.mul_(1 + order.nudge)
    times = []
    for _ in range(order.steps):
        started = perf_counter()
        run.step()
        group.sync_stop(False, 0.0)  # as the trainer's loop does after every step
        if run.device.type == "cuda":
            torch.cuda.synchronize(run.device)
        times.append(perf_counter() - started)
    weights = {
        f"{name}/{key}": weight.detach().clone(memory_format=torch.contiguous_format)
        for name, player in gan.players.items()
        for key, weight in player.named_parameters()
    }
    return median(times[WARM_UP:]), weights


class ToyFaces:
    """Build a data set of a few hundred faces in memory."""

    digest = "toy"

    def __init__(self, resolution: int) -> None:
        self.image_shape = 3, resolution, resolution
        self.images, _ = draw_faces(0, 256, resolution)

    def __len__(self) -> int:
        return len(self.images)

    def read(self, indices: Tensor) -> Tensor:
        return self.images[indices]


@contextmanager
def in_float64() -> Iterator[None]:
    """Replace float32 by float64 everywhere, within the block."""
    torch.set_default_dtype(torch.float64)
    with (
        mock.patch.object(Tensor, "float", Tensor.double),
        mock.patch.object(trainer, "to_float", lambda images: images.double() / 127.5 - 1),
    ):
        yield


def difference(one: Run, two: Run) -> float:
    """|two - one| / |one| of the player for which it is largest."""
    found = []
    for player in {name.split("/")[0] for name in one.weights}:
        names = [name for name in one.weights if name.startswith(f"{player}/")]
        a, b = (torch.cat([run.weights[n].double().flatten() for n in names]) for run in (one, two))
        found.append(float((b - a).norm() / a.norm()))
    return max(found)


if __name__ == "__main__":
    main()
