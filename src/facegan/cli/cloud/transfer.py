"""`facegan cloud upload`, `download` and `remove`: data sets and models between here and S3."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from facegan.cli.cloud.desk import Desk, acting_options
from facegan.cli.cloud.progress import Progress, amount_of
from facegan.cloud.buckets import contents, creation, exists, removal, remove
from facegan.cloud.calls import Call
from facegan.cloud.downloading import Download, Received, remotes_of
from facegan.cloud.s3_place import Place
from facegan.cloud.uploading import AGAIN, MANIFEST, Counts, File, Upload, files_of, planned
from facegan.errors import CloudError, ConfigError

MONTHLY, SENT = 0.023, 0.09  # $ a GB, in most regions when this was written
PREPARING = ".preparing"  # what an unfinished `facegan data prepare` keeps


@click.command("upload")
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("place", required=False, metavar="[s3://BUCKET/PREFIX]")
@click.option("--bucket", metavar="BUCKET", help="Without s3://….  [default: facegan.toml]")
@click.option("--kms-key", metavar="KEY", help="Encrypt by it.  [default: as the bucket does]")
@click.option("--make-bucket", is_flag=True, help="Make the bucket if there is none.")
@acting_options
def upload(
    desk: Desk,
    source: Path,
    place: str | None,
    bucket: str | None,
    kms_key: str | None,
    make_bucket: bool,
) -> None:
    """Upload a data set, or any folder or file, to S3.

    What is there already with the same size and checksum is not sent again; a large file that was
    interrupted goes on at its last 8 MiB. S3 compares each checksum (CRC32) as the bytes arrive. A
    data set's dataset.json goes last, so that half of a set is no set. Names that begin with a dot
    stay here. Without s3://… it goes to s3://BUCKET/PROJECT/data/NAME (a file to
    …/PROJECT/FOLDER/NAME).

    --dry-run prints the requests for an empty place, without asking AWS what is there.
    --make-bucket makes a missing bucket in your region: private, encrypted, and parts of unfinished
    uploads leave it after a week.

    \b
    S3 costs by the stored GB, about $0.023 a month. To take it down: facegan cloud remove s3://…
    \b
      facegan cloud upload runs/photos64 s3://my-bucket/faces/data/photos64
      facegan cloud upload runs/photos64 --bucket my-bucket --make-bucket
      facegan cloud upload runs/first/model.tar.gz s3://my-bucket/faces/first/model.tar.gz
    """
    settings = desk.settings.but(bucket=bucket, kms_key=kms_key)
    where = Place.read(place) if place else usual_place(source, settings.need("bucket"), desk)
    if source.is_file() and (not where.prefix or (place or "").endswith("/")):
        where = where.at(source.name)
    if (source / PREPARING).is_dir() and not (source / MANIFEST).is_file():
        hint = "Give its `facegan data prepare` again: it goes on."
        raise ConfigError(f"{source} is no data set yet: it was not prepared to its end.", hint)
    files = files_of(source, where)
    if desk.is_dry:
        region = desk.settings.region or "<your region>"
        made = creation(where.bucket, region, settings.all_tags, settings.kms_key)
        sent = planned(where, files, settings.kms_key)
        desk.act([*(made if make_bucket else []), *sent], "")
        return
    if not exists(desk.aws, where.bucket):
        make(desk, where.bucket, settings.all_tags, settings.kms_key, make_bucket)
    job = Upload(desk.aws, where, settings.kms_key)
    with interruptible(f"Interrupted before anything was sent. {AGAIN}"):
        missing = job.look(files)
    size = sum(file.size for file in missing)
    if missing:
        cost = f"S3 costs about ${size / 1e9 * MONTHLY:.2f} a month for it"
        down = f"to take it down: facegan cloud remove {where}"
        told = f"{len(missing):,} of {len(files):,} files, {amount_of(size)}, to {where}"
        desk.confirm(f"Upload {told}? ({cost}; {down}.)")
    counts = send(job, files, missing, where)
    if counts.others:
        desk.say(f"{counts.others:,} objects at {where} are none of {source}'s files; they stay.")
    desk.answer(
        {
            "place": str(where), "sent": counts.sent, "sent_bytes": counts.sent_bytes,
            "kept": counts.kept, "others": counts.others,
        },
        f"{counts.sent:,} sent ({amount_of(counts.sent_bytes)}), {counts.kept:,} were there: "
        f"{where}",
    )  # fmt: skip


def usual_place(source: Path, bucket: str, desk: Desk) -> Place:
    """Where a folder or a file goes if nobody says."""
    folder = "data" if source.is_dir() else source.resolve().parent.name
    return Place.read(f"s3://{bucket}/{desk.settings.project}/{folder}/{source.resolve().name}")


def make(
    desk: Desk, bucket: str, tags: dict[str, str], kms_key: str | None, is_wanted: bool
) -> None:
    """Make a missing bucket.

    Raises:
        CloudError: nobody asked for that, no region is known, or the name is taken.
    """
    if not is_wanted:
        hint = "Check its name (`aws s3 ls`), or have it made: --make-bucket."
        raise CloudError(f"There is no bucket {bucket}.", hint, "NoSuchBucket")
    region = desk.aws.region
    if not region:
        raise CloudError("No region is known.", "Name it by --region, or in facegan.toml.")
    question = f"Make the bucket {bucket} in {region}, private and encrypted? (It costs by the GB.)"
    try:
        desk.act(creation(bucket, region, tags, kms_key), question)
    except CloudError as error:
        if error.code == "BucketAlreadyExists":
            hint = "Bucket names are one list for all of AWS: add something of your own to it."
            raise CloudError(f"The name {bucket} is taken by somebody.", hint) from error
        raise


def send(job: Upload, files: list[File], missing: list[File], where: Place) -> Counts:
    """Send what is missing, under a line of progress."""
    size = sum(file.size for file in missing)
    parts = (
        f"What has arrived stays, with the parts of unfinished files, and costs. {AGAIN} "
        f"`facegan cloud remove {where}` takes it all away."
    )
    with interruptible(f"Interrupted. {parts}"), Progress("Uploading", size) as job.tell:
        try:
            return job.send(files, missing)
        except CloudError as error:
            raise CloudError(error.message, f"{error.hint} {parts}".strip(), error.code) from error


@contextmanager
def interruptible(told: str) -> Iterator[None]:
    """Ctrl-C says what is left, and what goes on."""
    try:
        yield
    except KeyboardInterrupt:
        click.echo(f"\n{told}", err=True)
        raise click.Abort from None


@click.command("download")
@click.argument("place", metavar="s3://BUCKET/PREFIX")
@click.argument("out", type=click.Path(path_type=Path), metavar="DIR")
@acting_options
def download(desk: Desk, place: str, out: Path) -> None:
    """Download a data set, or anything else on S3, into DIR.

    Files that are here already with the same size and checksum do not come again; an interrupted
    one goes on where it was. Each is compared with its checksum on S3 when it is whole, and then
    gets its name; dataset.json comes last. A file of the same name is replaced. What has not come
    whole is in DIR/.facegan-download.

    --dry-run asks AWS what is there, and downloads nothing.

    \b
    AWS charges about $0.09 a GB that leaves it for the internet; none within a region.
    \b
      facegan cloud download s3://my-bucket/faces/data/photos64 runs/photos64
      facegan cloud download s3://my-bucket/faces/first/model.tar.gz runs/first/model.tar.gz
    """
    where = Place.read(place)
    remotes = remotes_of(desk.aws, where, out)
    job = Download(desk.aws, where)
    if desk.is_dry:
        calls = [
            Call("s3", "GetObject", {"Bucket": where.bucket, "Key": it.key}, str(it.path))
            for it in remotes
        ]
        desk.act(calls, "")
        return
    with interruptible(f"Interrupted. {AGAIN}"):
        missing = job.look(remotes)
        size = sum(it.size for it in missing)
        if missing:
            cost = f"out of AWS it costs about ${size / 1e9 * SENT:.2f}"
            told = f"{len(missing):,} of {len(remotes):,} files, {amount_of(size)}, into {out}"
            desk.confirm(f"Download {told}? ({cost})")
        with Progress("Downloading", size) as job.tell:
            came = job.fetch(remotes, missing, out)
    tell_received(desk, came, out)


def tell_received(desk: Desk, came: Received, out: Path) -> None:
    """Say what came, and how sure that is."""
    if came.unverified:
        desk.say(
            f"{len(came.unverified):,} objects have no checksum that can be computed here; "
            f"their sizes are right. The first: {came.unverified[0]}"
        )
    desk.answer(
        {
            "folder": str(out), "received": came.files, "received_bytes": came.bytes,
            "kept": came.kept, "unverified": came.unverified,
        },
        f"{came.files:,} came ({amount_of(came.bytes)}), {came.kept:,} were here: {out}",
    )  # fmt: skip


@click.command("remove")
@click.argument("place", metavar="s3://BUCKET/PREFIX")
@click.option("--with-bucket", is_flag=True, help="s3://BUCKET: all in it, and the bucket.")
@acting_options
def remove_command(desk: Desk, place: str, with_bucket: bool) -> None:
    """Delete what is at a place on S3: an object, or all below a prefix.

    Lists first (how many, how large) and asks. Parts of unfinished uploads go too. It goes below
    PREFIX as a folder: s3://b/cats does not touch s3://b/cats2. In a bucket that keeps versions,
    what is deleted is still kept, and paid for: it says so.

    --dry-run asks AWS what is there, and deletes nothing.

    \b
      facegan cloud remove s3://my-bucket/faces/data/photos64
      facegan cloud remove s3://my-bucket --with-bucket
    """
    where = Place.read(place)
    if bool(where.prefix) == with_bucket:
        hint = "s3://BUCKET/PREFIX deletes what is there; s3://BUCKET --with-bucket all of it."
        raise ConfigError(f"{place} is not what --with-bucket is for." if with_bucket else
                          f"{place} is a whole bucket.", hint)  # fmt: skip
    found = contents(desk.aws, where)
    calls = removal(where, found)
    if with_bucket:
        calls.append(Call("s3", "DeleteBucket", {"Bucket": where.bucket}, where.bucket))
    report = {"place": str(where), "objects": len(found.keys), "bytes": found.size,
              "unfinished_uploads": len(found.uploads)}  # fmt: skip
    if not calls:
        desk.answer(report, f"{where} holds nothing.")
        return
    if desk.is_dry:
        desk.act(calls, "")
        return
    told = f"{len(found.keys):,} objects, {amount_of(found.size)}"
    if found.uploads:
        told += f", and the parts of {len(found.uploads):,} unfinished uploads"
    for key in found.keys[:5]:
        desk.say(f"  s3://{where.bucket}/{key}")
    if len(found.keys) > 5:
        desk.say(f"  … and {len(found.keys) - 5:,} more")
    if found.keeps_versions:
        desk.say(f"{where.bucket} keeps versions: what is deleted stays in it, and costs.")
    desk.confirm(f"Delete {told} at {where}{', and the bucket' if with_bucket else ''}?")
    with interruptible("Interrupted: some is deleted. The same command goes on."):
        remove(desk.aws, calls, lambda call: desk.say(f"  {call.action} {call.on}"))
    desk.answer(report, f"Deleted: {told}.")
