"""`facegan data`: make a data set to train on."""

from pathlib import Path

import click


@click.group("data")
def command() -> None:
    """Make a data set: a folder of square pictures that `facegan train` reads.

    \b
    No pictures yet? Have some drawn:
      facegan data toy --out runs/toy32 --images 20000 --resolution 32
      facegan train --data runs/toy32 --out runs/first --family dcgan --preset toy32
    """


@command.command("toy")
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder to make. It appears when it is complete.",
)
@click.option("--images", required=True, type=int, help="How many faces, at least 1.")
@click.option(
    "--resolution", required=True, type=int, help="Side of the square pictures, 8 to 1024 pixels."
)
@click.option(
    "--seed",
    default=0,
    show_default=True,
    help="Which faces. Picture k of a seed is the same in a data set of any length.",
)
@click.option("--label-maps", is_flag=True, help="Also write what each pixel shows, in 14 classes.")
@click.option(
    "--labels",
    type=click.Choice(["hair", "glasses", "age"]),
    help="Also say what kind of face each picture shows, for conditional presets.",
)
@click.option("--workers", type=int, help="Processes to draw with.  [default: one a core]")
def toy(
    out: Path,
    images: int,
    resolution: int,
    seed: int,
    label_maps: bool,
    labels: str | None,
    workers: int | None,
) -> None:
    """Draw synthetic cartoon faces, with no photo of a person in them.

    \b
    Makes
      OUT/images/00000/000000000.png …   RGB, 1,000 to a folder
      OUT/labels/00000/000000000.png …   class indices with a palette (--label-maps)
      OUT/dataset.json                   what it is, and how to draw it again

    The classes are background, body, neck, hair, ear, skin, eye, iris, brow, nose, lip, teeth,
    beard and glasses: the part on top at each pixel; a clear lens shows what is behind it.

    \b
    --labels writes the class of each whole picture into dataset.json:
      hair      bald, short, long
      glasses   none, clear, dark
      age       child, adult, old

    \b
    Examples
      Enough for a first GAN:
        facegan data toy --out runs/toy32 --images 20000 --resolution 32
      Other faces, larger, with label maps:
        facegan data toy --out runs/toy64 --images 5000 --resolution 64 --seed 7 --label-maps
      The first again, with a class for each face:
        facegan data toy --out runs/hair32 --images 20000 --resolution 32 --labels hair

    A folder that already holds this very data set is left as it is. An interrupted run leaves no
    OUT; remove any OUT.partial-* that a killed one left beside it.
    """
    from tqdm import tqdm

    from facegan.data.toy_faces import write_toy_faces

    with tqdm(total=images, unit=" images", desc="Drawing toy faces", disable=None) as bar:

        def advance(count: int) -> None:
            bar.update(count)

        drawn = write_toy_faces(out, images, resolution, seed, label_maps, workers, advance, labels)
    if drawn:
        click.echo(f"{images:,} synthetic cartoon faces of {resolution} pixels are in {out}")
    else:
        click.echo(f"Already there: {out} holds this very data set.")
