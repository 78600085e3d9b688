"""Data sets to S3 and back: on a moto server, whose calls are counted, delayed and broken."""

import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError

from facegan.cli.__main__ import facegan, run_safely
from facegan.cli.cloud import desk
from facegan.cli.cloud.progress import Progress, amount_of, duration
from facegan.cloud import downloading
from facegan.cloud.aws import Aws
from facegan.cloud.buckets import contents, creation
from facegan.cloud.calls import Call
from facegan.cloud.checksums import crc32, is_of
from facegan.cloud.downloading import ASIDE, Download, remotes_of
from facegan.cloud.s3_place import Place, check_key
from facegan.cloud.uploading import PART_BYTES, Upload, files_of, part_bytes
from facegan.errors import CloudError, ConfigError

SET = Place("my-bucket", "faces/set")
NAMES = ("images/00000.npy", "images/é 日本 +&?%.npy", "labels.npy")


class Recorded(Aws):
    """AWS whose calls are written down, and broken where a test says so."""

    def __init__(self, clients: dict[str, Any]) -> None:
        super().__init__()
        self.clients = clients
        self.asked: list[tuple[str, str]] = []
        self.breaks: Callable[[Call, Any], Any] = lambda call, answer: answer

    def ask(self, call: Call) -> Any:
        self.asked.append((call.action, str(call.request.get("Key", ""))))
        self.breaks(call, None)
        return self.breaks(call, super().ask(call))

    def count(self) -> Counter[str]:
        return Counter(action for action, _ in self.asked)


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    """The client, once for all: to make it takes a third of a second."""
    return {}


@pytest.fixture
def s3(
    moto: str, made: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Recorded:
    """S3 with one bucket."""
    monkeypatch.chdir(tmp_path)
    aws = Recorded(made)
    monkeypatch.setattr(desk, "Aws", lambda *_: aws)
    where = {"LocationConstraint": "eu-west-1"}
    aws.client("s3").create_bucket(Bucket=SET.bucket, CreateBucketConfiguration=where)
    return aws


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data set by its looks."""
    for number, name in enumerate(NAMES):
        file = tmp_path / "set" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(bytes([number]) * (1000 + number))
    (tmp_path / "set/dataset.json").write_text('{"format": "facegan-dataset"}')
    (tmp_path / "set/.preparing").mkdir()
    (tmp_path / "set/.preparing/0").write_text("x")
    return tmp_path / "set"


def run(*words: object) -> int:
    return run_safely(facegan, ["cloud", *map(str, words)])


def up(aws: Aws, folder: Path) -> Any:
    files = files_of(folder, SET)
    job = Upload(aws, SET)
    return job.send(files, job.look(files))


def down(aws: Aws, out: Path) -> Any:
    remotes = remotes_of(aws, SET, out)
    job = Download(aws, SET, patience=0)
    return job.fetch(remotes, job.look(remotes), out)


def keys(aws: Aws) -> list[str]:
    found = aws.client("s3").list_objects_v2(Bucket=SET.bucket).get("Contents", ())
    return [it["Key"] for it in found]


# --- there and back -----------------------------------------------------------------------------


def test_a_data_set_goes_and_comes_back_with_names_of_any_script(
    s3: Recorded, folder: Path, tmp_path: Path
) -> None:
    assert up(s3, folder).sent == 4
    assert down(s3, tmp_path / "back").files == 4
    for name in (*NAMES, "dataset.json"):
        assert (tmp_path / "back" / name).read_bytes() == (folder / name).read_bytes()
    assert not (tmp_path / "back" / ASIDE).exists()
    assert not any("preparing" in key for key in keys(s3))


def test_the_manifest_goes_last_and_comes_last(s3: Recorded, folder: Path, tmp_path: Path) -> None:
    up(s3, folder)
    puts = [key for action, key in s3.asked if action == "PutObject"]
    down(s3, tmp_path / "back")
    gets = [key for action, key in s3.asked if action == "GetObject"]
    assert puts[-1] == gets[-1] == "faces/set/dataset.json"


def test_what_is_there_is_not_sent_again_nor_brought_again(
    s3: Recorded, folder: Path, tmp_path: Path
) -> None:
    up(s3, folder)
    down(s3, tmp_path / "back")
    s3.asked.clear()
    assert up(s3, folder).kept == 4
    assert down(s3, tmp_path / "back").kept == 4
    assert not {"PutObject", "GetObject", "DeleteObject"} & s3.count().keys()


def test_a_file_that_changed_goes_again_after_the_old_manifest_went_away(
    s3: Recorded, folder: Path
) -> None:
    up(s3, folder)
    (folder / NAMES[0]).write_bytes(b"9" * 1000)  # of the same size
    s3.asked.clear()
    counts = up(s3, folder)
    changes = [(a, k) for a, k in s3.asked if a in ("PutObject", "DeleteObject")]
    manifest = "faces/set/dataset.json"
    assert changes == [
        ("DeleteObject", manifest), ("PutObject", f"faces/set/{NAMES[0]}"), ("PutObject", manifest),
    ]  # fmt: skip
    assert (counts.sent, counts.kept) == (2, 2)


def test_each_of_several_sets_in_a_folder_has_its_manifest_last(s3: Recorded, folder: Path) -> None:
    (folder / "b").mkdir()
    for name in ("b/dataset.json", "b/0.npy", "c.npy"):
        (folder / name).write_bytes(b"x")
    up(s3, folder)
    (folder / "b/0.npy").write_bytes(b"y")
    s3.asked.clear()
    up(s3, folder)
    puts = [key.removeprefix("faces/set/") for action, key in s3.asked if action == "PutObject"]
    assert puts[0] == "b/0.npy" and sorted(puts[1:]) == ["b/dataset.json", "dataset.json"]
    assert s3.count()["DeleteObject"] == 2


def test_a_half_sent_set_has_no_manifest(s3: Recorded, folder: Path) -> None:
    def refuse(call: Call, answer: Any) -> Any:
        if call.action == "PutObject" and "labels" in call.on:
            raise CloudError("no.")
        return answer

    s3.breaks = refuse
    with pytest.raises(CloudError, match="no"):
        up(s3, folder)
    assert "faces/set/dataset.json" not in keys(s3)


def test_objects_that_are_none_of_the_folder_are_counted(s3: Recorded, folder: Path) -> None:
    s3.client("s3").put_object(Bucket=SET.bucket, Key="faces/set/old.npy", Body=b"")
    s3.client("s3").put_object(Bucket=SET.bucket, Key="faces/set2/other.npy", Body=b"")
    assert up(s3, folder).others == 1


# --- large files --------------------------------------------------------------------------------


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A model of two parts."""
    file = tmp_path / "first/model.tar.gz"
    file.parent.mkdir()
    file.write_bytes(os.urandom(16) * (PART_BYTES // 16) + b"the end")
    return file


def test_a_large_file_goes_on_at_its_last_part(s3: Recorded, large: Path) -> None:
    def lose(call: Call, answer: Any) -> Any:
        if call.action == "UploadPart" and call.request["PartNumber"] == 2:
            raise CloudError("Lost.")
        return answer

    place = Place(SET.bucket, "model.tar.gz")
    files = files_of(large, place)
    s3.breaks = lose
    with pytest.raises(CloudError, match="Lost"):
        Upload(s3, place).send(files, files)
    s3.breaks = lambda call, answer: answer
    s3.asked.clear()
    again = Upload(s3, place)
    again.send(files, again.look(files))
    count = s3.count()
    assert (count["CreateMultipartUpload"], count["CompleteMultipartUpload"]) == (0, 1)
    assert 1 <= count["UploadPart"] <= 2  # the first part may not have been on its way yet
    assert contents(s3, place).uploads == ()
    told = s3.client("s3").head_object(
        Bucket=SET.bucket, Key="model.tar.gz", ChecksumMode="ENABLED"
    )
    assert told["ChecksumType"] == "FULL_OBJECT"
    assert told["ChecksumCRC32"] == crc32(large.read_bytes())
    s3.asked.clear()
    assert Upload(s3, place).look(files) == []  # its checksum does not depend on its parts


def test_parts_of_uploads_that_are_of_no_use_do_not_stay(s3: Recorded, large: Path) -> None:
    place = Place(SET.bucket, "model.tar.gz")
    begun = {"Bucket": SET.bucket, "Key": "model.tar.gz"}
    s3.client("s3").create_multipart_upload(**begun)  # without our checksums: somebody else's
    files = files_of(large, place)
    job = Upload(s3, place)
    job.send(files, job.look(files))
    assert contents(s3, place).uploads == ()


def test_parts_are_cut_so_that_a_later_run_finds_them() -> None:
    assert part_bytes(PART_BYTES + 1) == PART_BYTES
    assert part_bytes(5 << 40) * 10_000 >= 5 << 40


# --- what may go wrong --------------------------------------------------------------------------


def test_a_lost_connection_is_said_with_what_goes_on(
    s3: Recorded, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def lose(call: Call, answer: Any) -> Any:
        if call.action == "PutObject":
            raise CloudError("s3:PutObject: no network.", "Check the network.", "ReadTimeoutError")
        return answer

    s3.breaks = lose
    assert run("upload", folder, SET, "--yes") == 9
    said = capsys.readouterr().err
    assert "Check the network" in said and "The same command goes on" in said
    assert f"facegan cloud remove {SET}" in said


def test_an_interrupt_says_what_is_left(
    s3: Recorded, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(call: Call, answer: Any) -> Any:
        if call.action == "PutObject":
            raise KeyboardInterrupt
        return answer

    s3.breaks = stop
    assert run("upload", folder, SET, "--yes") == 130
    assert "What has arrived stays" in capsys.readouterr().err


class Broken:
    """A body that ends in the middle."""

    def __init__(self, content: bytes) -> None:
        self.blocks = [content]

    def read(self, size: int) -> bytes:
        if not self.blocks:
            raise ReadTimeoutError(endpoint_url="https://s3")
        return self.blocks.pop()

    def close(self) -> None:
        """Nothing."""


def test_a_connection_that_breaks_goes_on_where_it_was(
    s3: Recorded, folder: Path, tmp_path: Path
) -> None:
    ranges = []

    def cut(call: Call, answer: Any) -> Any:
        if call.action == "GetObject" and answer is not None:
            ranges.append(call.request.get("Range"))
            if "Range" not in call.request and "00000" in call.on:
                answer["Body"] = Broken(answer["Body"].read()[:300])
        return answer

    up(s3, folder)
    s3.breaks = cut
    down(s3, tmp_path / "back")
    assert "bytes=300-" in ranges
    assert (tmp_path / "back" / NAMES[0]).read_bytes() == bytes(1000)


def test_a_connection_that_breaks_for_good_keeps_what_came(
    s3: Recorded, folder: Path, tmp_path: Path
) -> None:
    def cut(call: Call, answer: Any) -> Any:
        if call.action == "GetObject" and answer is not None and "00000" in call.on:
            answer["Body"] = Broken(answer["Body"].read()[:100])
        return answer

    up(s3, folder)
    s3.breaks = cut
    with pytest.raises(CloudError, match="give the same command again"):
        down(s3, tmp_path / "back")
    assert not (tmp_path / "back/dataset.json").exists()
    s3.breaks = lambda call, answer: answer
    down(s3, tmp_path / "back")
    assert (tmp_path / "back" / NAMES[0]).read_bytes() == bytes(1000)


def test_what_comes_damaged_gets_no_name(
    s3: Recorded, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    up(s3, folder)
    monkeypatch.setattr(downloading, "is_of", lambda path, told: "00000" not in str(told))

    def harm(call: Call, answer: Any) -> Any:
        if call.action == "HeadObject" and answer is not None and "00000" in call.on:
            answer["Metadata"] = {"is": "00000"}
        return answer

    s3.breaks = harm
    with pytest.raises(CloudError, match=r"00000.npy came damaged, twice"):
        down(s3, tmp_path / "back")
    assert not (tmp_path / "back" / NAMES[0]).exists()


@pytest.mark.parametrize("name", ["../out", "a//b", "a/./b", ".facegan-download/x"])
def test_no_key_leads_out_of_the_folder(s3: Recorded, tmp_path: Path, name: str) -> None:
    s3.client("s3").put_object(Bucket=SET.bucket, Key=f"faces/set/{name}", Body=b"x")
    with pytest.raises(CloudError, match="no file can have"):
        down(s3, tmp_path / "back")


def test_a_folder_with_another_data_set_is_left_alone(
    s3: Recorded, folder: Path, tmp_path: Path
) -> None:
    up(s3, folder)
    (tmp_path / "other").mkdir()
    (tmp_path / "other/dataset.json").write_text("{}")
    with pytest.raises(ConfigError, match="holds another data set"):
        down(s3, tmp_path / "other")


def test_nothing_at_a_place_is_said(s3: Recorded, tmp_path: Path) -> None:
    with pytest.raises(CloudError, match="holds nothing"):
        down(s3, tmp_path / "back")


def test_a_full_disk_is_said_before_anything_comes(
    s3: Recorded, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    up(s3, folder)
    usage = type("Usage", (), {"free": 5})
    monkeypatch.setattr(downloading.shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(ConfigError, match="has room for"):
        down(s3, tmp_path / "back")


def test_links_are_followed_once(folder: Path, tmp_path: Path) -> None:
    (folder / "ring").symlink_to(folder)
    (folder / "one.npy").symlink_to(folder / "labels.npy")
    found = [file.key.removeprefix(SET.below) for file in files_of(folder, SET)]
    assert found == [*NAMES[:2], "labels.npy", "one.npy", "dataset.json"]


def test_names_that_s3_does_not_take_are_refused() -> None:
    with pytest.raises(ConfigError, match="no encoding"):
        check_key("a\udcff")
    with pytest.raises(ConfigError, match="1,026 bytes"):
        check_key("日" * 342)


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["upload", "missing", "s3://my-bucket/x"], 2, "missing does not exist"),
        (["upload", "set", "my-bucket/x"], 2, "no place on S3"),
        (["upload", "set", "s3://My_Bucket/x"], 2, "small letters"),
        (["upload", "set"], 9, "No bucket is known"),
        (["upload", "set", "s3://another-bucket/x"], 9, "--make-bucket"),
        (["upload", "half", "s3://my-bucket/x"], 2, "not prepared to its end"),
        (["upload", "empty", "s3://my-bucket/x"], 2, "holds no files"),
        (["remove", "s3://my-bucket"], 2, "--with-bucket"),
    ],
)
def test_mistakes_are_a_sentence(
    s3: Recorded, folder: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int,
    told: str,
) -> None:  # fmt: skip
    (folder.parent / "half/.preparing").mkdir(parents=True)
    (folder.parent / "empty").mkdir()
    assert run(*words, "--yes") == code
    assert told in capsys.readouterr().err


# --- checksums ----------------------------------------------------------------------------------


def test_a_file_is_compared_by_what_its_object_has(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_bytes(b"abc")
    size = {"ContentLength": 3}
    assert is_of(file, {**size, "ChecksumCRC32": crc32(b"abc")}) is True
    assert is_of(file, {**size, "ChecksumCRC32": crc32(b"abd")}) is False
    sha256 = "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="
    assert is_of(file, {**size, "ChecksumSHA256": sha256}) is True
    assert is_of(file, {**size, "ETag": '"900150983cd24fb0d6963f7d28e17f72"'}) is True
    assert is_of(file, {**size, "ETag": '"900150983cd24fb0d6963f7d28e17f72-2"'}) is None
    assert is_of(file, {**size, "ChecksumCRC32": f"{crc32(b'abc')}-2"}) is None
    assert is_of(file, {"ContentLength": 4}) is False


# --- the commands -------------------------------------------------------------------------------


def test_a_dry_run_needs_no_account_and_names_every_request(
    no_aws: pytest.MonkeyPatch, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    no_aws.chdir(folder.parent)
    words = ["--bucket", "my-bucket", "--make-bucket", "--region", "eu-west-1", "--dry-run"]
    assert run("upload", folder, *words) == 0
    calls = json.loads(capsys.readouterr().out)
    assert [it["action"] for it in calls[:2]] == ["CreateBucket", "PutPublicAccessBlock"]
    assert calls[-1]["request"]["Key"] == "facegan/data/set/dataset.json"
    assert calls[-1]["request"]["ChecksumCRC32"] == crc32((folder / "dataset.json").read_bytes())


def test_a_model_goes_and_comes_back_by_the_command(
    s3: Recorded, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "first/model.tar.gz"
    model.parent.mkdir()
    model.write_bytes(b"weights")
    assert run("upload", model, "--bucket", SET.bucket, "--yes", "--json") == 0
    place = json.loads(capsys.readouterr().out)["place"]
    assert place == "s3://my-bucket/facegan/first/model.tar.gz"
    assert run("download", place, tmp_path / "got.tar.gz", "--yes") == 0
    assert (tmp_path / "got.tar.gz").read_bytes() == b"weights"
    assert not (tmp_path / ASIDE).exists()


def test_a_file_goes_into_a_folder_that_ends_with_a_slash(s3: Recorded, folder: Path) -> None:
    assert run("upload", folder / "labels.npy", f"{SET}/", "--yes") == 0
    assert keys(s3) == ["faces/set/labels.npy"]


def test_a_bucket_is_made_private_encrypted_and_tidy(s3: Recorded, folder: Path) -> None:
    assert run("upload", folder, "s3://new-bucket/set", "--make-bucket", "--yes") == 0
    client, named = s3.client("s3"), {"Bucket": "new-bucket"}
    assert all(client.get_public_access_block(**named)["PublicAccessBlockConfiguration"].values())
    rules = client.get_bucket_lifecycle_configuration(**named)["Rules"]
    assert rules[0]["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}
    tags = client.get_bucket_tagging(**named)["TagSet"]
    assert tags == [{"Key": "facegan:project", "Value": "facegan"}]
    assert client.get_bucket_location(**named)["LocationConstraint"] == "eu-west-1"


def test_us_east_1_is_not_named_and_a_key_is() -> None:
    create, _, encrypt, *_ = creation("b", "us-east-1", {}, "arn:key")
    assert create.request == {"Bucket": "b"}
    (rule,) = encrypt.request["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"]["KMSMasterKeyID"] == "arn:key"


def test_remove_lists_counts_and_leaves_neighbours(
    s3: Recorded, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    up(s3, folder)
    s3.client("s3").put_object(Bucket=SET.bucket, Key="faces/set2", Body=b"")
    s3.client("s3").create_multipart_upload(Bucket=SET.bucket, Key="faces/set/unfinished")
    assert run("remove", SET, "--yes", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["objects"], told["unfinished_uploads"]) == (4, 1)
    assert keys(s3) == ["faces/set2"]
    assert contents(s3, SET).uploads == ()


def test_remove_takes_a_bucket_with_all_in_it(s3: Recorded, folder: Path) -> None:
    up(s3, folder)
    assert run("remove", "s3://my-bucket", "--with-bucket", "--yes") == 0
    assert s3.client("s3").list_buckets()["Buckets"] == []


def test_remove_names_what_s3_would_not_delete(
    s3: Recorded, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(call: Call, answer: Any) -> Any:
        if call.action == "DeleteObjects" and answer is not None:
            return {"Errors": [{"Key": "faces/set/a", "Code": "AccessDenied", "Message": "no"}]}
        return answer

    up(s3, folder)
    s3.breaks = refuse
    assert run("remove", SET, "--yes") == 9
    assert "1 are left; s3://my-bucket/faces/set/a: AccessDenied" in capsys.readouterr().err


# --- progress -----------------------------------------------------------------------------------


class Stream:
    """Keeps what is written."""

    def __init__(self, is_terminal: bool) -> None:
        self.is_terminal, self.text = is_terminal, ""

    def isatty(self) -> bool:
        return self.is_terminal

    def write(self, text: str) -> None:
        self.text += text

    def flush(self) -> None:
        """Nothing."""


@pytest.mark.parametrize("is_terminal", [True, False])
def test_progress_has_rate_and_time_left(is_terminal: bool) -> None:
    now, stream = [0.0], Stream(is_terminal)
    with Progress("Uploading", 3_000_000_000, stream, lambda: now[0]) as progress:
        progress(10)  # too soon for a line
        now[0] = 40.0
        progress(999_999_990)
    line = "Uploading  33%  1.0 GB of 3.0 GB  25.0 MB/s  1:20 left"
    assert stream.text == (f"\r\x1b[K{line}\r\x1b[K" if is_terminal else f"{line}\n")


def test_amounts_and_times_are_for_people() -> None:
    assert [amount_of(it) for it in (0, 999, 1000, 123_456, 999_950)] == [
        "0 B", "999 B", "1.0 kB", "123 kB", "1.0 MB",
    ]  # fmt: skip
    assert [duration(it) for it in (0, 61, 3723)] == ["0:00", "1:01", "1:02:03"]
