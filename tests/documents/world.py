"""Makes what the documents take for granted: photos, downloads, two models, a bucket on S3."""

import shutil
import zipfile
from pathlib import Path

import boto3
import numpy as np
from PIL import Image

from facegan.artifact import pack_artifact, save_artifact
from facegan.cli.__main__ import facegan, run_safely
from facegan.gans import build_gan

ROOT = Path(__file__).parents[2]
SHAPE = (3, 32, 32)
CLASSES = {"long": 16, "short": 32, "bald": 16}
CELEBA = 8


def make_runs(folder: Path) -> None:
    """Make data sets, a short run and two untrained conditional models below folder/runs."""
    runs = folder / "runs"
    for words in (
        ("data", "toy", "--out", runs / "toy32", "--images", 128, "--resolution", 32),
        ("data", "prepare", folder / "photos", "--out", runs / "photos64", "--resolution", 64),
        ("data", "stream", runs / "photos64", "--out", runs / "photos64s"),
        ("data", "prepare", folder / "horses", "--out", runs / "horse2zebra", "--resolution", 32,
         "--unpaired", folder / "zebras"),
        ("train", "--data", runs / "toy32", "--out", runs / "first", "--preset", "toy32",
         "--total-kimg", 0.064),
        ("data", "prepare", folder / "toy64", "--out", runs / "toy-maps32", "--resolution", 32,
         "--label-maps", folder / "toy64"),
        ("data", "show", runs / "toy-maps32", "--map", 3, "--out", folder / "map.png"),
        *(("train", "--data", runs / data, "--out", runs / demo / "run", "--family", family,
           "--preset", "tiny", "--total-kimg", 0.032)
          for demo, family, data in (("paint", "spade", "toy-maps32"),
                                     ("translate", "cyclegan", "horse2zebra"))),
    ):  # fmt: skip
        assert run_safely(facegan, list(map(str, words))) == 0
    shutil.copyfile(runs / "first" / "model.tar.gz", folder / "model.tar.gz")
    shutil.copytree(runs / "first", runs / "faces-1")  # as `facegan cloud fetch` leaves it
    for name in ("hair", "style"):
        gan = build_gan("stylegan2", "tiny-conditional", SHAPE, seed=0, classes=CLASSES)
        save_artifact(gan, runs / name)
        pack_artifact(runs / name, runs / name / "model.tar.gz")


def make_files(folder: Path) -> None:
    """Write the images, archives and downloads that documents and examples name."""
    for name, count in (("photos", 40), ("horses", 8), ("zebras", 9), ("faces", 70)):
        draw(folder / name, count)
    for part, seed in (("a", 1), ("b", 2)):
        draw(folder / "pets" / part, 12, seed)
        draw(folder / "cats_and_dogs" / part, 16, seed)
    draw(folder / "sketches", 40, seed=7)
    draw(folder / "facades" / "train", 6, size=(96, 48))
    draw(folder / "held-out", 60)
    shutil.copyfile(folder / "photos" / "000.jpg", folder / "photo.jpg")
    with Image.open(folder / "photo.jpg") as photo:
        photo.save(folder / "photo.png")
    shutil.copytree(folder / "photos", folder / "processing" / "input" / "pictures")
    with zipfile.ZipFile(folder / "photos.zip", "w") as archive:
        for photo in sorted((folder / "photos").iterdir()):
            archive.write(photo, photo.name)
    make_celeba(folder / "CelebA")
    toy = ("data", "toy", "--images", "6", "--resolution", "64", "--label-maps")
    assert run_safely(facegan, [*toy, "--out", str(folder / "toy64")]) == 0
    for number in (0, 1):
        prepare = ("data", "prepare", str(folder / "photos"), "--resolution", "64", "--shard")
        parts = folder / "processing" / "input" / "parts" / str(number)
        words = [*prepare, str(number), "--of", "2", "--out", str(parts)]
        assert run_safely(facegan, words) == 0
    shutil.copytree(folder / "processing" / "input" / "parts", folder / "parts")
    np.save(folder / "z.npy", np.random.default_rng(0).standard_normal((4, 100), np.float32))
    for name in ("container", "docs", "local_test"):
        (folder / name).symlink_to(ROOT / name)


def draw(folder: Path, count: int, seed: int = 0, size: tuple[int, int] = (64, 72)) -> None:
    """Write images of random coloured blobs."""
    folder.mkdir(parents=True)
    numbers = np.random.default_rng(seed)
    for number in range(count):
        colours = numbers.integers(0, 255, (4, 4, 3), dtype=np.uint8)
        image = Image.fromarray(colours).resize(size, Image.Resampling.BICUBIC)
        image.save(folder / f"{number:03d}.jpg", quality=90)


def make_celeba(folder: Path) -> None:
    """Write CelebA's layout: aligned images, one list of attributes, one of splits."""
    draw(folder / "img_align_celeba", CELEBA, size=(178, 218))
    names = [f"{number:03d}.jpg" for number in range(CELEBA)]
    attributes = "".join(f"{name} {1 if k % 2 else -1}\n" for k, name in enumerate(names))
    (folder / "list_attr_celeba.txt").write_text(f"{CELEBA}\nSmiling\n{attributes}")
    splits = "".join(f"{name} {k % 3}\n" for k, name in enumerate(names))
    (folder / "list_eval_partition.txt").write_text(splits)


def fill_bucket(address: str, folder: Path) -> None:
    """Put photos and a streamed data set into s3://bucket of a moto server."""
    s3 = boto3.client(
        "s3", endpoint_url=address, region_name="us-east-1",
        aws_access_key_id="local", aws_secret_access_key="local",
    )  # fmt: skip
    s3.create_bucket(Bucket="bucket")
    for photo in sorted((folder / "photos").iterdir()):
        for prefix in ("photos", "ffhq"):
            s3.upload_file(str(photo), "bucket", f"{prefix}/{photo.name}")
    streamed = folder / "runs" / "photos64s"
    for file in (file for file in streamed.rglob("*") if file.is_file()):
        s3.upload_file(str(file), "bucket", f"photos64s/{file.relative_to(streamed)}")
