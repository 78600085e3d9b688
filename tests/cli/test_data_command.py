"""`facegan data toy`: what it makes, what it says, and with which exit code."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from facegan.cli.__main__ import facegan, run_safely


def toy(out: Path, *more: str) -> int:
    return run_safely(facegan, ["data", "toy", "--out", str(out), *more])


SMALL = ("--images", "5", "--resolution", "8", "--workers", "1")


def test_it_draws_a_data_set_and_says_where(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Five images, five label maps, one card; the progress goes to stderr."""
    assert toy(tmp_path / "toy", *SMALL, "--seed", "3", "--label-maps") == 0
    assert len(list((tmp_path / "toy" / "images").rglob("*.png"))) == 5
    assert len(list((tmp_path / "toy" / "labels").rglob("*.png"))) == 5
    assert '"seed": 3' in (tmp_path / "toy" / "dataset.json").read_text()
    assert "5 synthetic cartoon faces" in capsys.readouterr().out


def test_the_same_data_set_again_is_already_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A repeated command succeeds without drawing."""
    toy(tmp_path / "toy", *SMALL)
    assert toy(tmp_path / "toy", *SMALL) == 0
    assert "Already there" in capsys.readouterr().out


def test_another_data_set_in_the_folder_exits_3_with_a_hint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is there is not overwritten."""
    toy(tmp_path / "toy", *SMALL)
    assert toy(tmp_path / "toy", *SMALL, "--seed", "1") == 3
    assert "Name another folder" in capsys.readouterr().err


def test_a_value_out_of_range_exits_2_and_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The sentence has the value and the range; no traceback."""
    assert toy(tmp_path / "toy", "--images", "5", "--resolution", "4") == 2
    said = capsys.readouterr().err
    assert "resolution is 4" in said and "8 to 1024" in said and "Traceback" not in said


@pytest.mark.parametrize("arguments", [["data", "--help"], ["data", "toy", "--help"]])
def test_help_teaches_by_example_and_loads_no_torch(arguments: list[str]) -> None:
    """Help shows a command that works as it stands, at once."""
    program = (
        "import sys; from facegan.cli.__main__ import facegan, run_safely; "
        f"run_safely(facegan, {arguments}); assert 'torch' not in sys.modules"
    )
    shown = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert "facegan data toy --out runs/toy32 --images 20000 --resolution 32" in shown.stdout


def test_labels_are_written_and_the_choices_are_the_factors(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The help names each without importing the renderer, so a test keeps them in step."""
    from facegan.cli.data import toy as command
    from facegan.data.toy_faces import FACTORS

    choices = next(param.type for param in command.params if param.name == "labels").choices
    assert list(choices) == list(FACTORS)
    for name, factor in FACTORS.items():
        assert f"{name:10}{', '.join(factor.classes)}" in command.help
    assert toy(tmp_path / "toy", *SMALL, "--labels", "hair") == 0
    assert '"class_names"' in (tmp_path / "toy" / "dataset.json").read_text()
    assert toy(tmp_path / "other", *SMALL, "--labels", "hat") == 2
    assert "'hair', 'glasses', 'age'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "asked",
    [
        ["--label-maps"],
        ["--paired", "sketch"],
        ["--unpaired", "night"],
        ["--unpaired", "glasses", "--label-maps"],
    ],
)
def test_the_next_command_that_is_printed_prepares_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], asked: list[str]
) -> None:
    """Also for a folder with a blank in its name, and again for one that is already there."""
    out = tmp_path / "my toys"
    for _ in range(2):
        assert toy(out, *SMALL, *asked) == 0
        shown = capsys.readouterr().out.splitlines()[-1]
    said, program, *arguments = shlex.split(shown)
    assert (said, program) == ("Next:", "facegan")
    assert run_safely(facegan, arguments) == 0
    manifest = json.loads((tmp_path / "my toys-prepared" / "dataset.json").read_text())
    assert manifest["images"] == 5
    wanted = {flag.removeprefix("--").replace("-", "_") for flag in asked if flag[0] == "-"}
    assert set(manifest["companions"]) == wanted


def test_plain_toy_faces_need_no_preparing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert toy(tmp_path / "toy", *SMALL) == 0
    assert "Next:" not in capsys.readouterr().out


def test_kinds_of_companions_are_those_of_the_renderer_and_one_at_a_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The help names each without importing the renderer, so a test keeps them in step."""
    from facegan.cli.data import toy as command
    from facegan.data.toy_faces.variants import DOMAINS, PAIRED_KINDS

    choices = {param.name: [*param.type.choices] for param in command.params if param.multiple}
    assert choices == {"paired": [*PAIRED_KINDS], "unpaired": [*DOMAINS]}
    assert toy(tmp_path / "toy", *SMALL, "--unpaired", "night", "--unpaired", "glasses") == 2
    assert "--unpaired is given 2 times: night and glasses" in capsys.readouterr().err
    assert toy(tmp_path / "toy", *SMALL, "--unpaired", "glasses", "--labels", "glasses") == 2
    assert "no image of the data set has glasses" in capsys.readouterr().err
