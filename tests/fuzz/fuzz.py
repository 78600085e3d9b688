"""Fuzzes the server for minutes: the suite's random tests at length, and decoders by atheris."""

import argparse
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
TESTS = ["test_openapi.py", "test_rude_callers.py", "test_random_bodies.py"]
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
    limits = [f"-max_total_time={int(minutes * 60)}", "-timeout=10", "-rss_limit_mb=2048"]
    command = [sys.executable, str(HERE / "fuzz_decoders.py"), decoder, *limits, str(folder)]
    return subprocess.run([*command, f"-artifact_prefix={folder}/"]).returncode


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10, help="in all, about")
    parser.add_argument("--corpus", type=Path, default=ROOT / "runs/fuzz")
    asked = parser.parse_args()
    codes = [run_random_tests(asked.minutes / 2)]
    if importlib.util.find_spec("atheris") is None:
        print("atheris is not installed (it has wheels for Linux only): decoders are not fuzzed.")
    else:
        from fuzz_decoders import DECODERS

        share = asked.minutes / 2 / len(DECODERS)
        codes += [run_atheris(decoder, share, asked.corpus) for decoder in DECODERS]
    sys.exit(max(codes))


if __name__ == "__main__":
    main()
