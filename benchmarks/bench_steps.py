"""Compares a training step with an earlier commit's, family by family.

Each variant has a process of its own with its own source on PYTHONPATH; the two take steps in
turns, so that both meet the same neighbours on the machine. The ratio is the median over rounds of
(seconds before) / (seconds now). Phases that are not due at every step (lazy regularisation) count
by how often they are.
"""

import argparse
import json
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from io import BytesIO
from math import lcm
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).parents[1]
BEFORE = "3418af7"  # the commit before steps were made faster
IMAGES = 256
BUSY_SECONDS = 0.5  # of steps in each turn, at least


@dataclass(frozen=True)
class Case:
    """One trainer whose step is timed."""

    family: str
    preset: str
    side: int
    batch: int
    precision: str
    numbers: dict[str, Any]


R3GAN = ("r3gan", "faces32", 32, 32)
STYLEGAN2 = ("stylegan2", "paper64", 64, 32)
NARROW = {"channel_base": 4096, "max_channels": 64}
CASES = {
    "r3gan_bf16": Case(*R3GAN, "bf16", {"width": 96}),
    "r3gan_fp32": Case(*R3GAN, "fp32", {"width": 96}),
    "stylegan2_bf16": Case(*STYLEGAN2, "bf16", NARROW),
    "stylegan2_fp32": Case(*STYLEGAN2, "fp32", NARROW),
    "dcgan_toy32": Case("dcgan", "toy32", 32, 32, "auto", {}),
    "dcgan_article32": Case("dcgan", "article32", 32, 128, "auto", {}),
}


def main() -> None:
    options = parse_options()
    if options.worker:
        work(Case(**json.loads(options.worker)), options.source, options.processor_time)
        return
    names = [name for name in CASES if any(name.startswith(word) for word in options.only)]
    if not names:
        sys.exit(f"--only {' '.join(options.only)}: choose among {', '.join(CASES)}.")
    print(f"{describe_machine()}; {options.before} against {options.now or 'the working tree'}")
    print(f"{'images/s':18} {'before':>8} {'now':>8} {'ratio':>6}  {'of rounds':>11}")
    with tempfile.TemporaryDirectory(prefix="bench-steps-") as folder:
        before = source_of(options.before, Path(folder) / "before")
        now = source_of(options.now, Path(folder) / "now") if options.now else ROOT / "src"
        ratios = {name: compare(name, before, now, options) for name in names}
    print(json.dumps(ratios))


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="turns of each variant")
    parser.add_argument("--only", nargs="+", default=[""], help="cases, or how their names begin")
    parser.add_argument("--before", default=BEFORE, metavar="COMMIT", help="what to compare with")
    parser.add_argument("--now", metavar="COMMIT", help="instead of the working tree")
    parser.add_argument(
        "--processor-time",
        action="store_true",
        help="of one thread, instead of the clock's: on a machine that others use too",
    )
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--source", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def describe_machine() -> str:
    """Return the processor and what torch computes with."""
    import torch

    from facegan.training.precision import processor_name

    threads = torch.get_num_threads()
    return f"{processor_name()}, torch {torch.__version__}, {threads} threads"


def source_of(commit: str, folder: Path) -> Path:
    """Write a commit's src/ into a folder, and return its path.

    Raises:
        SystemExit: this is not a clone, or one without that commit.
    """
    archive = subprocess.run(
        ["git", "-C", str(ROOT), "archive", commit, "src"], capture_output=True, check=False
    )
    if archive.returncode:
        sys.exit(
            f"Commit {commit} is not in this clone, and its step cannot be timed "
            f"(git: {archive.stderr.decode().strip()}).\n"
            "Fetch the whole history: git fetch --unshallow origin"
        )
    with tarfile.open(fileobj=BytesIO(archive.stdout)) as tar:
        tar.extractall(folder)  # ours: git made it
    return folder / "src"


# --- the comparison ------------------------------------------------------------------------------


def compare(name: str, before: Path, now: Path, options: argparse.Namespace) -> float | None:
    """Time a case in turns; print its row, and return the ratio (None where it cannot run)."""
    case = CASES[name]
    if case.precision == "bf16" and not has_fast_bf16():
        print(f"{name:18} not run: this processor has no bf16 arithmetic")
        return None
    with ExitStack() as stack:
        workers = [
            stack.enter_context(Worker(case, source, options.processor_time))
            for source in (before, now)
        ]
        for worker in workers:
            worker.seconds_a_step()  # warm-up
        turns = []
        for number in range(options.rounds):
            order = workers if number % 2 == 0 else workers[::-1]
            seconds = {worker: worker.seconds_a_step() for worker in order}
            turns.append([seconds[worker] for worker in workers])
    ratios = sorted(one / other for one, other in turns)
    old, new = (case.batch / median(column) for column in zip(*turns, strict=True))
    ratio = round(median(ratios), 3)
    print(f"{name:18} {old:8.1f} {new:8.1f} {ratio:6.2f}  {ratios[0]:.2f} to {ratios[-1]:.2f}",
          flush=True)  # fmt: skip
    return ratio


def has_fast_bf16() -> bool:
    """Return whether this machine's processor computes in bf16."""
    import torch

    from facegan.training import precision

    return precision.has_fast_bf16(torch.device("cpu"))


class Worker:
    """A process that times steps of one case with one source, on request."""

    def __init__(self, case: Case, source: Path, in_processor_time: bool) -> None:
        words = ["--worker", json.dumps(asdict(case)), "--source", str(source)]
        words += ["--processor-time"] if in_processor_time else []
        self.process = subprocess.Popen(
            [sys.executable, __file__, *words],
            env={**os.environ, "PYTHONPATH": str(source)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        with self.process:
            self.process.kill()

    def seconds_a_step(self) -> float:
        """Return how long a step takes now, on average over a cycle of phases."""
        assert self.process.stdin and self.process.stdout
        print(file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            sys.exit("A worker ended before its time; what it said stands above.")
        return float(answer)


# --- in a worker ---------------------------------------------------------------------------------


def work(case: Case, source: Path, in_processor_time: bool) -> None:
    """Answer every line of standard input with the seconds of a step."""
    import torch

    import facegan

    if not Path(str(facegan.__file__)).is_relative_to(source):
        sys.exit(f"facegan was imported from {facegan.__file__}, not from {source}.")
    if in_processor_time:
        torch.set_num_threads(1)
    keep_freed_memory()
    clock = time.process_time if in_processor_time else time.perf_counter
    trainer = build_trainer(case)
    for _ in sys.stdin:
        seconds = mean_over_cycle(trainer.phases, lambda number: time_step(trainer, number, clock))
        print(seconds, flush=True)


def mean_over_cycle(phases: Iterable[Any], seconds_at: Callable[[int], float]) -> float:
    """Return a step's mean seconds, given those of a step by its number, which says what is due."""
    cycle = lcm(*(phase.every for phase in phases))
    due = [tuple(number % phase.every == 0 for phase in phases) for number in range(cycle)]
    counts = Counter(due).items()
    return sum(count * seconds_at(due.index(which)) for which, count in counts) / cycle


def keep_freed_memory() -> None:
    """Set the allocator as `facegan train` does, if it does in this source."""
    with suppress(ImportError):  # a source from before there was one
        from facegan.training.allocator import keep_freed_memory as keep

        keep(os.environ)
    with suppress(ImportError):  # where it was until issue 17
        from facegan.cli.allocator import keep_freed_memory as keep_before

        keep_before()


def build_trainer(case: Case) -> Any:
    """Build the case's trainer on toy faces, as `facegan train` would, without augmentation."""
    from facegan.gans import build_gan
    from facegan.training import Trainer, TrainingConfig

    dataset = ToyFaces(case.side)
    gan = build_gan(case.family, case.preset, dataset.image_shape, seed=0, **case.numbers)
    config = TrainingConfig(
        batch_size=case.batch,
        total_kimg=1e6,
        precision=case.precision,
        device="cpu",
        augment="none",
    )
    return Trainer(gan, dataset, config)


class ToyFaces:
    """Some toy faces in memory, as a data set."""

    def __init__(self, side: int) -> None:
        from facegan.data.toy_faces import draw_faces

        self.images, _ = draw_faces(0, IMAGES, side)
        self.image_shape, self.labels, self.classes = (3, side, side), None, {}

    def __len__(self) -> int:
        return len(self.images)

    def read(self, indices: Any) -> Any:
        return self.images[indices]


def time_step(trainer: Any, number: int, clock: Callable[[], float]) -> float:
    """Return the mean seconds of a step with the phases that are due at its number."""
    count, started = 0, clock()
    while (elapsed := clock() - started) < BUSY_SECONDS or not count:
        trainer.images_seen = number * trainer.batch_size
        trainer.step()
        count += 1
    return elapsed / count


if __name__ == "__main__":
    main()
