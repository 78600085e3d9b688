"""Trains, deploys and invokes in SageMaker's local mode: a script to read, run and change.

    make local-test
    .venv-local/bin/python local_test/local_mode.py --hosts 2 --instance-type local_gpu

The requests are those that facegan sends to AWS, built by the same code; only file locations and
instance types differ.
"""

import argparse
import io
import json
import os
import sys
from pathlib import Path
from typing import Any

try:
    import numpy as np
    from local_session import NO_ROLE, LocalSageMaker, exit_with, local_sagemaker

    from facegan.cloud.endpoint_requests import ModelEndpoint
    from facegan.cloud.training_request import TrainingJob
    from facegan.errors import FaceGANError
except ModuleNotFoundError as missing:
    sys.exit(f"{missing}. Run this with .venv-local/bin/python, which `make local-test` creates.")

HYPERPARAMETERS = {"family": "dcgan", "preset": "tiny", "total_kimg": 1, "tick_kimg": 0.25}
SEEDS = list(range(16))
ABOUT = b'{"about": true}'
PAYLOADS = Path(__file__).parent / "payloads"


def main() -> None:
    """Train on one host and on two, deploy the last model, and request faces."""
    options = parse_options(__doc__)
    images = [options.training_image, options.inference_image]
    gpu = options.instance_type == "local_gpu"
    try:
        with local_sagemaker(options.folder, options.port, images, gpu) as sagemaker:
            models = [train(sagemaker, options, hosts) for hosts in options.hosts]
            faces = fetch_faces(sagemaker, options, models[-1])
    except FaceGANError as error:
        exit_with(error)
    hosts = " and ".join(f"{count} host{'s'[: count > 1]}" for count in options.hosts)
    print(f"\nTrained on {hosts}, deployed and invoked: see {faces}. All containers are removed.")
    if not options.set:
        print(
            "The preset tiny only makes grey blobs. For faces: make local-test "
            'ARGS="--set preset=toy32 --set total_kimg=50"'
        )


def train(sagemaker: LocalSageMaker, options: argparse.Namespace, hosts: int) -> Path:
    """Run a job on several hosts, each in a container, and return its model.tar.gz."""
    job = training_job(options, hosts)
    print(f"\n{hosts} host(s): {json.dumps(job.request()['HyperParameters'])}", flush=True)
    return sagemaker.train(job)


def training_job(options: argparse.Namespace, hosts: int) -> TrainingJob:
    """Return the training job; the comments show the values for AWS."""
    return TrainingJob(
        name=f"faces-{hosts}",
        image=options.training_image,
        role=NO_ROLE,
        pictures=options.data.absolute().as_uri(),  # s3://bucket/pictures
        output=(options.folder / f"job-{hosts}").absolute().as_uri(),  # s3://bucket/faces
        instance_type=options.instance_type,  # ml.g5.xlarge
        instance_count=hosts,
        hyperparameters=HYPERPARAMETERS | dict(options.set),
        environment={"OMP_NUM_THREADS": str(options.threads or threads_each(hosts))},
    )


def threads_each(hosts: int) -> int:
    """Return each host's share of the cores; with more threads, hosts slow each other down."""
    return max(1, (os.cpu_count() or 1) // hosts)


def fetch_faces(sagemaker: LocalSageMaker, options: argparse.Namespace, model: Path) -> Path:
    """Deploy a model, fetch the same images as a PNG and as numbers, and delete the endpoint."""
    endpoint = ModelEndpoint(
        name="faces",
        image=options.inference_image,
        role=NO_ROLE,
        model=model.as_uri(),
        instance_type=options.instance_type,
    )
    with sagemaker.deployed(endpoint) as name:
        about = json.loads(sagemaker.invoke(name, ABOUT, "application/json", "application/json"))
        body, content_type = example_request(about["model"])
        picture = sagemaker.invoke(name, body, content_type, "image/png")
        numbers = sagemaker.invoke(name, body, content_type, "application/x-npy")
    (options.folder / "faces.png").write_bytes(picture)
    (options.folder / "faces.npy").write_bytes(numbers)
    images = np.load(io.BytesIO(numbers), allow_pickle=False)
    print(f"\n{len(images)} faces of {images.shape[2]}x{images.shape[1]}, mean {images.mean():.1f}")
    return options.folder / "faces.png"


def example_request(model: dict[str, Any]) -> tuple[bytes, str]:
    """Return a body that a model takes, and its content type; SEEDS where it takes seeds."""
    takes = [given["name"] for given in model["inputs"]]
    seeds = ";seeds=" + ",".join(map(str, SEEDS)) if "latents" in takes else ""
    for name, file in (("label_maps", "map.png"), ("images", "photo.png")):
        if name in takes:
            return (PAYLOADS / file).read_bytes(), f"image/png{seeds}"
    return json.dumps({"seeds": SEEDS}).encode(), "application/json"


def parse_options(about: str | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--hosts", type=positive, nargs="+", default=[1, 2], help="training containers [1 2]")
    add("--instance-type", default="local", choices=["local", "local_gpu"], help="[local]")
    add("--training-image", default="facegan-training:local", help="[facegan-training:local]")
    add("--inference-image", default="facegan-inference:local", help="[facegan-inference:local]")
    add("--data", type=Path, default=Path("runs/local-mode/data/training"), help="folder of images")
    add("--folder", type=Path, default=Path("runs/local-mode"), help="folder for results")
    add("--port", type=int, default=8080, help="of the endpoint [8080]")
    add("--threads", type=int, default=0, help="of each host [the cores, shared by the hosts]")
    add("--set", type=pair, action="append", default=[], metavar="NAME=VALUE",
        help="a hyperparameter, such as preset=toy32")  # fmt: skip
    return parser.parse_args()


def positive(text: str) -> int:
    """Parse a whole number from 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return int(text)


def pair(text: str) -> tuple[str, str]:
    """Parse NAME=VALUE."""
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


if __name__ == "__main__":
    main()
