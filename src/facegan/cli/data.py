"""`facegan data`: make a data set to train on."""

import math
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from facegan.cli.inputs import PART, PREPARED, URL, check_output, check_source
from facegan.name_lists import quoted

if TYPE_CHECKING:
    from facegan.data.prepare import CheckResult

# Imports inside functions: `--help` and refusals answer without importing torch (1.6 s).


@click.group("data")
def command() -> None:
    """Make a data set that `facegan train` reads, and look at it.

    \b
    From your images, whatever they lie in:
      facegan data prepare photos --out runs/photos64 --resolution 64
      facegan data check runs/photos64
      facegan data show runs/photos64 --out grid.png

    \b
    No images yet? Have some drawn:
      facegan data toy --out runs/toy32 --images 20000 --resolution 32
      facegan train --data runs/toy32 --out runs/first --family dcgan --preset toy32
    """


def only_one(
    context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> str | None:
    """The value of an option that may be given once; without this, the last of several counts.

    Raises:
        UsageError: several are given.
    """
    if len(values) > 1:
        raise click.UsageError(
            f"--{parameter.name} is given {len(values)} times: {' and '.join(values)}."
            " One data set has one of them; draw two."
        )
    return values[0] if values else None


@command.command("toy")
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder to make. It appears when it is complete.",
)
@click.option("--images", required=True, type=int, help="How many faces, at least 1.")
@click.option(
    "--resolution", required=True, type=int, help="Side of the square images, 8 to 1024 pixels."
)
@click.option(
    "--seed",
    default=0,
    show_default=True,
    help="Which faces. Image k of a seed is the same in a data set of any length.",
)
@click.option("--label-maps", is_flag=True, help="Also write what each pixel shows, in 14 classes.")
@click.option(
    "--labels",
    type=click.Choice(["hair", "glasses", "age"]),
    help="Also say what kind of face each image shows, for conditional presets.",
)
@click.option(
    "--paired",
    type=click.Choice(["sketch", "night"]),
    multiple=True,
    callback=only_one,
    help="Also draw each face as a sketch, or at night (Pix2Pix).",
)
@click.option(
    "--unpaired",
    type=click.Choice(["night", "glasses"]),
    multiple=True,
    callback=only_one,
    help="Also draw as many other faces, at night or with glasses (CycleGAN).",
)
@click.option("--workers", type=int, help="Processes to draw with.  [default: one a core]")
def toy(
    out: Path,
    images: int,
    resolution: int,
    seed: int,
    label_maps: bool,
    labels: str | None,
    paired: str | None,
    unpaired: str | None,
    workers: int | None,
) -> None:
    """Draw synthetic cartoon faces, with no photo of a person in them.

    \b
    Makes
      OUT/images/00000/000000000.png …   RGB, 1,000 to a folder
      OUT/labels/00000/000000000.png …   class indices with a palette (--label-maps)
      OUT/paired/00000/000000000.png …   the same faces, drawn otherwise (--paired)
      OUT/unpaired/00000/000000000.png … other faces, in another domain (--unpaired)
      OUT/dataset.json                   what it is, and how to draw it again

    The classes are background, body, neck, hair, ear, skin, eye, iris, brow, nose, lip, teeth,
    beard and glasses: the part on top at each pixel; a clear lens shows what is behind it.

    \b
    --labels writes the class of each whole image into dataset.json:
      hair      bald, short, long
      glasses   none, clear, dark
      age       child, adult, old

    \b
    --paired writes a partner of each image:
      sketch    black lines on white, where parts of the face meet
      night     the same face at night
    --unpaired writes as many images of other faces:
      night     at night
      glasses   with glasses; the images themselves are then without
    The faces of --unpaired are those of the seed 9223372036854775807 minus --seed: with --paired
    night every translation between day and night can be compared with the true one.

    \b
    Examples
      Enough for a first GAN:
        facegan data toy --out runs/toy32 --images 20000 --resolution 32
      Other faces, larger, with label maps:
        facegan data toy --out runs/toy64 --images 5000 --resolution 64 --seed 7 --label-maps
      The first again, with a class for each face:
        facegan data toy --out runs/hair32 --images 20000 --resolution 32 --labels hair
      For image-to-image families; it prints the `data prepare` that comes next:
        facegan data toy --out runs/sketches --images 5000 --resolution 32 --paired sketch
        facegan data toy --out runs/night --images 5000 --resolution 32 --unpaired night

    A folder that already holds this very data set is left as it is. An interrupted run leaves no
    OUT; remove any OUT.partial-* that a killed one left beside it.
    """
    from tqdm import tqdm

    from facegan.data.toy_faces import write_toy_faces

    check_output(out)
    with tqdm(total=images, unit=" images", desc="Drawing toy faces", disable=None) as bar:

        def advance(count: int) -> None:
            bar.update(count)

        drawn = write_toy_faces(
            out, images, resolution, seed, label_maps, workers, advance, labels, paired, unpaired
        )
    if drawn:
        click.echo(f"{images:,} synthetic cartoon faces of {resolution} pixels are in {out}")
    else:
        click.echo(f"Already there: {out} holds this very data set.")
    flags = {"--label-maps": label_maps, "--paired": paired, "--unpaired": unpaired}
    if companions := [f"{flag} {quote(str(out))}" for flag, made in flags.items() if made]:
        click.echo(
            f"Next: facegan data prepare {quote(str(out))} --out {quote(f'{out}-prepared')}"
            f" --resolution {resolution} {' '.join(companions)}"
        )


# --- prepare ------------------------------------------------------------------------------------

folder_type = click.Path(path_type=Path)
LOG_SECONDS = 30  # between lines of progress where nobody watches


@command.command("prepare")
@click.argument("source")
@click.option("--out", required=True, type=folder_type, help="Folder to make, or to go on with.")
@click.option(
    "--resolution", required=True, type=int, help="Side of the squares, 4 to 4096 pixels."
)
@click.option(
    "--crop",
    metavar="[centre|celeba|ffhq]",
    default="centre",
    show_default=True,
    help="Which square of each image is kept; center is accepted, too.",
)
@click.option(
    "--labels",
    metavar="WHERE",
    help="Where labels are: manifest, folders, none, or an attribute of CelebA."
    "  [default: manifest, if it has any]",
)
@click.option(
    "--paired",
    metavar="SOURCE",
    help="Partners of the images, by their path without suffix; or split: each file holds both.",
)
@click.option("--label-maps", metavar="SOURCE", help="Maps of class indices, by the same path.")
@click.option("--unpaired", metavar="SOURCE", help="Images of another domain, of any number.")
@click.option(
    "--shard",
    metavar="K",
    help="Prepare the K-th part only, from 0; auto: the part of this host of a Processing job …",
)
@click.option("--of", "parts", type=int, metavar="M", help="… of M; `merge` makes one of them.")
@click.option("--workers", type=int, help="Processes.  [default: one a core]")
@click.option(
    "--everything",
    is_flag=True,
    help="Also take hidden files, by-products of programs, and images that facegan generated.",
)
@click.option(
    "--name-encoding",
    metavar="ENCODING",
    help="How names in an archive are written that does not say it, as cp437, cp932 or gbk.",
)
@click.option("--endpoint-url", type=URL, metavar="URL", help="Another S3 than AWS's.")
@click.option("--region", metavar="REGION", help="AWS region.  [default: your AWS settings]")
@click.option("--profile", metavar="PROFILE", help="AWS profile.  [default: your AWS settings]")
def prepare(
    source: str,
    out: Path,
    resolution: int,
    crop: str,
    labels: str | None,
    paired: str | None,
    label_maps: str | None,
    unpaired: str | None,
    shard: str | None,
    parts: int | None,
    workers: int | None,
    everything: bool,
    name_encoding: str | None,
    endpoint_url: str | None,
    region: str | None,
    profile: str | None,
) -> None:
    """Prepare images once: square, of one resolution, packed.

    SOURCE is a folder with images at any depth, a .zip, a .tar or .tar.gz, CelebA as it is
    downloaded, or s3://bucket/prefix. Each image is turned upright, laid on white where it is
    transparent, cropped, and resized with antialiasing (Lanczos). One that cannot be used is named,
    with the reason, in OUT/skipped.jsonl; of equal ones the first is kept. Killed? The same command
    goes on where it was.

    \b
    --crop centre   the square in the middle
           celeba   of 178x218 the middle 178x178 (as StarGAN and PyTorch's DCGAN do)
           ffhq     squares as they are

    \b
    Examples
      A folder or an archive:
        facegan data prepare photos --out runs/photos64 --resolution 64
        facegan data prepare photos.zip --out runs/zip64 --resolution 64
      Every folder in it a class:
        facegan data prepare pets --out runs/pets64 --resolution 64 --labels folders
      CelebA, its official partition as splits, smiling or not as classes:
        facegan data prepare CelebA --out runs/celeba --resolution 64 --crop celeba --labels Smiling
      For image-to-image families: photos and sketches of the same names; pairs in one file,
      side by side; faces with the maps of their parts; two domains (CycleGAN):
        facegan data prepare photos --out runs/sketched --resolution 256 --paired sketches
        facegan data prepare facades/train --out runs/facades --resolution 256 --paired split
        facegan data prepare toy64 --out runs/parts --resolution 64 --label-maps toy64
        facegan data prepare horses --out runs/horse2zebra --resolution 256 --unpaired zebras
      From S3, on the first of four machines:
        facegan data prepare s3://bucket/ffhq --out part0 --resolution 256 --shard 0 --of 4
      On every host of a SageMaker Processing job, each into a folder of its own in OUT:
        facegan data prepare /opt/ml/processing/input/pictures --out /opt/ml/processing/output \\
                --resolution 64 --shard auto
    """
    from facegan.data.prepare import StreamSource
    from facegan.data.prepare import prepare as prepare_images
    from facegan.data.prepare.skip_report import IgnoredFiles

    check_output(out)
    share = find_share(shard, parts, source)
    for named in (None if share.is_given else source, paired, label_maps, unpaired):
        check_source(named)
    part, host = (None, share.place) if share.is_given else (share.place, None)
    if shard == "auto" and share.place:
        out = out / f"part-{share.place[0]:05d}"

    def open_named(address: str | None) -> Any:
        if address is not None and address.startswith("s3://"):
            return open_s3(address, endpoint_url, region, profile)
        return address

    found: Any = open_named(source)
    if share.is_given and found is source and not Path(source).exists():
        found = StreamSource(Path(source).name, lambda: ())  # S3 had nothing for this host
    ignored = IgnoredFiles()
    with progress_bar("Preparing") as on_progress:
        manifest = prepare_images(
            found,
            out,
            resolution,
            crop,
            labels,
            part,
            workers,
            on_progress,
            paired=open_named(paired),
            label_maps=open_named(label_maps),
            unpaired=open_named(unpaired),
            host=host,
            everything=everything,
            on_ignored=ignored.add,
            encoding=name_encoding,
        )
    if manifest.get("already_there"):
        click.echo(f"Already there: {out} holds this very data set.")
    tell_counts(manifest, out)
    for line in ignored.lines("--everything"):
        click.echo(line)


class Share(NamedTuple):
    """Which images this machine prepares."""

    place: tuple[int, int] | None  # (K, M): the K-th of M machines; None for one that is alone
    is_given: bool = False  # whether the source holds no others; else they are chosen by name


def find_share(shard: str | None, parts: int | None, source: str) -> Share:
    """What --shard and --of, or the files of a Processing job, say of this machine.

    Raises:
        UsageError: the options do not fit together.
    """
    if shard == "auto":
        from facegan.environment import ProcessingEnvironment

        if parts is not None:
            raise click.UsageError("--shard auto knows how many hosts there are, without --of.")
        job = ProcessingEnvironment.from_mapping(os.environ)
        is_given = not source.startswith("s3://") and job.is_sharded(Path(source))
        return Share(job.share, is_given) if len(job.hosts) > 1 else Share(None)
    if (shard is None) != (parts is None):
        raise click.UsageError("--shard K and --of M go together.")
    if shard is None or parts is None:
        return Share(None)
    if not shard.removeprefix("-").isdecimal():
        raise click.UsageError(f"--shard is {shard!r}: a whole number from 0, or auto.")
    return Share((int(shard), parts))


def open_s3(address: str, endpoint_url: str | None, region: str | None, profile: str | None) -> Any:
    """The images below an address on S3, as a source."""
    from facegan.cloud.aws import Aws
    from facegan.cloud.s3_pictures import READERS, S3Pictures
    from facegan.data.prepare import StreamSource

    images = S3Pictures(address, Aws(region, profile, endpoint_url))
    return StreamSource(images.name, images.streams, images.find, readers=READERS)


@contextmanager
def progress_bar(title: str) -> Iterator[Callable[[int, int | None], None]]:
    """A bar with rate and time left, or in a log a line of the same every half minute.

    What a run before had done does not count as speed. Without tqdm, which preparing alone does not
    need, nothing is shown.
    """
    try:
        from tqdm import tqdm
    except ModuleNotFoundError:
        yield lambda done, expected: None
        return

    is_log = not sys.stderr.isatty()
    stream: Any = Lines(sys.stderr) if is_log else sys.stderr
    with tqdm(
        unit=" images",
        desc=title,
        file=stream,
        mininterval=LOG_SECONDS if is_log else 0.5,
        maxinterval=LOG_SECONDS,
        leave=not is_log,
        delay=LOG_SECONDS if is_log else 0,
    ) as bar:
        begun = False

        def show(done: int, expected: int | None) -> None:
            nonlocal begun
            if not begun:
                begun, bar.initial, bar.n = True, done, done
            bar.total = expected
            bar.update(done - bar.n)

        yield show


class Lines:
    """What tqdm draws over its last line as lines of their own, for logs."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def write(self, text: str) -> None:
        """A line, if there is anything in it."""
        if line := text.strip():
            self.stream.write(line + "\n")

    def flush(self) -> None:
        """Pass it on."""
        self.stream.flush()


def tell_counts(manifest: dict[str, Any], out: Path) -> None:
    """Say what became of every image."""
    click.echo(
        f"{manifest['found']:,} found = {manifest['written']:,} written + "
        f"{manifest['duplicates']:,} duplicates + {manifest['skipped']:,} skipped"
    )
    if manifest["skipped"]:
        for line in reasons_in(out / manifest["skipped_files"]):
            click.echo(line)
        click.echo(f"Why images were skipped: {out / manifest['skipped_files']}")
    if manifest["duplicates"]:
        click.echo(f"Of what they are duplicates: {out / manifest['duplicate_files']}")
    click.echo(f"{manifest['images']:,} images of {manifest['resolution']} pixels are in {out}")
    for companion in companions_of(manifest, out):
        tell_counts(*companion)


def reasons_in(file: Path) -> Iterator[str]:
    """Why images were skipped, grouped, by a data set's list of them."""
    from facegan.data.prepare.packed_format import read_lines
    from facegan.data.prepare.skip_report import SkipReasons

    reasons = SkipReasons()
    for record in read_lines(file):
        reasons.add(record["file"], record["reason"])
    return reasons.lines()


def companions_of(manifest: dict[str, Any], out: Path) -> Iterator[tuple[dict[str, Any], Path]]:
    """The manifests and folders of what belongs to a data set."""
    from facegan.data.prepare.packed_format import read_packed

    for facts in manifest.get("companions", {}).values():
        yield read_packed(out / facts["folder"]), out / facts["folder"]


# --- stream, merge, check, show -----------------------------------------------------------------


@command.command("stream")
@click.argument("packed", metavar="PACKED", type=PREPARED)
@click.option("--out", required=True, type=folder_type, help="Folder to make, or to go on with.")
@click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    default=0,
    show_default=True,
    help="Which random order the images are put in; the manifest says it.",
)
def stream(packed: Path, out: Path, seed: int) -> None:
    """Write a prepared data set as tars of PNGs that are read in sequence, from S3 too.

    For what does not fit the disk of a training machine. A streamed data set is shuffled in windows
    of four shards, so the images are put into the shards in a random order first, each within its
    split. Splits, labels and the lists of what was thrown away go along. One shard (64 MiB of
    pixels) is in memory. Killed? The same command goes on after the last shard. Needs
    pip install 'facegan[streaming]'.

    \b
      facegan data stream runs/photos64 --out runs/photos64s
      aws s3 sync runs/photos64s s3://bucket/photos64s
      facegan train --data s3://bucket/photos64s --out runs/first
    """
    from facegan.data.streaming import stream_packed

    check_output(out)
    with progress_bar("Streaming") as on_progress:
        manifest = stream_packed(packed, out, seed, on_progress=on_progress)
    if manifest.get("already_there"):
        click.echo(f"Already there: {out} holds this very data set.")
    shards = len(manifest["shards"])
    click.echo(f"{manifest['images']:,} images in {shards:,} shards are in {out}")


@command.command("merge")
@click.argument("parts", nargs=-1, required=True, type=PART)
@click.option("--out", required=True, type=folder_type, help="Folder to make; the parts stay.")
def merge(parts: tuple[Path, ...], out: Path) -> None:
    """Make one data set of those that several machines prepared.

    \b
    Parts of one source come out as one machine would have made them, byte for byte:
      facegan data prepare photos --out part0 --resolution 64 --shard 0 --of 2
      facegan data prepare photos --out part1 --resolution 64 --shard 1 --of 2
      facegan data merge part0 part1 --out runs/photos64

    A folder of parts, as the hosts of a Processing job leave it, stands for all in it:
      facegan data merge parts --out runs/photos64

    Other data sets, prepared with the same options, are put one after another. Duplicates between
    parts are dropped; a part that no image fell to is fine.
    """
    from facegan.data.prepare import merge as merge_parts

    check_output(out)
    with progress_bar("Merging") as on_progress:
        manifest = merge_parts(parts, out, on_progress)
    tell_counts(manifest, out)


@command.command("check")
@click.argument("folder", metavar="DIR", type=PREPARED)
def check(folder: Path) -> None:
    """Read all of a prepared data set: is it what its manifest says, and what is in it?

    Prints counts, the balance of labels, why images were skipped, and the digest. Damaged shards
    and images that are there twice are named, and then the exit code is 3. Of a streamed data set
    the shards' digests and the labels are checked.

    \b
      facegan data check runs/photos64
    """
    from facegan.data.manifest import read_manifest
    from facegan.data.prepare import CheckResult
    from facegan.data.prepare import check as check_packed
    from facegan.errors import DatasetError

    if read_manifest(folder).get("kind") == "streamed":
        from facegan.data.streaming import check_streamed

        tell_checked(CheckResult(*check_streamed(folder)))
        click.echo("All is well.")
        return
    checked = check_packed(folder)
    tell_checked(checked)
    if checked.problems:
        faults = "\n".join([f"{folder} is not whole:", *checked.problems])
        raise DatasetError(faults, "Prepare it again, or copy it whole.")
    click.echo("All is well.")


def tell_checked(checked: "CheckResult") -> None:
    """Print what is in a data set."""
    manifest = checked.manifest
    click.echo(f"{manifest.get('images'):,} images of {manifest.get('resolution')} pixels")
    click.echo(f"digest {manifest.get('digest')}")
    click.echo(
        f"{manifest.get('found'):,} found = {manifest.get('written'):,} written + "
        f"{manifest.get('duplicates'):,} duplicates + {manifest.get('skipped'):,} skipped"
    )
    for split, (start, stop) in manifest.get("splits", {}).items():
        click.echo(f"  split {split}: {stop - start:,}")
    for name, count in checked.classes.items():
        click.echo(f"  class {quoted(name)}: {count:,} ({count / max(manifest['images'], 1):.1%})")
    for reason, count in sorted(checked.reasons.items(), key=lambda pair: -pair[1]):
        click.echo(f"  skipped {count:,}: {reason}")
    if manifest.get("images") == 0:
        click.echo("It is an empty part: `facegan data merge` takes it, training does not.")
    for name, companion in checked.companions.items():
        click.echo(f"{name}:")
        tell_checked(companion)


MADE_BY_US = b"""<x:xmpmeta xmlns:x="adobe:ns:meta/" xmlns:facegan="urn:facegan:"/>"""
GRID_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}


@command.command("show")
@click.argument("folder", metavar="DIR", type=PREPARED)
@click.option("--out", required=True, type=folder_type, help="The .png, .jpg or .webp to write.")
@click.option("--images", default=64, show_default=True, help="How many, spread over the data set.")
@click.option("--columns", type=int, help="[default: as square as can be]")
@click.option(
    "--map",
    "map_index",
    type=click.IntRange(min=0),
    metavar="N",
    help="Write the label map of the N-th image instead, from 0: a palette PNG to paint over.",
)
def show(folder: Path, out: Path, images: int, columns: int | None, map_index: int | None) -> None:
    """Draw some images of a prepared data set side by side.

    Beside an image is its partner, and its label map in the map's colours.

    \b
      facegan data show runs/photos64 --out grid.png
      facegan data show runs/horse2zebra/unpaired --out zebras.png

    \b
    A label map, for `facegan generate --label-map`, as it is or painted over:
      facegan data show runs/toy-maps32 --map 7 --out map.png
    """
    from facegan.data.prepare import read_label_map
    from facegan.errors import OutputError
    from facegan.files import write_atomic

    if map_index is not None and out.suffix.lower() != ".png":
        message = f"--out {out}: a label map is a .png; other formats change class numbers."
        raise click.UsageError(message)
    if (kind := GRID_FORMATS.get(out.suffix.lower())) is None:
        raise click.UsageError(f"--out {out}: name a .png, .jpg or .webp, as {out.stem}.png.")
    check_output(out)
    stream = BytesIO()
    if map_index is None:
        shown = write_grid(stream, kind, folder, images, columns)
        message = f"{shown} of the images in {folder} are in {out}"
    else:
        read_label_map(folder, map_index).save(stream, kind)
        message = f"The label map of image {map_index} of {folder} is in {out}"
    try:
        write_atomic(out, stream.getvalue())
    except OSError as cause:
        raise OutputError(f"{out} cannot be written: {cause.strerror}.") from cause
    click.echo(message)


def write_grid(stream: BytesIO, kind: str, folder: Path, images: int, columns: int | None) -> int:
    """Write some images of a data set side by side; return how many."""
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    from facegan import __version__
    from facegan.data.prepare import sample
    from facegan.image_encoding import montage

    sampled = sample(folder, images)
    modalities = sampled.shape[2] // sampled.shape[1]  # an image and its companions
    columns = columns or math.ceil(math.sqrt(len(sampled) / modalities))
    about = PngInfo()  # so that a grid is never taken for data
    about.add_text("Software", f"facegan {__version__}")
    image = Image.fromarray(montage(sampled, columns, gap=2 * modalities))
    image.save(stream, kind, **({"pnginfo": about} if kind == "PNG" else {"xmp": MADE_BY_US}))
    return len(sampled)
