"""Sends ten times more requests than the server can answer, for a minute.

Requests arrive by the clock, whether or not earlier ones were answered (an open loop): a closed one
would slow down with the server and show no overload. Latencies count from the moment
a request was due, so that what waits for a free connection is not forgotten. Connections are kept
alive, each with one request at a time, as SageMaker's front does it.

The client shares the two cores with what it measures. So each request is for a whole batch of
images, sixteen unless told otherwise: ten times capacity is then hundreds of requests a second and
not thousands, whose sending alone would take the cores. The client's own processor time is part of
the table, and capacity is measured by wrk, which takes almost none: the ratio of the two blames the
client's part on the server. A process apart asks /ping ten times a second on new connections.
"""

import argparse
import asyncio
import http.client
import json
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from statistics import median

from bench_serve import write_model
from load import Cell, load, require_wrk
from servers import CACHE, Running, ours, running

CALLERS = 32  # that measure capacity
PATIENCE = 65.0  # seconds after which an answer is lost; SageMaker's own limit is 60
HEAD = (
    "POST /invocations HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    "Accept: application/x-npy\r\nContent-Length: {}\r\n\r\n"
)


def main() -> None:
    options = parse_options()
    if options.probe:
        return print(json.dumps(probe(options.probe, options.seconds)))
    require_wrk()
    CACHE.mkdir(exist_ok=True)
    with running(ours(write_model())) as it:
        cell = Cell(options.images, "npy", CALLERS)
        load(it.url, "", cell, 2)  # first uses are behind it
        capacity = load(it.url, "", cell, options.capacity_seconds).images_per_second(cell)
        rate = options.times * capacity / options.images
        print(f"capacity {capacity:.0f} images/s; {rate:.0f} requests/s for {options.images} each "
              f"will come, {options.seconds} s long", flush=True)  # fmt: skip
        report(*overload(it, rate, options), capacity, options)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="of overload")
    parser.add_argument("--capacity-seconds", type=int, default=10, help="to measure capacity")
    parser.add_argument("--times", type=float, default=10, help="how many times capacity")
    parser.add_argument("--images", type=int, default=16, help="images a request")
    parser.add_argument("--connections", type=int, default=512, help="open at once, at most")
    parser.add_argument("--probe", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


# --- the client ---------------------------------------------------------------------------------


@dataclass
class Tally:
    """The outcome of the requests."""

    statuses: Counter[int] = field(default_factory=Counter)
    accepted_seconds: list[float] = field(default_factory=list)
    refused_seconds: list[float] = field(default_factory=list)
    lost: Counter[str] = field(default_factory=Counter)  # by what went wrong
    due: int = 0

    def add(self, status: int, seconds: float) -> None:
        """Count one answer."""
        self.statuses[status] += 1
        if status == 200:
            self.accepted_seconds.append(seconds)
        elif status == 429:
            self.refused_seconds.append(seconds)


Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Client:
    """Sends requests by the clock over a pool of connections."""

    port: int
    images: int
    connections: int
    tally: Tally = field(default_factory=Tally)
    idle: list[Connection] = field(default_factory=list)

    async def send(self, rate: float, seconds: float) -> None:
        """Send `rate` requests per second; return when all were answered or lost."""
        self.free = asyncio.Semaphore(self.connections)
        began, tasks = time.perf_counter(), set()
        while (due := self.tally.due / rate) < seconds:
            await asyncio.sleep(max(0.0, began + due - time.perf_counter()))
            task = asyncio.create_task(self.ask(began + due, self.tally.due))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            self.tally.due += 1
        await asyncio.gather(*tasks)

    async def ask(self, due: float, number: int) -> None:
        """Send one request and time it from the moment it is due."""
        try:
            async with asyncio.timeout(PATIENCE), self.free:
                status = await self.exchange(number)
        except Exception as error:
            self.tally.lost[type(error).__name__] += 1
        else:
            self.tally.add(status, time.perf_counter() - due)

    async def exchange(self, number: int) -> int:
        """Send on an idle connection, or a new one; return the status."""
        reader, writer = self.idle.pop() if self.idle else await self.connect()
        try:
            writer.write(request_of(self.images, number))
            status, stays = await read_answer(reader)
        except BaseException:
            writer.close()
            raise
        if stays:
            self.idle.append((reader, writer))
        else:
            writer.close()
        return status

    async def connect(self) -> Connection:
        return await asyncio.open_connection("127.0.0.1", self.port, limit=2**20)


def request_of(images: int, number: int) -> bytes:
    """Return a request with new seeds."""
    first = number * images % 1_000_000
    body = json.dumps({"seeds": list(range(first, first + images))})
    return (HEAD.format(len(body)) + body).encode()


async def read_answer(reader: asyncio.StreamReader) -> tuple[int, bool]:
    """Read an answer; return its status, and whether the connection is kept."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
    await reader.readexactly(int(headers["content-length"]))
    return int(head.split(" ", 2)[1]), headers.get("connection") != "close"


def probe(port: int, seconds: float) -> dict[str, float]:
    """Request /ping ten times per second, on a new connection each time."""
    times, failed, began = [], 0, time.perf_counter()
    for number in range(int(seconds * 10)):
        time.sleep(max(0.0, began + number / 10 - time.perf_counter()))
        started = time.perf_counter()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/ping")
            failed += connection.getresponse().status != 200
        except (OSError, http.client.HTTPException):
            failed += 1
        finally:
            connection.close()
        times.append(1e3 * (time.perf_counter() - started))
    return {"p50_ms": median(times), "p99_ms": percentile(times, 99), "most_ms": max(times),
            "failed": failed, "asked": len(times)}  # fmt: skip


def percentile(values: list[float], share: float) -> float:
    """Return a percentile of the values; infinite if there are none."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(len(ranked) * share / 100))] if ranked else float("inf")


# --- one minute ---------------------------------------------------------------------------------


@dataclass
class Minute:
    """Measurements of the server during the load."""

    memory_mb: list[float]  # second by second
    server_cpu: float  # processor seconds
    client_cpu: float
    seconds: float  # until the last answer
    ping: dict[str, float]


def overload(it: Running, rate: float, options: argparse.Namespace) -> tuple[Tally, Minute]:
    """Send the requests, measure the server and request /ping."""
    command = [sys.executable, __file__, "--probe", str(it.port), "--seconds", str(options.seconds)]
    prober = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    client = Client(it.port, options.images, options.connections)
    memory: list[float] = []

    async def watch() -> None:
        while True:
            memory.append(it.memory_mb())
            await asyncio.sleep(1)

    async def all_of_it() -> None:
        watching = asyncio.create_task(watch())
        await client.send(rate, options.seconds)
        watching.cancel()

    began, own, theirs = time.perf_counter(), time.process_time(), it.cpu_seconds()
    asyncio.run(all_of_it())
    own, theirs = time.process_time() - own, it.cpu_seconds() - theirs
    lasted = time.perf_counter() - began
    ping = json.loads(prober.communicate(timeout=60)[0])
    return client.tally, Minute(memory, theirs, own, lasted, ping)


def growth_of(memory: list[float]) -> float:
    """Return the memory growth from the early seconds, with full queues, to the last ones."""
    rest = memory[min(5, len(memory) // 2) :]
    return median(rest[-10:]) - median(rest[:10])


def report(tally: Tally, minute: Minute, capacity: float, options: argparse.Namespace) -> None:
    """Print the table and the last line."""
    accepted, refused = tally.statuses[200], tally.statuses[429]
    goodput = accepted * options.images / minute.seconds
    others = {status: n for status, n in tally.statuses.items() if status not in (200, 429)}
    p99 = 1e3 * percentile(tally.accepted_seconds, 99)
    rows = {
        "requests due": tally.due,
        "answered 200": accepted,
        "answered 429": refused,
        "answered otherwise": others or 0,
        "not answered": dict(tally.lost) or 0,
        "accepted, p50 ms": round(1e3 * percentile(tally.accepted_seconds, 50), 1),
        "accepted, p99 ms": round(p99, 1),
        "refused, p50 ms": round(1e3 * percentile(tally.refused_seconds, 50), 1),
        "/ping": {name: round(value, 1) for name, value in minute.ping.items()},
        "images/s": round(goodput, 1),
        "cores taken by the client": round(minute.client_cpu / minute.seconds, 2),
        "cores taken by the server": round(minute.server_cpu / minute.seconds, 2),
        "memory MB, first and last": [round(minute.memory_mb[0]), round(minute.memory_mb[-1])],
    }
    for name, value in rows.items():
        print(f"{name:28} {value}")
    answered = accepted + refused
    print(json.dumps({
        "answered": answered,
        "lost": tally.due - answered,
        "accepted_p99_ms": round(p99, 1),
        "ping_p99_ms": round(minute.ping["p99_ms"], 1),
        "rss_growth_mb": round(growth_of(minute.memory_mb), 1),
        "goodput_ratio": round(goodput / capacity, 3),
    }))  # fmt: skip


if __name__ == "__main__":
    main()
