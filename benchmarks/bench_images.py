"""Measures the local Docker images: size, and time to build, start and stop.

Run: make bench-images ARGS="--rounds 5"     (after `make build`, with Docker)

docker/ and tests/container/ are on PYTHONPATH, as `make bench-images` puts them: the builder, and
the tests' hands. Sizes are Docker's (unpacked, megabytes of 10^6 bytes) of this version's tags. The
rebuild is of both images after a file of `src/facegan` was added; the start from `docker run` to
the first 200 on /ping; the stop is `docker stop` of a training amid a tick, until it has
left with a checkpoint. The last two are of the images named `local`. What is not here is null.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from build import arguments, read_arguments
from containers import TRAINING, Job, serving, started

from facegan import __version__
from facegan.artifact import save_artifact
from facegan.data.toy_faces import write_toy_faces
from facegan.docker_engine import Docker
from facegan.errors import DockerError, FaceGANError
from facegan.export import export_graphs
from facegan.gans import build_gan

ROOT = Path(__file__).parents[1]
GAN = ("dcgan", "toy32", (3, 32, 32))


def size_mb(docker: Docker, image: str) -> float | None:
    """Return an image's size, or None if it does not exist."""
    try:
        return int(docker.output("image", "inspect", "--format", "{{.Size}}", image)) / 1e6
    except DockerError:
        return None


@contextmanager
def changed_code() -> Iterator[None]:
    """Add a file to src/facegan, which both images copy, within the block."""
    file = ROOT / "src/facegan/changed_for_bench_images.py"
    file.write_text(f'"""Written by bench_images.py at {time.time()}."""\n')
    try:
        yield
    finally:
        file.unlink()


def rebuild_seconds(docker: Docker, variant: str, bases: list[str]) -> float:
    """Return the wall time of rebuilding both images after a change, with their packages cached."""
    sys.argv[1:] = ["--variant", variant, *bases]
    options = read_arguments()
    with changed_code():
        begun = time.perf_counter()
        for image in ("training", "inference"):
            file = f"--file={ROOT / 'docker' / image}.Dockerfile"
            words = ["build", "--quiet", file, *arguments(image, options), str(ROOT)]
            docker.stream(words, f"Building {image}", lambda _: None)
        return time.perf_counter() - begun


def ready_seconds(docker: Docker, model: Path) -> float:
    """Return the seconds from `docker run` to the first status 200."""
    begun = time.perf_counter()
    with serving(docker, model, "--read-only") as container:
        container.wait_until_ready()
        return time.perf_counter() - begun


def stop_seconds(docker: Docker, folder: Path) -> float:
    """Return the seconds from SIGTERM to the end of a training that has a checkpoint."""
    write_toy_faces(folder / "faces", 128, 32)
    pictures = sorted((folder / "faces").rglob("*.png")) or sorted(
        (folder / "faces").rglob("*.jpg")
    )
    job = Job(folder / "ml").configure(
        pictures, preset="toy32", total_kimg="1000", tick_kimg="0.25"
    )
    with started(
        docker, TRAINING, "--volume", f"{job.base}:/opt/ml", command=["train"]
    ) as container:
        container.wait_for("kimg=1.")
        time.sleep(1)
        seconds = container.stop(grace_seconds=120)
        assert container.look("{{.State.ExitCode}}") == "0", container.says()
    assert job.checkpoints, "no checkpoint was left"
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="starts, of which the median counts")
    parser.add_argument("--variant", default="cpu", help="which images are built again")
    parser.add_argument("--base", help="as for `make build`")
    parser.add_argument("--build-base", help="as for `make build`")
    parser.add_argument("--offline", action="store_true", help="as for `make build`: else the "
                        "packages are another layer, and are installed again")  # fmt: skip
    options = parser.parse_args()
    docker = Docker(os.environ)
    docker.check()
    bases = [f"--base={options.base}"] * bool(options.base)
    bases += [f"--build-base={options.build_base}"] * bool(options.build_base)
    bases += ["--offline"] * options.offline
    sizes = {
        name: size_mb(docker, f"facegan-{name.split()[0]}:{__version__}{ending}")
        for name, ending in (("training", ""), ("training cpu", "-cpu"),
                             ("inference", ""), ("inference cpu", "-cpu"))
    }  # fmt: skip
    for name, size in sizes.items():
        print(f"{name:14} {f'{size:,.0f} MB' if size else 'not built here'}")
    with tempfile.TemporaryDirectory() as name:
        model = Path(name) / "model"
        save_artifact(build_gan(*GAN, seed=0), model)
        export_graphs(model)  # without torch a server draws graphs
        starts = [ready_seconds(docker, model) for _ in range(options.rounds)]
        print("ready after", ", ".join(f"{start:.2f}" for start in starts), "s")
        stop = stop_seconds(docker, Path(name))
    rebuild = rebuild_seconds(docker, options.variant, bases)
    figures = {
        "training_image_mb": sizes["training"],
        "inference_gpu_image_mb": sizes["inference"],
        "inference_cpu_image_mb": sizes["inference cpu"],
        "code_change_rebuild_seconds": rebuild,
        "container_ready_seconds": median(starts),
        "stop_to_checkpoint_seconds": stop,
    }
    print(json.dumps({name: value and round(value, 2) for name, value in figures.items()}))


if __name__ == "__main__":
    try:
        main()
    except FaceGANError as error:
        sys.exit(f"Error: {error}")
