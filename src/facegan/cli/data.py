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

# Imports inside functions: `--help` and usage errors do not wait for torch (1.6 s).


@click.group("data")
def command() -> None:
    """Make a data set for `facegan train`, check it, and look at it.

    \b
    From your own images, in a folder or an archive:
      facegan data prepare photos --out runs/photos64 --resolution 64
      facegan data check runs/photos64
      facegan data show runs/photos64 --out grid.png

    \b
    No images yet? Draw some:
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
      sketch    lines where parts of the face meet, in darker colours of them
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
LOG_SECONDS = 30  # between lines of progress in a log


@command.command("prepare")
@click.argument("source")
@click.option("--out", required=True, type=folder_type, help="Folder to create or to resume.")
@click.option(
    "--resolution", required=True, type=int, help="Side of the square images, 4 to 4096 pixels."
)
@click.option(
    "--crop",
    metavar="[centre|celeba|ffhq]",
    default="centre",
    show_default=True,
    help="Which square of each image is kept; `center` works too.",
)
@click.option(
    "--labels",
    metavar="WHERE",
    help="Source of labels: manifest, folders, none, or an attribute of CelebA."
    "  [default: manifest, if it has labels]",
)
@click.option(
    "--paired",
    metavar="SOURCE",
    help="Partners of the images, with the same path except for the suffix; or `split`: each file "
    "holds two images side by side.",
)
@click.option("--label-maps", metavar="SOURCE", help="Label maps, matched by path like partners.")
@click.option("--unpaired", metavar="SOURCE", help="Images of another domain, any number.")
@click.option(
    "--shard",
    metavar="K",
    help="Prepare only part K, from 0; `auto`: this host's part in a SageMaker Processing job.",
)
@click.option(
    "--of",
    "parts",
    type=int,
    metavar="M",
    help="Total number of parts (join them with `facegan data merge`).",
)
@click.option("--workers", type=int, help="Number of processes.  [default: one per core]")
@click.option(
    "--everything",
    is_flag=True,
    help="Include hidden files, by-products of programs, and images that facegan generated.",
)
@click.option(
    "--name-encoding",
    metavar="ENCODING",
    help="Encoding of names in an archive that does not declare it: cp437, cp932, gbk …",
)
@click.option("--endpoint-url", type=URL, metavar="URL", help="S3 endpoint other than AWS's.")
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
    """Prepare images for training: square, at one resolution, packed.

    SOURCE is a folder with images at any depth, a .zip, a .tar or .tar.gz, CelebA as downloaded, or
    s3://bucket/prefix. Each image is turned upright, blended with white where it is transparent,
    cropped, and resized with antialiasing (Lanczos). OUT/skipped.jsonl lists the images that cannot
    be used, with reasons. Duplicates are dropped. If the command is killed, repeat it to resume.

    \b
    --crop centre   the square in the middle
           celeba   the middle 178x178 of 178x218 (as in StarGAN and PyTorch's DCGAN)
           ffhq     the whole image, which must be square

    \b
    Examples
      A folder or an archive:
        facegan data prepare photos --out runs/photos64 --resolution 64
        facegan data prepare photos.zip --out runs/zip64 --resolution 64
      One class per folder:
        facegan data prepare pets --out runs/pets64 --resolution 64 --labels folders
      CelebA with its official partition as splits, and the classes smiling and not smiling:
        facegan data prepare CelebA --out runs/celeba --resolution 64 --crop celeba --labels Smiling
      For image-to-image families: photos and sketches with the same names; pairs side by side in
      one file; faces with label maps of their parts; two domains (CycleGAN):
        facegan data prepare photos --out runs/sketched --resolution 256 --paired sketches
        facegan data prepare facades/train --out runs/facades --resolution 256 --paired split
        facegan data prepare toy64 --out runs/parts --resolution 64 --label-maps toy64
        facegan data prepare horses --out runs/horse2zebra --resolution 256 --unpaired zebras
      From S3, on the first of four machines:
        facegan data prepare s3://bucket/ffhq --out part0 --resolution 256 --shard 0 --of 4
      On every host of a SageMaker Processing job, each into its own folder in OUT:
        facegan data prepare /opt/ml/processing/input/pictures --out /opt/ml/processing/output \\
                --resolution 64 --shard auto
    """
    from facegan.data.prepare import StreamSource
    from facegan.data.prepare import prepare as prepare_images
    from facegan.data.prepare.skip_report import IgnoredFiles

    check_output(out)
    chosen = choose_shard(shard, parts, source)
    for named in (None if chosen.is_received else source, paired, label_maps, unpaired):
        check_source(named)
    part, host = (None, chosen.shard) if chosen.is_received else (chosen.shard, None)
    if shard == "auto" and chosen.shard:
        out = out / f"part-{chosen.shard[0]:05d}"

    def open_named(address: str | None) -> Any:
        if address is not None and address.startswith("s3://"):
            return open_s3(address, endpoint_url, region, profile)
        return address

    found: Any = open_named(source)
    if chosen.is_received and found is source and not Path(source).exists():
        found = StreamSource(Path(source).name, lambda: ())  # this host received nothing
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
    print_counts(manifest, out)
    for line in ignored.lines("--everything"):
        click.echo(line)


class ShardChoice(NamedTuple):
    """Which images this machine prepares."""

    shard: tuple[int, int] | None  # (K, M): shard K of M; None: all images
    is_received: bool = False  # whether the source holds only this shard; else select by name


def choose_shard(shard: str | None, parts: int | None, source: str) -> ShardChoice:
    """Return the shard from --shard and --of, or from the files of a Processing job.

    Raises:
        UsageError: the options contradict each other.
    """
    if shard == "auto":
        from facegan.environment import ProcessingEnvironment

        if parts is not None:
            raise click.UsageError(
                "--shard auto reads the number of hosts from the job: leave --of out."
            )
        job = ProcessingEnvironment.from_mapping(os.environ)
        is_received = not source.startswith("s3://") and job.is_sharded(Path(source))
        return ShardChoice(job.share, is_received) if len(job.hosts) > 1 else ShardChoice(None)
    if (shard is None) != (parts is None):
        raise click.UsageError("--shard K and --of M go together.")
    if shard is None or parts is None:
        return ShardChoice(None)
    if not shard.removeprefix("-").isdecimal():
        raise click.UsageError(f"--shard is {shard!r}; use a whole number from 0, or auto.")
    return ShardChoice((int(shard), parts))


def open_s3(address: str, endpoint_url: str | None, region: str | None, profile: str | None) -> Any:
    """Return the images below an S3 address as a source."""
    from facegan.cloud.aws import Aws
    from facegan.cloud.s3_pictures import READERS, S3Pictures
    from facegan.data.prepare import StreamSource

    images = S3Pictures(address, Aws(region, profile, endpoint_url))
    return StreamSource(images.name, images.streams, images.find, readers=READERS)


@contextmanager
def progress_bar(title: str) -> Iterator[Callable[[int, int | None], None]]:
    """Show progress with rate and time left: a bar, or in a log one line every half minute.

    Images that an earlier run prepared do not count for the rate. Without tqdm, which preparing
    does not need, nothing is shown.
    """
    try:
        from tqdm import tqdm
    except ModuleNotFoundError:
        yield lambda done, expected: None
        return

    is_log = not sys.stderr.isatty()
    stream: Any = LineStream(sys.stderr) if is_log else sys.stderr
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


class LineStream:
    """A stream for logs that prints tqdm's updates as separate lines."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def write(self, text: str) -> None:
        """Write a line, unless it is blank."""
        if line := text.strip():
            self.stream.write(line + "\n")

    def flush(self) -> None:
        """Flush the stream."""
        self.stream.flush()


def print_counts(manifest: dict[str, Any], out: Path) -> None:
    """Print how many images were written, dropped and skipped, and why."""
    click.echo(
        f"{manifest['found']:,} found = {manifest['written']:,} written + "
        f"{manifest['duplicates']:,} duplicates + {manifest['skipped']:,} skipped"
    )
    if manifest["skipped"]:
        for line in reasons_in(out / manifest["skipped_files"]):
            click.echo(line)
        click.echo(f"Why images were skipped: {out / manifest['skipped_files']}")
    if manifest["duplicates"]:
        click.echo(f"Which images are duplicates: {out / manifest['duplicate_files']}")
    click.echo(f"{manifest['images']:,} images of {manifest['resolution']} pixels are in {out}")
    for companion in companions_of(manifest, out):
        print_counts(*companion)


def reasons_in(file: Path) -> Iterator[str]:
    """Yield the reasons in a data set's list of skipped images, grouped."""
    from facegan.data.prepare.packed_format import read_lines
    from facegan.data.prepare.skip_report import SkipReasons

    reasons = SkipReasons()
    for record in read_lines(file):
        reasons.add(record["file"], record["reason"])
    return reasons.lines()


def companions_of(manifest: dict[str, Any], out: Path) -> Iterator[tuple[dict[str, Any], Path]]:
    """Yield the manifest and folder of each of a data set's companions."""
    from facegan.data.prepare.packed_format import read_packed

    for facts in manifest.get("companions", {}).values():
        yield read_packed(out / facts["folder"]), out / facts["folder"]


# --- stream, merge, check, show -----------------------------------------------------------------


@command.command("stream")
@click.argument("packed", metavar="PACKED", type=PREPARED)
@click.option("--out", required=True, type=folder_type, help="Folder to create or to resume.")
@click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    default=0,
    show_default=True,
    help="Seed of the images' random order; the manifest records it.",
)
def stream(packed: Path, out: Path, seed: int) -> None:
    """Convert a prepared data set to tars of PNGs that are read sequentially, also from S3.

    Use it for data that does not fit on the disk of a training machine. Training shuffles a
    streamed data set only within windows of four shards, so this command first shuffles all images,
    each within its split. Splits, labels and the lists of dropped images are copied. One shard
    (64 MiB of pixels) is in memory at a time. If the command is killed, repeat it to resume. Needs
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
@click.option("--out", required=True, type=folder_type, help="Folder to create; parts are kept.")
def merge(parts: tuple[Path, ...], out: Path) -> None:
    """Merge data sets that several machines prepared.

    \b
    Parts of one source become, byte for byte, what one machine would have made:
      facegan data prepare photos --out part0 --resolution 64 --shard 0 --of 2
      facegan data prepare photos --out part1 --resolution 64 --shard 1 --of 2
      facegan data merge part0 part1 --out runs/photos64

    A folder of parts, such as the output of a Processing job, means all parts in it:
      facegan data merge parts --out runs/photos64

    Other data sets are concatenated; they must be prepared with the same options. Duplicates across
    parts are dropped. Empty parts are fine.
    """
    from facegan.data.prepare import merge as merge_parts

    check_output(out)
    with progress_bar("Merging") as on_progress:
        manifest = merge_parts(parts, out, on_progress)
    print_counts(manifest, out)


@command.command("check")
@click.argument("folder", metavar="DIR", type=PREPARED)
def check(folder: Path) -> None:
    """Verify every byte of a prepared data set, and print what is in it.

    Prints counts, images per class, why images were skipped, and the digest. If shards are damaged
    or images are duplicates, names them and exits with 3. For a streamed data set, checks the
    shards' digests and the labels.

    \b
      facegan data check runs/photos64
    """
    from facegan.data.manifest import read_manifest
    from facegan.data.prepare import CheckResult
    from facegan.data.prepare import check as check_packed
    from facegan.errors import DatasetError

    if read_manifest(folder).get("kind") == "streamed":
        from facegan.data.streaming import check_streamed

        print_check(CheckResult(*check_streamed(folder)))
        click.echo("All is well.")
        return
    checked = check_packed(folder)
    print_check(checked)
    if checked.problems:
        faults = "\n".join([f"{folder} is damaged:", *checked.problems])
        raise DatasetError(faults, "Prepare it again, or copy it whole.")
    click.echo("All is well.")


def print_check(checked: "CheckResult") -> None:
    """Print the content of a data set."""
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
        click.echo("It is an empty part: `facegan data merge` accepts it, training does not.")
    for name, companion in checked.companions.items():
        click.echo(f"{name}:")
        print_check(companion)


MADE_BY_US = b"""<x:xmpmeta xmlns:x="adobe:ns:meta/" xmlns:facegan="urn:facegan:"/>"""
GRID_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}


@command.command("show")
@click.argument("folder", metavar="DIR", type=PREPARED)
@click.option("--out", required=True, type=folder_type, help="The .png, .jpg or .webp to write.")
@click.option(
    "--images", default=64, show_default=True, help="How many images, evenly spaced over the set."
)
@click.option("--columns", type=int, help="[default: as square as can be]")
@click.option(
    "--map",
    "map_index",
    type=click.IntRange(min=0),
    metavar="N",
    help="Write the label map of the N-th image instead, from 0: a palette PNG to paint over.",
)
def show(folder: Path, out: Path, images: int, columns: int | None, map_index: int | None) -> None:
    """Draw some images of a prepared data set as a grid.

    Each image is followed by its partner and its label map in colours, if there are any.

    \b
      facegan data show runs/photos64 --out grid.png
      facegan data show runs/horse2zebra/unpaired --out zebras.png

    \b
    A label map, for `facegan generate --label-map`, as it is or painted over:
      facegan data show runs/toy-maps32 --map 3 --out map.png
    """
    from facegan.data.prepare import read_label_map
    from facegan.errors import OutputError
    from facegan.files import write_atomic

    if map_index is not None and out.suffix.lower() != ".png":
        message = f"--out {out}: a label map is a .png; other formats change class numbers."
        raise click.UsageError(message)
    if (kind := GRID_FORMATS.get(out.suffix.lower())) is None:
        raise click.UsageError(
            f"--out {out}: name a .png, .jpg or .webp file, for example {out.stem}.png."
        )
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
