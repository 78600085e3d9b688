"""Lists of people's words come back as they went in: command line, requests, pictures, messages."""

import csv
import io
import json
import shlex
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from facegan.artifact import save_artifact
from facegan.cli.__main__ import facegan, run_safely
from facegan.cli.face_output import parse_output
from facegan.cli.options import image_options
from facegan.client.face_client import build_request
from facegan.data.prepare import prepare
from facegan.errors import RequestError
from facegan.gans import build_gan
from facegan.image_encoding import encode_jpeg, encode_png, encode_webp
from facegan.model_files import ModelCard
from facegan.name_lists import quoted, read_names, write_names
from facegan.synthesis.classes import choose_labels
from facegan.wire import (
    JSON,
    Provenance,
    decode_request,
    encode_request,
    read_classes,
    read_provenance,
)

name = st.text(min_size=1, max_size=30).filter(str.isprintable).filter(str.strip)
names = st.lists(name, min_size=1, max_size=5)
TRICKY = [
    ["Smith, John", "Doe, Jane"], ["a"], ["a", "b"], [" a "], ["[a]"], ["[a", "b]"], ['"a"'],
    ['["a", "b"]'], ['"a, b"', "c"], ["a,"], [","], ['5"', "6'"], ["\\"], ["0", "-1"], ["null"],
    ["短い", "é, è"], ["x" * 200], ["--out", "a=b"],
]  # fmt: skip
ORIGIN = Provenance("ab" * 32, "stylegan2", "tiny", (1, 2))
PIXELS = np.zeros((4, 4, 3), np.uint8)


@given(names)
def test_any_names_come_back(listed: list[str]) -> None:
    for comma in (",", ", "):
        assert read_names(write_names(listed, comma)) == listed
    assert read_names(json.dumps(listed)) == listed
    assert read_names(", ".join(json.dumps(one) for one in listed)) == listed
    assert read_names(quoted(listed[0])) == listed[:1]


@given(st.lists(st.text("abcdé 0-9_.'", min_size=1).map(str.strip).filter(bool), min_size=1))
def test_plain_names_are_written_as_ever(listed: list[str]) -> None:
    """Who takes a picture's classes apart at commas still can."""
    assert write_names(listed) == ",".join(listed)
    assert read_names(" , ".join(listed)) == listed


@given(st.text(max_size=40))
def test_any_text_is_some_list(text: str) -> None:
    """Empty items are kept, so that a mistyped comma is no class."""
    found = read_names(text)
    assert all(isinstance(one, str | int) for one in found)
    assert bool(found) == bool(text.strip()) or text.lstrip().startswith("[")


def test_lists_of_json_may_hold_numbers_and_deep_ones_are_texts() -> None:
    assert read_names('[0, "bald"]') == [0, "bald"]
    assert read_names("[1.5]") == ["[1.5]"] and read_names("[true]") == ["[true]"]
    deep = "[" * 100_000
    assert read_names(deep) == [deep]


# --- pictures and requests ------------------------------------------------------------------------


@pytest.mark.parametrize("listed", TRICKY)
def test_a_picture_of_any_format_says_names_that_can_be_read_back(listed: list[str]) -> None:
    facts = replace(ORIGIN, classes=tuple(listed)).facts()
    pictures = (encode_png(PIXELS, facts), encode_jpeg(PIXELS, facts, 90),
                encode_webp(PIXELS, facts, 90))  # fmt: skip
    assert all(read_classes(read_provenance(png)) == tuple(listed) for png in pictures)


def test_pictures_of_before_are_read() -> None:
    assert read_classes({"facegan:classes": "long,bald"}) == ("long", "bald")
    assert read_classes({}) == ()


@given(names)
def test_a_request_carries_names_as_they_are(listed: list[str]) -> None:
    request = build_request(range(len(listed)), classes=listed)
    assert decode_request(encode_request(request, JSON), JSON).classes == listed


# --- the command line -----------------------------------------------------------------------------


def asked(*words: str) -> list[int | str] | str:
    """The classes that a command line asks for, or what it is told."""
    found: list[list[int | str]] = []

    @click.command()
    @image_options
    def command(mix_layers: None, **faces: object) -> None:
        found.append(parse_output(**faces, mix_layers=mix_layers).request.classes or [])

    said = CliRunner().invoke(command, [*words, "--out", "a.png"])
    return found[0] if found else said.output


@pytest.mark.parametrize("listed", TRICKY)
def test_a_command_line_takes_any_names_in_each_way(listed: list[str]) -> None:
    seeds = ["--seeds", f"1-{len(listed)}"]
    assert asked(*seeds, "--classes", write_names(listed)) == listed
    assert asked(*seeds, "--classes", json.dumps(listed)) == listed
    assert asked(*seeds, *(f"--class={one}" for one in listed)) == listed


def test_old_command_lines_mean_what_they_meant() -> None:
    assert asked("--seeds", "1-3", "--classes", "0, striped,2") == ["0", "striped", "2"]
    assert asked("--seeds", "1,2", "--classes", "long") == ["long"]
    for wrong in ("", " ", "a,,b", "a,", "[]", '[""]'):
        assert "Write long, 2 or 0,1,1." in asked("--seeds", "1-3", "--classes", wrong)


def test_a_name_with_a_comma_is_told_how_it_is_written() -> None:
    """By the very words that then work."""
    told = asked("--seeds", "1", "--classes", "Smith, John")
    assert "--classes names 2 for 1 image" in told
    words = shlex.split(
        told.replace("\n", " ").partition("If that is one name: ")[2].rstrip(". \n")
    )
    assert asked("--seeds", "1", *words) == ["Smith, John"]
    walk = asked("--seeds", "1,2", "--interpolate", "3", "--classes", "Smith, John")
    assert "An interpolation is of one class" in walk and "--class 'Smith, John'" in walk
    assert "not both" in asked("--seeds", "1", "--class", "a", "--classes", "a")
    assert "--class names 2 for 3 images" in asked("--seeds", "1-3", "--class", "a", "--class", "b")


def test_a_model_offers_names_in_a_form_that_is_read() -> None:
    card = ModelCard(
        family="stylegan2", preset="tiny", image_shape=(3, 8, 8), latent_dim=4,
        settings={}, weights_sha256="ab",
        classes=(("Doe, Jane", 1), ("Smith, John", 1)),
    )  # fmt: skip
    with pytest.raises(RequestError) as caught:
        choose_labels(card, 2, [1, 2], ["Smith", "John"])
    offered = caught.value.hint.partition(": ")[2].removesuffix(".")
    assert read_names(offered) == ["Doe, Jane", "Smith, John"]
    with pytest.raises(RequestError) as caught:
        choose_labels(card, 2, None, None)
    listed = caught.value.hint.partition(": ")[2].removesuffix(".")
    assert read_names(listed) == ["Doe, Jane", "Smith, John"]


def test_a_table_reader_takes_quoted_names_as_well() -> None:
    """What a sentence shows in quotes is what a CSV reader makes of it."""
    told = ", ".join(quoted(one) for one in ("Doe, Jane", "long"))
    assert next(csv.reader(io.StringIO(told), skipinitialspace=True)) == read_names(told)


# --- from a folder's name to a picture ------------------------------------------------------------


def test_a_face_of_smith_john_is_drawn_and_says_so(tmp_path: Path) -> None:
    """By each way to write the name; the card, the table of classes and the picture agree."""
    classes = {"Doe, Jane": 8, "Smith, John": 8}
    model = tmp_path / "model"
    save_artifact(build_gan("stylegan2", "tiny-conditional", (3, 8, 8), classes=classes), model)

    def draw(*words: str) -> bytes:
        out = tmp_path / "face.png"
        assert run_safely(facegan, ["generate", str(model), *words, "--out", str(out)]) == 0
        return out.read_bytes()

    one = draw("--seeds", "1", "--class", "Smith, John")
    assert read_classes(read_provenance(one)) == ("Smith, John",)
    assert one == draw("--seeds", "1", "--classes", '"Smith, John"')
    assert one == draw("--seeds", "1", "--classes", "1")
    both = draw("--seeds", "1,2", "--classes", "1,0")
    said = read_provenance(both)
    assert read_classes(said) == ("Smith, John", "Doe, Jane")
    assert both == draw("--seeds", "1,2", "--classes", said["facegan:classes"])
    mixed = draw("--seeds", "1", "--mix", "2", "--class", "Doe, Jane", "--class", "Smith, John")
    assert read_classes(read_provenance(mixed)) == ("Doe, Jane", "Smith, John")


def pixels_of(name: str) -> bytes:
    """A picture that no other name has."""
    stream = io.BytesIO()
    Image.frombytes("RGB", (8, 8), sha256(name.encode()).digest() * 6).save(stream, "PNG")
    return stream.getvalue()


def test_parts_with_such_classes_are_merged_and_checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["Smith, John", "Doe, Jane", '["x"]', "a\\b"]
    contents = {f"{name}/{k}.png": pixels_of(f"{name}{k}") for name in names for k in range(2)}
    folder = tmp_path / "faces, new"
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    parts = []
    for number in range(2):
        parts.append(tmp_path / f"part, {number}")
        prepare(folder, parts[-1], 8, labels="folders", shard=(number, 2), workers=1)
    words = ["data", "merge", *map(str, parts), "--out", str(tmp_path / "merged")]
    assert run_safely(facegan, words) == 0
    assert run_safely(facegan, ["data", "check", str(tmp_path / "merged")]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if "  class " in line]
    told = [line.split(": ")[0].removeprefix("  class ") for line in lines]
    assert [read_names(line) for line in told] == [[name] for name in sorted(names)]
