"""Endpoints that can fail, images for a quiz, and the command in a process of its own."""

import io
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from facegan.client import Reply, WSGITransport
from facegan.errors import InvocationError

ROOT = Path(__file__).parents[2]


class Bare:
    """A transport without a front page, like SageMaker's; it can be broken and slow."""

    def __init__(self, whole: WSGITransport) -> None:
        self.whole = whole
        self.seconds = 0.0
        self.is_down = False

    def send(self, body: bytes, content_type: str, accept: str) -> Reply:
        time.sleep(self.seconds)
        if self.is_down:
            raise InvocationError("The endpoint cannot be reached: it is down.", "Start it.")
        return self.whole.send(body, content_type, accept)


class GreySquares:
    """Stand-ins for real images."""

    def __init__(self, resolution: int) -> None:
        self.resolution = resolution

    def __len__(self) -> int:
        return 3

    def png(self, index: int) -> bytes:
        stream = io.BytesIO()
        side = self.resolution
        Image.new("RGB", (side, side), (80 * index, 128, 128)).save(stream, "PNG")
        return stream.getvalue()

    def label_map(self, index: int) -> Any:
        return None


class HalvedMaps(GreySquares):
    """Stand-ins with label maps: class 1 above, class 3 below."""

    def label_map(self, index: int) -> Any:
        half = np.full((self.resolution // 2, self.resolution), 1, np.uint8)
        return np.concatenate([half, half + 2])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Command:
    """`facegan studio` in a process of its own."""

    def __init__(self, *arguments: object) -> None:
        self.url = f"http://127.0.0.1:{(port := free_port())}/"
        program = [sys.executable, "-u", "-m", "facegan.cli", "studio", "--no-browser"]
        self.process = subprocess.Popen(
            [*program, "--port", str(port), *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=ROOT,
        )
        self.first_page_seconds = 0.0
        self.lines: list[str] = []
        self.loaded_at = self.wait_for("is loaded")
        self.serving_at = self.wait_for("Ctrl-C to stop")
        threading.Thread(target=self.drain, daemon=True).start()

    def wait_for(self, words: str) -> float:
        """When a line with these words came."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            if words in line:
                return time.perf_counter()
        raise AssertionError("".join(self.lines))

    def drain(self) -> None:
        assert self.process.stdout is not None
        self.lines += list(self.process.stdout)

    def close(self) -> int:
        self.process.send_signal(2)
        return self.process.wait(30)
