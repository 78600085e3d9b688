"""Fuzzes the server for minutes: the suite's random tests at length, and decoders by atheris."""

import argparse
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
TESTS = [
    "test_openapi.py",
    "test_rude_callers.py",
    "test_random_bodies.py",
    "test_image_bodies.py",
    "test_hostile_heads.py",
    "test_passing_headers.py",
    "test_worker_refusals.py",
]
FUZZ_DECODERS = [sys.executable, str(HERE / "fuzz_decoders.py")]
EXAMPLES_PER_MINUTE = 300  # of each random test; a guess that a laptop meets


def run_random_tests(minutes: float) -> int:
    """The suite's own random tests, with more examples."""
    examples = max(100, int(minutes * EXAMPLES_PER_MINUTE))
    variables = os.environ | {"FACEGAN_FUZZ_EXAMPLES": str(examples)}
    files = [str(ROOT / "tests/serving" / name) for name in TESTS]
    return subprocess.run([sys.executable, "-m", "pytest", *files], env=variables).returncode


def run_atheris(decoder: str, minutes: float, corpus: Path) -> int:
    """One decoder, guided by what its inputs reach; what breaks it is left in `corpus`."""
    folder = corpus / decoder
    folder.mkdir(parents=True, exist_ok=True)
    limits = [f"-max_total_time={max(1, int(minutes * 60))}", "-timeout=10", "-rss_limit_mb=2048"]
    place = f"-artifact_prefix={folder}/"
    return subprocess.run([*FUZZ_DECODERS, decoder, str(folder), *limits, place]).returncode


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10, help="in all, about")
    parser.add_argument("--corpus", type=Path, default=ROOT / "runs/fuzz")
    asked = parser.parse_args()
    codes = [run_random_tests(asked.minutes / 2)]
    if importlib.util.find_spec("atheris") is None:
        print("atheris is not installed (it has wheels for Linux only): decoders are not fuzzed.")
    else:
        listed = subprocess.run(FUZZ_DECODERS, check=True, capture_output=True, text=True)
        decoders = listed.stdout.split()
        share = asked.minutes / 2 / len(decoders)
        codes += [run_atheris(decoder, share, asked.corpus) for decoder in decoders]
    sys.exit(max(codes))


if __name__ == "__main__":
    main()
