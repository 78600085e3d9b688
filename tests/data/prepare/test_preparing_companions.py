"""Images with partners, label maps or another domain: what belongs together stays so."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tiny_images import (
    files_of,
    lines_of,
    names_of,
    photos,
    picture,
    pixels_of,
    saved,
    write_files,
)

from facegan.data.prepare import check, merge, prepare, sample
from facegan.data.prepare.crops import partner_box
from facegan.data.prepare.pixels import UnusableError
from facegan.data.toy_faces import write_toy_faces
from facegan.errors import ConfigError, DatasetError

FATES = ("found", "written", "duplicates", "skipped")


def quickly(source: Path, out: Path, resolution: int = 8, **how: object) -> dict:
    return prepare(source, out, resolution, workers=1, **how)  # type: ignore[arg-type]


def counts_of(folder: Path) -> list[int]:
    manifest = json.loads((folder / "dataset.json").read_text())
    return [manifest[fate] for fate in FATES]


def reasons_of(folder: Path) -> dict[str, str]:
    return {record["file"]: record["reason"] for record in lines_of(folder / "skipped.jsonl")}


def index_map(number: int, size: tuple[int, int] = (12, 10), palette: bool = True) -> bytes:
    """A map of the classes 0 to 4 that no other number has."""
    classes = np.random.default_rng(number).integers(0, 5, size[::-1], dtype=np.uint8)
    image = Image.fromarray(classes)
    if palette:
        image.putpalette([9, 9, 9, 200, 0, 0, 0, 200, 0, 0, 0, 200, 250, 250, 0])
    return saved(image)


def partners(folder: Path, count: int = 7) -> Path:
    """Partners of ``photos``, of another format."""
    files = {f"{'ab'[k % 2]}/{k:03d}.bmp": picture(100 + k, format="BMP") for k in range(count)}
    return write_files(folder, files)


def maps(folder: Path, count: int = 7) -> Path:
    """Label maps of ``photos``."""
    return write_files(folder, {f"{'ab'[k % 2]}/{k:03d}.png": index_map(k) for k in range(count)})


# --- pairs --------------------------------------------------------------------------------------


def test_partners_are_in_the_order_of_the_images_and_the_images_as_if_alone(
    tmp_path: Path,
) -> None:
    source, others = photos(tmp_path / "photos"), partners(tmp_path / "others")
    manifest = quickly(source, tmp_path / "out", paired=others)
    alone = quickly(source, tmp_path / "alone")
    assert manifest["digest"] == alone["digest"] and manifest["shards"] == alone["shards"]
    paired = quickly(others, tmp_path / "paired")
    assert manifest["companions"] == {
        "paired": {"folder": "paired", "digest": paired["digest"], "aligned": True}
    }
    assert (pixels_of(tmp_path / "out/paired") == pixels_of(tmp_path / "paired")).all()
    stems = [name.removesuffix(".png") for name in names_of(tmp_path / "out")]
    assert [n.removesuffix(".bmp") for n in names_of(tmp_path / "out/paired")] == stems
    assert "companions" not in alone and "companions" not in alone["protocol"]


def test_what_has_no_usable_partner_is_named_on_both_sides_and_the_counts_add_up(
    tmp_path: Path,
) -> None:
    source = write_files(tmp_path / "a", {
        "1.png": picture(1), "2.png": picture(2), "3.png": b"<html>", "4.png": picture(4),
        "5.png": picture(1), "6.png": picture(1), "7.jpg": picture(7), "7.png": picture(8),
        "8.png": picture(9),
    })  # fmt: skip
    others = write_files(tmp_path / "b", {
        "1.png": picture(11), "3.png": picture(13), "4.png": b"", "5.png": picture(11),
        "6.png": picture(16), "7.png": picture(17), "8.png": picture(18, (10, 10)),
        "9.png": picture(19), "6.webp": picture(16),
    })  # fmt: skip
    quickly(source, tmp_path / "out", paired=others)
    assert counts_of(tmp_path / "out") == [9, 3, 1, 5]
    assert counts_of(tmp_path / "out/paired") == [9, 3, 1, 5]
    # The very same image with another partner is another example.
    assert names_of(tmp_path / "out") == ["1.png", "6.png", "7.jpg"]
    assert lines_of(tmp_path / "out/paired/duplicates.jsonl")[0]["of"] == "1.png"
    ours, theirs = reasons_of(tmp_path / "out"), reasons_of(tmp_path / "out/paired")
    assert ours["2.png"] == "it has no partner in b"
    assert "HTML" in ours["3.png"] and theirs["3.png"].startswith("its partner 3.png is not used")
    assert ours["4.png"] == "its partner 4.png is not used: it is empty (0 bytes)"
    assert ours["7.png"] == "its partner in b belongs to another image of the same name"
    assert "not the aspect ratio" in theirs["8.png"] and "not the aspect ratio" in ours["8.png"]
    assert theirs["9.png"] == "it has no partner in a"
    assert theirs["6.webp"] == "6.png has the same name except for the suffix"
    assert check(tmp_path / "out").problems == check(tmp_path / "out/paired").problems == []


def test_pairs_that_lie_side_by_side_in_one_file_are_split(tmp_path: Path) -> None:
    whole = Image.new("RGB", (32, 16), (200, 0, 0))
    whole.paste((0, 0, 200), (16, 0, 32, 16))
    source = write_files(tmp_path / "a", {
        "1.png": saved(whole), "odd.png": picture(1, (33, 16)), "2.jpg": picture(2, (64, 32)),
    })  # fmt: skip
    manifest = quickly(source, tmp_path / "out", paired="split")
    left, right = pixels_of(tmp_path / "out")[0], pixels_of(tmp_path / "out/paired")[0]
    assert (left == (200, 0, 0)).all() and (right == (0, 0, 200)).all()
    assert manifest["written"] == 2 and "odd (33)" in reasons_of(tmp_path / "out")["odd.png"]
    with pytest.raises(DatasetError, match="split is True, not None"):
        quickly(source, tmp_path / "out", paired=source)


@pytest.mark.parametrize("suffix", ["tar", "zip"])
def test_archives_are_read_as_folders_are(tmp_path: Path, suffix: str) -> None:
    """A file that holds both halves is read once: a tar gives it no second time."""
    both = write_files(tmp_path / "photos", {f"{k}.png": picture(k, (24, 10)) for k in range(3)})
    below = write_files(tmp_path / "maps", {f"{k}.png": index_map(k) for k in range(3)})
    archive = Path(shutil.make_archive(str(tmp_path / "photos"), suffix, both))
    zipped = Path(shutil.make_archive(str(tmp_path / "maps"), "zip", below))
    packed = quickly(archive, tmp_path / "one", paired="split", label_maps=zipped)
    folder = quickly(both, tmp_path / "two", paired="split", label_maps=below)
    assert packed["companions"] == folder["companions"] and packed["written"] == 3


def test_toy_faces_are_a_folder_of_images_and_one_of_maps(tmp_path: Path) -> None:
    files = {"images/0/1.png": picture(1), "labels/0/1.png": index_map(1)}
    toy = write_files(tmp_path / "toy", files)
    facts = {"format": "facegan-dataset", "images_folder": "images", "labels_folder": "labels"}
    (toy / "dataset.json").write_text(json.dumps(facts | {"label_names": list("abcde")}))
    assert quickly(toy, tmp_path / "out", label_maps=toy)["written"] == 1
    (toy / "dataset.json").write_text(json.dumps(facts | {"labels_folder": None}))
    with pytest.raises(DatasetError, match="names no labels_folder"):
        quickly(toy, tmp_path / "other", label_maps=toy)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("companion", "kind"), [("paired", "sketch"), ("unpaired", "night"), ("unpaired", "glasses")]
)
def test_companions_of_toy_faces_are_found_in_their_own_folder(
    tmp_path: Path, companion: str, kind: str, packed: bool
) -> None:
    """Named by the folder, or a zip, that holds all of a toy data set: one flag, as for maps."""
    toy = tmp_path / "toy"
    write_toy_faces(toy, 6, 8, workers=1, **{companion: kind})  # type: ignore[arg-type]
    source = Path(shutil.make_archive(str(toy), "zip", toy)) if packed else toy
    assert quickly(source, tmp_path / "out", **{companion: source})["written"] == 6
    for place, folder in ((".", "images"), (companion, companion)):
        files = sorted((toy / folder).rglob("*.png"))
        wanted = np.stack([np.asarray(Image.open(file)) for file in files])
        assert np.array_equal(pixels_of(tmp_path / "out" / place), wanted)


@pytest.mark.parametrize("companion", ["paired", "unpaired"])
def test_toy_faces_without_a_companion_are_not_their_own(tmp_path: Path, companion: str) -> None:
    write_toy_faces(tmp_path / "toy", 2, 8, workers=1)
    with pytest.raises(DatasetError, match=rf"has no {companion} images.*data toy --{companion}"):
        quickly(tmp_path / "toy", tmp_path / "out", **{companion: tmp_path / "toy"})
    assert not (tmp_path / "out").exists()


def test_the_crop_is_that_of_the_image(tmp_path: Path) -> None:
    """CelebA's box is that of the image; its partner, of twice the size, is cut where it is."""
    rows = np.zeros((436, 356), np.uint8)
    rows[40:396] = 255  # rows 20 to 198 of the image
    source = write_files(tmp_path / "a", {
        "left.png": picture(1, (178, 218)), "wall.png": picture(2, (600, 300)),
    })  # fmt: skip
    partners = dict.fromkeys(("left.png", "wall.png"), saved(Image.fromarray(rows)))
    others = write_files(tmp_path / "b", partners)
    quickly(source, tmp_path / "out", 178, crop="celeba", paired=others)
    (partner,) = pixels_of(tmp_path / "out/paired")
    assert (partner[2:-2] == 255).all() and partner.mean() > 254
    assert "CelebA's 178x218" in reasons_of(tmp_path / "out/paired")["wall.png"]


@given(st.integers(8, 500), st.integers(8, 500), st.integers(1, 9))
def test_a_box_is_scaled_with_its_partner(width: int, height: int, times: int) -> None:
    box = (1, 2, 5, 6)
    larger = (width * times, height * times)
    assert partner_box(box, (width, height), larger) == tuple(times * edge for edge in box)
    with pytest.raises(UnusableError, match="not the aspect ratio"):
        partner_box(box, (width, height), (width, height + 1))
    with pytest.raises(UnusableError, match="not the aspect ratio"):
        partner_box(box, (width, height), (width + 1, height))


# --- label maps ---------------------------------------------------------------------------------


def test_label_maps_keep_their_classes_names_and_colours(tmp_path: Path) -> None:
    """A map of another size is cut like its image; nothing between two classes appears."""
    source = write_files(tmp_path / "a", {"1.png": picture(1, (32, 16)), "2.png": picture(2)})
    striped = np.repeat(np.array([0, 1, 2, 4], np.uint8), [16, 8, 24, 16])
    image = Image.fromarray(np.broadcast_to(striped, (32, 64)).copy())
    image.putpalette([9, 9, 9, 200, 0, 0, 0, 200, 0, 0, 0, 200, 250, 250, 0])
    below = write_files(tmp_path / "b", {"1.png": saved(image), "2.png": index_map(2)})
    names = ["sky", "wall", "road", "tree", "car"]
    (below / "dataset.json").write_text(json.dumps({"label_names": names}))
    quickly(source, tmp_path / "out", label_maps=below)
    found = pixels_of(tmp_path / "out/label-maps")
    assert found.shape == (2, 8, 8, 1) and found.dtype == np.uint8
    assert found[0, 0, :, 0].tolist() == [1, 1, 2, 2, 2, 2, 2, 2]  # columns 16 to 47 of 64
    manifest = json.loads((tmp_path / "out/label-maps/dataset.json").read_text())
    assert manifest["label_names"] == names and manifest["protocol"]["filter"] == "nearest"
    assert manifest["palette"] == ["#090909", "#c80000", "#00c800", "#0000c8", "#fafa00"]
    beside = sample(tmp_path / "out", 2)
    assert beside.shape == (2, 8, 16, 3)
    assert (beside[:, :, :8] == pixels_of(tmp_path / "out")).all()
    assert beside[0, 0, 8].tolist() == [200, 0, 0]


def test_grey_maps_have_numbers_for_names_and_the_colours_of_voc(tmp_path: Path) -> None:
    source = photos(tmp_path / "a", 2)
    below = {name: index_map(4, palette=False) for name in ("a/000.png", "b/001.png")}
    quickly(source, tmp_path / "out", label_maps=write_files(tmp_path / "b", below))
    manifest = json.loads((tmp_path / "out/label-maps/dataset.json").read_text())
    assert manifest["label_names"] == ["0", "1", "2", "3", "4"]
    assert manifest["palette"][:3] == ["#000000", "#800000", "#008000"]


GREY = Image.new("L", (12, 10), 3)


@pytest.mark.parametrize(("content", "message"), [
    (picture(1), "of mode RGB, not a label map: save the maps as palette or 8-bit grey PNGs"),
    (saved(GREY.convert("I;16")), "of mode I;16"),
    (saved(GREY, "JPEG"), "JPEG compression changes class indices"),
    (saved(GREY.convert("1")), "of mode 1"),
    (saved(Image.new("L", (12, 10), 5)), "it has the class 5; the last is 4"),
    (index_map(1, (10, 10)), "not the aspect ratio"),
])  # fmt: skip
def test_what_is_not_a_label_map_is_named_with_the_fix(
    tmp_path: Path, content: bytes, message: str
) -> None:
    source = photos(tmp_path / "a", 2)
    below = write_files(tmp_path / "b", {"a/000.png": content, "b/001.png": index_map(1)})
    (below / "dataset.json").write_text(json.dumps({"label_names": list("abcde")}))
    quickly(source, tmp_path / "out", label_maps=below)
    assert message in reasons_of(tmp_path / "out/label-maps")["a/000.png"]
    assert message in reasons_of(tmp_path / "out")["a/000.png"]
    assert counts_of(tmp_path / "out") == counts_of(tmp_path / "out/label-maps") == [2, 1, 0, 1]


# --- another domain -----------------------------------------------------------------------------


def test_an_unpaired_domain_is_a_data_set_of_its_own(tmp_path: Path) -> None:
    source, others = photos(tmp_path / "a", 5), partners(tmp_path / "b", 3)
    done: list[int] = []

    def on_progress(now: int, expected: int | None) -> None:
        done.append(now)

    manifest = quickly(source, tmp_path / "out", unpaired=others, on_progress=on_progress)
    assert done[-1] == 8 and manifest["companions"]["unpaired"]["aligned"] is False
    quickly(others, tmp_path / "alone", labels="none")
    assert files_of(tmp_path / "out/unpaired") == files_of(tmp_path / "alone")
    assert counts_of(tmp_path / "out")[0] == 5 and check(tmp_path / "out").problems == []
    assert quickly(source, tmp_path / "out", unpaired=others)["already_there"]
    with pytest.raises(DatasetError, match="unpaired_source is 'b', not None"):
        quickly(source, tmp_path / "out")


def test_a_tar_of_partners_is_refused(tmp_path: Path) -> None:
    import tarfile

    with tarfile.open(tmp_path / "b.tar", "w") as archive:
        archive.add(partners(tmp_path / "b"), ".")
    with pytest.raises(ConfigError, match="make a zip"):
        quickly(photos(tmp_path / "a"), tmp_path / "out", paired=tmp_path / "b.tar")
    assert not (tmp_path / "out").exists()


# --- kills, workers, machines -------------------------------------------------------------------


class StoppedError(Exception):
    pass


def everything(tmp_path: Path) -> tuple[Path, dict[str, object]]:
    """Images with all companions; some of each are bad, alone, or there twice."""
    source = write_files(photos(tmp_path / "a", 9), {
        "a/again.png": picture(2), "a/bad.png": b"", "a/lonely.png": picture(50),
    })  # fmt: skip
    others = write_files(partners(tmp_path / "b", 9), {
        "a/again.png": picture(102), "a/bad.png": picture(51), "z.png": picture(52),
    })  # fmt: skip
    below = write_files(maps(tmp_path / "c", 8), {
        "a/again.png": index_map(2), "a/bad.png": index_map(3),
    })  # fmt: skip
    domain = photos(tmp_path / "d", 5)
    return source, {"paired": others, "label_maps": below, "unpaired": domain}


@settings(max_examples=6)
@given(stops=st.lists(st.integers(1, 18), max_size=3), shard_images=st.integers(1, 10))
def test_a_run_stopped_anywhere_ends_with_the_same_bytes(
    tmp_path_factory: pytest.TempPathFactory, stops: list[int], shard_images: int
) -> None:
    tmp_path = tmp_path_factory.mktemp("stopped")
    source, how = everything(tmp_path)
    how |= {"labels": "folders", "shard_images": shard_images}
    manifest = quickly(source, tmp_path / "whole", 4, **how)
    assert [manifest[fate] for fate in FATES] == [12, 8, 1, 3]

    def stop_after(count: int):
        def on_progress(done: int, expected: int | None) -> None:
            if done >= count:
                raise StoppedError

        return on_progress

    for stop in stops:
        with pytest.raises(StoppedError):
            quickly(source, tmp_path / "out", 4, on_progress=stop_after(stop), **how)
    quickly(source, tmp_path / "out", 4, **how)
    assert files_of(tmp_path / "out") == files_of(tmp_path / "whole")
    assert not check(tmp_path / "out").problems


def test_a_kill_before_the_last_manifest_leaves_no_data_set_and_is_repaired(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, how = everything(tmp_path)
    quickly(source, tmp_path / "whole", 4, **how)
    finish = prepare.__globals__["PackedWriter"].finish.__globals__
    written = finish["write_atomic"]

    def write_atomic(path: Path, content: bytes) -> None:
        if path == tmp_path / "out/dataset.json":
            raise StoppedError
        written(path, content)

    with monkeypatch.context() as patch, pytest.raises(StoppedError):
        patch.setitem(finish, "write_atomic", write_atomic)
        quickly(source, tmp_path / "out", 4, **how)
    assert not (tmp_path / "out/dataset.json").exists()
    quickly(source, tmp_path / "out", 4, **how)
    assert files_of(tmp_path / "out") == files_of(tmp_path / "whole")


def test_the_bytes_are_the_same_whatever_the_number_of_workers(tmp_path: Path) -> None:
    source, how = everything(tmp_path)
    del how["unpaired"]  # the same code again, after another start of processes
    quickly(source, tmp_path / "one", 4, **how)
    prepare(source, tmp_path / "two", 4, workers=2, **how)  # type: ignore[arg-type]
    assert files_of(tmp_path / "one") == files_of(tmp_path / "two")


@pytest.mark.parametrize("stop", [3, 7, 100])
def test_merged_parts_are_byte_for_byte_what_one_machine_makes(tmp_path: Path, stop: int) -> None:
    source, how = everything(tmp_path)
    how |= {"labels": "folders", "shard_images": 3}
    quickly(source, tmp_path / "whole", 4, **how)
    parts = [tmp_path / f"part{k}" for k in range(3)]
    for number, part in enumerate(parts):
        quickly(source, part, 4, shard=(number, 3), **how)

    def on_progress(done: int, expected: int | None) -> None:
        if done == stop:
            raise StoppedError

    if stop < 20:
        with pytest.raises(StoppedError):
            merge(parts, tmp_path / "merged", on_progress)
    merge(parts, tmp_path / "merged")
    assert files_of(tmp_path / "merged") == files_of(tmp_path / "whole")


# --- check --------------------------------------------------------------------------------------


def test_harm_to_a_companion_is_named(tmp_path: Path) -> None:
    source, how = everything(tmp_path)
    quickly(source, tmp_path / "out", 4, **how)
    whole = files_of(tmp_path / "out")
    for name, folder in (("paired", "paired"), ("label_maps", "label-maps"), ("", "unpaired")):
        shard = tmp_path / "out" / folder / "images/00000.npy"
        shard.write_bytes(whole[f"{folder}/images/00000.npy"][:-1] + b"\xff")
        (first, *_) = check(tmp_path / "out").problems
        assert f"{folder}/images/00000.npy is damaged" in first
        shard.write_bytes(whole[f"{folder}/images/00000.npy"])
        place = tmp_path / "out" / folder / "dataset.json"
        other = json.loads(place.read_text()) | {"digest": "0" * 64, "found": 99}
        place.write_text(json.dumps(other))
        message = "\n".join(check(tmp_path / "out").problems)
        assert "its pixels are not those the data set names" in message, name
        assert "99 found" in message and "digest of all pixels" in message
        place.unlink()
        assert "not a prepared data set" in check(tmp_path / "out").problems[0]
        write_files(tmp_path / "out", whole)
    assert check(tmp_path / "out").problems == []
    manifest = json.loads((tmp_path / "out/dataset.json").read_text())
    manifest["companions"]["paired"]["folder"] = "../out"
    (tmp_path / "out/dataset.json").write_text(json.dumps(manifest))
    assert "paired is not in a subfolder" in check(tmp_path / "out").problems[0]
