"""Damage to a run's folder: named, and the checkpoint before is used, to the same bits; or refused.

Each case is a copy of one trained run with something changed in it; the table is data.
"""

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from bits import assert_same, weights
from safetensors.torch import load_file, save

from facegan.cli.__main__ import facegan, run_safely
from facegan.data import ImageFolderDataset
from facegan.errors import FaceGANError
from facegan.gans import Gan
from facegan.report import find_real_images, read_run
from facegan.training import RunFolder, Trainer, TrainingConfig
from facegan.training.checkpoint import (
    NUMBERS_NAME,
    TENSORS_NAME,
    NotOfThisRun,
    checksum,
    list_checkpoints,
    read_newest,
)

Damage = Callable[[Path], object]
WORDS = ["--preset", "tiny", "--resolution", "8", "--batch-size", "8", "--precision", "fp32",
         "--tick-kimg", "0.008", "--total-kimg", "0.032", "--keep-checkpoints", "3"]  # fmt: skip
DEEP = "[" * 200_000


def train(*words: object) -> int:
    return run_safely(facegan, ["train", *map(str, words)])


@pytest.fixture(scope="module")
def finished(images_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train four ticks, of which the last three have checkpoints."""
    out = tmp_path_factory.mktemp("damage") / "run"
    assert train("--data", images_dir, "--out", out, *WORDS) == 0
    return out


@pytest.fixture(scope="module")
def foreign(images_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train the same with another seed."""
    out = tmp_path_factory.mktemp("damage") / "foreign"
    assert train("--data", images_dir, "--out", out, *WORDS, "--seed", 1) == 0
    return out


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))


def newest(run: Path) -> Path:
    return list_checkpoints(run / "checkpoints")[-1]


def outcome(run: Path) -> tuple[dict[str, torch.Tensor], bytes, list[dict[str, float]]]:
    """Return a run's results without times."""
    timed = {"images_per_second", "wait_share", "train_seconds", "time"}
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    state = load_file(newest(run) / TENSORS_NAME)
    model = (run / "model" / "generator.safetensors").read_bytes()
    return state, model, [{k: v for k, v in line.items() if k not in timed} for line in lines]


def assert_same_outcome(run: Path, other: Path) -> None:
    (state, model, lines), (state2, model2, lines2) = outcome(run), outcome(other)
    assert_same(state, state2)
    assert model == model2 and lines == lines2


def set_numbers(content: str | bytes) -> Damage:
    raw = content.encode() if isinstance(content, str) else content
    return lambda checkpoint: (checkpoint / NUMBERS_NAME).write_bytes(raw)


def change(**facts: Any) -> Damage:
    """Return a function that changes some numbers; None removes them."""

    def damage(checkpoint: Path) -> None:
        file = checkpoint / NUMBERS_NAME
        numbers = json.loads(file.read_text()) | facts
        file.write_text(json.dumps({k: v for k, v in numbers.items() if v is not None}))

    return damage


def flip(file: str, place: float) -> Damage:
    def damage(checkpoint: Path) -> None:
        blob = bytearray((checkpoint / file).read_bytes())
        blob[int(place * (len(blob) - 1))] ^= 1
        (checkpoint / file).write_bytes(blob)

    return damage


def cut(file: str, share: float) -> Damage:
    def damage(checkpoint: Path) -> None:
        blob = (checkpoint / file).read_bytes()
        (checkpoint / file).write_bytes(blob[: int(share * len(blob))])

    return damage


def replaced_by(make: Callable[[Path], object], file: str = NUMBERS_NAME) -> Damage:
    """Replace a file, and keep a copy beside the checkpoint."""

    def damage(checkpoint: Path) -> None:
        (checkpoint / file).rename(checkpoint.parent / "moved")
        make(checkpoint / file)

    return damage


def folder_as_link(checkpoint: Path) -> None:
    shutil.move(checkpoint, checkpoint.parent / "moved")
    checkpoint.symlink_to(checkpoint.parent / "moved")


def as_file(checkpoint: Path) -> None:
    shutil.rmtree(checkpoint)
    checkpoint.write_text("")


def refit(checkpoint: Path) -> None:
    """Change the digest to that of other tensors."""
    file = checkpoint / TENSORS_NAME
    tensors = {name: value + 1 for name, value in load_file(file).items()}
    blob = save(tensors)
    file.write_bytes(blob)
    change(sha256=hashlib.sha256(blob).hexdigest(), bytes=len(blob))(checkpoint)


DAMAGES: dict[str, Damage] = {
    "a digit": change(images_seen=24), "more images": change(images_seen=4_000_000),
    "a second": change(train_seconds=1e9), "a tally": change(tally={}),
    "a word": change(images_seen="many"), "a bool": change(images_seen=True),
    "half an image": change(images_seen=32.0), "null": change(images_seen=[None]),
    "less than none": change(images_seen=-8), "huge": change(images_seen=10**300),
    "no run": change(run=None), "no checksum": change(checksum=None),
    "no digest": change(sha256=None), "neither": change(checksum=None, run=None, bytes=None),
    "a list": set_numbers("[]"), "nothing": set_numbers("null"), "empty object": set_numbers("{}"),
    "empty": set_numbers(""), "text": set_numbers("word"), "number": set_numbers("32"),
    "brackets": set_numbers(DEEP), "objects": set_numbers('{"a":' * 200_000),
    "no UTF-8": set_numbers(b"\xff\xfe{}"), "UTF-16": set_numbers('{"a": 3}'.encode("utf-16")),
    "NaN": set_numbers('{"images_seen": NaN}'), "infinite": set_numbers('{"images_seen": 1e999}'),
    "digits": set_numbers('{"images_seen": ' + "9" * 5000 + "}"),
    "surrogate": set_numbers('{"images_seen": 32, "run": "\\ud800"}'),
    "numbers cut": cut(NUMBERS_NAME, 0.9), "numbers gone": lambda c: (c / NUMBERS_NAME).unlink(),
    "numbers a folder": replaced_by(Path.mkdir),
    "numbers a link": replaced_by(lambda p: p.symlink_to(p.parent.parent / "moved")),
    "numbers a pipe": replaced_by(lambda p: os.mkfifo(p)),
    "numbers endless": replaced_by(lambda p: p.symlink_to("/dev/zero")),
    "numbers sparse": lambda c: os.truncate(c / NUMBERS_NAME, 2**40),
    "a bit": flip(TENSORS_NAME, 0.5), "the last bit": flip(TENSORS_NAME, 1),
    "the first bit": flip(TENSORS_NAME, 0), "tensors cut": cut(TENSORS_NAME, 0.7),
    "tensors empty": cut(TENSORS_NAME, 0), "tensors gone": lambda c: (c / TENSORS_NAME).unlink(),
    "tensors a folder": replaced_by(Path.mkdir, TENSORS_NAME),
    "tensors a pipe": replaced_by(lambda p: os.mkfifo(p), TENSORS_NAME),
    "tensors sparse": lambda c: os.truncate(c / TENSORS_NAME, 2**40),
    "other tensors, refitted": refit,
    "a file": as_file, "a link": folder_as_link,
    "an empty folder": lambda c: (shutil.rmtree(c), c.mkdir()),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_checkpoint_is_named_and_the_previous_one_is_used(
    run: Path, finished: Path, caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str], name: str,
) -> None:  # fmt: skip
    checkpoint = newest(run)
    DAMAGES[name](checkpoint)
    assert train("--out", run, "--resume") == 0
    assert f"The checkpoint {checkpoint} is damaged (" in caplog.text
    assert "Already finished" not in capsys.readouterr().out
    assert_same_outcome(run, finished)


@pytest.mark.parametrize("what", [(TENSORS_NAME, NUMBERS_NAME), (TENSORS_NAME,), (NUMBERS_NAME,)])
def test_checkpoints_of_another_run_are_not_resumed(
    run: Path, finished: Path, foreign: Path, caplog: pytest.LogCaptureFixture, what: tuple[str]
) -> None:
    """A whole checkpoint of another seed, or half of one with half of ours."""
    for file in what:
        shutil.copy(newest(foreign) / file, newest(run) / file)
    assert train("--out", run, "--resume") == 0
    whose = "is damaged" if what == (TENSORS_NAME,) else "is of another run"
    assert f"{newest(run).name} {whose}" in caplog.text
    assert_same_outcome(run, finished)


def test_another_runs_later_checkpoint_stays_and_ours_are_kept(
    run: Path, finished: Path, foreign: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = Path(shutil.copytree(newest(foreign), run / "checkpoints" / "kimg-00000001.000"))
    shutil.rmtree(list_checkpoints(run / "checkpoints")[2])
    words = ["--keep-checkpoints", 1]
    assert train("--out", run, "--resume", *words) == 0
    assert f"{other.name} is of another run" in caplog.text
    assert [c.name for c in list_checkpoints(run / "checkpoints")] == [newest(finished).name,
                                                                       other.name]  # fmt: skip


def test_exchanged_checkpoints_are_recognised_by_content(run: Path, finished: Path) -> None:
    one, two = list_checkpoints(run / "checkpoints")[-2:]
    one.rename(run / "aside"), two.rename(one), (run / "aside").rename(two)
    assert train("--out", run, "--resume", "--total-kimg", "0.04") == 0
    whole = Path(shutil.copytree(finished, run.parent / "whole"))
    assert train("--out", whole, "--resume", "--total-kimg", "0.04") == 0
    assert_same_outcome(run, whole)


def test_without_an_intact_checkpoint_every_reason_is_printed(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for checkpoint in list_checkpoints(run / "checkpoints"):
        (checkpoint / TENSORS_NAME).unlink()
    assert train("--out", run, "--resume") == 4
    told = capsys.readouterr().err
    assert "Every checkpoint" in told and "Traceback" not in told
    assert told.count("state.safetensors: No such file") == 3


def test_settings_changed_in_run_json_are_refused(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Changed consistently in all of run.json."""
    facts = json.loads((run / "run.json").read_text())
    facts["plan"]["seed"] = facts["training"]["seed"] = 7
    (run / "run.json").write_text(json.dumps(facts))
    assert train("--out", run, "--resume") == 4
    assert "was made with seed 0, this run has 7" in capsys.readouterr().err


def test_runs_and_checkpoints_older_than_ids_are_read(
    run: Path, finished: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """They have the digest of the tensors, but neither id nor settings."""
    facts = json.loads((run / "run.json").read_text())
    del facts["run"], facts["verified"]
    (run / "run.json").write_text(json.dumps(facts))
    of_old = change(run=None, checksum=None, bytes=None, settings=None)
    for checkpoint in list_checkpoints(run / "checkpoints"):
        of_old(checkpoint)
    change(images_seen=8_000)(newest(run))
    assert train("--out", run, "--resume") == 0
    assert f"{newest(run).name} is damaged (state.json: images_seen" in caplog.text
    assert_same_outcome(run, finished)
    assert train("--out", run, "--resume", "--total-kimg", "0.04") == 0  # of both formats
    assert "run" not in json.loads((run / "run.json").read_text())


# --- the record -----------------------------------------------------------------------------------

RECORDS: dict[str, tuple[str, str | bytes | None, str]] = {
    "list": ("run.json", "[]", "no JSON object"), "gone": ("run.json", None, "no run.json"),
    "deep": ("run.json", DEEP, "nested too deeply"), "null": ("run.json", "null", "no JSON object"),
    "bytes": ("run.json", b"\xff", "no UTF-8"), "empty": ("run.json", "", "damaged"),
    "digits": ("run.json", '{"plan": ' + "1" * 5000 + "}", "damaged"),
    "not a tick": ("metrics.jsonl", "{}\n", "(line 1: kimg is missing)"),
    "a word": ("metrics.jsonl", '{"kimg": 1, "reals": "x"}\n', "(line 1: 'reals' is not a number)"),
    "a bool": ("metrics.jsonl", '{"kimg": true}\n', "(line 1: 'kimg' is not a number)"),
    "no number": ("metrics.jsonl", '{"kimg": NaN}\n', "(line 1: kimg is not finite)"),
    "huge": ("metrics.jsonl", '{"kimg": 1' + "0" * 400 + "}\n", "line 1: a number is too large"),
    "tick list": ("metrics.jsonl", '{"kimg": 0.008}\n[]\n', "(line 2: it holds no JSON object)"),
    "tick bytes": ("metrics.jsonl", b'{"kimg": 0.008}\n{"kimg": \xe9}\n', "(line 2: no UTF-8"),
    "tick deep": ("metrics.jsonl", DEEP + "\n", "(line 1: its brackets are nested too deeply)"),
    "blank": ("metrics.jsonl", '{"kimg": 0.008}\n\n{"kimg": 0.016}\n', "line 2"),
}  # fmt: skip


def bytes_below(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("name", RECORDS)
def test_a_damaged_record_is_refused_and_nothing_is_changed(
    run: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    file, content, told = RECORDS[name]
    (run / file).unlink()
    if content is not None:
        (run / file).write_bytes(content if isinstance(content, bytes) else content.encode())
    before = bytes_below(run)
    assert train("--out", run, "--resume", "--total-kimg", "0.04") == 4
    said = capsys.readouterr().err
    assert file in said and told in said and "Traceback" not in said
    assert bytes_below(run) == before


def places(facts: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """Yield the path of every value of a run.json that a resumed run reads."""
    yield from ((name,) for name in facts)
    for name in ("plan", "dataset", "settings", "training"):
        yield from ((name, key) for key in facts[name])


@pytest.mark.parametrize("wrong", [None, [], {}, "\0", "word", -1, 1.5, True, 10**30, [[]]],
                         ids=repr)  # fmt: skip
def test_any_wrong_value_in_run_json_has_a_clear_error(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, wrong: Any
) -> None:
    """On resume and in reports: refused or used, without a traceback."""
    monkeypatch.setattr("facegan.training.run.train_on", lambda *_: True)
    facts = json.loads((run / "run.json").read_text())
    for path in places(facts):
        changed = json.loads(json.dumps(facts))
        inner = changed if len(path) == 1 else changed[path[0]]
        inner[path[-1]] = wrong
        (run / "run.json").write_text(json.dumps(changed))
        code = train("--out", run, "--resume")
        assert code in (0, 2, 3, 4), path
        assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("command", [["train", "--resume", "--out"], ["report"]], ids=" ".join)
@pytest.mark.parametrize("file", ["run.json", "metrics.jsonl"])
@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir, lambda p: p.symlink_to("/dev/zero")],
                         ids=["pipe", "folder", "device"])  # fmt: skip
def test_special_files_do_not_block(
    run: Path, capsys: pytest.CaptureFixture[str], command: list[str], file: str,
    make: Callable[[Path], object],
) -> None:  # fmt: skip
    (run / file).unlink()
    make(run / file)
    assert run_safely(facegan, [*command, str(run)]) == 4
    told = capsys.readouterr().err
    assert file in told and "Error: " in told and "Errno" not in told


def test_an_ignored_line_is_logged(run: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = run / "metrics.jsonl"
    os.truncate(file, file.stat().st_size - 9)
    assert train("--out", run, "--resume", "--total-kimg", "0.04") == 0
    assert "ends with a truncated line: ignored" in caplog.text


def test_a_complete_last_line_without_newline_is_kept(run: Path, finished: Path) -> None:
    file = run / "metrics.jsonl"
    file.write_text(file.read_text().rstrip("\n"))
    assert train("--out", run, "--resume", "--total-kimg", "0.04") == 0
    assert [json.loads(line)["kimg"] for line in file.read_text().splitlines()] == [
        0.008, 0.016, 0.024, 0.032, 0.04]  # fmt: skip


@pytest.mark.parametrize("content", ["[]", DEEP, '{"plan": 1}', "\0"],
                         ids=["list", "deep", "plan", "nul"])  # fmt: skip
def test_a_report_on_a_damaged_run_has_a_clear_error(
    run: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    (run / "run.json").write_text(content)
    assert run_safely(facegan, ["report", str(run)]) == 4
    told = capsys.readouterr().err
    assert "run.json does not describe a run" in told and "Traceback" not in told


@pytest.mark.parametrize("wrong", [None, [], {}, "\0", "word", "\ud800", -1, True, 10**400],
                         ids=lambda wrong: repr(wrong)[:9])  # fmt: skip
def test_a_report_on_any_wrong_value_is_written_or_refused(run: Path, wrong: Any) -> None:
    facts = json.loads((run / "run.json").read_text())
    shutil.rmtree(run / "model"), (run / "model.tar.gz").unlink()  # which would cost time
    for path in places(facts):
        changed = json.loads(json.dumps(facts))
        inner = changed if len(path) == 1 else changed[path[0]]
        inner[path[-1]] = wrong
        (run / "run.json").write_text(json.dumps(changed))
        with contextlib.suppress(FaceGANError):
            record = read_run(run)
            find_real_images(record, None)
            [str(value).encode() for rows in record.numbers.values() for value in rows.values()]


# --- a run that has ended -------------------------------------------------------------------------


@pytest.mark.parametrize(("more", "told"), [
    ([], "Already finished (0.032 of 0.032 kimg). Give more: --total-kimg 0.064."),
    (["--max-minutes", "0.00001"], "Already finished (0.032 of 0.032 kimg, "),
    (["--total-kimg", "0.008"], "(0.032 of 0.008 kimg). Give more: --total-kimg 0.064."),
])  # fmt: skip
def test_resuming_a_finished_run_prints_so_and_writes_nothing(
    run: Path, capsys: pytest.CaptureFixture[str], more: list[str], told: str
) -> None:
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    assert train("--out", run, "--resume", *more) == 0
    assert told in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*") if path != run} == {
        path: time for path, time in before.items() if path != run}  # fmt: skip


def test_a_run_finished_by_its_minutes_prints_so(
    images_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert train("--data", images_dir, "--out", out, *WORDS, "--max-minutes", "0.0001") == 0
    capsys.readouterr()
    assert train("--out", out, "--resume") == 0
    assert "0 of 0 s). Give more: --max-minutes 30.\n" in capsys.readouterr().out
    assert train("--out", out, "--resume", "--max-minutes", "30") == 0
    assert "Trained 0.0 kimg" in capsys.readouterr().out


@pytest.mark.parametrize("spoil", [
    lambda run: (run / "model.tar.gz").unlink(), lambda run: shutil.rmtree(run / "model"),
    lambda run: (run / "model.tar.gz").write_bytes(b"cut"),
    lambda run: (run / "model" / "model_card.json").write_text("{}"),
], ids=["no archive", "no folder", "archive cut", "card"])  # fmt: skip
def test_a_finished_run_without_an_intact_model_writes_it_again(
    run: Path, finished: Path, spoil: Damage, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(run)
    assert train("--out", run, "--resume") == 0
    assert "Already finished" not in capsys.readouterr().out
    assert_same_outcome(run, finished)


# --- a state that does not fit --------------------------------------------------------------------


@pytest.mark.parametrize("what", ["missing", "unknown", "shape", "type", "number", "counts", "best",
                                  "moment", "infinite", "step"])  # fmt: skip
def test_a_state_that_does_not_fit_leaves_the_trainer_unchanged(
    tiny_gan: Callable[..., Gan], dataset: ImageFolderDataset, what: str
) -> None:
    config = TrainingConfig(total_kimg=0.08, batch_size=8, precision="fp32")
    one, two = (Trainer(tiny_gan(), dataset, config) for _ in range(2))
    one.step()
    tensors, numbers = one.state()
    last = list(tensors)[-1]
    match what:
        case "missing":
            del tensors[next(iter(tensors))]
        case "unknown":
            tensors["player.generator/more"] = torch.zeros(1)
        case "shape":
            tensors[next(iter(tensors))] = torch.zeros(3)
        case "type":
            tensors[next(iter(tensors))] = next(iter(tensors.values())).double()
        case "moment":
            del tensors["optimizer.discriminator/0/exp_avg"]
        case "infinite":
            tensors["optimizer.discriminator/0/exp_avg"][0] = torch.inf
        case "step":
            tensors["optimizer.discriminator/0/step"] = torch.tensor(torch.nan)
        case "number":
            numbers["images_seen"] = 7
        case "counts":
            numbers["tally"]["counts"]["more"] = 1
        case "best":
            tensors[last] = torch.zeros(9)
    before = weights(two)
    with pytest.raises(ValueError, match=r"tensor|images|tally") as refused:
        two.load_state(tensors, numbers)
    if what in ("missing", "unknown"):  # whole, but another version's
        assert isinstance(refused.value, NotOfThisRun)
        assert "a version of facegan with other networks (tensor player." in str(refused.value)
    assert_same(before, weights(two))
    assert two.images_seen == 0 and two.accumulator.images == 0


def test_an_intact_checkpoint_that_does_not_fit_is_named(
    run: Path, caplog: pytest.LogCaptureFixture, finished: Path
) -> None:
    """A version of facegan with other networks made it."""
    file = newest(run) / NUMBERS_NAME
    numbers = json.loads(file.read_text())
    numbers["tally"]["counts"]["gone"] = 3
    numbers["checksum"] = checksum(numbers)
    file.write_text(json.dumps(numbers))
    assert train("--out", run, "--resume") == 0
    assert "is damaged (1 tensors are missing (tally/gone))" in caplog.text
    assert_same_outcome(run, finished)


def test_a_resumed_run_keeps_its_id(run: Path, finished: Path) -> None:
    assert train("--out", run, "--resume", "--total-kimg", "0.04") == 0
    one, two = (json.loads((p / "run.json").read_text())["run"] for p in (run, finished))
    assert one == two and len(one) == 32
    assert read_newest(run / "checkpoints")[1]["run"] == one
    assert RunFolder(run).read_facts()["run"] == one
