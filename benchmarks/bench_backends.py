"""Compares the same generator on torch and on other CPU runtimes.

Every row is a process of its own that imports one runtime, loads the 64 px DCGAN, draws one image
(its start), and then batches of six sizes. Rows take turns, round by round, and each figure is the
best of its rounds: beside other work on the machine only such ratios say something. Levels are the
largest difference of a pixel from torch's in float32, of 255. With --busy all rows have one thread
and are measured in its processor time: images per second of one core, and seconds of work to start.
"""

import argparse
import json
import os
import subprocess
from pathlib import Path
from typing import Any

from bench_serve import write_model
from servers import CACHE, environment

PROGRAM = Path(__file__).with_name("backend_runs.py")
ROWS = (
    "torch",
    "torch, 1 thread",
    "torch, contiguous",
    "torch, weights channels-last",
    "torch, batch norm folded",
    "torch, folded, channels-last",
    "torch, bf16",
    "ONNX Runtime",
    "ONNX Runtime, 1 thread",
    "OpenVINO",
    "OpenVINO, bf16",
)
SIZES = ("1", "2", "4", "8", "16", "32")
LESS_IS_BETTER = {"start_seconds", "memory_mb"}


def main() -> None:
    options = parse_options()
    CACHE.mkdir(exist_ok=True)
    folder = CACHE / "backends"
    folder.mkdir(exist_ok=True)
    python = environment("backends", options.torch_index) / "python"
    variables = {
        "WEIGHTS": str(write_model() / "generator.safetensors"),
        "FOLDER": str(folder),
        "SECONDS": str(options.seconds),
        "BUSY": "1" if options.busy else "0",
    }
    run(python, "export", variables)
    table: dict[str, dict[str, Any]] = {name: {} for name in ROWS}
    for _ in range(options.rounds):
        for name in ROWS:
            keep_best(table[name], json.loads(run(python, name, variables).splitlines()[-1]))
            print(f"  {name}", flush=True)
    show(table)
    print(json.dumps(last_line(table)))


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1.0, help="for each size of batch")
    parser.add_argument("--rounds", type=int, default=3, help="rounds, the best of which counts")
    parser.add_argument("--busy", action="store_true", help="one thread, in processor time")
    parser.add_argument("--torch-index", default="", help="where pip finds torch")
    return parser.parse_args()


def run(python: Path, word: str, variables: dict[str, str]) -> str:
    """The figures that one process prints."""
    command = [str(python), str(PROGRAM), word]
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        command, env={**environ, **variables}, stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout


def keep_best(known: dict[str, Any], found: dict[str, Any]) -> None:
    """Return the better of both figures, or of differences the worse."""
    for name, value in found.items():
        better = min if name in LESS_IS_BETTER else max
        known[name] = better(known.get(name, value), value)


def show(table: dict[str, dict[str, Any]]) -> None:
    """Print the table."""
    sizes = "".join(f"{size:>7}" for size in SIZES)
    print(
        f"\n{'images/s by batch':30}{sizes} {'start s':>8} {'MB':>5} {'levels':>6} {'unequal':>8}"
    )
    for name, row in table.items():
        rates = "".join(f"{row[size]:7.0f}" for size in SIZES)
        start, memory = row["start_seconds"], row["memory_mb"]
        print(
            f"{name:30}{rates} {start:8.2f} {memory:5.0f} {row['levels']:6} {row['unequal']:8.1e}"
        )


def last_line(table: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Return the best float32 backend's ratios to plain torch: batched rate, start and memory."""
    most = {name: max(row[size] for size in SIZES) for name, row in table.items()}
    line: dict[str, float] = {"torch_images_per_second": round(most["torch"], 1)}
    for name in ("ONNX Runtime", "OpenVINO"):
        key, row = name.lower().replace(" ", "_"), table[name]
        line[f"{key}_speed_ratio"] = round(most[name] / most["torch"], 2)
        line[f"{key}_start_ratio"] = round(
            row["start_seconds"] / table["torch"]["start_seconds"], 2
        )
        line[f"{key}_memory_ratio"] = round(row["memory_mb"] / table["torch"]["memory_mb"], 2)
        line[f"{key}_levels"] = row["levels"]
    return line


if __name__ == "__main__":
    main()
