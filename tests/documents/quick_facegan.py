"""`facegan` that starts at once: one process imports everything, then forks for each command.

    python quick_facegan.py SOCKET               the process that waits
    python quick_facegan.py SOCKET COMMAND …     a command, run by a fork of it

The tests type some two hundred commands, and importing torch takes longer than most of them.
"""

import json
import os
import signal
import socket
import sys
import traceback
from pathlib import Path

IMPORTED = (
    *("boto3", "tensorboard", "facegan.artifact", "facegan.data", "facegan.gans"),
    *(
        f"facegan.cli.{verb}"
        for verb in ("data", "evaluate", "export", "generate", "init", "report", "train")
    ),
    *("facegan.metrics", "facegan.report", "facegan.synthesis", "facegan.training.start"),
)


def wait_for_commands(place: str) -> None:
    """Fork for each command that arrives."""
    for name in IMPORTED:
        __import__(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # forks are reaped by the system
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(place + ".new")
        door.listen(16)
        Path(place + ".new").rename(place)
        while True:
            caller, _ = door.accept()
            if os.fork() == 0:
                door.close()
                run(caller)
            caller.close()


def run(caller: socket.socket) -> None:
    """Become the command that a caller sends, answer with its exit status, and end."""
    from facegan.cli.__main__ import facegan, run_safely

    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    code = 1
    try:
        text, streams, _, _ = socket.recv_fds(caller, 1 << 20, 3)
        words, folder, environment = json.loads(text)
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        sys.argv = ["facegan", *words]
        code = run_safely(facegan)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        caller.send(bytes([code]))
        os._exit(code)


def ask(place: str, words: list[str]) -> int:
    """Have a command run with this process's streams, folder and environment."""
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(place)
        text = json.dumps([words, str(Path.cwd()), dict(os.environ)]).encode()
        socket.send_fds(line, [text], [0, 1, 2])
        return (line.recv(1) or b"\1")[0]


if __name__ == "__main__":
    if sys.argv[2:]:
        sys.exit(ask(sys.argv[1], sys.argv[2:]))
    wait_for_commands(sys.argv[1])
