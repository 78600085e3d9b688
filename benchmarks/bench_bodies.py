"""Measures /ping while 16 connections post bodies of 6 MB in a loop, for each kind of body.

The bodies are as large as the server takes, and as slow to parse as their type allows. A process
apart posts them; this one asks /ping, a new connection each time, as SageMaker does. Both share the
cores with the server, which is worse for it than callers elsewhere would be.
"""

import argparse
import http.client
import json
import multiprocessing
import struct
import sys
import threading
import time
from collections import Counter
from multiprocessing.sharedctypes import Synchronized
from statistics import median

from bench_overload import percentile
from bench_serve import write_model
from servers import CACHE, ours, running

LIMIT = 6 * 2**20
CONNECTIONS = 16


def npy(rows: int, width: int) -> bytes:
    """Return a .npy body of zeros."""
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {width}), }}".encode()
    head = b"\x93NUMPY\x01\x00" + struct.pack("<H", 118) + header.ljust(117) + b"\n"
    return head + bytes(4 * rows * width)


def bodies() -> dict[str, tuple[str, bytes]]:
    """Return content type and body by name; each is close to the limit."""
    numbers = ", ".join(["0.1234567890123456"] * 100)
    row, line = f"[{numbers}]", b'{"seeds": [1, 2]}\n'
    wide = json.dumps({"latents": [[0.1234567] * 100] * 40}).encode() + b"\n"
    count = LIMIT // (len(row) + 2) - 1
    return {
        "JSON, seeds": ("application/json", b'{"seeds": [' + b"1, " * (LIMIT // 3 - 9) + b"1]}"),
        "JSON, latents": (
            "application/json",
            b'{"latents": [' + f"{row}, ".encode() * count + row.encode() + b"]}",
        ),
        "JSON, brackets": ("application/json", b'{"latents": ' + b"[" * (LIMIT - 20)),
        "JSON, digits": ("application/json", b'{"latents": [' + b"9" * (LIMIT - 20) + b"]}"),
        "CSV": ("text/csv", f"{numbers}\n".encode() * (LIMIT // (len(numbers) + 1))),
        "npy": ("application/x-npy", npy(LIMIT // 404, 100)),
        "JSON Lines, seeds": ("application/jsonlines", line * (LIMIT // len(line))),
        "JSON Lines, latents": ("application/jsonlines", wide * (LIMIT // len(wide))),
    }


def post(port: int, kind: str, body: bytes, seconds: float, answers: Counter[int]) -> None:
    """Post a body repeatedly on one connection."""
    connection, until = http.client.HTTPConnection("127.0.0.1", port, timeout=60), seconds
    until += time.monotonic()
    while time.monotonic() < until:
        try:
            connection.request("POST", "/invocations", body, {"Content-Type": kind})
            reply = connection.getresponse()
            reply.read()
            answers[reply.status] += 1
        except (OSError, http.client.HTTPException):
            answers[0] += 1
            connection.close()


def post_many(port: int, name: str, seconds: float, worst: "Synchronized[int]") -> None:
    """Post on all connections at once; return the highest status."""
    kind, body = bodies()[name]
    answers: Counter[int] = Counter()
    callers = [
        threading.Thread(target=post, args=(port, kind, body, seconds, answers))
        for _ in range(CONNECTIONS)
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    print(f"    answers by status: {dict(answers)}", flush=True)
    worst.value = max(answers)


def ping(port: int, seconds: float) -> list[float]:
    """Return the milliseconds of many pings, sent twenty per second."""
    times, until = [], time.monotonic() + seconds
    while time.monotonic() < until:
        started = time.perf_counter()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("GET", "/ping")
        if connection.getresponse().status != 200:
            sys.exit("/ping is not 200.")
        connection.close()
        times.append(1e3 * (time.perf_counter() - started))
        time.sleep(0.05)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10, help="of each kind of body")
    parser.add_argument("--only", help="one kind of body")
    options = parser.parse_args()
    CACHE.mkdir(exist_ok=True)
    table = {}
    with running(ours(write_model())) as it:
        for name in [options.only] if options.only else bodies():
            worst = multiprocessing.Value("i", 0)
            arguments = (it.port, name, options.seconds, worst)
            callers = multiprocessing.Process(target=post_many, args=arguments)
            callers.start()
            time.sleep(0.5)
            times = ping(it.port, options.seconds - 0.5)
            callers.join()
            table[name] = percentile(times, 99)
            print(f"{name:20} /ping p50 {median(times):7.1f} ms, p99 {table[name]:7.1f} ms, most "
                  f"{max(times):7.1f} ms, of {len(times)}; worst status {worst.value}; server "
                  f"{it.memory_mb():.0f} MB", flush=True)  # fmt: skip
    print(json.dumps({"worst_ping_p99_ms": round(max(table.values()), 1)}))


if __name__ == "__main__":
    main()
