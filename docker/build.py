"""Builds the images with the arguments that Make hands on: `python docker/build.py --help`.

It needs Python alone. What an image is tagged with: its version, the commit (`-dirty` where files
differ from it), `-cpu` behind both where it has no CUDA, and `local`, the last one built here.
"""

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from facegan import __version__
from facegan.docker_engine import Docker
from facegan.errors import DockerError, FaceGANError

ROOT = Path(__file__).parents[1]
IMAGES = ("training", "inference")
VARIANTS = ("cuda", "cpu")
LOCKS = {  # what docker/requirements/*.lock an image is made of
    ("training", "cuda"): "training.cuda",
    ("training", "cpu"): "training.cpu",
    ("inference", "cuda"): "serving-gpu.cuda",
    ("inference", "cpu"): "serving",
}


def git(*words: str) -> str:
    """What git says of this folder; nothing where it cannot."""
    try:
        done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True)
    except OSError:
        return ""
    return done.stdout.strip()


def commit() -> str:
    """The commit that is checked out, and whether files differ from it; "unknown" without git."""
    words = [
        "git",
        "-C",
        str(ROOT),
        "describe",
        "--always",
        "--dirty",
        "--exclude=*",
        "--abbrev=12",
    ]
    try:
        done = subprocess.run(words, capture_output=True, text=True)
    except OSError:
        return "unknown"
    return done.stdout.strip() or "unknown"


def source() -> str:
    """Where the code is published: origin, if it is an address on the web; without credentials."""
    url = git("remote", "get-url", "origin")
    return re.sub(r"//[^/@]*@", "//", url) if url.startswith("http") else ""


def tags(image: str, variant: str) -> list[str]:
    """All names of an image."""
    ending = "" if variant == "cuda" else f"-{variant}"
    names = [f"{__version__}{ending}", f"{commit()}{ending}", "local"]
    return [f"facegan-{image}:{name}" for name in names]


def arguments(image: str, asked: argparse.Namespace) -> Iterator[str]:
    """What `docker build` is told."""
    values = {
        "LOCK": asked.lock or LOCKS[image, asked.variant],
        "BASE": asked.base,
        "BUILD_BASE": asked.build_base,
        "PIP_INDEX_URL": asked.index,
        "PIP_EXTRA_INDEX_URL": asked.torch_index,
        "PIP_NO_INDEX": "1" if asked.offline else "",
        "SOURCE": source(),
        "VERSION": __version__,
        "REVISION": commit(),
    }
    for name, value in values.items():
        if value:
            yield f"--build-arg={name}={value}"
    for name, file in (("ca", asked.ca), ("pip_conf", asked.pip_conf)):
        if file:
            if not Path(file).is_file():
                raise DockerError(
                    f"{file}: there is no such file.", f"It is to be the secret {name}."
                )
            yield f"--secret=id={name},src={file}"
    for name in ("http_proxy", "https_proxy", "no_proxy"):  # Docker keeps these out of the history
        if value := os.environ.get(name) or os.environ.get(name.upper()):
            yield f"--build-arg={name}={value}"


def build(docker: Docker, image: str, asked: argparse.Namespace) -> None:
    """Build one image and tag it."""
    names = tags(image, asked.variant)
    words = ["build", "--progress=plain", f"--file={ROOT / 'docker' / image}.Dockerfile"]
    words += [*arguments(image, asked), *(f"--tag={name}" for name in names), str(ROOT)]
    docker.stream(words, f"Building {names[0]}", lambda line: print(line, file=sys.stderr))
    size = int(docker.output("image", "inspect", "--format", "{{.Size}}", names[0]))
    print(f"{' '.join(names)}: {size / 1e6:,.0f} MB")


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", nargs="*", metavar="IMAGE", help="training, inference, or both")
    parser.add_argument("--variant", default="cuda", help="cuda or cpu")
    parser.add_argument("--lock", help="another lock file than the variant's, by its name")
    parser.add_argument("--base", help="base image; the Dockerfile names the default")
    parser.add_argument("--build-base", help="the same with a C compiler")
    parser.add_argument("--index", help="package index, without credentials")
    parser.add_argument("--torch-index", help="one more package index")
    parser.add_argument("--offline", action="store_true", help="only what is in docker/wheels")
    parser.add_argument("--ca", help="file of certificates that the index is checked by")
    parser.add_argument("--pip-conf", help="pip.conf, where an index wants credentials")
    asked = parser.parse_args()
    for image in asked.images:
        if image not in IMAGES:
            parser.error(f"there is no image {image!r}; there are {' and '.join(IMAGES)}")
    if asked.variant not in VARIANTS:
        parser.error(f"there is no variant {asked.variant!r}; there are {' and '.join(VARIANTS)}")
    return asked


def main() -> None:
    asked = read_arguments()
    try:
        docker = Docker(os.environ)
        docker.check()
        for image in asked.images or IMAGES:
            build(docker, image, asked)
    except FaceGANError as error:
        sys.exit(f"Error: {error}")


if __name__ == "__main__":
    main()
