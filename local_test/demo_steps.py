"""What the demos share: commands of facegan, a local server, boto3, and pictures with captions."""

import argparse
import io
import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FACEGAN = [sys.executable, "-m", "facegan.cli"]
READY_SECONDS = 60
SCALE = 4  # pixels of a picture for each pixel of a toy face
GAP, MARGIN = 8, 26  # pixels between images; above them, for the columns' captions
LOCAL = {"region_name": "local", "aws_access_key_id": "local", "aws_secret_access_key": "local"}


def parse_options(about: str | None, images: int, minutes: float) -> argparse.Namespace:
    """Parse a demo's options: smaller numbers make it a test, larger ones make better images."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--images", type=int, default=images, help="toy faces to draw")
    parser.add_argument("--minutes", type=float, default=minutes, help="of training, at most")
    parser.add_argument("--started-at", type=float, default=time.time(), help=argparse.SUPPRESS)
    return parser.parse_args()


def say(step: str, what: str) -> None:
    """Print a headline for a step such as 1/3."""
    print(f"\n[{step}] {what} …", flush=True)


def facegan(*words: object, is_quiet: bool = False) -> None:
    """Run a facegan command, if quiet without its reports; if it fails, it has printed why."""
    output = subprocess.DEVNULL if is_quiet else None
    code = subprocess.run([*FACEGAN, *map(str, words)], stdout=output).returncode
    if code:
        sys.exit(code)


def forget(run: Path) -> None:
    """Delete an earlier demo's run, and nothing that is not one."""
    if (run / "run.json").exists():
        shutil.rmtree(run)


def train(data: Path, run: Path, family: str, minutes: float) -> None:
    """Train a family's toy32 for some minutes."""
    forget(run)
    facegan("train", "--data", data, "--out", run, "--family", family, "--preset", "toy32",
            "--max-minutes", minutes)  # fmt: skip


@contextmanager
def serving(model: Path) -> Iterator[str]:
    """Start `facegan serve` on a free port of this machine; yield its URL, stop it at the end."""
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
    """Return a port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_ready(url: str, server: "subprocess.Popen[bytes]") -> None:
    """Call /ping until it answers."""
    until = time.monotonic() + READY_SECONDS
    while time.monotonic() < until and server.poll() is None:
        try:
            urllib.request.urlopen(f"{url}/ping", timeout=2)
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    sys.exit("The server did not become ready; its own message is above.")


def connect(url: str) -> Any:
    """Return boto3's client of SageMaker endpoints, for the local server.

    For an endpoint on AWS leave `endpoint_url` and `LOCAL` out.
    """
    import boto3  # takes a second, and demos that only train do without it

    return boto3.client("sagemaker-runtime", endpoint_url=url, **LOCAL)


def invoke(runtime: Any, body: bytes, **parameters: object) -> bytes:
    """Send a PNG to the endpoint, with parameters such as seed or direction; return a PNG."""
    options = "".join(f";{name}={value}" for name, value in parameters.items())
    reply = runtime.invoke_endpoint(
        EndpointName="facegan", ContentType=f"image/png{options}", Accept="image/png", Body=body
    )
    answer: bytes = reply["Body"].read()
    return answer


def summarise(root: Path, run: Path, started_at: float) -> dict[str, float]:
    """Write the figures of a demo to ROOT/summary.json, and return them."""
    card = json.loads((run / "model" / "model_card.json").read_text())
    summary = {
        "images_per_second": card["training"]["images_per_second"],
        "train_seconds": card["training"]["train_seconds"],
        "kimg": card["kimg"],
        "total_seconds": round(time.time() - started_at, 1),
    }
    (root / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
    return summary


def describe(summary: Mapping[str, float]) -> str:
    """Return a summary as a sentence."""
    return (
        f"Done in {summary['total_seconds']:.0f} s ({summary['train_seconds']:.0f} s of training: "
        f"{summary['kimg']:.3g} kimg at {summary['images_per_second']:.0f} images/s)."
    )


def first_files(folder: Path, count: int) -> list[bytes]:
    """Return the bytes of the first images in a folder, at any depth, in the order of names."""
    files = sorted(folder.rglob("*.png"))[:count]
    return [file.read_bytes() for file in files]


def save_table(path: Path, columns: Mapping[str, Sequence[bytes]]) -> None:
    """Write a PNG of columns of PNGs, each below its caption, enlarged.

    Its metadata says that it is generated, as that of the images from the server does.
    """
    import numpy as np  # with Pillow, as above
    from PIL import Image, ImageDraw, ImageFont

    from facegan.image_encoding import COMPOSITE_TYPE, encode_png

    cells = [[Image.open(io.BytesIO(png)).convert("RGB") for png in pngs]
             for pngs in columns.values()]  # fmt: skip
    side = SCALE * cells[0][0].width
    rows, pitch = max(map(len, cells)), side + GAP
    size = len(cells) * pitch + GAP, MARGIN + rows * pitch
    table, font = Image.new("RGB", size, "white"), ImageFont.load_default(14)
    draw = ImageDraw.Draw(table)
    for column, (caption, images) in enumerate(zip(columns, cells, strict=True)):
        left = GAP + column * pitch
        draw.text((left + side / 2, MARGIN / 2), caption, "black", font, anchor="mm")
        for row, image in enumerate(images):
            enlarged = image.resize((side, side), Image.Resampling.NEAREST)
            table.paste(enlarged, (left, MARGIN + row * pitch))
    path.write_bytes(encode_png(np.asarray(table), {}, COMPOSITE_TYPE))
