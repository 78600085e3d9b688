"""Toy faces: the same bytes however they are drawn, labels that tell the truth, all or nothing."""

import errno
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from facegan.data import ImageFolderDataset
from facegan.data.toy_faces import FACTORS, LABELS, draw_faces, write_toy_faces
from facegan.data.toy_faces import write as writing
from facegan.data.toy_faces.canvas import LABEL_INDEX, Canvas
from facegan.data.toy_faces.factors import labels_of_faces
from facegan.data.toy_faces.random_draw import stream_seed
from facegan.data.toy_faces.random_face import draw_parameters
from facegan.data.toy_faces.render import (
    blank_canvas,
    chunk_size,
    most_common_label,
    paint_faces,
)
from facegan.data.toy_faces.variants import PENCIL
from facegan.errors import ConfigError, DatasetError, OutputError

FACES, SOME = 200, 60


@pytest.fixture(scope="module")
def faces() -> tuple[Tensor, Tensor]:
    return draw_faces(0, FACES, 32)


class SharesCanvas(Canvas):
    """A canvas whose image has one channel a class: how much of each pixel that class shows."""

    def paint(self, alpha: Tensor, colour: Tensor, label: str | None = None) -> None:
        if label is not None:
            one_hot = torch.zeros(1, len(LABELS), 1, 1)
            one_hot[0, LABEL_INDEX[label]] = 1
            super().paint(alpha, one_hot, label)


class TintsCanvas(Canvas):
    """A canvas that remembers how thick the thickest of its nameless tints was."""

    thickest = 0.0

    def paint(self, alpha: Tensor, colour: Tensor, label: str | None = None) -> None:
        if label is None:
            TintsCanvas.thickest = max(TintsCanvas.thickest, float(alpha.max()))


class WholeCanvas(Canvas):
    """A canvas whose windows are all of it."""

    def window(self, left: float, top: float, right: float, bottom: float) -> "WholeCanvas":
        return self


def canvas_of(kind: type[Canvas], face, side: int) -> Canvas:
    return kind(**vars(blank_canvas(face, side)))


def shares_of_classes(face, side: int) -> tuple[Tensor, Tensor]:
    """(N, 14, R, R) share of each class in each pixel, and (N, R, R) labels, by the renderer."""
    canvas = canvas_of(SharesCanvas, face, side)
    canvas.image = torch.zeros(len(canvas.labels), len(LABELS), side, side)
    paint_faces(canvas, face)
    return torch.nn.functional.avg_pool2d(canvas.image, 2), most_common_label(canvas.labels)


@given(first=st.integers(0, 90), count=st.integers(1, 40))
@settings(max_examples=15, deadline=None)
def test_a_face_is_the_same_bytes_whichever_faces_it_is_drawn_with(first: int, count: int) -> None:
    """Any range of a data set equals the same range cut out of a larger one."""
    images, labels = draw_faces(0, 130, 8, seed=5)
    some_images, some_labels = draw_faces(first, count, 8, seed=5)
    assert torch.equal(some_images, images[first : first + count])
    assert torch.equal(some_labels, labels[first : first + count])


@pytest.mark.parametrize("resolution", [33, 64])
def test_chunks_at_other_resolutions_join_seamlessly(resolution: int) -> None:
    """A range across a chunk's end equals one face at a time."""
    size = chunk_size(resolution)
    together, _ = draw_faces(size - 2, 4, resolution, seed=1)
    alone = [draw_faces(k, 1, resolution, seed=1)[0] for k in range(size - 2, size + 2)]
    assert torch.equal(together, torch.cat(alone))


def test_the_number_of_threads_changes_nothing() -> None:
    """One thread or two: the same bytes, and the caller's setting is left alone."""
    drawn = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        drawn.append(draw_faces(0, 8, 64)[0])
        assert torch.get_num_threads() == threads
    assert torch.equal(*drawn)


def test_no_two_images_share_a_stream() -> None:
    """The generators' 32-bit seeds do not repeat within a data set, nor among small seeds."""
    of_one = {stream_seed(0, index) for index in range(200_000)}
    assert len(of_one) == 200_000
    of_many = {stream_seed(seed, index) for seed in range(20) for index in range(2_000)}
    assert len(of_many) == 40_000


def test_another_seed_draws_other_faces(faces: tuple[Tensor, Tensor]) -> None:
    """No face of seed 1 is among those of seed 0, and none of these occurs twice."""
    others, _ = draw_faces(0, FACES, 32, seed=1)
    every = torch.cat([faces[0], others]).flatten(1)
    assert len(every.unique(dim=0)) == 2 * FACES


def test_shapes_types_and_range(faces: tuple[Tensor, Tensor]) -> None:
    """Images are uint8 N×3×R×R and use the range; labels are uint8 N×R×R and stay in LABELS."""
    images, labels = faces
    assert images.shape == (FACES, 3, 32, 32) and images.dtype == torch.uint8
    assert labels.shape == (FACES, 32, 32) and labels.dtype == torch.uint8
    assert images.min() < 30 and images.max() > 240
    assert labels.max() < len(LABELS)


@pytest.mark.parametrize("resolution", [32, 64])
def test_every_class_occurs(resolution: int) -> None:
    """All 14 classes are on show among 200 faces."""
    _, labels = draw_faces(0, FACES, resolution)
    assert labels.unique().tolist() == list(range(len(LABELS)))


def test_a_label_names_what_shows_most_of_at_its_pixel() -> None:
    """Painting shares of classes instead of colours, the label's share is the largest.

    This is the renderer's own compositing, with 14 channels for 3. Where a class fills more than
    three quarters of a pixel, three of its four samples are of that class and win; between half
    and that they may tie with another. The few exceptions are coats of one part that add up.
    """
    shares, labels = shares_of_classes(draw_parameters(0, SOME, 0), 64)
    assert torch.allclose(shares.sum(1), torch.ones(()), atol=1e-4)
    own = shares.gather(1, labels.long().unsqueeze(1)).squeeze(1)
    largest = shares.amax(1)
    clear = largest > 0.76
    assert clear.float().mean() > 0.85
    assert (own == largest)[clear].float().mean() > 0.9999
    assert (own == largest)[largest > 0.9].all()
    assert (own == largest).float().mean() > 0.96
    assert (own > 0.25).float().mean() > 0.997


def test_what_has_no_name_is_only_a_tint() -> None:
    """Blush, shadows and glints stay thinner than half: beneath them the label holds."""
    TintsCanvas.thickest = 0.0
    face = draw_parameters(0, FACES, 0)
    paint_faces(canvas_of(TintsCanvas, face, 32), face)
    assert 0 < TintsCanvas.thickest < 0.5


def test_a_clear_lens_keeps_the_label_of_what_is_behind_it_and_a_dark_one_does_not() -> None:
    """Through clear glasses irises are seen and labelled; behind dark ones none is."""
    face = draw_parameters(0, SOME, 0)
    counts = {}
    for name, worn, tint in [("none", 0.0, 0.1), ("clear", 1.0, 0.1), ("dark", 1.0, 0.95)]:
        worn_by_all = torch.full_like(face.glasses.worn, worn)
        glasses = replace(face.glasses, worn=worn_by_all, tint=torch.full_like(worn_by_all, tint))
        canvas = blank_canvas(face, 64)
        paint_faces(canvas, replace(face, glasses=glasses))
        counts[name] = {part: int((canvas.labels == LABEL_INDEX[part]).sum()) for part in LABELS}
    assert counts["clear"]["iris"] > 0.9 * counts["none"]["iris"] > 0
    assert counts["dark"]["iris"] == 0
    assert counts["none"]["glasses"] == 0
    assert counts["dark"]["glasses"] > 2 * counts["clear"]["glasses"] > 0


def test_stubble_keeps_the_label_skin_and_a_full_beard_is_a_beard() -> None:
    """A beard at a third of its opacity shows the skin, and is called so."""
    face = draw_parameters(0, 32, 0)
    for opacity, bearded in [(0.3, False), (0.95, True)]:
        beard = replace(face.beard, full=torch.full_like(face.beard.full, opacity))
        beard = replace(beard, goatee=0 * beard.full, moustache=0 * beard.full)
        canvas = blank_canvas(face, 64)
        paint_faces(canvas, replace(face, beard=beard))
        assert bool((canvas.labels == LABEL_INDEX["beard"]).any()) is bearded


def test_pixels_called_hair_have_the_hairs_colour() -> None:
    """With every hair of a green that nothing else has, green and the label hair coincide."""
    face = draw_parameters(0, SOME, 0)
    green = torch.tensor([0.1, 0.8, 0.1]).view(1, 3, 1, 1).expand_as(face.hair.colour)
    grey = torch.full_like(green, 0.5)
    scene = replace(face.scene, first=grey, second=grey, cloth=grey, trim=grey)
    eyes = replace(face.eyes, iris=grey)
    bare = replace(face.glasses, worn=0 * face.glasses.worn)
    beard = replace(face.beard, colour=grey)
    canvas = blank_canvas(face, 64)
    hair = replace(face.hair, colour=green)
    paint_faces(canvas, replace(face, hair=hair, scene=scene, eyes=eyes, glasses=bare, beard=beard))
    red, level, blue = canvas.image.unbind(1)
    greenness = level / torch.maximum(red, blue)
    hair_label = canvas.labels == LABEL_INDEX["hair"]
    ink = (canvas.labels == LABEL_INDEX["brow"]) | (canvas.labels == LABEL_INDEX["eye"])
    assert (greenness > 1.5)[hair_label].float().mean() > 0.99
    assert (hair_label | ink)[greenness > 2.5].float().mean() > 0.99


def test_windows_cut_nothing_off() -> None:
    """Painting each part on the whole frame gives the same images."""
    face = draw_parameters(0, FACES, 3)
    cut, whole = blank_canvas(face, 48), canvas_of(WholeCanvas, face, 48)
    paint_faces(cut, face)
    paint_faces(whole, face)
    assert (cut.image - whole.image).abs().max() < 0.01
    assert (cut.labels == whole.labels).float().mean() > 0.9999


def test_faces_are_centred_and_of_a_size(faces: tuple[Tensor, Tensor]) -> None:
    """A small GAN learns what stays put: the nose is near the middle, the face fills the frame."""
    _, labels = faces
    axis = torch.linspace(-1, 1, 32)
    nose = (labels == LABEL_INDEX["nose"]).float()
    seen = nose.sum((1, 2)) > 0
    across = (nose * axis).sum((1, 2))[seen] / nose.sum((1, 2))[seen]
    down = (nose * axis.view(-1, 1)).sum((1, 2))[seen] / nose.sum((1, 2))[seen]
    assert seen.float().mean() > 0.95
    assert across.abs().max() < 0.35 and (down - 0.2).abs().max() < 0.25
    filled = (labels != LABEL_INDEX["background"]).float().mean((1, 2))
    assert filled.min() > 0.25 and filled.max() < 0.90


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"images": 0}, "images is 0"),
        ({"resolution": 7}, "resolution is 7.* 8 to 1024"),
        ({"resolution": 1025}, "resolution is 1025.* 8 to 1024"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": 2**63}, "seed is 9223372036854775808"),
        ({"workers": 0}, "workers is 0"),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(
    tmp_path: Path, changed: dict[str, int], named: str
) -> None:
    """The error names the value and its range, before anything is made."""
    with pytest.raises(ConfigError, match=named):
        write_toy_faces(**{"out": tmp_path / "toy", "images": 4, "resolution": 8, **changed})
    assert list(tmp_path.iterdir()) == []


def test_a_negative_first_is_refused() -> None:
    """Images are counted from 0."""
    with pytest.raises(ConfigError, match="first is -1"):
        draw_faces(-1, 1, 8)


def test_a_written_data_set_is_what_was_drawn(tmp_path: Path) -> None:
    """PNG files hold draw_faces' bytes, a thousand to a folder; dataset.json says what they are."""
    out = tmp_path / "deep" / "toy"
    assert write_toy_faces(out, 1001, 8, seed=4, label_maps=True, workers=1)
    images, labels = draw_faces(0, 1001, 8, seed=4)
    for index in (0, 999, 1000):
        name = f"{index // 1000:05d}/{index:09d}.png"
        with (
            Image.open(out / "images" / name) as picture,
            Image.open(out / "labels" / name) as map_,
        ):
            assert picture.mode == "RGB" and map_.mode == "P"
            assert np.array_equal(np.asarray(picture), images[index].permute(1, 2, 0).numpy())
            assert np.array_equal(np.asarray(map_), labels[index].numpy())
            assert picture.info["Source"] == f"facegan toy faces, synthetic, seed 4, image {index}"
    assert len(list(out.rglob("*.png"))) == 2002
    assert json.loads((out / "dataset.json").read_text()) == {
        "format": "facegan-dataset",
        "version": 1,
        "name": "toy-faces",
        "synthetic": True,
        "description": "Synthetic cartoon faces drawn by facegan's own renderer; "
        "no photo of a person.",
        "images": 1001,
        "resolution": 8,
        "seed": 4,
        "renderer_version": 1,
        "images_folder": "images",
        "labels_folder": "labels",
        "label_names": list(LABELS),
    }


def test_without_label_maps_there_are_none(tmp_path: Path) -> None:
    """No labels folder, and null for it in dataset.json."""
    write_toy_faces(tmp_path / "toy", 3, 8, workers=1)
    card = json.loads((tmp_path / "toy" / "dataset.json").read_text())
    assert card["labels_folder"] is None and card["label_names"] is None
    assert not (tmp_path / "toy" / "labels").exists()


# --- variants -----------------------------------------------------------------------------------


def test_a_sketch_shows_where_parts_meet_and_nothing_else() -> None:
    """White within a part, dark where two meet, in the colours that the face has there."""
    sketch, labels = draw_faces(0, SOME, 64, variant="sketch")
    plain, plain_labels = draw_faces(0, SOME, 64)
    assert torch.equal(labels, plain_labels)
    ink = (255 - sketch.float()) / (255 - PENCIL * plain.float())  # the same in all channels
    assert (ink.amax(1) - ink.amin(1)).max() < 0.02
    blocks = labels.unfold(1, 3, 1).unfold(2, 3, 1).flatten(3)
    inside = (blocks == blocks[..., :1]).all(-1)
    across = blocks[..., 4] != blocks[..., 3]
    inner = sketch[:, :, 1:-1, 1:-1].float().mean(1)
    assert (inner[inside] == 255).float().mean() > 0.97
    assert inner[across].mean() < 160


def test_night_is_darker_and_bluer_and_keeps_the_labels() -> None:
    """The same faces, so the truth of a translation; the sky changes more than what is lit."""
    day, labels = draw_faces(0, SOME, 32)
    night, same = draw_faces(0, SOME, 32, variant="night")
    assert torch.equal(labels, same)
    sky = (labels == LABEL_INDEX["background"]).unsqueeze(1).expand_as(day)
    ratio = night.float() / day.float().clamp(min=1)
    assert ratio[sky].mean() < 0.4 < ratio[~sky].mean() < 0.9
    red, _, blue = night.float().mean((0, 2, 3))
    assert blue > 1.5 * red


def test_all_wear_glasses_or_none_does_and_nothing_else_changes() -> None:
    plain, labels = draw_faces(0, SOME, 32)
    (with_, worn), (without, bare) = (
        draw_faces(0, SOME, 32, variant=name) for name in ("glasses", "no glasses")
    )
    glasses = LABEL_INDEX["glasses"]
    shown = (worn == glasses).sum((1, 2)) > 0
    assert shown.float().mean() > 0.9 and not (bare == glasses).any()
    wearers = (labels == glasses).sum((1, 2)) > 0
    assert torch.equal(with_[wearers], plain[wearers])
    unworn = torch.tensor(labels_of_faces("glasses", SOME, 32, 0)) == 0
    assert torch.equal(without[unworn], plain[unworn])


def test_an_unknown_variant_offers_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"variant is 'nigth'.*Did you mean night"):
        draw_faces(0, 1, 8, variant="nigth")


@pytest.mark.parametrize(("kind", "own"), [("night", "plain"), ("glasses", "no glasses")])
def test_another_domain_is_of_other_faces_that_can_be_drawn_again(
    tmp_path: Path, kind: str, own: str
) -> None:
    """Its seed is in dataset.json: those faces by day are the truth of the way back."""
    write_toy_faces(tmp_path / "toy", 40, 16, seed=3, workers=1, unpaired=kind)
    card = json.loads((tmp_path / "toy" / "dataset.json").read_text())
    assert (card["unpaired"], card["unpaired_folder"]) == (kind, "unpaired")
    assert card["unpaired_seed"] == 2**63 - 1 - 3
    for folder, seed, variant in [("images", 3, own), ("unpaired", card["unpaired_seed"], kind)]:
        drawn, _ = draw_faces(0, 40, 16, seed, variant)
        for index, file in enumerate(sorted((tmp_path / "toy" / folder).rglob("*.png"))):
            assert np.array_equal(np.asarray(Image.open(file)), drawn[index].permute(1, 2, 0))
    ours, _ = draw_faces(0, 40, 16, 3, kind)
    theirs, _ = draw_faces(0, 40, 16, card["unpaired_seed"], kind)
    assert len(torch.cat([ours, theirs]).flatten(1).unique(dim=0)) == 80


def test_companions_leave_the_images_alone(tmp_path: Path) -> None:
    """Files of images and maps are the same bytes with companions, and say what they are."""
    write_toy_faces(tmp_path / "plain", 3, 8, label_maps=True, workers=1)
    write_toy_faces(
        tmp_path / "more", 3, 8, label_maps=True, workers=1, paired="sketch", unpaired="night"
    )
    for folder in ("images", "labels"):
        for file in (tmp_path / "plain" / folder).rglob("*.png"):
            twin = tmp_path / "more" / file.relative_to(tmp_path / "plain")
            assert file.read_bytes() == twin.read_bytes()
    sketch = tmp_path / "more" / "paired" / "00000" / "000000001.png"
    assert (
        Image.open(sketch).info["Source"] == "facegan toy faces, synthetic, seed 0, image 1, sketch"
    )


@pytest.mark.parametrize(
    ("asked", "named"),
    [
        ({"paired": "sketches"}, "paired is 'sketches'.*Did you mean sketch"),
        ({"unpaired": "nite"}, "unpaired is 'nite'.*night"),
        ({"unpaired": "glasses", "labels": "glasses"}, "no image of the data set has glasses"),
        ({"unpaired": "glasses", "paired": "sketch"}, "paired sketch.*without glasses"),
    ],
)
def test_kinds_that_exclude_each_other_are_refused(
    tmp_path: Path, asked: dict[str, str], named: str
) -> None:
    with pytest.raises(ConfigError, match=named):
        write_toy_faces(tmp_path / "toy", 4, 8, **asked)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("factor", FACTORS)
def test_labels_name_classes_and_leave_the_images_alone(tmp_path: Path, factor: str) -> None:
    """The manifest gains each image's class; not a pixel changes."""
    write_toy_faces(tmp_path / "plain", 300, 8, workers=1)
    write_toy_faces(tmp_path / "told", 300, 8, workers=1, labels=factor)
    plain, message = (ImageFolderDataset(tmp_path / name, 8) for name in ("plain", "told"))
    assert plain.digest == message.digest and plain.labels is None
    assert message.labels is not None
    assert message.labels.tolist() == labels_of_faces(factor, 300, 8, 0)
    assert tuple(message.classes) == FACTORS[factor].classes
    assert min(message.classes.values()) > 0 and sum(message.classes.values()) == 300


def test_a_label_does_not_depend_on_the_faces_it_is_drawn_with() -> None:
    assert labels_of_faces("hair", 130, 32, 5)[:45] == labels_of_faces("hair", 45, 32, 5)
    assert labels_of_faces("hair", 130, 32, 5) == labels_of_faces("hair", 130, 64, 5)


def shares_by_label(factor: str, part: str) -> list[float]:
    """For each class, the mean share of its images' pixels that show a part."""
    _, maps = draw_faces(0, 400, 32)
    labels = torch.tensor(labels_of_faces(factor, 400, 32, 0))
    printable = (maps == LABEL_INDEX[part]).float().mean((1, 2))
    return [float(printable[labels == number].mean()) for number in range(3)]


def test_labels_of_hair_and_glasses_tell_the_truth_about_the_pixels() -> None:
    bald, short, long = shares_by_label("hair", "hair")
    assert bald < 0.4 * short < 0.4 * long
    none, clear, dark = shares_by_label("glasses", "glasses")
    assert none == 0 < clear < dark


def test_children_and_the_old_are_labelled_so() -> None:
    face, labels = draw_parameters(0, 128, 0), torch.tensor(labels_of_faces("age", 128, 8, 0))
    assert torch.equal(labels == 0, face.head.child.flatten() == 1)
    assert torch.equal(labels == 2, face.head.old.flatten() == 1)


def test_unknown_labels_offer_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"labels is 'hairs'.*Did you mean hair"):
        write_toy_faces(tmp_path / "toy", 4, 8, labels="hairs")
    assert list(tmp_path.iterdir()) == []


def test_files_are_the_same_bytes_whatever_the_workers_and_the_number_of_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes and 45 images, or one and 33: image k is the same file."""
    write_toy_faces(tmp_path / "one", 33, 16, workers=1)
    monkeypatch.setattr(writing, "_CHUNKS_WORTH_A_POOL", 2)
    reports: list[int] = []
    write_toy_faces(tmp_path / "two", 45, 16, workers=2, on_progress=reports.append)
    assert sum(reports) == 45
    for file in sorted((tmp_path / "one" / "images").rglob("*.png")):
        twin = tmp_path / "two" / file.relative_to(tmp_path / "one")
        assert file.read_bytes() == twin.read_bytes()


def test_the_same_data_set_is_not_drawn_again(tmp_path: Path) -> None:
    """A folder that holds this very data set is left as it is, and False says so."""
    reports: list[int] = []
    assert write_toy_faces(tmp_path / "toy", 4, 8, workers=1)
    assert not write_toy_faces(tmp_path / "toy", 4, 8, workers=1, on_progress=reports.append)
    assert reports == []


@pytest.mark.parametrize(
    "changed",
    [
        {"images": 5},
        {"seed": 1},
        {"label_maps": True},
        {"labels": "age"},
        {"paired": "sketch"},
        {"unpaired": "night"},
    ],
)
def test_another_data_set_is_not_overwritten(tmp_path: Path, changed: dict[str, int]) -> None:
    """The error names the folder, and the hint what to do."""
    spec = {"images": 4, "resolution": 8, "workers": 1}
    write_toy_faces(tmp_path / "toy", **spec)
    with pytest.raises(DatasetError, match=r"toy is not empty.*Name another folder"):
        write_toy_faces(tmp_path / "toy", **{**spec, **changed})
    assert json.loads((tmp_path / "toy" / "dataset.json").read_text())["images"] == 4


def test_a_folder_with_other_things_in_it_is_refused_and_kept(tmp_path: Path) -> None:
    """Somebody's files are not ours to write among."""
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(DatasetError, match="not empty"):
        write_toy_faces(tmp_path, 4, 8, workers=1)
    assert [entry.name for entry in tmp_path.iterdir()] == ["notes.txt"]


def test_a_file_in_the_folders_place_is_refused(tmp_path: Path) -> None:
    """The error says that it is a file."""
    (tmp_path / "toy").write_text("mine")
    with pytest.raises(DatasetError, match="is a file"):
        write_toy_faces(tmp_path / "toy", 4, 8, workers=1)


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    """A folder made beforehand does as well as none."""
    (tmp_path / "toy").mkdir()
    assert write_toy_faces(tmp_path / "toy", 4, 8, workers=1)
    assert (tmp_path / "toy" / "dataset.json").is_file()


def test_an_interrupted_draw_leaves_nothing(tmp_path: Path) -> None:
    """After Ctrl-C there is neither the folder nor a partial one."""

    def interrupt(count: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_toy_faces(tmp_path / "toy", 64, 8, workers=1, on_progress=interrupt)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_named_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No space for the last image: an error that says so, and no folder."""
    save = writing._save_png

    def save_while_there_is_space(picture: Image.Image, path: Path, seed: int, index: int) -> None:
        if index == 30:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        save(picture, path, seed, index)

    monkeypatch.setattr(writing, "_save_png", save_while_there_is_space)
    with pytest.raises(DatasetError, match=r"disk is full.*fewer images"):
        write_toy_faces(tmp_path / "toy", 31, 8, workers=1)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """A file where a parent folder should be is a sentence, not a traceback."""
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        write_toy_faces(tmp_path / "file" / "toy", 4, 8, workers=1)
