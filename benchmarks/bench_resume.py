"""Kills training runs with SIGKILL at random moments, resumes them, and compares every bit.

A trial starts `facegan train` with a family's `tiny` preset, kills it a few times anywhere between
its first breath and its last, resumes each time, lets it finish, and compares weights, averages,
optimisers and log lines with a run that was left alone. All mirror images;
families that can are tried in micro-batches, too.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from PIL import Image

from facegan.data.prepare import prepare
from facegan.data.toy_faces import draw_faces
from facegan.gans import FAMILIES
from facegan.training.checkpoint import TENSORS_NAME, list_checkpoints

KILLS_A_TRIAL = 5
MICRO = ("--micro-batch", "4")
RUN = ["--preset", "tiny", "--total-kimg", "0.8", "--tick-kimg", "0.08", "--precision", "fp32",
       "--mirror", "true"]  # fmt: skip


@dataclass(frozen=True)
class Case:
    """A family and its training options."""

    family: str
    words: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.family}{'-micro' if self.words else ''}"


CASES = [
    Case(name, words)
    for name, family in FAMILIES.items()
    for words in ((), MICRO)
    if not (words and family.needs_whole_batch(family.presets["tiny"]))
]


@dataclass
class Score:
    """The outcome of one case's runs."""

    kills: int = 0
    identical: int = 0
    damaged: int = 0
    seconds_lost: list[float] = field(default_factory=lambda: [0.0])


def main() -> None:
    options = parse_options()
    dice = random.Random(options.seed)
    print(f"{'case':16} {'kills':>6} {'identical':>10} {'damaged':>8} {'seconds lost, most':>19}")
    scores = []
    with tempfile.TemporaryDirectory() as folder:
        data = write_data(Path(folder) / "data")
        cases = [case for case in CASES if options.only in (None, str(case))]
        for case in cases:
            score = torment(case, data, Path(folder), options.kills // len(cases) + 1, dice)
            print(f"{case!s:16} {score.kills:6} {score.identical:10} {score.damaged:8} "
                  f"{max(score.seconds_lost):19.2f}", flush=True)  # fmt: skip
            scores.append(score)
    print(json.dumps({
        "kills": sum(score.kills for score in scores),
        "identical": sum(score.identical for score in scores),
        "damaged_checkpoints": sum(score.damaged for score in scores),
        "seconds_lost_max": round(max(max(score.seconds_lost) for score in scores), 2),
    }))  # fmt: skip


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50, help="in all, shared by the cases")
    parser.add_argument("--only", choices=[str(case) for case in CASES], help="one case")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    return parser.parse_args()


def write_data(folder: Path) -> Path:
    """Prepare a few toy faces, with every companion that a family may need."""
    images, maps = draw_faces(0, 64, 32)
    parts = {"images": images, "maps": maps, "paired": 255 - images, "unpaired": images.flip(3)}
    for name, values in parts.items():
        (folder / name).mkdir(parents=True)
        for index, image in enumerate(values):
            array = image.numpy() if image.ndim == 2 else image.permute(1, 2, 0).numpy()
            Image.fromarray(array).save(folder / name / f"{index:03d}.png")
    prepare(
        folder / "images", folder / "prepared", 32, workers=1, paired=folder / "paired",
        label_maps=folder / "maps", unpaired=folder / "unpaired",
    )  # fmt: skip
    return folder / "prepared"


def torment(case: Case, data: Path, folder: Path, kills: int, dice: random.Random) -> Score:
    """Run once undisturbed, then repeat until enough kills have hit a living process."""
    quiet = folder / f"{case}-quiet"
    started = time.monotonic()
    finish(start(case, data, quiet))
    length = time.monotonic() - started
    score, trials = Score(), count()
    while score.kills < kills:
        out = folder / f"{case}-{next(trials)}"  # a trial may end without a hit
        hits = trial(case, data, out, length, dice, score)
        score.kills += hits
        score.identical += hits if outcome(out) == outcome(quiet) else 0
    return score


def trial(
    case: Case, data: Path, out: Path, length: float, dice: random.Random, score: Score
) -> int:
    """Kill a run up to five times at random, let it finish, and return the number of hits."""
    hits = 0
    while hits < KILLS_A_TRIAL and not (out / "model.tar.gz").exists():
        process = start(case, data, out)
        try:
            process.wait(timeout=dice.uniform(0, length))
        except subprocess.TimeoutExpired:
            process.kill()
            hits += 1
            score.seconds_lost.append(seconds_since_checkpoint(out))
        score.damaged += process.communicate()[1].count("is damaged")
    score.damaged += finish(start(case, data, out)).count("is damaged")
    return hits


def start(case: Case, data: Path, out: Path) -> "subprocess.Popen[str]":
    """Start a training process: a new run, or the old one resumed."""
    words = (
        ["--resume"] if (out / "run.json").exists() else ["--data", data, "--family", case.family]
    )
    new = [] if words == ["--resume"] else [*RUN, *case.words]
    command = [sys.executable, "-m", "facegan.cli", "train", "--out", out, *words, *new]
    return subprocess.Popen(
        [*map(str, command)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def finish(process: "subprocess.Popen[str]") -> str:
    """Wait for a run's end; return its log."""
    log = process.communicate()[1]
    if process.returncode:
        sys.exit(f"A run failed with exit code {process.returncode}:\n{log}")
    return log


def seconds_since_checkpoint(out: Path) -> float:
    """Return the work lost by a kill: the time since the newest checkpoint, or the start."""
    marks = list_checkpoints(out / "checkpoints")[-1:] or [out / "run.json"]
    return max(0.0, time.time() - marks[0].stat().st_mtime) if marks[0].exists() else 0.0


def outcome(out: Path) -> tuple[bytes, bytes, list[dict[str, float]]]:
    """Return all results of a run except times: last checkpoint, model, log lines."""
    state = (list_checkpoints(out / "checkpoints")[-1] / TENSORS_NAME).read_bytes()
    model = (out / "model" / "generator.safetensors").read_bytes()
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    timed = {"images_per_second", "wait_share", "train_seconds", "time"}
    return state, model, [{k: v for k, v in line.items() if k not in timed} for line in lines]


if __name__ == "__main__":
    main()
