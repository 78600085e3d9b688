"""Mistakes at the command line: told at once, by the flag that was typed, with what was meant."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from facegan import errors
from facegan.cli.__main__ import EXIT_CODES, NOT_INSTALLED, facegan, run_safely
from facegan.cli.error_printer import is_coloured, with_flags
from facegan.errors import did_you_mean
from facegan.gans import FAMILIES
from facegan.hyperparameters.aliases import ALIASES, names_like, unknown_hyperparameter
from facegan.training import TrainingConfig

DOCUMENT = Path(__file__).parents[2] / "docs/exit-codes.md"
OPTIONS = ("data", "out", "processes", "resolution", "resume", "preset", "labels", "evaluate_data")


def known_to(family: str) -> tuple[str, ...]:
    preset = next(iter(FAMILIES[family].presets.values()))
    numbers = [spec.name for spec in preset.hyperparameters()]
    return (*numbers, *TrainingConfig.model_fields, *OPTIONS)


def test_every_alias_leads_to_a_name_of_some_family_or_to_advice() -> None:
    for word, (target, why) in ALIASES.items():
        found = [name for family in FAMILIES for name in names_like(target, known_to(family))]
        assert found or why, word


def test_a_letter_too_many_offers_the_name_itself(family: str) -> None:
    for name in known_to(family):
        assert name in unknown_hyperparameter(name + "x", known_to(family)).hint


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--lr", "0.1"], "--discriminator-learning-rate or --generator-learning-rate?"),
        (["--family", "stylegan2", "--lr", "0.1"], "Did you mean --learning-rate?"),
        (["--family", "r3gan", "--LR", "0.1"], "--learning-rate-end or --learning-rate-start?"),
        (["--epochs", "10"], "10 epochs of 64 images are --total-kimg 0.64."),
        (["--epochs", "ten"], "epochs x images of the data set / 1000."),
        (["--preset", "toy32", "--steps", "1000"], "in batches of 32 are --total-kimg 32."),
        (["--max-iters", "100", "--batch-size", "8"], "in batches of 8 are --total-kimg 0.8."),
        (["--gpus", "2"], "Did you mean --processes?"),
        (["--batch", "8"], "Did you mean --batch-size?"),
        (["--image-size", "64"], "Did you mean --resolution?"),
        (["--num-workers", "4"], "leave it out"),
        (["--fp16"], "Did you mean --precision?"),
        (["--resume-from", "x"], "Did you mean --resume?"),
        (["--snap", "10"], "Did you mean --tick-kimg?"),
        (["--z-dim", "512"], "Did you mean --latent-dim?"),
        (["--total-kmig", "1"], "Did you mean --total-kimg?"),
        (["--frobnicate", "1"], "facegan train --help lists them"),
    ],
)
def test_what_other_trainers_call_it_is_understood(
    words: list[str], message: str, images_dir: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    line = ["train", "--data", str(images_dir), "--out", str(tmp_path / "o"), *words]
    assert run_safely(facegan, line) == 2
    said = capsys.readouterr().err
    assert message in said and "_" not in said.replace(str(images_dir), "")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--output", "o", "--data", "{data}"], "Did you mean --out?"),
        (["--dataset", "{data}", "--out", "o"], "Did you mean --data?"),
        (["--data", "{data}"], "Missing option '--out'"),
        (["--data", "{data}", "--out", "o", "{data}"], "--data {data}"),
        (["--data", "{data}", "--out", "o", "--seed", "--lr", "1"], "--seed needs a value"),
    ],
)
def test_what_is_missing_is_reported_after_what_was_typed_instead(
    words: list[str], message: str, images_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_safely(facegan, ["train", *(word.format(data=images_dir) for word in words)]) == 2
    assert message.format(data=images_dir) in " ".join(capsys.readouterr().err.split())


MISTAKES = [
    ["--data", "nowhere"],
    ["--family", "dcgam"],
    ["--preset", "tony"],
    ["--seed", "1.5"],
    ["--total-kimg", "0"],
    ["--augment", "blits"],
    ["--preset", "tiny", "--resolution", "33"],
    ["--resolution", "33"],
    ["--conditional", "true"],
    ["--out", "/proc/out"],
    ["--evaluate-samples", "3"],
    ["--evaluate-data", "nowhere"],
    ["--preset", "tiny", "--resolution", "8", "--batch-size", "7", "--processes", "2"],
    ["--data", "images\udce9"],
]


def test_most_mistakes_are_reported_without_torch(images_dir: Path, tmp_path: Path) -> None:
    """In one process: a second's start, for all of them."""
    program = (
        "import json, sys\n"
        "from facegan.cli.__main__ import facegan, run_safely\n"
        "for words in json.loads(sys.argv[1]):\n"
        "    line = ['train', '--data', sys.argv[2], '--out', 'o', *words]\n"
        "    assert run_safely(facegan, line) in (2, 3, 4), words\n"
        "    assert 'torch' not in sys.modules, words\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, json.dumps(MISTAKES), str(images_dir)],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("Error:") == len(MISTAKES) and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("max_minutes is 0.", "--max-minutes is 0."),
        ("seed is '1'.", "--seed is '1'."),
        ("The seed is what it is.", "The seed is what it is."),
        ("/data/max_minutes/1.png cannot be read.", "/data/max_minutes/1.png cannot be read."),
        ("max_minutes.json is damaged.", "max_minutes.json is damaged."),
        ('Write {"max_minutes": 3}.', 'Write {"max_minutes": 3}.'),
        (
            "Only data, max_minutes, seed may change.",
            "Only data, --max-minutes, --seed may change.",
        ),
        ("Leave seed out.", "Leave --seed out."),
        ("A run with seed=0 (now 3).", "A run with --seed=0 (now 3)."),
        ("Name one by seed: 1, 2.", "Name one by --seed: 1, 2."),
        ("Lower max_minutes.", "Lower --max-minutes."),
    ],
)
def test_names_become_flags_where_they_are_names(text: str, expected: str) -> None:
    assert with_flags(text, {"max_minutes": "--max-minutes", "seed": "--seed"}) == expected


@pytest.mark.parametrize("name", ["epochs", "gpus", "verbose", "zz", "workers"])
def test_a_name_that_is_far_off_is_not_offered(name: str) -> None:
    assert not did_you_mean(name, ["processes", "preset", "device", "compile"]).startswith(
        "Did you mean"
    )


def test_the_document_and_the_help_list_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    documented = {int(code) for code in re.findall(r"^\| (\d+) \|", DOCUMENT.read_text(), re.M)}
    assert documented == {0, 1, 2, NOT_INSTALLED, 130, *EXIT_CODES.values()}
    assert run_safely(facegan, ["--help"]) == 0
    message = " ".join(capsys.readouterr().out.split())
    for code in documented:
        assert re.search(rf"\b{code} [a-zA-Z]", message), code


def test_every_error_at_the_command_line_has_a_code_of_its_own() -> None:
    """What only a server meets is answered by a status instead."""
    served = {"ServingUnavailable", "UnknownModel", "ModelLoaded", "MemoryExceeded", "OwnCodeError"}
    direct = {
        cls for cls in errors.FaceGANError.__subclasses__() if cls.__module__ == "facegan.errors"
    }
    assert {cls for cls in direct if cls.__name__ not in served} == set(EXIT_CODES)


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_colours_are_left_out_where_they_are_not_wanted(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert is_coloured() is None
    monkeypatch.setenv(name, value)
    assert is_coloured() is False


def test_a_file_error_that_nobody_expected_is_a_sentence_too(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(**_: object) -> None:
        raise PermissionError(13, "Permission denied", "/somewhere")

    assert run_safely(fail) == 4
    assert capsys.readouterr().err == "Error: /somewhere: permission denied.\n"
