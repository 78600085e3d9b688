"""Whatever a card or a header of weights says: it is true, or refused before memory is taken."""

import json
import os
import struct
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from example_data import MAP_CLASSES
from hostile_tars import Files, archive
from hypothesis import given
from hypothesis import strategies as st

from facegan.artifact import load_artifact, save_artifact
from facegan.errors import ArtifactError
from facegan.gans import FAMILIES, build_gan
from facegan.model_files import (
    CARD_NAME,
    MAPPING_GRAPH,
    SYNTHESIS_GRAPH,
    WEIGHTS_NAME,
    parse_card,
    read_card,
    read_weights_header,
)
from facegan.model_files.archive import check_archive
from facegan.model_files.card import MAX_NUMBER, MAX_SETTING
from facegan.model_files.folder import digest_of, read_file
from facegan.serving.http.model_routes import create_models_app
from facegan.serving.limits import ServingLimits
from facegan.serving.model.registry import ModelRegistry
from facegan.serving.model.served_model import ServingSettings, open_model, settings_of_many
from facegan.synthesis import estimate_memory

GENERATOR = {"generator.onnx": "ab" * 32}
STYLES = {MAPPING_GRAPH: "ab" * 32, SYNTHESIS_GRAPH: "cd" * 32}
DEEP: Any = {}
for _ in range(40):
    DEEP = {"a": DEEP}

# What no card may say, whichever model it is of.
NEVER: dict[str, dict[str, Any]] = {
    **{f"latent_dim {value!r}": {"latent_dim": value} for value in (
        50_000_000, 4097, 0, -5, "x", "16", None, 64.5, 16.0, True, [16], {}, 17
    )},
    **{f"latent_dim {value!r} in settings": {"settings": {"latent_dim": value}} for value in (
        50_000_000, 0, 17, "16", None, 16.0, True
    )},
    **{f"image_shape {value!r}": {"image_shape": value} for value in (
        [3, 32], [3, 32, 64], [1, 32, 32], [4, 32, 32], [3, 33, 33], [3, 48, 48], [3, 0, 0],
        [3, -32, -32], [3, 8192, 8192], [3, 32.0, 32.0], [3, "32", "32"], [True, 32, 32], [3, 1, 1],
        "big", 32, None, {}, [3, 32, 32, 1], [[3, 32, 32]], [3, None, 32],
    )},
    **{f"classes {value!r:.30}": {"classes": value} for value in (
        7, "ab", None, {"a": 1}, [["a", 1]], [["a", 1], ["b", 1]], ["ab"], [["a"]], [[1, 1]],
        [["a", 0], ["b", 1]], [["a", True], ["b", 1]], [["a", 1.0], ["b", 1]],
        [["a", 2**60], ["b", 1]], [["a\x1b[2J", 1], ["b", 1]], [["x" * 2000, 1], ["b", 1]],
        [[f"{number}", 1] for number in range(50_000)], [["a\ud800", 1], ["b", 1]],
    )},
    **{f"kimg {value!r}": {"kimg": value} for value in (
        -1, "5", None, True, float("nan"), float("inf"), 10**12, [1]
    )},
    **{f"{name} {value!r:.20}": {name: value} for name in ("family", "preset") for value in (
        "", "x" * 1000, "a\nb", "\x1b[2J", 7, None, ["dcgan"], {}
    )},
    **{f"{name} {value!r}": {name: value} for value in ("x", 7, None, [], [["a", 1]], True)
       for name in ("settings", "dataset", "training", "metrics", "versions")},
    **{f"settings {value!r:.30}": {"settings": {"conv_dim": value}} for value in (
        10**6, -(10**6), 10**18, None, [1], {}, "x" * 1000, "a\nb", float("nan"), float("inf"), 1e30
    )},
    "a setting of another name": {"settings": {"a\nb": 1}},
    "a distribution": {"settings": {"latent_distribution": "cauchy"}},
    "versions of no text": {"versions": {"torch": 2}},
    **{f"weights_sha256 {value!r:.20}": {"weights_sha256": value} for value in (
        "", None, 7, "ab", "AB" * 32, "zz" * 32, "ab" * 33
    )},
    **{f"schema_version {value!r}": {"schema_version": value} for value in (
        None, "1", True, 0, -1, 1.0, 2, 10**9
    )},
    **{f"graph {value!r:.50}": {"graph": value} for value in (
        7, "x", [], {}, {"sha256": {}}, {"sha256": "ab"}, {"sha256": {"../x": "ab" * 32}},
        {"sha256": {"generator.onnx": 7}}, {"sha256": {"generator.onnx": "ab"}},
        {"sha256": GENERATOR | STYLES}, {"sha256": {MAPPING_GRAPH: "ab" * 32}},
        {"sha256": GENERATOR, "what": 1},
    )},
    **{f"style_layers {value!r} of a {len(graphs)}": {
        "graph": {"sha256": graphs, "style_layers": value}
    } for graphs, values in ((GENERATOR, (1, -1, True, "0", None, 0.0)), (STYLES, (0, 65, 10**9)))
       for value in values},
    **{f"batch_bytes {value!r}": {"graph": {"sha256": GENERATOR, "batch_bytes": value}}
       for value in (-1, True, "1", None, 1.5, 10**12, 10**18)},
    "a depth of forty": {"metrics": DEEP},
    "half a surrogate pair": {"dataset": {"name": "\ud800"}},
}  # fmt: skip

# What a card of another model may say.
OF_ANOTHER: dict[str, dict[str, Any]] = {
    "family": {"family": "r3gan"},
    "no family": {"family": "nogan"},
    "no preset": {"preset": "none"},
    "a wider latent": {"latent_dim": 17, "settings": {"latent_dim": 17}},
    "the widest latent": {"latent_dim": 4096, "settings": {"latent_dim": 4096}},
    "wider": {"settings": {"conv_dim": 1024}},
    "narrower": {"settings": {"conv_dim": 1}},
    "wider than any": {"settings": {"conv_dim": 1025}},
    "no such setting": {"settings": {"width": 8}},
    "a setting of another type": {"settings": {"conv_dim": "x"}},
    "other layers": {"settings": {"self_modulation": True}},
    "larger images": {"image_shape": [3, 4096, 4096]},
    "smaller images": {"image_shape": [3, 16, 16]},
    "conditional": {"settings": {"conditional": True}, "classes": [["a", 1], ["b", 1]]},
    "other weights": {"weights_sha256": "ab" * 32},
}

TEXTS: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda card: b"",
    "a list": lambda card: b"[]",
    "an empty object": lambda card: b"{}",
    "null": lambda card: b"null",
    "brackets": lambda card: b"[" * 400_000,
    "brackets that close": lambda card: b"[" * 400_000 + b"]" * 400_000,
    "objects": lambda card: b'{"a":' * 150_000,
    "no UTF-8": lambda card: card.replace(b"dcgan", b"\xff\xfe"),
    "UTF-16": lambda card: card.decode().encode("utf-16"),
    "a number of 5,000 digits": lambda card: changed(card, b'"latent_dim": ', b"1" * 5000),
    "a number of 4,000 digits": lambda card: changed(card, b'"latent_dim": ', b"1" * 4000),
    "many digits where anything goes": lambda card: changed(
        card, b'"metrics": ', b'{"a": ' + b"1" * 900_000 + b"}"
    ),
    "a number that no float holds": lambda card: changed(card, b'"kimg": ', b"1e999"),
    "cut": lambda card: card[:-20],
    "more behind it": lambda card: card + b"{}",
    "a name twice": lambda card: card.replace(b'"family"', b'"preset": "x", "family"', 1),
    "ninety thousand names, one twice": lambda card: (
        b"{" + b",".join(b'"%d":0' % number for number in [*range(90_000), 89_999]) + b"}"
    ),
    "a megabyte and more": lambda card: card + b" " * (1 << 20),
}


def changed(card: bytes, before: bytes, value: bytes) -> bytes:
    """A card with another text for one value."""
    values = json.loads(card)
    name = before.decode().strip('": ')
    rest = json.dumps({key: it for key, it in values.items() if key != name})
    return rest[:-1].encode() + b", " + before + value + b"}"


def with_card(card: bytes, change: dict[str, Any]) -> bytes:
    """A card with other values; settings beside those that are there."""
    values = json.loads(card)
    if isinstance(change.get("settings"), dict):
        change = {**change, "settings": values["settings"] | change["settings"]}
    return json.dumps(values | change).encode()


def folder_of(path: Path, files: Files) -> Path:
    path.mkdir()
    for name, content in files.items():
        (path / name).write_bytes(content)
    return path


def refuse(read: Callable[[Path], object], path: Path) -> str:
    with pytest.raises(ArtifactError) as told:
        read(path)
    assert "\n" not in str(told.value) and len(str(told.value)) < 700
    return str(told.value)


@pytest.mark.parametrize("name", NEVER)
def test_invalid_values_are_refused_by_every_reader(
    files: Files, tmp_path: Path, name: str
) -> None:
    files[CARD_NAME] = with_card(files[CARD_NAME], NEVER[name])
    path = archive(tmp_path / "m.tar.gz", files)
    folder = folder_of(tmp_path / "model", files)
    for read, place in ((read_card, path), (check_archive, path), (load_artifact, path),
                        (read_card, folder), (estimate_memory, folder)):  # fmt: skip
        assert CARD_NAME in refuse(read, place) or name.startswith("schema_version")


@pytest.mark.parametrize("name", TEXTS)
def test_a_file_that_is_not_a_card_is_refused_by_every_reader(
    files: Files, tmp_path: Path, name: str
) -> None:
    files[CARD_NAME] = TEXTS[name](files[CARD_NAME])
    path = archive(tmp_path / "m.tar.gz", files)
    folder = folder_of(tmp_path / "model", files)
    started = time.monotonic()
    for read, place in ((read_card, path), (check_archive, path), (load_artifact, path),
                        (read_card, folder), (estimate_memory, folder)):  # fmt: skip
        assert CARD_NAME in refuse(read, place)
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("name", OF_ANOTHER)
def test_a_card_of_another_model_is_refused(files: Files, tmp_path: Path, name: str) -> None:
    files[CARD_NAME] = with_card(files[CARD_NAME], OF_ANOTHER[name])
    refuse(load_artifact, archive(tmp_path / "m.tar.gz", files))
    folder = folder_of(tmp_path / "model", files)
    refuse(lambda path: load_artifact(path, mapped=True), folder)
    if name != "other weights":
        refuse(estimate_memory, folder)


@pytest.mark.parametrize("classes", [[], [["a", 1]], [["a", 1], ["b", 1]], 7,
                                     [[f"{number}", 1] for number in range(16_000)]])  # fmt: skip
def test_a_conditional_model_has_its_own_classes(
    conditional_dir: Path, tmp_path: Path, classes: Any
) -> None:
    files = {name: (conditional_dir / name).read_bytes() for name in (WEIGHTS_NAME, CARD_NAME)}
    files[CARD_NAME] = with_card(files[CARD_NAME], {"classes": classes})
    refuse(load_artifact, archive(tmp_path / "m.tar.gz", files))
    refuse(estimate_memory, folder_of(tmp_path / "model", files))


@pytest.mark.parametrize(
    "change",
    [
        {"kimg": 5},
        {"metrics": {"last": {"kid": float("nan"), "fid": float("inf")}}},
        {"unknown to us": {"deep": [[[[1]]]]}},
        {"graph": None},
        {"dataset": {"name": "photos “64”", "images": 12}},
    ],
)
def test_an_honest_card_is_read(files: Files, tmp_path: Path, change: dict[str, Any]) -> None:
    """Numbers that are none stand in cards of runs that went wrong; a newer facegan knows more."""
    files[CARD_NAME] = with_card(files[CARD_NAME], change)
    path = archive(tmp_path / "m.tar.gz", files)
    assert load_artifact(path).card == read_card(path)
    assert check_archive(path)["latent_dim"] == 16


def test_every_presets_settings_are_within_the_limits() -> None:
    for family in FAMILIES.values():
        for preset in family.presets.values():
            for spec in preset.hyperparameters():
                high = spec.metadata["high"]
                most = MAX_SETTING if isinstance(getattr(preset, spec.name), int) else MAX_NUMBER
                assert high <= most or high == float("inf"), (family.name, spec.name)


# --- models that take images and label maps -------------------------------------------------------


def an_input(name: Any, optional: Any = False) -> dict[str, Any]:
    return {"name": name, "optional": optional}


MAPS_AND_LATENTS = [an_input("label_maps"), an_input("latents")]
PAINTING: dict[str, Any] = {
    "schema_version": 2, "family": "spade", "preset": "tiny", "image_shape": [3, 32, 32],
    "latent_dim": 8, "settings": {"latent_dim": 8, "conditional": False}, "classes": [],
    "weights_sha256": "ab" * 32,
    "network_inputs": [*MAPS_AND_LATENTS, an_input("styles", True)],
    "directions": [], "map_classes": [["sky", "#0000ff"], ["", "#000000"], ["hair", "#804020"]],
    "graph": {"sha256": {"generator.onnx": "ab" * 32, "encoder.onnx": "cd" * 32}},
}  # fmt: skip
CYCLING: dict[str, Any] = {
    **PAINTING, "family": "cyclegan", "latent_dim": 0, "settings": {}, "map_classes": [],
    "network_inputs": [an_input("images")], "directions": ["AtoB", "BtoA"],
    "graph": {"sha256": {"AtoB.onnx": "ab" * 32, "BtoA.onnx": "cd" * 32}},
}  # fmt: skip
OF_PIXELS = {"painting": PAINTING, "cycling": CYCLING}
FALSE_OF_PIXELS: list[tuple[str, dict[str, Any]]] = [
    *(("painting", {"network_inputs": value}) for value in (
        None, 7, "latents", {}, [], [7], ["latents"], [[]], [{}], [{"name": "latents"}],
        [an_input([])], [an_input({})], [an_input(None)], [an_input("pixels")], [an_input(7)],
        [*MAPS_AND_LATENTS, an_input("styles", 1)], [*MAPS_AND_LATENTS, an_input("styles", None)],
        [*MAPS_AND_LATENTS, an_input("styles")], [*MAPS_AND_LATENTS, an_input("labels", True)],
        [an_input("label_maps", True), an_input("latents"), an_input("styles", True)],
        [an_input("styles", True), *MAPS_AND_LATENTS], [an_input("label_maps")] * 2,
        [an_input("label_maps"), an_input("styles", True)], [an_input("styles", True)],
        [an_input("label_maps")], [an_input("latents")], [an_input("images")], [an_input("labels")],
        [an_input("images"), an_input("latents")], [*MAPS_AND_LATENTS, an_input("labels")],
        [an_input("latents") | {"more": 1}], [an_input(f"{n}") for n in range(1000)],
        MAPS_AND_LATENTS,  # without the encoder whose graph there is
    )),
    *(("painting", {"map_classes": value}) for value in (
        None, 7, "sky", {}, [], [["sky", "#0000ff"]], [["sky"]] * 2, ["ab", "cd"], [[1, "#000000"]],
        [["sky", "#0000ff"]] * 2, [["a", "#0000FF"], ["b", "#000000"]],
        [["a", "#00f"], ["b", "#000000"]], [["a", "red"], ["b", "#000000"]],
        [["a", None], ["b", "#000000"]], [["a", ["#000000"]], ["b", "#000000"]],
        [["a", "#0000ff\n"], ["b", "#000000"]], [["a", "#00000g"], ["b", "#000000"]],
        [["a\x1b", "#0000ff"], ["b", "#000000"]], [["x" * 2000, "#0000ff"], ["b", "#000000"]],
        [[f"{n}", "#000000"] for n in range(257)], [[f"{n}", "#000000"] for n in range(50_000)],
    )),
    *(("cycling", {"directions": value}) for value in (
        None, 7, "AtoB", {}, ["AtoB"], ["BtoA", "AtoB"], ["AtoB", "AtoB"], ["there", "back"],
        ["AtoB", "BtoA", "CtoD"], [["AtoB"], "BtoA"], [[], []],
        [],  # without the other direction whose graph there is
    )),
    *(("cycling", {"graph": {"sha256": value}}) for value in (
        {"AtoB.onnx": "ab" * 32}, {"generator.onnx": "ab" * 32}, STYLES,
        {"generator.onnx": "ab" * 32, "encoder.onnx": "cd" * 32},
        {"AtoB.onnx": "ab" * 32, "BtoA.onnx": "ab"}, {"AtoB.onnx": "ab" * 32, "../x": "ab" * 32},
    )),
    *(("painting", {"graph": {"sha256": value}}) for value in (
        {"generator.onnx": "ab" * 32}, {"encoder.onnx": "ab" * 32}, STYLES,
        {"AtoB.onnx": "ab" * 32, "BtoA.onnx": "ab" * 32},
    )),
    ("painting", {"graph": PAINTING["graph"] | {"style_layers": 1}}),
    ("painting", {"graph": {"sha256": STYLES, "style_layers": 8}}),
    *(("painting", {"latent_dim": value, "settings": {"latent_dim": value}}) for value in (
        0, -1, 4097, True, "8", None
    )),
    *(("cycling", {"latent_dim": value}) for value in (1, -1, False, None, 0.0)),
    ("cycling", {"map_classes": PAINTING["map_classes"]}),
    ("painting", {"directions": ["AtoB", "BtoA"]}),
    *((kind, {"classes": [["a", 1], ["b", 1]]}) for kind in OF_PIXELS),
    *((kind, {"schema_version": value}) for kind in OF_PIXELS for value in (1, 3, True, None)),
]  # fmt: skip


@pytest.mark.parametrize("kind", OF_PIXELS)
def test_honest_cards_of_images_and_label_maps_are_read(kind: str) -> None:
    text = json.dumps(OF_PIXELS[kind]).encode()
    card = parse_card(text, Path("m"))
    assert [f"{name}.onnx" for name in card.networks] == list(OF_PIXELS[kind]["graph"]["sha256"])
    assert parse_card(card.to_json().encode(), Path("m")) == card


@pytest.mark.parametrize("place", range(len(FALSE_OF_PIXELS)))
def test_false_cards_of_images_and_label_maps_are_refused(place: int) -> None:
    kind, change = FALSE_OF_PIXELS[place]
    text = json.dumps(OF_PIXELS[kind] | change).encode()
    refuse(lambda path: parse_card(text, path), Path("m"))


@pytest.mark.parametrize(("family", "preset", "changes"), [
    ("cyclegan", "tiny", [
        {"directions": []}, {"network_inputs": [an_input("images"), an_input("latents")]},
        {"network_inputs": [], "directions": [], "schema_version": 1},
        {"image_shape": [3, 4096, 4096], "settings": {"width": 1024, "blocks": 64}},
        {"settings": {"blocks": 2}}, {"settings": {"norm": "own"}}, {"family": "pix2pix"},
    ]),
    ("pix2pix", "tiny-maps", [
        {"map_classes": [["a", "#000000"], ["b", "#ffffff"]]},
        {"map_classes": [[f"{n}", "#000000"] for n in range(256)]},
        {"network_inputs": [an_input("images")], "map_classes": []},
        {"latent_dim": 4, "network_inputs": MAPS_AND_LATENTS},
        {"network_inputs": [an_input("images"), an_input("label_maps")]},
        {"settings": {"width": 1024, "halvings": 8}, "image_shape": [3, 4096, 4096]},
        {"settings": {"source": "images"}}, {"settings": {"direction": "AtoB"}},
    ]),
])  # fmt: skip
def test_a_card_of_another_model_of_images_is_refused(
    tmp_path: Path, family: str, preset: str, changes: list[dict[str, Any]]
) -> None:
    """Each is a card that could be; the weights, or the family's own declaration, differ."""
    gan = build_gan(family, preset, (3, 32, 32), seed=0, map_classes=MAP_CLASSES)
    save_artifact(gan, tmp_path / "honest")
    honest = (tmp_path / "honest" / CARD_NAME).read_bytes()
    assert load_artifact(tmp_path / "honest").networks.keys() == gan.served.keys()
    for number, change in enumerate(changes):
        files = {
            WEIGHTS_NAME: (tmp_path / "honest" / WEIGHTS_NAME).read_bytes(),
            CARD_NAME: with_card(honest, change),
        }
        folder = folder_of(tmp_path / str(number), files)
        for read in (load_artifact, estimate_memory):
            refuse(read, folder)


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=4), inner)
)
HONEST: dict[str, Any] = {
    "schema_version": 1, "family": "stylegan2", "preset": "tiny", "image_shape": [3, 32, 32],
    "latent_dim": 16, "settings": {"latent_dim": 16, "conditional": True, "beta1": 0.0},
    "weights_sha256": "ab" * 32, "classes": [["a", 1], ["b", 2]], "kimg": 1.0, "dataset": {},
    "graph": {"sha256": STYLES, "style_layers": 8, "batch_bytes": 1000}, "versions": {"torch": "2"},
}  # fmt: skip
PIXEL_PLACES = [["network_inputs"], ["network_inputs", 0], ["network_inputs", 0, "name"],
                ["network_inputs", 0, "optional"], ["directions"], ["map_classes"],
                ["map_classes", 0], ["map_classes", 0, 0], ["map_classes", 1, 1],
                ["graph", "sha256"], ["latent_dim"], ["schema_version"]]  # fmt: skip
PLACES = [*([name] for name in HONEST), ["settings", "latent_dim"], ["graph", "sha256"],
          ["graph", "style_layers"], ["graph", "batch_bytes"], ["image_shape", 1], ["classes", 0],
          ["classes", 0, 1], ["versions", "torch"]]  # fmt: skip


@given(st.sampled_from(PIXEL_PLACES), VALUES)
def test_any_value_of_a_painting_model_is_read_or_refused(place: list[Any], value: Any) -> None:
    with suppress(ArtifactError):
        card = parse_card(json.dumps(with_value(PAINTING, place, value)).encode(), Path("m"))
        assert card.networks and card.arguments(card.networks[0])


def with_value(values: dict[str, Any], place: list[Any], value: Any) -> dict[str, Any]:
    """A card with another value somewhere."""
    values = deepcopy(values)
    inner: Any = values
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] = value
    return values


@given(st.sampled_from(PLACES), VALUES)
def test_any_value_anywhere_is_read_or_refused(place: list[Any], value: Any) -> None:
    values = with_value(HONEST, place, value)
    try:
        card = parse_card(json.dumps(values).encode(), Path("m"))
    except ArtifactError as error:
        assert "\n" not in str(error)
    else:
        assert 1 <= card.latent_dim <= 4096 and type(card.latent_dim) is int
        json.dumps(card.to_json(), allow_nan=False).encode()


# --- the weights' header --------------------------------------------------------------------------


def weights(header: Any, length: int = 0) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + bytes(length)


def tensor(shape: Any = (2,), span: Any = (0, 8), dtype: Any = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": span}


HEADERS: dict[str, bytes] = {
    "nothing": b"",
    "three bytes": b"abc",
    "no header": bytes(8),
    "all ones": b"\xff" * 8,
    "longer than any": (2**40).to_bytes(8, "little"),
    "longer than the file": (100).to_bytes(8, "little") + b"{}",
    "a list": weights([]),
    "cut": weights(b'{"a": {"b":1'),
    "deep": weights(b"[" * 500_000),
    "deep objects": weights(b'{"a":' * 100_000),
    "no tensor": weights({"a": 1}),
    "a tail": weights({}, 1),
    "another length": weights({"a": tensor()}, 7),
    "overlap": weights({"a": tensor(), "b": tensor(span=[4, 12])}, 12),
    "the same place": weights({"a": tensor(), "b": tensor()}, 8),
    "a gap": weights({"a": tensor(), "b": tensor(span=[12, 20])}, 20),
    "not from the start": weights({"a": tensor(span=[8, 16])}, 16),
    "backwards": weights({"a": tensor(span=[8, 0])}, 8),
    "another size than the shape's": weights({"a": tensor([3])}, 8),
    "a huge shape": weights({"a": tensor([2**40, 2**40])}, 8),
    "a huge shape of nothing": weights({"a": tensor([2**62, 2**62, 0], [0, 8])}, 8),
    "many dimensions": weights({"a": tensor([1] * 1000, [0, 4])}, 4),
    "a negative side": weights({"a": tensor([-2], [0, 8])}, 8),
    "a bool": weights({"a": tensor([True, 2])}, 8),
    "a float": weights({"a": tensor([2.0])}, 8),
    "an offset that is no number": weights({"a": tensor(span=["0", "8"])}, 8),
    "no span": weights({"a": tensor(span=[8])}, 8),
    "a type unknown": weights({"a": tensor(dtype="F8_E4M3", shape=[8])}, 8),
    "a type that is none": weights({"a": tensor(dtype=["F32"])}, 8),
    "a key more": weights({"a": tensor() | {"file": "/etc/passwd"}}, 8),
    "a key less": weights({"a": {"dtype": "F32", "shape": [2]}}, 8),
    "a mark before the header": weights(b"\xef\xbb\xbf{}"),
    "a blank before the header": weights(b" {}"),
    "notes that are a list": weights({"__metadata__": []}),
    "a note that is a number": weights({"__metadata__": {"a": 1}}),
    "a note that is no number": weights(b'{"__metadata__": NaN}'),
    "a name twice": weights(b'{"a": %s, "a": %s}' % ((json.dumps(tensor()).encode(),) * 2), 8),
}


@pytest.mark.parametrize("name", HEADERS)
def test_an_invalid_header_is_refused(files: Files, tmp_path: Path, name: str) -> None:
    """In a folder and in an archive, also where the card's digest is of these very bytes."""
    import hashlib

    blob = HEADERS[name]
    card = with_card(files[CARD_NAME], {"weights_sha256": hashlib.sha256(blob).hexdigest()})
    changed = {CARD_NAME: card, WEIGHTS_NAME: blob}
    folder, path = folder_of(tmp_path / "model", changed), archive(tmp_path / "m.tar.gz", changed)
    for read in (read_weights_header, load_artifact):
        assert "not a safetensors file" in refuse(read, folder)
        assert "not a safetensors file" in refuse(read, path)
    assert "not a safetensors file" in refuse(check_archive, path)
    assert "not a safetensors file" in refuse(estimate_memory, folder)


def test_endless_weights_are_refused_by_their_header(files: Files, tmp_path: Path) -> None:
    """A file of 90 MB of JSON, and one of 3 GiB of which nothing is on the disk."""
    folder = folder_of(tmp_path / "model", files)
    with (folder / WEIGHTS_NAME).open("wb") as file:
        file.write(struct.pack("<Q", 90 << 20))
        file.truncate(91 << 20)
    refuse(load_artifact, folder)
    with (folder / WEIGHTS_NAME).open("wb") as file:
        file.write(weights({"a": tensor([3 << 28], [0, 3 << 30])}))
        file.truncate(file.tell() + (3 << 30))
    assert "In the weights the tensor" in refuse(load_artifact, folder)
    refuse(lambda path: load_artifact(path, mapped=True), folder)
    refuse(estimate_memory, folder)


def test_a_small_file_takes_little_memory_whatever_its_limit(files: Files, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "model", files)
    tracemalloc.start()
    read_file(folder / WEIGHTS_NAME)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 << 20


# --- a folder from a stranger --------------------------------------------------------------------


@pytest.mark.parametrize("name", [CARD_NAME, WEIGHTS_NAME])
@pytest.mark.parametrize("kind", ["out", "by ..", "loop", "dangling", "pipe", "device", "folder"])
def test_a_models_file_is_a_plain_one_of_its_folder(
    files: Files, tmp_path: Path, name: str, kind: str
) -> None:
    """Nothing is followed out of it, and nothing is waited for."""
    folder = folder_of(tmp_path / "model", files)
    (folder / name).rename(tmp_path / name)
    place = folder / name
    match kind:
        case "out":
            place.symlink_to(tmp_path / name)
        case "by ..":
            place.symlink_to(Path("..") / name)
        case "loop":
            place.symlink_to(place)
        case "dangling":
            place.symlink_to("nowhere")
        case "pipe":
            os.mkfifo(place)
        case "device":
            place.symlink_to("/dev/zero")
        case "folder":
            place.mkdir()
    refuse(load_artifact, folder)
    refuse(lambda path: load_artifact(path, mapped=True), folder)
    refuse(estimate_memory, folder)
    refuse(lambda path: read_file(path / name), folder)
    refuse(lambda path: digest_of(path / name), folder)


def test_links_within_a_folder_and_to_a_folder_are_followed(files: Files, tmp_path: Path) -> None:
    """Who names a link means where it leads."""
    folder = folder_of(tmp_path / "model", files)
    (folder / WEIGHTS_NAME).rename(folder / "blob")
    (folder / WEIGHTS_NAME).symlink_to("blob")
    (tmp_path / "latest").symlink_to(folder)
    archive(tmp_path / "m.tar.gz", files)
    (tmp_path / "latest.tar.gz").symlink_to("m.tar.gz")
    for source in (tmp_path / "latest", tmp_path / "latest.tar.gz"):
        assert load_artifact(source, mapped=True).card.family == "dcgan"


@pytest.mark.parametrize("source", ["/dev/zero", "/dev/stdin", "pipe"])
def test_a_device_in_place_of_a_model_is_refused(tmp_path: Path, source: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    for read in (read_card, load_artifact, check_archive):
        refuse(read, tmp_path / source)


# --- at the edges ---------------------------------------------------------------------------------


def test_an_invalid_model_is_a_400_and_others_answer(
    files: Files, model_dir: Path, tmp_path: Path
) -> None:
    """Never a 500, and never the 507 upon which SageMaker unloads somebody else's model."""
    import shutil

    lies = {**NEVER, **OF_ANOTHER}
    texts = {name: with_card(files[CARD_NAME], change) for name, change in lies.items()}
    texts |= {name: make(files[CARD_NAME]) for name, make in TEXTS.items()}
    shutil.copytree(model_dir, tmp_path / "honest")
    many = settings_of_many(ServingSettings(ServingLimits()))
    registry = ModelRegistry(tmp_path, lambda folder: open_model(folder, many), budget=1 << 28)
    client = create_models_app(registry, limits=ServingLimits()).test_client()
    try:
        wish = {"model_name": "honest", "url": str(tmp_path / "honest")}
        assert client.post("/models", json=wish).status_code == 200
        folder = folder_of(tmp_path / "lie", files)
        for name, text in texts.items():
            (folder / CARD_NAME).write_bytes(text)
            reply = client.post("/models", json={"model_name": name[:50], "url": str(folder)})
            assert reply.status_code == 400, (name, reply.text)
            assert set(reply.get_json()) == {"error", "message", "hint"}
        assert client.post("/models/honest/invoke", json={"seeds": [1]}).status_code == 200
        assert len(client.get("/models").get_json()["models"]) == 1
    finally:
        registry.close(5)


TAKEN = """
import re, sys, time
from pathlib import Path
from facegan.artifact import load_artifact
from facegan.errors import ArtifactError
from facegan.synthesis import estimate_memory

assert estimate_memory(Path(sys.argv[1])).activations > 1 << 29
for folder in map(Path, sys.argv[2:]):
    for read in (estimate_memory, load_artifact):
        started = time.monotonic()
        try:
            read(folder)
        except ArtifactError as error:
            assert "\\n" not in str(error)
        else:
            sys.exit(f"{read} took {folder}")
        assert time.monotonic() - started < 3, (read, folder)
peak = int(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1]) >> 10
assert peak < 600, peak
"""

HUGE: dict[str, list[dict[str, Any]]] = {
    "dcgan": [{"settings": {"conv_dim": 1024, "self_modulation": True}},
              {"image_shape": [3, 4096, 4096], "settings": {"conv_dim": 1024}}],
    "r3gan": [{"settings": {"width": 8192, "expansion": 16, "blocks_per_stage": 64}},
              {"settings": {"width": 8192, "expansion": 16, "full_width_resolution": 4096},
               "image_shape": [3, 4096, 4096]},
              {"settings": {"width": 1, "blocks_per_stage": 64, "group_width": 1}}],
    "stylegan2": [{"settings": {"style_dim": 4096, "mapping_layers": 16}},
                  {"settings": {"max_channels": 2048, "channel_base": 131072},
                   "image_shape": [3, 4096, 4096]}],
}  # fmt: skip


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_false_values_within_the_limits_take_no_memory(tmp_path: Path) -> None:
    """The largest networks that cards may describe, over weights of a tiny one.

    Nor does what is true: 40 kB of weights that need a gigabyte are foreseen without drawing.
    """
    folders = [tmp_path / "true"]
    save_artifact(build_gan("r3gan", "tiny", (3, 4096, 4096), seed=0), folders[0])
    for family, changes in HUGE.items():
        for number, change in enumerate(changes):
            folders.append(tmp_path / f"{family}{number}")
            save_artifact(build_gan(family, "tiny", (3, 32, 32), seed=0), folders[-1])
            card = folders[-1] / CARD_NAME
            card.write_bytes(with_card(card.read_bytes(), change))
    done = subprocess.run(
        [sys.executable, "-c", TAKEN, *map(str, folders)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", ["generate", "evaluate"])
def test_on_the_command_line_an_invalid_model_is_one_sentence(
    files: Files, tmp_path: Path, images_dir: Path, command: str
) -> None:
    files[CARD_NAME] = with_card(files[CARD_NAME], {"latent_dim": 50_000_000})
    path = archive(tmp_path / "m.tar.gz", files)
    rest = {
        "generate": ["--seeds", "1", "--out", str(tmp_path / "a.png")],
        "evaluate": ["--data", str(images_dir), "--samples", "8"],
    }
    done = subprocess.run(
        [sys.executable, "-m", "facegan.cli", command, str(path), *rest[command]],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 6, done.stderr
    assert "latent_dim is 50000000" in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "a.png").exists()
