"""The whole line on this machine, as a user would type it: data, training, serving, faces."""

import argparse
import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FACEGAN = [sys.executable, "-m", "facegan.cli"]
ROOT = Path("runs/demo")
READY_SECONDS = 60


def main() -> None:
    """Run every step, and say where its result is."""
    options = parse_options()
    data, run = ROOT / f"data-{options.images}", ROOT / "run"
    say(1, f"Drawing {options.images:,} synthetic cartoon faces (none is a person)")
    facegan("data", "toy", "--out", data, "--images", options.images, "--resolution", 32)
    say(2, f"Training the preset toy32, at most {options.minutes:g} minutes")
    forget(run)
    facegan("train", "--data", data, "--out", run, "--preset", "toy32",
            "--max-minutes", options.minutes)  # fmt: skip
    shutil.copyfile(run / "model.tar.gz", ROOT / "model.tar.gz")
    say(3, "Serving the model, and asking it for faces through boto3")
    with serving(ROOT / "model.tar.gz") as url:
        facegan(
            "invoke",
            "--endpoint-url",
            url,
            "--seeds",
            "0-63",
            "--out",
            ROOT / "faces.png",
            "--scale",
            3,
        )
    summary = summarise(run, options.started_at)
    print(f"""
Done in {summary["total_seconds"]:.0f} s ({summary["train_seconds"]:.0f} s of training: \
{summary["kimg"]:.0f} kimg at {summary["images_per_second"]:.0f} images/s).

Look at   {ROOT}/faces.png       64 faces, drawn by a GAN and fetched from a server
          {run}/samples/         the same 64 latents through time
          {ROOT}/summary.json    the figures
Then      make serve RUN={run}   and, in another terminal: make faces SEEDS=100-163
          facegan train --data your/photos --out runs/mine --resolution 32
""")


def parse_options() -> argparse.Namespace:
    """The budget: small for a first look, smaller for a test."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=20_000, help="toy faces to draw")
    parser.add_argument("--minutes", type=float, default=3.8, help="of training, at most")
    parser.add_argument("--started-at", type=float, default=time.time(), help=argparse.SUPPRESS)
    return parser.parse_args()


def say(step: int, what: str) -> None:
    """A headline for a step."""
    print(f"\n[{step}/3] {what} …", flush=True)


def facegan(*words: object) -> None:
    """Run a facegan command; its own message has said why where it fails."""
    code = subprocess.run([*FACEGAN, *map(str, words)]).returncode
    if code:
        sys.exit(code)


def forget(run: Path) -> None:
    """Delete an earlier demo's run, and nothing that is not one."""
    if (run / "run.json").exists():
        shutil.rmtree(run)


@contextmanager
def serving(model: Path) -> Iterator[str]:
    """`facegan serve` on a free port of this machine, ready; stopped at the end."""
    port = free_port()
    server = subprocess.Popen([*FACEGAN, "serve", str(model), "--port", str(port)])
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until_ready(url, server)
        yield url
    finally:
        server.terminate()
        server.wait(timeout=30)


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_ready(url: str, server: "subprocess.Popen[bytes]") -> None:
    """Ask /ping until it answers."""
    until = time.monotonic() + READY_SECONDS
    while time.monotonic() < until and server.poll() is None:
        try:
            urllib.request.urlopen(f"{url}/ping", timeout=2)
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    sys.exit("The server did not become ready; its own message is above.")


def summarise(run: Path, started_at: float) -> dict[str, float]:
    """The figures of the whole, written to summary.json."""
    card = json.loads((run / "model" / "model_card.json").read_text())
    summary = {
        "images_per_second": card["training"]["images_per_second"],
        "train_seconds": card["training"]["train_seconds"],
        "kimg": card["kimg"],
        "total_seconds": round(time.time() - started_at, 1),
    }
    (ROOT / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
    return summary


if __name__ == "__main__":
    main()
