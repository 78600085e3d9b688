"""The table of training memory, compared with a new count."""

import subprocess
import sys
from pathlib import Path

import pytest

from facegan.gans import FAMILIES
from facegan.gans.memory import GIB, TABLE, TrainingMemory, describe_memory, find_memory, table_keys

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from count_memory import count_need

PAPER64 = TABLE["r3gan", "paper64", 64]


@pytest.mark.parametrize("row", [("dcgan", "toy32", 32), ("stylegan2", "paper32", 32)], ids=str)
def test_rows_equal_a_new_count(row: tuple[str, str, int]) -> None:
    """After larger changes of networks or losses run benchmarks/count_memory.py again."""
    found, kept = count_need(*row, precisions=("bf16",)), TABLE[row]
    assert found.parameters == kept.parameters and found.averaged == kept.averaged
    assert found.image_mib[0] == pytest.approx(kept.image_mib[0], rel=0.15)
    assert found.fixed_mib[0] == pytest.approx(kept.fixed_mib[0], rel=0.3, abs=16)


def test_every_preset_but_tiny_ones_is_in_the_table() -> None:
    """Missing rows are printed by: python benchmarks/count_memory.py FAMILY."""
    missing = set(table_keys(FAMILIES.values())) - set(TABLE)
    assert not missing


def test_activations_agree_with_a_roofline_model() -> None:
    """The model gave these figures for activations, in bf16."""
    for row, batch, gib in [
        (("r3gan", "paper32", 32), 512, 63),
        (("r3gan", "paper64", 64), 256, 79),
        (("r3gan", "faces128", 128), 256, 172),
        (("r3gan", "paper256", 256), 256, 360),
        (("stylegan2", "paper64", 64), 1024, 54),
        (("stylegan2", "paper256", 256), 1024, 247),
    ]:
        found = batch * TABLE[row].image_mib[0] / 1024
        assert 0.5 * gib < found < 1.05 * gib, row  # less because some operations are in place


def test_it_is_read_without_torch() -> None:
    program = (
        "import sys; sys.modules['torch'] = None; from facegan.gans import FAMILIES; "
        "from facegan.gans.memory import find_memory; family = FAMILIES['stylegan2']; "
        "preset = family.presets['paper64']; assert find_memory(family, 'paper64', preset, 64); "
        "assert family.images_together(preset, 32) == 4"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_changed_networks_are_not_in_the_table() -> None:
    family = FAMILIES["r3gan"]
    preset = family.presets["paper64"]
    assert find_memory(family, "paper64", preset.replaced({"gamma_start": 3.0}), 64) == PAPER64
    assert find_memory(family, "paper64", preset.replaced({"width": 384}), 64) is None
    assert find_memory(family, "paper64", preset, 128) is None


def test_the_description_has_need_capacity_and_a_micro_batch_that_fits() -> None:
    need = TrainingMemory(1_000_000, 500_000, 500_000, (256.0, 512.0), (0, 0))
    sizes = [64, 32, 16, 8, 4, 2, 1]
    text = describe_memory(need, sizes, 64, "bf16", "cuda", 8 * GIB)
    assert text.startswith("Memory: about 16.8 GiB for 64 images at once in bf16 (256 MiB each); ")
    assert "cuda has 8.0 GiB. micro_batch=16 needs about 4.8 GiB, same result." in text
    assert "micro_batch" not in describe_memory(need, sizes, 64, "bf16", "cuda", 20 * GIB)
    assert "micro_batch=8 " in describe_memory(need, sizes, 64, "fp32", "cuda", 8 * GIB)
    text = describe_memory(need, sizes, 64, "bf16", "cuda", 0.8 * GIB)
    assert text.endswith("Not even the smallest part, 1 at once, fits.")
