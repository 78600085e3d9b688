"""Counts the calls of our code in one POST /invocations of four seeds, in all threads.

A tiny model of random weights, exported to graphs as a served model is, answers through the real
WSGI app. Counted are functions of the package; comprehensions are not functions. A call changes
the file if its nearest caller of ours is in another one. Levels are nested calls of ours.

The last line is JSON: {"calls", "file_changes", "levels"}.
"""

import argparse
import inspect
import json
import sys
import tempfile
import threading
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

import facegan
from facegan.artifact import save_artifact
from facegan.export import export_graphs
from facegan.gans import build_gan
from facegan.serving import create_app
from facegan.synthesis import BackendConfig, open_synthesizer

PACKAGE = str(Path(facegan.__file__).parent)
COMPREHENSIONS = {"<listcomp>", "<genexpr>", "<dictcomp>", "<setcomp>"}
BODY = b'{"seeds": [1, 2, 3, 4]}'
WARM_UP = 3  # requests before the one that is counted


class CallCounter:
    """A profile function for all threads that are started after :meth:`install`."""

    def __init__(self) -> None:
        self.is_on = False
        self.calls: list[tuple[str, int, str, str]] = []  # thread, level, file, function
        self.file_changes = 0
        self.generators: list[FrameType] = []

    def install(self) -> None:
        """Profile this thread and later ones."""
        threading.setprofile(self.profile)
        sys.setprofile(self.profile)

    def profile(self, frame: FrameType, event: str, _: Any) -> None:
        """Record a call of our code."""
        if not self.is_on or event != "call" or not is_ours(frame):
            return
        if frame.f_code.co_flags & inspect.CO_GENERATOR:
            if frame in self.generators:  # it goes on
                return
            self.generators.append(frame)
        callers = [caller for caller in outer(frame) if is_ours(caller)]
        file = frame.f_code.co_filename
        self.file_changes += bool(callers) and callers[0].f_code.co_filename != file
        thread = threading.current_thread().name
        name = file.removeprefix(f"{PACKAGE}/")
        self.calls.append((thread, 1 + len(callers), name, frame.f_code.co_name))


def is_ours(frame: FrameType) -> bool:
    """Return whether a frame is a function of the package."""
    code = frame.f_code
    return code.co_filename.startswith(PACKAGE) and code.co_name not in COMPREHENSIONS


def outer(frame: FrameType) -> list[FrameType]:
    """Return the frames around one, the nearest first."""
    found = []
    while (caller := frame.f_back) is not None:
        found.append(caller)
        frame = caller
    return found


def count_calls(folder: Path, accept: str) -> CallCounter:
    """Answer one request with a tiny model, and count."""
    save_artifact(build_gan("dcgan", preset="tiny", image_shape=(3, 32, 32)), folder)
    export_graphs(folder)
    counter = CallCounter()
    counter.install()
    try:
        config = BackendConfig(cores=1)  # one worker: the same calls in every run
        client = create_app(open_synthesizer(folder, config)).test_client()
        for number in range(WARM_UP + 1):
            counter.is_on = number == WARM_UP
            reply = client.post("/invocations", data=BODY, content_type="application/json",
                                headers={"Accept": accept}, buffered=True)  # fmt: skip
            assert reply.status_code == 200, reply.text
        counter.is_on = False
    finally:
        threading.setprofile(None)
        sys.setprofile(None)
    return counter


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accept", default="image/png", help="the content type of the reply")
    parser.add_argument("--tree", action="store_true", help="print every call")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        counter = count_calls(Path(folder), options.accept)
    if options.tree:
        for thread, level, file, function in counter.calls:
            print(f"{thread:12} {'  ' * level}{file} {function}")
    for file, calls in Counter(file for _, _, file, _ in counter.calls).most_common():
        print(f"{calls:4} {file}")
    levels = max(level for _, level, _, _ in counter.calls)
    totals = {
        "calls": len(counter.calls),
        "file_changes": counter.file_changes,
        "levels": levels,
    }
    print(json.dumps(totals))


if __name__ == "__main__":
    main()
