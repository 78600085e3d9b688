"""`facegan generate`: files of faces from a model file, and mistakes told in a sentence."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facegan.artifact import load_artifact
from facegan.cli.__main__ import facegan, run_safely
from facegan.cli.face_output import SUFFIXES
from facegan.cli.options import parse_seeds
from facegan.client import FaceClient, WSGITransport
from facegan.serving.http.app import create_app
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
    assert "3 images" in capsys.readouterr().out


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
def test_a_scale_enlarges_every_pixel_and_keeps_what_an_image_says(
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


# --- classes and styles -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--classes", "spotted"], "spotted,spotted,spotted"),
        (["--classes", "2"], "spotted,spotted,spotted"),
        (["--classes", "0, striped,2"], "plain,striped,spotted"),
    ],
)
def test_classes_go_by_name_or_number_one_for_all_or_one_a_face(
    words: list[str], message: str, conditional_dir: Path, tmp_path: Path
) -> None:
    """The image says which they were, and holds the faces of those classes."""
    out = tmp_path / "faces.png"
    assert generate(conditional_dir, "--seeds", "0-2", "--columns", 3, *words, "--out", out) == 0
    assert read_provenance(out.read_bytes())["facegan:classes"] == message
    model = Synthesizer(load_artifact(conditional_dir))
    expected = model.generate(seeds=[0, 1, 2], classes=message.split(","))
    (picture,) = decode_images(out.read_bytes(), PNG)
    assert all(np.array_equal(picture[:, 34 * k : 34 * k + 32], expected[k]) for k in range(3))


def test_without_classes_each_seed_names_its_own(conditional_dir: Path, tmp_path: Path) -> None:
    """And asking for those gives the same file."""
    chosen, asked = tmp_path / "chosen.png", tmp_path / "asked.png"
    assert generate(conditional_dir, "--seeds", "0-7", "--out", chosen) == 0
    classes = read_provenance(chosen.read_bytes())["facegan:classes"]
    assert len(set(classes.split(","))) > 1
    words = ["--seeds", "0-7", "--classes", classes, "--out", asked]
    assert generate(conditional_dir, *words) == 0
    assert chosen.read_bytes() == asked.read_bytes()


def test_a_walk_through_a_conditional_model_keeps_to_one_class(
    conditional_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Which, it must be told where its seeds name two."""
    out = tmp_path / "walk.npy"
    assert generate(conditional_dir, "--seeds", "0-7", "--interpolate", 2, "--out", out) == 10
    assert "of one class" in capsys.readouterr().err and not out.exists()
    words = ["--seeds", "0,1", "--interpolate", 2, "--out", out]
    assert generate(conditional_dir, *words, "--classes", "striped") == 0
    ends = Synthesizer(load_artifact(conditional_dir)).generate([0, 1], classes=["striped"])
    assert np.array_equal(np.load(tmp_path / "walk.npy")[::2], ends)


@pytest.mark.parametrize(
    ("words", "message"), [(["--classes", "stripes"], "Did you mean striped?"),
                        (["--classes", "7"], "from 0 to 2")])  # fmt: skip
def test_a_class_the_model_does_not_know_is_reported(
    words: list[str], message: str, conditional_dir: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert generate(conditional_dir, "--seeds", 1, *words, "--out", tmp_path / "a.png") == 10
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_table_mixes_each_seed_with_each_other(
    conditional_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Originals above and beside; a blank corner; what it is stands in the image."""
    out = tmp_path / "table.png"
    words = ["--seeds", "0-1", "--mix", "7,8,9", "--mix-layers", "2-4", "--truncation", 0.5]
    assert generate(conditional_dir, *words, "--classes", "plain", "--out", out) == 0
    (picture,) = decode_images(out.read_bytes(), PNG)
    assert picture.shape == (3 * 34 - 2, 4 * 34 - 2, 3)

    def cell(row: int, column: int) -> np.ndarray:
        return picture[34 * row : 34 * row + 32, 34 * column : 34 * column + 32]

    model = Synthesizer(load_artifact(conditional_dir))
    alone = model.generate([0, 1, 7, 8, 9], truncation_psi=0.5, classes=["plain"])
    mixed = model.mix([0, 1], [7, 8, 9], [2, 3, 4], 0.5, ["plain"])
    assert (cell(0, 0) == 255).all()
    for row in range(2):
        assert np.array_equal(cell(row + 1, 0), alone[row])
        for column in range(3):
            assert np.array_equal(cell(0, column + 1), alone[2 + column])
            assert np.array_equal(cell(row + 1, column + 1), mixed[row, column])
    said = read_provenance(out.read_bytes())
    assert "trainedAlgorithmicMedia" in said["XML:com.adobe.xmp"]
    assert said["facegan:seeds"] == "0,1" and said["facegan:truncation_psi"] == "0.5"
    assert said["facegan:mix_seeds"] == "7,8,9" and said["facegan:mix_layers"] == "2,3,4"
    assert said["facegan:classes"] == ",".join(["plain"] * 5)
    assert "2 images by 3" in capsys.readouterr().out


def test_a_table_can_be_enlarged(conditional_dir: Path, tmp_path: Path) -> None:
    """Every pixel of it."""
    for scale in (1, 3):
        words = ["--seeds", 0, "--mix", 7, "--scale", scale, "--out", tmp_path / f"{scale}.png"]
        assert generate(conditional_dir, *words) == 0
    one, three = (decode_images((tmp_path / f"{s}.png").read_bytes(), PNG)[0] for s in (1, 3))
    assert np.array_equal(one.repeat(3, axis=0).repeat(3, axis=1), three)


def test_a_family_without_styles_mixes_none(
    model_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A sentence, and no file."""
    assert generate(model_dir, "--seeds", 1, "--mix", 2, "--out", tmp_path / "a.png") == 10
    assert "'dcgan' has no styles to mix" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


# --- files --------------------------------------------------------------------------------------


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
    ("arguments", "message"),
    [
        (["--seeds", "3-1", "--out", "a.png"], "'3-1'"),
        (["--seeds", "x", "--out", "a.png"], "'x'"),
        (["--seeds", "4294967296", "--out", "a.png"], "4294967296"),
        (["--seeds", "0-4294967295", "--out", "a.png"], "more than"),
        (["--out", "a.png"], "--seeds 0-15"),
        (["--seeds", "1", "--out", "a.gif"], ".png, .jpg, .jpeg, .webp, .npy, .json, .jsonl, .zip"),
        (["--seeds", "1", "--out", "a.npy", "--columns", "2"], "--columns"),
        (["--seeds", "1", "--out", "a.png", "--columns", "0"], "--columns"),
        (["--seeds", "1", "--out", "a.npy", "--scale", "2"], "--scale"),
        (["--seeds", "1", "--out", "a.png", "--interpolate", "8"], "two or more"),
        (["--seeds", "1,2", "--out", "a.png", "--interpolate", "0"], "--interpolate"),
        (["--seeds", "1", "--out", "a.webp", "--frame-ms", "40"], "several images in a .webp"),
        (["--seeds", "1,2", "--out", "a.png", "--frame-ms", "40"], "--frame-ms"),
        (["--seeds", "1,2", "--out", "a.png", "--quality", "40"], "--quality"),
        (["--seeds", "1,2", "--out", "faces/", "--quality", "40"], "--quality"),
        (["--seeds", "1,2", "--out", "a.jpg", "--quality", "101"], "--quality"),
        (["--seeds", "1,2", "--out", "a.jpg", "--scale", "2"], "--scale"),
        (["--seeds", "1,2", "--out", "a.webp", "--scale", "2", "--quality", "9"], "--scale"),
        (["--seeds", "1,2", "--out", "a.zip", "--columns", "2"], "--columns"),
        (["--seeds", "1", "--out", "a.png", "--truncation", "3"], "--truncation"),
        (["--latents", "missing.npy", "--out", "a.png"], "missing.npy"),
        (["--seeds", "1", "--latents", "{npy}", "--out", "a.png"], "either"),
        (["--latents", __file__, "--out", "a.png"], "not a .npy"),
        (["--seeds", "1", "--out", __file__ + "/"], "is a file"),
        (["--seed", "1", "--out", "a.png"], "--seeds"),
        (["--seeds", "1-3", "--out", "a.png", "--classes", "a,b"], "names 2 for 3 images"),
        (["--seeds", "1", "--out", "a.png", "--classes", "a,,b"], "--classes"),
        (["--seeds", "1", "--out", "a.png", "--classes", ""], "--classes"),
        (
            ["--seeds", "1,2", "--interpolate", "2", "--out", "a.npy", "--classes", "a,b"],
            "of one class",
        ),
        (["--seeds", "1", "--out", "a.npy", "--mix", "2"], ".png"),
        (["--seeds", "1", "--out", "faces/", "--mix", "2"], ".png"),
        (["--seeds", "1", "--out", "a.webp", "--mix", "2"], ".png"),
        (["--seeds", "1", "--out", "a.png", "--mix", "x"], "--mix"),
        (["--seeds", "1", "--out", "a.png", "--mix", "2", "--columns", "2"], "--columns"),
        (["--seeds", "1,2", "--out", "a.png", "--mix", "2", "--interpolate", "2"], "--interpolate"),
        (["--latents", "{npy}", "--out", "a.png", "--mix", "2"], "--mix goes with --seeds"),
        (["--seeds", "1", "--out", "a.png", "--mix-layers", "2"], "--mix-layers goes with --mix"),
        (["--seeds", "0-99", "--out", "a.png", "--mix", "0-99"], "over 4096"),
        (["--seeds", "0-2", "--out", "a.png", "--mix", "5", "--classes", "a,b"], "for 4 images"),
    ],
)
def test_a_wrong_command_line_is_reported_before_the_model_is_loaded(
    arguments: list[str], message: str, model_dir: Path, tmp_path: Path, cache_home: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Exit code 2, the mistake by name, no file: and the model was not opened."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("facegan.cli.generate.open_model", lambda model: pytest.fail("opened"))
    cache_home.mkdir(exist_ok=True)
    np.save(npy := cache_home / "latents.npy", np.zeros((1, 16), np.float32))
    assert generate(model_dir, *(word.format(npy=npy) for word in arguments)) == 2
    error = capsys.readouterr().err
    assert message in " ".join(error.split()) and "Traceback" not in error
    assert not list(tmp_path.iterdir())


def test_a_missing_model_is_reported_by_name(
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
    message = capsys.readouterr().err
    assert "--truncation" in message and "truncation_psi" not in message
    assert not out.exists()


def test_a_folder_that_cannot_be_written_is_reported(
    model_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file stands where a folder is needed."""
    (tmp_path / "taken").write_text("")
    assert generate(model_dir, "--seeds", 1, "--out", tmp_path / "taken" / "a.png") == 4
    assert "cannot be written" in capsys.readouterr().err


def test_help_teaches_by_example(capsys: pytest.CaptureFixture[str]) -> None:
    """Every shape of output has an example."""
    assert generate("--help") == 0
    message = capsys.readouterr().out
    assert "--seeds 0-15 --out faces.png" in message and "--out faces/" in message
    assert "--classes long" in message and "--mix 7,8,9" in message
    assert "overwritten" in message


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
def test_what_is_not_a_seed(text: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(ValueError):
        parse_seeds(text)


def test_a_reply_in_json_is_plain_json(model_dir: Path, tmp_path: Path) -> None:
    """Another program reads the file without this package."""
    out = tmp_path / "faces.json"
    assert generate(model_dir, "--seeds", 3, "--out", out) == 0
    message = json.loads(out.read_text())
    assert message["images"][0]["seed"] == 3 and message["model"]["family"] == "dcgan"


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


# --- other formats ------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".webp", ".zip", ".jsonl"])
def test_every_other_format_holds_the_faces_and_says_that_they_are_generated(
    suffix: str, model_dir: Path, faces: np.ndarray, tmp_path: Path
) -> None:
    """Exact where the format is, nearly where it is not."""
    out = tmp_path / f"faces{suffix}"
    assert generate(model_dir, "--seeds", "0-2", "--out", out) == 0
    body = out.read_bytes()
    drawn = decode_images(body, SUFFIXES[suffix])
    if suffix in (".jpg", ".jpeg"):
        assert np.abs(drawn[0, :32, :32].astype(int) - faces[0]).mean() < 8
    else:
        assert np.array_equal(drawn, faces)
    if suffix in (".jpg", ".jpeg", ".webp"):
        assert read_provenance(body)["facegan:seeds"] == "0,1,2"


def test_a_webp_of_one_face_or_of_columns_stands_still(model_dir: Path, tmp_path: Path) -> None:
    """A grid, as the others are."""
    for words, shape in (
        (["--seeds", "0"], (1, 32, 32, 3)),
        (["--seeds", "0-2", "--columns", 3], (1, 32, 100, 3)),
    ):
        out = tmp_path / "a.webp"
        assert generate(model_dir, *words, "--out", out) == 0
        assert decode_images(out.read_bytes(), SUFFIXES[".webp"]).shape == shape


def test_an_enlarged_animation_keeps_its_times_and_what_it_says(
    model_dir: Path, tmp_path: Path
) -> None:
    """Every pixel larger, all else the same."""
    words = ["--seeds", "0,5", "--interpolate", 3, "--frame-ms", 40]
    for scale in (1, 2):
        out = tmp_path / f"{scale}.webp"
        assert generate(model_dir, *words, "--scale", scale, "--out", out) == 0
    small, large = ((tmp_path / f"{scale}.webp").read_bytes() for scale in (1, 2))
    frames = decode_images(small, SUFFIXES[".webp"])
    assert len(frames) == 4
    enlarged = frames.repeat(2, axis=1).repeat(2, axis=2)
    assert np.array_equal(decode_images(large, SUFFIXES[".webp"]), enlarged)
    assert read_provenance(large) == read_provenance(small)
    assert read_provenance(small)["facegan:interpolate"] == "3"
    with Image.open(tmp_path / "2.webp") as film:
        film.load()
        assert film.info["duration"] == 40


def test_a_seed_asked_for_twice_has_two_files(conditional_dir: Path, tmp_path: Path) -> None:
    """Of two classes they are two faces."""
    words = ["--seeds", "7,7", "--classes", "plain,spotted", "--out", f"{tmp_path}/faces/"]
    assert generate(conditional_dir, *words) == 0
    first, second = sorted((tmp_path / "faces").iterdir(), key=lambda path: len(path.name))
    assert (first.name, second.name) == ("seed0007.png", "seed0007-2.png")
    message = [read_provenance(path.read_bytes())["facegan:classes"] for path in (first, second)]
    assert message == ["plain", "spotted"]
