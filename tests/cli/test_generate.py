"""`facegan generate`: files of faces from a model file, and mistakes told in a sentence."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facegan.artifact import load_artifact
from facegan.cli.__main__ import facegan, run_safely
from facegan.cli.options import SUFFIXES, parse_seeds
from facegan.client import FaceClient, WSGITransport
from facegan.serving.app import create_app
from facegan.synthesis import Synthesizer
from facegan.wire import JSON, NPY, PNG, GenerateRequest, decode_images, read_provenance


def generate(*arguments: object) -> int:
    return run_safely(facegan, ["generate", *map(str, arguments)])


@pytest.fixture(scope="module")
def faces(model_dir: Path) -> np.ndarray:
    """The faces of seeds 0, 1 and 2, drawn without the command."""
    return Synthesizer(load_artifact(model_dir)).generate(seeds=[0, 1, 2])


@pytest.mark.parametrize("model", [".", "model.tar.gz"])
def test_a_png_is_a_grid(
    model: str,
    model_dir: Path,
    faces: np.ndarray,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Three faces of 32 pixels side by side, from the folder and from the archive."""
    out = tmp_path / "faces.png"
    assert generate(model_dir / model, "--seeds", "0-2", "--columns", 3, "--out", out) == 0
    (picture,) = decode_images(out.read_bytes(), PNG)
    assert picture.shape == (32, 3 * 32 + 2 * 2, 3)
    assert np.array_equal(picture[:, 34:66], faces[1])
    assert read_provenance(out.read_bytes())["facegan:seeds"] == "0,1,2"
    assert "3 faces" in capsys.readouterr().out


@pytest.mark.parametrize(("suffix", "content_type"), [(".npy", NPY), (".json", JSON)])
def test_other_suffixes_hold_every_pixel(
    suffix: str, content_type: str, model_dir: Path, faces: np.ndarray, tmp_path: Path
) -> None:
    """The suffix names the format."""
    out = tmp_path / f"faces{suffix}"
    assert generate(model_dir, "--seeds", "0-2", "--out", out) == 0
    assert np.array_equal(decode_images(out.read_bytes(), content_type), faces)


@pytest.mark.parametrize("folder", ["faces", "faces/"])
def test_a_folder_holds_one_png_a_seed(
    folder: str, model_dir: Path, faces: np.ndarray, tmp_path: Path
) -> None:
    """Named by their seeds, each with its own provenance."""
    assert generate(model_dir, "--seeds", "0,2", "--out", f"{tmp_path}/{folder}") == 0
    found = sorted((tmp_path / "faces").iterdir())
    assert [path.name for path in found] == ["seed0000.png", "seed0002.png"]
    with Image.open(found[1]) as picture:
        assert np.array_equal(np.asarray(picture), faces[2])
    assert read_provenance(found[1].read_bytes())["facegan:seeds"] == "2"


@pytest.mark.parametrize("out", ["faces.png", "faces/"])
def test_a_scale_enlarges_every_pixel_and_keeps_what_a_picture_says(
    out: str, model_dir: Path, faces: np.ndarray, tmp_path: Path
) -> None:
    """Nearest pixels, the same metadata."""
    assert generate(model_dir, "--seeds", "1", "--scale", 3, "--out", f"{tmp_path}/{out}") == 0
    (file,) = tmp_path.rglob("*.png")
    (picture,) = decode_images(file.read_bytes(), PNG)
    assert np.array_equal(picture, faces[1].repeat(3, axis=0).repeat(3, axis=1))
    said = read_provenance(file.read_bytes())
    assert said["facegan:seeds"] == "1"
    assert "trainedAlgorithmicMedia" in said["XML:com.adobe.xmp"]


def test_a_walk_meets_its_seeds_and_passes_between_them(model_dir: Path, tmp_path: Path) -> None:
    """Two steps from each seed to the next: first, between, second, between, third."""
    walked, seeds = tmp_path / "walk.npy", tmp_path / "seeds.npy"
    assert generate(model_dir, "--seeds", "0-2", "--interpolate", 2, "--out", walked) == 0
    assert generate(model_dir, "--seeds", "0-2", "--out", seeds) == 0
    frames, stations = np.load(walked), np.load(seeds)
    assert len(frames) == 5
    assert np.array_equal(frames[::2], stations)
    assert not any(np.array_equal(frame, face) for frame in frames[1::2] for face in stations)


def test_an_animation_has_every_frame_and_says_that_it_is_generated(
    model_dir: Path, tmp_path: Path
) -> None:
    out = tmp_path / "walk.webp"
    words = ["--seeds", "0,5", "--interpolate", 4, "--scale", 2, "--out", out]
    assert generate(model_dir, *words) == 0
    with Image.open(out) as film:
        assert (film.n_frames, film.size) == (5, (64, 64))
        assert b"trainedAlgorithmicMedia" in film.info["xmp"]
        first = np.asarray(film.convert("RGB"))
    alone = Synthesizer(load_artifact(model_dir)).generate(seeds=[0])[0]
    assert np.array_equal(first, alone.repeat(2, axis=0).repeat(2, axis=1))
    assert [path.name for path in tmp_path.iterdir()] == ["walk.webp"]


def test_latents_draw_one_face_a_row(model_dir: Path, tmp_path: Path) -> None:
    """A file of latents, instead of seeds."""
    width = load_artifact(model_dir).card.latent_dim
    latents = np.random.default_rng(0).normal(size=(2, width)).astype(np.float32)
    np.save(tmp_path / "z.npy", latents)
    out = tmp_path / "faces.npy"
    assert generate(model_dir, "--latents", tmp_path / "z.npy", "--out", out) == 0
    expected = Synthesizer(load_artifact(model_dir)).generate(latents=latents)
    assert np.array_equal(np.load(out), expected)


def test_the_same_command_writes_the_same_bytes_over_the_old_file(
    model_dir: Path, tmp_path: Path
) -> None:
    """An existing file is replaced, and nothing else is left in the folder."""
    out = tmp_path / "faces.png"
    out.write_bytes(b"old")
    assert generate(model_dir, "--seeds", 7, "--out", out) == 0
    first = out.read_bytes()
    assert generate(model_dir, "--seeds", 7, "--out", out) == 0
    assert out.read_bytes() == first != b"old"
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--seeds", "3-1", "--out", "a.png"], "'3-1'"),
        (["--seeds", "x", "--out", "a.png"], "'x'"),
        (["--seeds", "4294967296", "--out", "a.png"], "4294967296"),
        (["--seeds", "0-4294967295", "--out", "a.png"], "more than"),
        (["--out", "a.png"], "--seeds 0-15"),
        (["--seeds", "1", "--out", "a.jpg"], ".png, .npy, .json"),
        (["--seeds", "1"], "--out"),
        (["--seeds", "1", "--out", "a.npy", "--columns", "2"], "--columns"),
        (["--seeds", "1", "--out", "a.png", "--columns", "0"], "--columns"),
        (["--seeds", "1", "--out", "a.npy", "--scale", "2"], "--scale"),
        (["--seeds", "1", "--out", "a.png", "--interpolate", "8"], "two or more"),
        (["--seeds", "1,2", "--out", "a.png", "--interpolate", "0"], "--interpolate"),
        (["--seeds", "1", "--out", "a.webp"], "two or more"),
        (["--seeds", "1", "--out", "a.png", "--truncation", "3"], "--truncation"),
        (["--latents", "missing.npy", "--out", "a.png"], "missing.npy"),
        (["--seeds", "1", "--latents", __file__, "--out", "a.png"], "either"),
        (["--latents", __file__, "--out", "a.png"], "no .npy"),
        (["--seeds", "1", "--out", __file__ + "/"], "is a file"),
        (["--seed", "1", "--out", "a.png"], "--seeds"),
    ],
)
def test_a_wrong_command_line_is_told_before_the_model_is_loaded(
    arguments: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Exit code 2, the mistake by name, no file: although the model does not even exist."""
    monkeypatch.chdir(tmp_path)
    assert generate("no_such_model", *arguments) == 2
    error = capsys.readouterr().err
    assert told in " ".join(error.split()) and "Traceback" not in error
    assert not list(tmp_path.iterdir())


def test_a_missing_model_is_told_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 6, an ArtifactError, with what a model is."""
    assert generate(tmp_path / "none.tar.gz", "--seeds", 1, "--out", tmp_path / "a.png") == 6
    error = capsys.readouterr().err
    assert "none.tar.gz" in error and "model.tar.gz" in error


def test_a_truncation_the_family_has_not_is_refused(
    model_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """DCGAN has no truncation; it is told, not ignored, and no file is made."""
    out = tmp_path / "a.png"
    assert generate(model_dir, "--seeds", 1, "--truncation", 0.5, "--out", out) == 10
    assert "truncation" in capsys.readouterr().err
    assert not out.exists()


def test_a_folder_that_cannot_be_written_is_told(
    model_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file stands where a folder is needed."""
    (tmp_path / "taken").write_text("")
    assert generate(model_dir, "--seeds", 1, "--out", tmp_path / "taken" / "a.png") == 1
    assert "cannot be written" in capsys.readouterr().err


def test_help_teaches_by_example(capsys: pytest.CaptureFixture[str]) -> None:
    """Every shape of output has an example."""
    assert generate("--help") == 0
    told = capsys.readouterr().out
    assert "--seeds 0-15 --out faces.png" in told and "--out faces/" in told
    assert "overwritten" in told


@pytest.mark.parametrize(
    ("text", "seeds"),
    [
        ("7", [7]),
        ("0-3", [0, 1, 2, 3]),
        ("1,5,9", [1, 5, 9]),
        ("0-2, 8", [0, 1, 2, 8]),
        ("5-5,1", [5, 1]),
        ("4294967295", [4294967295]),
    ],
)
def test_seeds_as_people_write_them(text: str, seeds: list[int]) -> None:
    """In the order they are written."""
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize("text", ["", ",", "1,", "-1", "1-", "1.5", "0x1", "²", "1 2", "1--2"])
def test_what_is_no_seed(text: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(ValueError):
        parse_seeds(text)


def test_a_reply_in_json_is_plain_json(model_dir: Path, tmp_path: Path) -> None:
    """Another program reads the file without this package."""
    out = tmp_path / "faces.json"
    assert generate(model_dir, "--seeds", 3, "--out", out) == 0
    told = json.loads(out.read_text())
    assert told["images"][0]["seed"] == 3 and told["model"]["family"] == "dcgan"


@pytest.mark.parametrize("suffix", [".png", ".json", ".npy"])
def test_a_server_of_the_model_answers_the_same_bytes(
    suffix: str, model_dir: Path, tmp_path: Path
) -> None:
    """What is drawn here can be compared with what an endpoint draws, by digest."""
    out = tmp_path / f"faces{suffix}"
    assert generate(model_dir, "--seeds", "0-4", "--out", out) == 0
    app = create_app(Synthesizer(load_artifact(model_dir)))
    client = FaceClient(WSGITransport(app))
    asked = GenerateRequest(seeds=[0, 1, 2, 3, 4])
    assert client.invoke(asked, SUFFIXES[suffix]) == out.read_bytes()
