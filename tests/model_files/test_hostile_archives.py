"""Whatever is packed as a model: it is read, or refused in a sentence, by every reader alike."""

import gzip
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import hostile_tars as hostile
import pytest
from hostile_tars import Add, Files, archive, named, pax, raw, special

from facegan.artifact import load_artifact
from facegan.cli.serve import unpacked
from facegan.cloud.job_record import unpack_record
from facegan.errors import ArtifactError
from facegan.model_files import (
    CARD_NAME,
    WEIGHTS_NAME,
    pack_artifact,
    read_card,
    read_files,
    read_weights_header,
)
from facegan.model_files.archive import check_archive, list_archive

LINK, HARD_LINK = tarfile.SYMTYPE, tarfile.LNKTYPE
MANY = 70


def serve(path: Path) -> None:
    with unpacked(path):
        pass


def fetch(path: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        unpack_record(path, Path(folder))


READERS: dict[str, Callable[[Path], object]] = {
    "card": read_card,
    "weights' header": read_weights_header,
    "files": lambda path: read_files(path, [WEIGHTS_NAME]),
    "check": check_archive,
    "load": load_artifact,
    "serve": serve,
    "fetch": fetch,
}
# Those that see an archive whole; the others stop at what they want, or take records of jobs.
WHOLE = ("files", "check", "load", "serve")

HOSTILE: dict[str, Add] = {
    "symbolic link": special("other", LINK, "/etc/passwd"),
    "symbolic link within": special("other", LINK, CARD_NAME),
    "link to a folder": special("code", LINK, "/tmp"),
    "hard link": special("other", HARD_LINK, CARD_NAME),
    "hard link to the outside": special("other", HARD_LINK, "../../etc/passwd"),
    "character device": special("zero", tarfile.CHRTYPE),
    "block device": special("disk", tarfile.BLKTYPE),
    "pipe": special("pipe", tarfile.FIFOTYPE),
    "contiguous file": special("odd", tarfile.CONTTYPE),
    "unknown type": special("odd", b"Z"),
    "dump of a folder": special("odd", b"D"),
    "..": named("../out"),
    ".. in the middle": named("a/../../out"),
    ".. that stays inside": named("a/../out"),
    "absolute": named("/out"),
    "absolute, twice": named("//out"),
    "absolute by pax": pax(path="/out"),
    ".. by pax": pax(path="a/../../out"),
    "sparse, old": raw(hostile.sparse_block("hole", 3 << 30)),
    "sparse by pax 0.0": pax(GNU__sparse__size="9999999", GNU__sparse__numblocks="0"),
    "sparse by pax 0.1": pax(GNU__sparse__map="0,1", GNU__sparse__size="99999999"),
    "sparse by pax 1.0": pax(
        GNU__sparse__major="1", GNU__sparse__minor="0", GNU__sparse__realsize="99999999"
    ),
    "a real size alone": pax(GNU__sparse__realsize="99999999"),
    "a size beyond the end": raw(hostile.block_of("big", 8 << 30, tarfile.REGTYPE)),
    "a negative size": pax(size="-512"),
    "a pax header of 1 MB": pax(comment="x" * (1 << 20)),
    "a pax header that claims 8 GiB": raw(hostile.block_of("x", 8 << 30, tarfile.XHDTYPE)),
    "a global header that claims 8 GiB": raw(hostile.block_of("x", 8 << 30, tarfile.XGLTYPE)),
    "a long name that claims 8 GiB": raw(hostile.block_of("x", 8 << 30, tarfile.GNUTYPE_LONGNAME)),
    "a long name of 1 MB": raw(
        hostile.block_of("x", 1 << 20, tarfile.GNUTYPE_LONGNAME) + b"x" * (1 << 20)
    ),
    "long names of long names": raw(
        (hostile.block_of("x", 1, tarfile.GNUTYPE_LONGNAME) + bytes(512)) * 5000
    ),
    "a header that is damaged": raw(b"x" * 512),
}


def refuse(read: Callable[[Path], object], path: Path) -> str:
    """Check that a reader refuses, quickly and in one sentence that names the file."""
    started = time.monotonic()
    with pytest.raises(ArtifactError) as told:
        read(path)
    assert time.monotonic() - started < 3
    assert path.name in told.value.message and "\n" not in str(told.value)
    return str(told.value)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_member_is_refused_by_every_reader(
    files: Files, tmp_path: Path, name: str, reader: str
) -> None:
    """Nothing is written, neither beside the archive nor among temporary files."""
    path = archive(tmp_path / "m.tar.gz", files, first=[HOSTILE[name]])
    refuse(READERS[reader], path)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("reader", WHOLE)
@pytest.mark.parametrize("name", ["symbolic link", "pipe", "a/../../out", "sparse, old"])
def test_hostile_members_after_the_models_files_are_refused(
    files: Files, tmp_path: Path, name: str, reader: str
) -> None:
    add = HOSTILE.get(name) or named(name)
    refuse(READERS[reader], archive(tmp_path / "m.tar.gz", files, last=[add]))


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("name", [CARD_NAME, WEIGHTS_NAME, "./" + CARD_NAME])
@pytest.mark.parametrize("kind", [LINK, HARD_LINK, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_a_link_in_place_of_a_models_file_is_refused(
    files: Files, tmp_path: Path, name: str, kind: bytes, reader: str
) -> None:
    """Not even to another member: some tools would follow it, and others not."""
    others = {f"other/{key}": value for key, value in files.items()}
    target = f"other/{name.removeprefix('./')}"
    rest = {key: value for key, value in files.items() if key not in name}
    path = archive(tmp_path / "m.tar.gz", others | rest, first=[special(name, kind, target)])
    refuse(READERS[reader], path)


@pytest.fixture(scope="module", params=[MANY, 200_000])
def crowded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """So many empty files."""
    path = tmp_path_factory.mktemp("crowded") / "m.tar.gz"
    block = tarfile.TarInfo("{:06}").tobuf()
    blocks = [renamed(block, number) for number in range(request.param)]
    return hostile.packed(path, [*blocks, bytes(1024)])


@pytest.mark.parametrize("reader", [reader for reader in READERS if reader != "fetch"])
def test_too_many_members_are_refused(crowded: Path, reader: str) -> None:
    """A few dozen are read; only a job's record may have more."""
    assert "64 members" in refuse(READERS[reader], crowded)


def renamed(block: bytes, number: int) -> bytes:
    """A header of another name, its sum of bytes mended."""
    name = b"%06d" % number
    total = sum(block) - sum(block[:6]) + sum(name) - sum(block[148:156]) + 8 * 32
    return name + block[6:148] + b"%06o\0 " % total + block[156:]


def test_custom_code_may_bring_packages(files: Files, tmp_path: Path) -> None:
    """Hundreds of files below code/, and none of them is a reason to refuse the model."""
    path = archive(
        tmp_path / "m.tar.gz", files, last=[named(f"code/lib/{i}.py") for i in range(300)]
    )
    assert check_archive(path)["family"] == "dcgan"
    assert load_artifact(path).card == read_card(path)


@pytest.mark.parametrize("reader", [*WHOLE, "fetch"])
@pytest.mark.parametrize("prefix", ["", "./", ".//./"])
def test_two_members_of_one_name_are_refused(
    files: Files, tmp_path: Path, prefix: str, reader: str
) -> None:
    """Programs disagree which of them is meant."""
    path = archive(tmp_path / "m.tar.gz", files, last=[named(prefix + CARD_NAME)])
    refuse(READERS[reader], path)


def test_the_card_that_is_read_alone_is_the_first(files: Files, tmp_path: Path) -> None:
    path = archive(tmp_path / "m.tar.gz", files, last=[named(CARD_NAME)])
    assert read_card(path).family == "dcgan"


# --- what is packed -----------------------------------------------------------------------------


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("content", [
    b"", b"\x1f", b"\x1f\x8b\x08\x00", b"PK\x03\x04" + bytes(999), b"\x80\x04K\x01." * 300,
    gzip.compress(b"", mtime=0), gzip.compress(b"x", mtime=0),
    gzip.compress(b"x" * 99999, mtime=0)[:-4],
    bytes(2000),
    gzip.compress(b"\x80\x04K\x01." * 300, mtime=0),
])  # fmt: skip
def test_a_file_that_is_not_an_archive_is_refused(
    tmp_path: Path, content: bytes, reader: str
) -> None:
    (tmp_path / "m.tar.gz").write_bytes(content)
    if reader == "fetch" and content == gzip.compress(b"", mtime=0):
        pytest.skip("an empty record has no files")
    refuse(READERS[reader], tmp_path / "m.tar.gz")


@pytest.mark.parametrize("reader", [*WHOLE, "fetch"])
@pytest.mark.parametrize("cut", [1, 4, 8, 9, 100, 5000])
def test_a_truncated_archive_is_refused(
    files: Files, tmp_path: Path, cut: int, reader: str
) -> None:
    """Also where only gzip's own sum is missing."""
    path = archive(tmp_path / "m.tar.gz", files)
    path.write_bytes(path.read_bytes()[:-cut])
    assert "early" in refuse(READERS[reader], path)


@pytest.mark.parametrize("reader", WHOLE)
def test_a_wrong_checksum_is_refused(files: Files, tmp_path: Path, reader: str) -> None:
    path = archive(tmp_path / "m.tar.gz", files)
    content = bytearray(path.read_bytes())
    content[-6] ^= 1
    path.write_bytes(content)
    refuse(READERS[reader], path)


@pytest.mark.parametrize("reader", WHOLE)
@pytest.mark.parametrize(
    "rest", [b"rubbish", gzip.compress(b"", mtime=0)[:-1], b"\x1f\x8bnone of it"]
)
def test_garbage_after_an_archive_is_refused(
    files: Files, tmp_path: Path, rest: bytes, reader: str
) -> None:
    path = archive(tmp_path / "m.tar.gz", files)
    path.write_bytes(path.read_bytes() + rest)
    refuse(READERS[reader], path)


@pytest.mark.parametrize("reader", WHOLE)
@pytest.mark.parametrize("zeros", [0, 512, 10_240])
def test_a_tar_after_a_tar_is_refused(
    files: Files, tmp_path: Path, zeros: int, reader: str
) -> None:
    """Some tools go on behind an archive's end, and would find other files than ours did."""
    path = archive(tmp_path / "m.tar.gz", files)
    rest = bytes(zeros) + hostile.block_of("other", 0, tarfile.REGTYPE)
    path.write_bytes(path.read_bytes() + gzip.compress(rest, mtime=0))
    assert "follows" in refuse(READERS[reader], path)


def test_an_archive_may_be_padded_and_be_of_several_streams(files: Files, tmp_path: Path) -> None:
    """Tapes pad with zeros; pigz and bgzip write streams one after the other."""
    path = archive(tmp_path / "m.tar.gz", files)
    tar = gzip.decompress(path.read_bytes())
    streams = [gzip.compress(tar[at : at + 50_000]) for at in range(0, len(tar), 50_000)]
    path.write_bytes(b"".join(streams) + bytes(70_000))
    assert check_archive(path)["family"] == "dcgan"


def test_an_archive_that_macos_packed_is_the_same_model(files: Files, tmp_path: Path) -> None:
    """A folder of its own name, companions, and the finder's notes; in pax and in GNU's format."""
    for number, style in enumerate((tarfile.PAX_FORMAT, tarfile.GNU_FORMAT)):
        with tarfile.open(tmp_path / f"{number}.tar.gz", "w:gz", format=style) as tar:
            tar.addfile(directory("./"))
            for name, content in files.items():
                hostile.add_file(tar, f"./._{name}", b"\0\5\x16\7" + bytes(100))
                hostile.add_file(tar, f"././{name}", content)
            hostile.add_file(tar, "./.DS_Store")
            hostile.add_file(tar, "deep/" * 40 + "x")  # a name that takes a header of its own
        assert load_artifact(tmp_path / f"{number}.tar.gz").card.family == "dcgan"


def directory(name: str) -> tarfile.TarInfo:
    folder = tarfile.TarInfo(name)
    folder.type = tarfile.DIRTYPE
    return folder


# --- how much it takes --------------------------------------------------------------------------


def test_our_packer_puts_the_card_first(model_dir: Path, tmp_path: Path) -> None:
    packed = pack_artifact(model_dir, tmp_path / "m.tar.gz")
    assert list_archive(packed)[0] == CARD_NAME


def test_reading_a_card_reads_no_weights(files: Files, tmp_path: Path) -> None:
    """What lies behind it may even be missing."""
    path = archive(tmp_path / "m.tar.gz", {CARD_NAME: files[CARD_NAME], **files})
    path.write_bytes(path.read_bytes()[:8192])
    assert read_card(path).family == "dcgan"


BOMBS: dict[str, Callable[[Path], object]] = {
    "a file of zeros": lambda path: hostile.packed(path, hostile.tar_of("zeros", 1 << 30)),
    "a card of zeros": lambda path: hostile.packed(path, hostile.tar_of(CARD_NAME, 1 << 30)),
    "weights of zeros": lambda path: hostile.packed(path, hostile.tar_of(WEIGHTS_NAME, 1 << 30)),
    "a pax header of zeros": lambda path: hostile.packed(
        path, hostile.tar_of("x", 1 << 30, tarfile.XHDTYPE)
    ),
    "a long name of zeros": lambda path: hostile.packed(
        path, hostile.tar_of("x", 1 << 30, tarfile.GNUTYPE_LONGNAME)
    ),
    "a folder of zeros": lambda path: hostile.packed(
        path, hostile.tar_of("x", 1 << 30, tarfile.DIRTYPE)
    ),
    "zeros and nothing else": lambda path: hostile.packed(path, [bytes(1 << 20)] * 1024),
    "a gzip header of 100 MB": lambda path: path.write_bytes(
        b"\x1f\x8b\x08\x08" + bytes(6) + b"x" * (100 << 20)
    ),
    "a million empty streams": lambda path: path.write_bytes(
        gzip.compress(b"", mtime=0) * 1_000_000
    ),
    "a header of weights of 90 MB": lambda path: hostile.packed(path, [
        hostile.block_of(WEIGHTS_NAME, 90 << 20, tarfile.REGTYPE),
        ((90 << 20) - 8).to_bytes(8, "little") + b"{" + b" " * (90 << 20),
    ]),
}  # fmt: skip

TAKEN = """
import re, sys, time
from pathlib import Path
from facegan.errors import ArtifactError
from facegan.model_files import CARD_NAME, WEIGHTS_NAME, read_card, read_files
from facegan.model_files.archive import check_archive, list_archive
from facegan.path_kinds import describe_path

def look(path):
    describe_path(path)
    raise ArtifactError("said in little time")

path = Path(sys.argv[1])
whole = lambda path: read_files(path, [WEIGHTS_NAME])
for read in (read_card, check_archive, list_archive, whole, look):
    started = time.monotonic()
    try:
        read(path)
    except ArtifactError as error:
        assert "\\n" not in str(error)
    else:
        sys.exit(f"{read} took it")
    took = time.monotonic() - started
    peak = int(re.search(r"VmHWM:\\s*(\\d+)", Path("/proc/self/status").read_text())[1]) >> 10
    assert took < 3 and peak < 250, (read, took, peak)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_in_little_time_and_memory(tmp_path: Path, name: str) -> None:
    """By each reader within three seconds, in a process that stays below 250 MiB."""
    BOMBS[name](tmp_path / "bomb.tar.gz")
    done = subprocess.run(
        [sys.executable, "-c", TAKEN, tmp_path / "bomb.tar.gz"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
