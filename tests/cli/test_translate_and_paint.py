"""`facegan generate` and `facegan invoke` with source images and label maps, and what they refuse.

The models are plain arithmetic (serving/source_models.py): a negative, and shades of grey by class.
"""

import hashlib
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import click
import numpy as np
import pytest
from PIL import Image
from serving.source_models import CYCLING, LABELLING, PAINTING, SIDE, TRANSLATING, arithmetic
from source_files import CLASSES, palette_map, photo, saved
from werkzeug.serving import make_server

from facegan.artifact import save_artifact
from facegan.cli.__main__ import facegan, run_safely
from facegan.gans import build_gan
from facegan.model_files import ModelCard
from facegan.serving.http.app import create_app
from facegan.synthesis import open_synthesizer
from facegan.wire import read_provenance

MAP = np.arange(SIDE * SIDE).reshape(SIDE, SIDE) // 64  # four classes
Run = Callable[..., int]


@pytest.fixture(scope="module")
def urls() -> Iterator[dict[str, str]]:
    """A server for each model, on loopback."""
    started = {}
    for name, card in (("translating", TRANSLATING), ("cycling", CYCLING),
                       ("painting", PAINTING), ("labelling", LABELLING)):  # fmt: skip
        server = make_server("127.0.0.1", 0, create_app(arithmetic(card)), threaded=True)
        Thread(target=server.serve_forever, daemon=True).start()
        started[name] = server
    yield {name: f"http://127.0.0.1:{server.server_port}" for name, server in started.items()}
    for server in started.values():
        server.shutdown()


CARDS: dict[str, ModelCard] = {
    "translating": TRANSLATING, "cycling": CYCLING, "painting": PAINTING, "labelling": LABELLING
}  # fmt: skip


@pytest.fixture(params=["generate", "invoke"])
def run(
    request: pytest.FixtureRequest,
    urls: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    model_dir: Path,
) -> Run:
    """Run the command with a model by name, and options."""
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")

    def run_command(model: str, *options: object) -> int:
        if request.param == "invoke":
            words: list[object] = ["invoke", "--endpoint-url", urls[model]]
        else:
            opened = arithmetic(CARDS[model])
            monkeypatch.setattr("facegan.cli.generate.open_model", lambda path: opened)
            words = ["generate", model_dir]
        return run_safely(facegan, [*map(str, words), *map(str, options)])

    return run_command


@pytest.fixture(autouse=True)
def sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a photo, a folder of photos, two label maps, and what is neither."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos" / "more").mkdir(parents=True)
    (tmp_path / "empty").mkdir()
    (tmp_path / "maps").mkdir()
    (tmp_path / "photo.jpg").write_bytes(saved(photo(40, 24), "JPEG"))
    photo(SIDE, SIDE).save("exact.png")
    photo(20, 30).save("photos/a.png")
    photo(30, 20).save("photos/more/b.webp")
    palette_map(MAP).save("map.png")
    palette_map(MAP).save("maps/first.png")
    palette_map(3 - MAP).save("maps/second.png")
    (tmp_path / "notes.txt").write_text("a list")
    (tmp_path / "cut.png").write_bytes(saved(photo())[:20])
    return tmp_path


def pixels_of(path: str | Path) -> Any:
    with Image.open(path) as image:
        return np.asarray(image)


def written(folder: Path, before: set[Path]) -> set[str]:
    return {str(path.relative_to(folder)) for path in set(folder.rglob("*")) - before}


def test_a_photo_becomes_an_image(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("translating", "--image", "exact.png", "--out", "night.png") == 0
    assert np.array_equal(pixels_of("night.png"), 255 - pixels_of("exact.png"))
    assert "night.png: 1 image." in capsys.readouterr().out


def test_it_says_what_it_was_made_of(run: Run) -> None:
    """The digest of the caller's own file, and that it is a composite."""
    assert run("translating", "--image", "photo.jpg", "--out", "night.png") == 0
    said = read_provenance(Path("night.png").read_bytes())
    assert said["facegan:source_sha256"] == digest("photo.jpg")
    assert "compositeWithTrainedAlgorithmicMedia" in said["XML:com.adobe.xmp"]
    assert "facegan:seeds" not in said
    assert run("painting", "--label-map", "map.png", "--seeds", 7, "--out", "face.png") == 0
    said = read_provenance(Path("face.png").read_bytes())
    assert said["facegan:seeds"] == "7" and said["facegan:source_sha256"] == digest("map.png")
    assert "/trainedAlgorithmicMedia" in said["XML:com.adobe.xmp"]


def digest(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def test_both_ways(run: Run) -> None:
    for direction in ("AtoB", "BtoA"):
        words = ("--image", "exact.png", "--direction", direction, "--out", f"{direction}.png")
        assert run("cycling", *words) == 0
        assert read_provenance(Path(words[-1]).read_bytes())["facegan:direction"] == direction
    assert run("cycling", "--image", "exact.png", "--out", "first.png") == 0
    assert np.array_equal(pixels_of("BtoA.png"), pixels_of("exact.png"))
    assert Path("first.png").read_bytes() == Path("AtoB.png").read_bytes()


def test_images_of_a_folder_keep_their_names(run: Run) -> None:
    """In its subfolders, too; each has the digest of its own file."""
    assert run("translating", "--image", "photos", "--out", "nights/") == 0
    found = {str(path) for path in Path("nights").rglob("*.*")}
    assert found == {"nights/a.png", "nights/more/b.png"}
    said = read_provenance(Path("nights/more/b.png").read_bytes())
    assert said["facegan:source_sha256"] == digest("photos/more/b.webp")
    assert pixels_of("nights/a.png").shape == (SIDE, SIDE, 3)


def test_several_images_become_one_file_by_its_suffix(run: Run) -> None:
    """A grid, an array, an archive: one request, as with seeds."""
    both = ("--image", "exact.png", "--image", "photo.jpg")
    assert run("translating", *both, "--columns", 2, "--out", "both.png") == 0
    assert pixels_of("both.png").shape == (SIDE, 2 * SIDE + 2, 3)
    assert run("translating", *both, "--out", "both.npy") == 0
    assert np.load("both.npy").shape == (2, SIDE, SIDE, 3)
    assert np.array_equal(np.load("both.npy")[0], 255 - pixels_of("exact.png"))


def test_one_photo_in_a_folder_keeps_its_name(run: Run) -> None:
    assert run("translating", "--image", "photo.jpg", "--scale", 2, "--out", "out/") == 0
    assert pixels_of("out/photo.png").shape == (2 * SIDE, 2 * SIDE, 3)


def test_a_label_map_is_painted_once_per_seed(run: Run) -> None:
    assert run("painting", "--label-map", "map.png", "--seeds", "0-7", "--out", "eight.npy") == 0
    made = np.load("eight.npy")
    assert made.shape == (8, SIDE, SIDE, 3)
    shades = np.unique((made - MAP[..., None] * 40).reshape(8, -1), axis=1)
    assert set(shades.ravel().tolist()) == {0, 16}  # some seeds are lighter, and no pixel differs
    assert run("painting", "--label-map", "map.png", "--seeds", "0-7", "--out", "out/") == 0
    names = {path.name for path in Path("out").iterdir()}
    assert names == {f"map-seed{seed:04d}.png" for seed in range(8)}
    assert np.array_equal(pixels_of("out/map-seed0003.png"), made[3])


def test_label_maps_of_a_folder_and_their_seeds(run: Run) -> None:
    """One seed for all, or one for each, in the order of their names."""
    assert run("painting", "--label-map", "maps", "--seeds", 5, "--out", "same/") == 0
    assert run("painting", "--label-map", "maps", "--seeds", "5,6", "--out", "pairs/") == 0
    assert {path.name for path in Path("pairs").iterdir()} == {"first.png", "second.png"}
    said = [read_provenance(Path(f"{at}/second.png").read_bytes()) for at in ("same", "pairs")]
    assert [it["facegan:seeds"] for it in said] == ["5", "6"]
    assert run("painting", "--label-map", "maps", "--seeds", "5,6", "--out", "pairs.npy") == 0
    assert np.array_equal(np.load("pairs.npy")[1], pixels_of("pairs/second.png"))


def test_a_style_takes_the_place_of_a_seed(run: Run) -> None:
    words = ("--label-map", "map.png", "--style", "exact.png", "--out")
    assert run("painting", *words, "styled.png") == 0
    first = pixels_of("exact.png")[0, 0]
    assert np.array_equal(pixels_of("styled.png"), (MAP * 40).astype(np.uint8)[..., None] + first)
    said = read_provenance(Path("styled.png").read_bytes())
    assert said["facegan:style_sha256"] == digest("exact.png")


def test_without_a_seed_a_label_map_is_painted_with_the_first(run: Run) -> None:
    assert run("painting", "--label-map", "map.png", "--out", "a.png") == 0
    assert run("painting", "--label-map", "map.png", "--seeds", 0, "--out", "b.png") == 0
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes()


def test_both_commands_write_the_same_bytes(
    urls: dict[str, str], model_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = arithmetic(PAINTING)
    monkeypatch.setattr("facegan.cli.generate.open_model", lambda path: opened)
    words = ["--label-map", "map.png", "--seeds", "0-3", "--out"]
    for suffix in ("png", "npy", "json", "zip", "webp", "jpg", "jsonl"):
        assert run_safely(facegan, ["generate", str(model_dir), *words, f"a.{suffix}"]) == 0
        url = urls["painting"]
        assert run_safely(facegan, ["invoke", "--endpoint-url", url, *words, f"b.{suffix}"]) == 0
        assert Path(f"a.{suffix}").read_bytes() == Path(f"b.{suffix}").read_bytes(), suffix


def test_both_commands_have_one_list_of_options() -> None:
    flags = []
    for name in ("generate", "invoke"):
        command = facegan.get_command(click.Context(facegan), name)
        assert command is not None
        flags.append({flag for option in command.params for flag in option.opts})
    assert {"--image", "--label-map", "--style", "--direction", "--seeds"} <= flags[0]
    assert flags[0] - {"model"} <= flags[1]


# Model, options, and the sentence that refuses them. None of them writes a file.
CONTRADICTIONS = [
    ("--image photo.jpg --label-map map.png", "either --image or --label-map"),
    ("--image photo.jpg --style photo.jpg", "--style goes with --label-map"),
    ("--style photo.jpg", "--style goes with --label-map"),
    ("--style photo.jpg --seeds 1", "--style goes with --label-map"),
    ("--label-map map.png --style photo.jpg --seeds 1", "--style takes the place of --seeds"),
    ("--label-map map.png --direction AtoB", "--direction goes with --image"),
    ("--seeds 1 --direction AtoB", "--direction goes with --image"),
    ("--label-map map.png --seeds 1 --mix 2", "--mix does not go with --label-map"),
    ("--image nowhere.jpg", "--image nowhere.jpg does not exist"),
    ("--image phto.jpg", "Did you mean photo.jpg?"),
    ("--image empty", "--image empty is an empty folder, not an image"),
    ("--image notes.txt", "--image notes.txt is a text file, not an image"),
    ("--image cut.png", "--image cut.png is not a readable PNG, JPEG or WebP"),
    ("--label-map photo.jpg", "--label-map photo.jpg is a JPEG, whose compression changes class"),
    ("--label-map maps --seeds 0-2", "2 --label-map and 3 seeds cannot be paired"),
    ("--image photo.jpg --columns 2 --out out/", "--columns only applies"),
    ("--label-map maps --seeds 0-2 --out out/", "3 seeds for 2 images of --label-map"),
    ("--label-map map.png --seeds 1 --interpolate 4", "--interpolate needs two or more"),
    ("--image exact.png --out exact.png", "would overwrite the source exact.png"),
    ("--image photos --out photos", "would overwrite the source photos/a.png"),
    ("--image photo.jpg --image photos/../photo.jpg --out out/", "both be written to out/photo.p"),
]


@pytest.mark.parametrize(("words", "sentence"), CONTRADICTIONS)
def test_what_contradicts_itself_is_refused_by_the_flags_that_were_typed(
    run: Run, words: str, sentence: str, sources: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = set(sources.rglob("*"))
    out = [] if "--out" in words else ["--out", "out.png"]
    assert run("painting", *words.split(), *out) in (2, 10)
    message = capsys.readouterr().err
    assert sentence in message and "Traceback" not in message
    assert not written(sources, before)


# What only the model knows: said by `generate` by the flags, by `invoke` as the server says it.
NOT_TAKEN = [
    ("translating", "--seeds 1", "--seeds alone: this model translates images", "no images"),
    (
        "painting",
        "--seeds 1",
        "--seeds alone: this model paints",
        "has no --label-map",
    ),
    ("painting", "--image photo.jpg", "--image: this model paints label maps", "paints label maps"),
    ("translating", "--label-map map.png", "--label-map: this model translates images", "images"),
    ("translating", "--image photo.jpg --seeds 1", "--seeds: this model translates", "no latents"),
    ("labelling", "--label-map map.png --seeds 1", "--seeds: this model paints", "no latents"),
    ("labelling", "--label-map map.png --style photo.jpg", "no style encoder", "style encoder"),
    ("translating", "--image photo.jpg --direction BtoA", "--direction BtoA", "both ways"),
    ("painting", "--label-map bad.png", "has the class 9 at row 0", "has the class 9 at row 0"),
]


@pytest.mark.parametrize(("model", "words", "by_flag", "by_server"), NOT_TAKEN)
@pytest.mark.parametrize("out", ["out.png", "out/"])
def test_what_a_model_does_not_take_is_refused(
    run: Run, model: str, words: str, by_flag: str, by_server: str, out: str, sources: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    Image.fromarray(np.full((SIDE, SIDE), 9, np.uint8)).save("bad.png")
    before = set(sources.rglob("*"))
    code = run(model, *words.split(), "--out", out)
    message = capsys.readouterr().err
    assert code in (8, 10), message
    assert (by_flag if code == 10 else by_server) in message and "Traceback" not in message
    assert not written(sources, before)


def test_one_bad_image_of_a_folder_is_named_and_nothing_is_written(
    run: Run, sources: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("photos/z.jpg").write_bytes(Path("photo.jpg").read_bytes()[:300])
    before = set(sources.rglob("*"))
    assert run("translating", "--image", "photos", "--out", "nights/") in (8, 10)
    assert "photos/z.jpg" in capsys.readouterr().err
    assert not written(sources, before)


def test_a_stream_keeps_the_files_before_a_bad_one(
    urls: dict[str, str], sources: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("photos/z.jpg").write_bytes(Path("photo.jpg").read_bytes()[:300])
    words = ["invoke", "--endpoint-url", urls["translating"], "--image", "photos", "--stream"]
    assert run_safely(facegan, [*words, "--out", "nights/"]) in (8, 10)
    message = capsys.readouterr()
    assert "nights/a.png" in message.out and "photos/z.jpg" in message.err
    assert {str(path) for path in Path("nights").rglob("*.png")} == {
        "nights/a.png", "nights/more/b.png"
    }  # fmt: skip


def test_two_sources_are_never_written_to_one_file(
    run: Run, sources: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo().save("photos/a.webp")
    before = set(sources.rglob("*"))
    assert run("translating", "--image", "photos", "--out", "nights/") == 2
    assert "photos/a.png and photos/a.webp would both be written" in capsys.readouterr().err
    assert not written(sources, before)


def test_a_photo_lies_upright(run: Run) -> None:
    """Orientation 6 of EXIF, as phones write it."""
    exif = Image.Exif()
    exif[0x0112] = 6
    lying = io.BytesIO()
    photo(SIDE, SIDE).save(lying, "PNG", exif=exif)
    Path("lying.png").write_bytes(lying.getvalue())
    assert run("translating", "--image", "lying.png", "--out", "upright.png") == 0
    upright = np.asarray(photo(SIDE, SIDE).transpose(Image.Transpose.ROTATE_270))
    assert np.array_equal(pixels_of("upright.png"), 255 - upright)


@pytest.mark.parametrize(
    ("family", "preset", "options"),
    [
        ("pix2pix", "tiny", "--image exact.png"),
        ("pix2pix", "tiny-maps", "--label-map map.png"),
        ("cyclegan", "tiny", "--image exact.png --direction BtoA"),
        ("spade", "tiny", "--label-map map.png --seeds 0-2"),
        ("spade", "tiny", "--label-map map.png --style exact.png"),
        ("spade", "tiny", "--label-map map.png --seeds 3,8 --interpolate 4"),
    ],
)
def test_each_family_generates_what_it_serves(
    family: str, preset: str, options: str, tmp_path: Path
) -> None:
    """From a model's file, as a server of it: the same bytes."""
    gan = build_gan(family, preset, (3, 32, 32), seed=0, map_classes=dict(CLASSES))
    save_artifact(gan, tmp_path / "model")
    words = [*options.split(), "--out"]
    assert run_safely(facegan, ["generate", "model", *words, "here.json"]) == 0
    server = make_server("127.0.0.1", 0, create_app(open_synthesizer(tmp_path / "model")))
    Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    assert run_safely(facegan, ["invoke", "--endpoint-url", url, *words, "there.json"]) == 0
    server.shutdown()
    assert Path("here.json").read_bytes() == Path("there.json").read_bytes()
