"""`facegan train` prints how much memory a run needs, and refuses one that cannot fit a GPU."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from facegan.cli.__main__ import facegan, run_safely
from facegan.errors import RunError
from facegan.gans import build_gan
from facegan.gans.memory import GIB, TABLE, TrainingMemory
from facegan.training import TrainingConfig, memory_advice
from facegan.training.distributed.process_group import SINGLE_PROCESS
from facegan.training.memory_advice import advice, refuse_what_cannot_fit

NEED = TrainingMemory(1_000_000, 500_000, 500_000, (256.0, 512.0), (0, 0))


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Simulate a GPU with bf16, and the memory that a tiny preset needs."""
    found = SimpleNamespace(gib=8.0)
    monkeypatch.setattr(memory_advice, "memory_of", lambda device: found.gib * GIB)
    monkeypatch.setitem(TABLE, ("r3gan", "tiny", 32), NEED)
    monkeypatch.setattr(memory_advice, "choose_device", lambda name, group: torch.device("cuda"))
    monkeypatch.setattr(memory_advice, "choose_dtype", lambda name, device: torch.bfloat16)
    return found


def test_the_memory_line_is_printed_before_the_first_step(
    images_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setitem(TABLE, ("r3gan", "tiny", 32), NEED)
    monkeypatch.setattr(memory_advice, "memory_of", lambda device: 6.0 * GIB)
    words = ["--data", images_dir, "--out", tmp_path / "run", "--family", "r3gan", "--preset",
             "tiny", "--total-kimg", "0.016", "--precision", "fp32"]  # fmt: skip
    assert run_safely(facegan, ["train", *map(str, words)]) == 0
    said = capsys.readouterr().out
    assert (
        "Memory: about 8.8 GiB for 16 images at once in fp32 (512 MiB each); this machine " in said
    )
    assert "has 6.0 GiB. micro_batch=8 needs about 4.8 GiB, same result." in said
    assert said.index("Memory:") < said.index("Trained")


def test_a_gpu_that_cannot_hold_even_the_smallest_part_is_refused(gpu: SimpleNamespace) -> None:
    gan = build_gan("r3gan", "tiny", (3, 32, 32))
    refuse_what_cannot_fit(gan, TrainingConfig(), SINGLE_PROCESS)
    gpu.gib = 0.9
    expected = "needs about 1.0 GiB for 1 of 16 images at once, and cuda has 0.9 GiB"
    with pytest.raises(RunError, match=expected):
        refuse_what_cannot_fit(gan, TrainingConfig(), SINGLE_PROCESS)
    bare = build_gan("stylegan2", "tiny", (3, 32, 32))  # not in the memory table
    refuse_what_cannot_fit(bare, TrainingConfig(), SINGLE_PROCESS)


@pytest.mark.parametrize(
    ("gib", "micro_batch", "expected"),
    [(8.0, 16, "micro_batch 8"), (2.0, 16, "micro_batch 4"), (2.0, 2, "micro_batch 1"),
     (0.5, 16, "micro_batch 1"), (8.0, 1, "take a device with more memory")],
)  # fmt: skip
def test_the_advice_is_a_micro_batch_that_should_fit(
    gpu: SimpleNamespace, gib: float, micro_batch: int, expected: str
) -> None:
    gpu.gib = gib
    trainer: Any = SimpleNamespace(
        gan=build_gan("r3gan", "tiny", (3, 32, 32)),
        group=SINGLE_PROCESS,
        batch_size=16,
        micro_batch=micro_batch,
        device=torch.device("cuda"),
        dtype=torch.bfloat16,
    )
    assert expected in advice(trainer)
