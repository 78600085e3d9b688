"""The benchmarks of serving count every request, and let peers draw with our very networks."""

import asyncio
import sys
from pathlib import Path

import numpy as np
import pytest

from facegan.artifact import load_artifact, save_artifact
from facegan.gans import build_gan
from facegan.synthesis import Synthesizer

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
sys.path[:0] = [str(BENCHMARKS), str(BENCHMARKS / "peers")]

from bench_overload import Client, growth_of, percentile  # noqa: E402
from bench_serve import ALONE, HEADLINE, Measured, last_line  # noqa: E402
from load import Outcome  # noqa: E402

ANSWERS = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 429 Too Many\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    b"",  # hangs up
]


async def overloaded(client: Client) -> None:
    """A server whose n-th answer is the n-th of ``ANSWERS``, around; thirty requests to it."""
    numbers = iter(range(1000))

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            await reader.readexactly(length)
            chosen = ANSWERS[next(numbers) % len(ANSWERS)]
            writer.write(chosen)
            if not chosen.startswith(b"HTTP/1.1 200"):
                return writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    client.port = server.sockets[0].getsockname()[1]
    async with server:
        await client.send(rate=1000, seconds=0.03)


def test_the_open_loop_counts_every_request_once() -> None:
    """Answered, refused or lost: nothing is forgotten, also where connections are reused."""
    client = Client(port=0, images=2, connections=4)
    asyncio.run(overloaded(client))
    tally = client.tally
    assert tally.due == 30
    assert (tally.statuses[200], tally.statuses[429], sum(tally.lost.values())) == (10, 10, 10)
    assert len(tally.accepted_seconds) == 10


def test_a_percentile_is_a_value_that_was_seen() -> None:
    assert percentile([3.0, 1.0, 2.0], 50) == 2.0
    assert percentile([3.0, 1.0, 2.0], 99) == 3.0
    assert percentile([], 99) == float("inf")


def test_growth_leaves_the_first_seconds_out() -> None:
    """Queues fill at first; what matters is whether memory goes on growing."""
    assert growth_of([1.0] * 5 + [100.0] * 50) == 0
    assert growth_of([100.0 + second for second in range(60)]) == pytest.approx(45)


def test_refused_answers_are_no_images() -> None:
    measured, peer = Measured(), Measured()
    for cell in (ALONE, HEADLINE):
        measured.add(cell, Outcome(answers=900, refused=0, broken=0, seconds=2, p50_ms=4, p99_ms=9))
        peer.add(cell, Outcome(answers=900, refused=600, broken=0, seconds=2, p50_ms=1, p99_ms=1))
    line = last_line({"ours": measured, "peer": peer}, {"1": 200, "16": 500, "one_ms": 3.0})
    assert line["best_peer_images_per_second"] == 150 and line["ratio"] == 3
    assert line["share_of_bare_generator"] == 0.9
    assert line["p50_overhead_ms_one_caller"] == 1


def test_peers_draw_with_our_own_networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same weights give the same pixels, so that servers are compared and nothing else."""
    from generator import draw, latents_of, load_generator

    gan = build_gan("dcgan", "tiny", (3, 64, 64), seed=0, conv_dim=64, latent_dim=100)
    save_artifact(gan, tmp_path)
    monkeypatch.setenv("WEIGHTS", str(tmp_path / "generator.safetensors"))
    theirs = draw(load_generator(), latents_of([1, 2, 3]))
    ours = Synthesizer(load_artifact(tmp_path)).generate(seeds=[1, 2, 3])
    assert theirs.shape == ours.shape
    assert np.abs(theirs.astype(int) - ours).max() <= 1
