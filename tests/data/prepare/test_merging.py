"""Several machines: each prepares a part, and together they are what one would have made."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_images import files_of, names_of, photos, picture, write_files

from facegan.data.prepare import check, merge, prepare
from facegan.errors import DatasetError


def in_parts(source: Path, out: Path, count: int, **how: object) -> list[Path]:
    folders = [out / f"part{k}" for k in range(count)]
    for number, folder in enumerate(folders):
        prepare(source, folder, 4, shard=(number, count), workers=1, **how)  # type: ignore[arg-type]
    return folders


@settings(max_examples=25)
@given(
    numbers=st.lists(st.integers(0, 6), min_size=1, max_size=14),
    machines=st.integers(1, 5),
    shard_images=st.integers(1, 6),
)
def test_merged_parts_are_byte_for_byte_what_one_machine_makes(
    tmp_path_factory: pytest.TempPathFactory, numbers: list[int], machines: int, shard_images: int
) -> None:
    """With duplicates within parts and across them, skipped images, empty parts, labels."""
    tmp_path = tmp_path_factory.mktemp("parts")
    contents = {
        f"{'xyz'[k % 3]}/{k:02d}.png": picture(n) if n else b"" for k, n in enumerate(numbers)
    }
    folder = write_files(tmp_path / "photos", contents | {"x/good.png": picture(77)})
    how = {"labels": "folders", "shard_images": shard_images}
    prepare(folder, tmp_path / "whole", 4, workers=1, **how)  # type: ignore[arg-type]
    parts = in_parts(folder, tmp_path, machines, **how)
    merge(parts[::-1], tmp_path / "merged")
    assert files_of(tmp_path / "merged") == files_of(tmp_path / "whole")


def test_a_stopped_merge_goes_on(tmp_path: Path) -> None:
    folder = photos(tmp_path / "photos", 20)
    parts = in_parts(folder, tmp_path, 2, shard_images=4)

    def stop(done: int, expected: int | None) -> None:
        assert expected == 20
        if done == 13:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        merge(parts, tmp_path / "merged", stop)
    assert len(list((tmp_path / "merged/images").glob("0*.npy"))) == 3
    merge(parts, tmp_path / "merged")
    prepare(folder, tmp_path / "whole", 4, workers=1, shard_images=4)
    assert files_of(tmp_path / "merged") == files_of(tmp_path / "whole")


def test_other_data_sets_are_put_one_after_another(tmp_path: Path) -> None:
    """Hosts whose channel was sharded for them (ShardedByS3Key) know of no K and M."""
    one = write_files(tmp_path / "one", {"a/1.png": picture(1), "b/2.png": picture(2)})
    two = write_files(tmp_path / "two", {"c/3.png": picture(3), "b/4.png": picture(2)})
    for folder in (one, two):
        prepare(folder, tmp_path / f"{folder.name}.out", 4, labels="folders", workers=1)
    manifest = merge([tmp_path / "one.out", tmp_path / "two.out"], tmp_path / "merged")
    assert manifest["class_names"] == ["a", "b", "c"]
    assert names_of(tmp_path / "merged") == ["a/1.png", "b/2.png", "c/3.png"]
    assert np.load(tmp_path / "merged/labels.npy").tolist() == [0, 1, 2]
    counts = [manifest[fate] for fate in ("found", "written", "duplicates", "skipped")]
    assert counts == [4, 3, 1, 0] and not check(tmp_path / "merged").problems


def test_parts_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    folder = photos(tmp_path / "photos", 20)
    parts = in_parts(folder, tmp_path, 3)
    refused = [
        (parts[:2], "part 2 is missing"), ([*parts, parts[0]], "part 0 is named twice"),
        ([tmp_path / "nowhere"], "does not exist"),
    ]  # fmt: skip
    prepare(folder, tmp_path / "larger", 8, shard=(2, 3), workers=1)
    refused.append(([*parts[:2], tmp_path / "larger"], "resolution is 8, not 4"))
    prepare(folder, tmp_path / "other", 4, shard=(0, 2), workers=1)
    refused.append(([*parts, tmp_path / "other"], "parts of different data sets"))
    for folders, message in refused:
        with pytest.raises(DatasetError, match=message):
            merge(folders, tmp_path / "merged")
        assert not (tmp_path / "merged").exists()
    with pytest.raises(DatasetError, match="holds a data set already"):
        merge(parts, parts[0])
