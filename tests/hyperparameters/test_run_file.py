"""run.toml: `facegan init` writes it, `facegan train --config` reads it, mistakes are named."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from facegan.cli.__main__ import facegan, run_safely
from facegan.errors import RunFileError
from facegan.gans import FAMILIES
from facegan.gans.resolve import resolve
from facegan.hyperparameters.run_file import read_run_file, run_file_text, toml_value
from facegan.hyperparameters.run_spec import RunSpec
from facegan.hyperparameters.training import TrainingConfig

PRESETS = [(name, preset) for name, family in FAMILIES.items() for preset in family.presets]


def command(*words: object) -> int:
    return run_safely(facegan, [str(word) for word in words])


@pytest.mark.parametrize(("family", "preset"), PRESETS, ids=lambda it: it)
def test_a_written_file_is_the_preset_and_explains_every_setting(family: str, preset: str) -> None:
    run = resolve(RunSpec(family=family, preset=preset))
    text = run_file_text(run.spec, run.preset, run.complete_config)
    again = resolve(RunSpec.from_mapping(tomllib.loads(text)))
    assert (again.preset, again.complete_config) == (run.preset, run.complete_config)
    names = [*RunSpec.own_settings(), *run.preset.as_dict(), *TrainingConfig.model_fields]
    lines = text.splitlines()
    for name in names:
        at = next(
            i for i, line in enumerate(lines) if line.removeprefix("# ").startswith(f"{name} =")
        )
        assert lines[at - 1].startswith("# "), name
    assert max(map(len, lines)) <= 100


@pytest.mark.parametrize(
    "value", ["", 'a "b" \\ c', "ü\x7f\x01\n🙂", 0.1, 1e-8, 5e20, -3, True, False, "true"]
)
def test_values_come_back_as_they_were(value: Any) -> None:
    assert tomllib.loads(f"x = {toml_value(value)}")["x"] == value


def test_a_run_from_a_file_is_the_run_of_its_flags(images_dir: Path, tmp_path: Path) -> None:
    """Flags go before the file; the run keeps all settings, from which it can be run again."""
    file, out, again = tmp_path / "run.toml", tmp_path / "a", tmp_path / "b"
    flags = ["--preset", "tiny", "--precision", "fp32"]
    assert command("init", *flags, "--total-kimg", 1000, "--out", file) == 0
    more = ["--data", images_dir, "--total-kimg", 0.032, "--seed", 3]
    assert command("train", "--config", file, *more, "--out", out) == 0
    kept = read_run_file(out / "run.toml")
    assert kept["total_kimg"] == 0.032 and kept["seed"] == 3 and kept["data"] == str(images_dir)
    assert command("train", "--config", out / "run.toml", "--out", again) == 0
    weights = [it / "model/generator.safetensors" for it in (out, again)]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    assert command("train", "--out", out, "--resume", "--total-kimg", 0.048) == 0
    assert read_run_file(out / "run.toml")["total_kimg"] == 0.048


def test_an_old_run_without_the_file_resumes(images_dir: Path, tmp_path: Path) -> None:
    out = tmp_path / "a"
    words = ["--data", images_dir, "--preset", "tiny", "--total-kimg", 0.032]
    assert command("train", *words, "--out", out) == 0
    (out / "run.toml").unlink()
    assert command("train", "--out", out, "--resume", "--total-kimg", 0.048) == 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("batch_sise = 8", "run.toml: Unknown hyperparameter 'batch_sise'. Did you mean"),
        ("epochs = 8", "run.toml: Unknown hyperparameter 'epochs'. Did you mean total_kimg"),
        ('batch_size = "many"', "run.toml: batch_size is 'many'. It must be a whole number."),
        ("batch_size = 8.5", "run.toml: batch_size is 8.5. It must be a whole number."),
        ("batch_size = true", "run.toml: batch_size is True. It"),
        ("total_kimg = true", "run.toml: total_kimg is True. It"),
        ("total_kimg = 0", "run.toml: total_kimg is 0. It must be greater than 0."),
        ("total_kimg = inf", "run.toml: total_kimg is inf. It must be a number."),
        ("beta1 = 2", "run.toml: beta1 is 2.0. It must lie between 0 and 0.9999."),
        ("beta1 = nan", "run.toml: beta1 is nan. It must be a finite number."),
        ("beta1 = true", "run.toml: beta1 is True. It must be a number."),
        ("augment = 5", "run.toml: augment is 5. It must be a text."),
        ('augment = "blitz"', "run.toml: augment names an unknown operation 'blitz'. Did you mean"),
        ('precision = "fp64"', "run.toml: precision is 'fp64'. It must be 'auto'"),
        ("resolution = 2", "run.toml: resolution is 2. It must lie between 4 and 1024."),
        ('resolution = "big"', "run.toml: resolution is 'big'. It must be a whole number."),
        ('family = "dcgam"', "run.toml: Unknown family 'dcgam'. Did you mean dcgan"),
        ('preset = "toy"', "run.toml: Unknown preset 'toy' of family 'dcgan'. Did you mean toy32"),
        ('labels = "names"', "run.toml: labels is 'names'."),
        ("batch_size = [8]", "run.toml: batch_size is a list. Every setting is one number, text"),
        ("[training]\nbatch_size = 8", "run.toml: training is a table. Every setting is one"),
        ("seed = 2026-01-01", "run.toml: seed is a date. Every setting is one"),
        ("batch_size = 8\nbatch-size = 8", "run.toml: batch_size is set twice. Set it once."),
        ('out = "runs/a"', "run.toml: out is not a setting of a run. Leave it out of"),
        ("batch_size", "run.toml is not TOML: "),
        ("batch_size = 1\nbatch_size = 1", "run.toml is not TOML: Cannot overwrite a value"),
        (b"\xff", "run.toml is not a text in UTF-8 (byte 0)."),
    ],
)  # fmt: skip
def test_a_mistake_in_the_file_is_named_with_its_key(
    images_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str], content: str | bytes, message: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "facegan.training.run", None)  # which imports torch
    file = Path("run.toml")
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert command("train", "--config", file, "--data", images_dir, "--out", "run") == 2
    told = " ".join(capsys.readouterr().err.removeprefix("Error: ").split())
    assert told.startswith(message), told
    assert not Path("run").exists()


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunFileError, match=r"a\.toml does not exist\. Write one: facegan init"):
        read_run_file(tmp_path / "a.toml")
    with pytest.raises(RunFileError, match="cannot be read: Is a directory"):
        read_run_file(tmp_path)
    (tmp_path / "b.toml").write_text("# " + "x" * 2**20)
    with pytest.raises(RunFileError, match="more than 1,048,576 bytes"):
        read_run_file(tmp_path / "b.toml")


def test_a_wrong_flag_is_not_blamed_on_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "run.toml"
    assert command("init", "--preset", "tiny", "--out", file) == 0
    for words, message in (
        (["--family", "dcgam"], "Unknown family 'dcgam'"),
        (["--batch-size", "many"], "--batch-size is 'many'."),
    ):
        assert command("train", "--config", file, "--out", tmp_path / "r", *words) == 2
        assert capsys.readouterr().err.startswith(f"Error: {message}")


def test_a_setting_without_use_in_the_file_is_allowed_by_a_flag(
    images_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What goes together is checked of file and flags together."""
    file = tmp_path / "run.toml"
    file.write_text('preset = "tiny"\naugment_probability = 0.5\ntotal_kimg = 0.016\n')
    words = ["--data", images_dir, "--out", tmp_path / "run"]
    assert command("train", "--config", file, *words) == 2
    assert "nothing is augmented" in capsys.readouterr().err
    assert command("train", "--config", file, *words, "--augment", "color") == 0


def test_init_overwrites_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "run.toml"
    file.write_text("mine")
    assert command("init", "--out", file) == 4
    assert "exists already" in capsys.readouterr().err and file.read_text() == "mine"
    assert command("init", "--out", tmp_path / "missing" / "run.toml") == 4


def test_init_takes_the_preset_of_the_resolution(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    assert command("init", "--family", "stylegan2", "--resolution", 64, "--out", file) == 0
    assert read_run_file(file)["preset"] == "paper64"
    assert command("init", "--resolution", 512, "--out", tmp_path / "b.toml") == 2


WITHOUT_TORCH = """
import sys
sys.modules["torch"] = sys.modules["boto3"] = sys.modules["botocore"] = None
from facegan.errors import ConfigError
from facegan.gans.resolve import resolve
from facegan.hyperparameters.run_spec import RunSpec
from facegan.cli.__main__ import facegan, run_safely

for values in ({"batch_size": "0"}, {"beta1": 2}, {"batch_sise": 8}, {"width": 1}, {"preset": "x"}):
    try:
        resolve(RunSpec.from_mapping(values))
    except ConfigError as error:
        print(error)
for family in ("dcgan", "r3gan", "stylegan2"):
    run = resolve(RunSpec(family=family, resolution=64))
    run.check_shape()
    run.check_batch(2)
try:
    resolve(RunSpec.from_mapping({"family": "r3gan", "resolution": 64, "width": 7})).check_shape()
except ConfigError as error:
    print(error)
sys.exit(run_safely(facegan, ["init", "--out", sys.argv[1]]))
"""


def test_names_types_and_ranges_are_checked_without_torch(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TORCH, str(tmp_path / "run.toml")],
        capture_output=True,
        text=True,
        env=dict(os.environ),
    )
    assert done.returncode == 0, done.stderr
    for message in ("batch_size is 0.", "beta1 is 2.0", "'batch_sise'", "'width'", "preset 'x'",
                    "7 channels at 4 px"):  # fmt: skip
        assert message in done.stdout
