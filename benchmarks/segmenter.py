"""A small segmenter of toy faces: reads which of the 14 parts is on top at each pixel of an image.

It judges image-to-image models: does a generated face have the parts that its label map asked for?
It has only ever seen real toy faces, of seeds that no benchmark draws. Its weights lie beside this
file, so that figures stay comparable. They were made on one shared CPU core, in about six
minutes of processor time, by

    python benchmarks/segmenter.py --out benchmarks/segmenter.safetensors

which prints their digest, and the score on faces that it has not seen: mIoU 0.827, accuracy 0.981.
Another machine may round otherwise, and so reach other weights and another digest.
"""

import argparse
import time
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from facegan.data.toy_faces import LABELS, draw_faces
from facegan.errors import FaceGANError
from facegan.files import file_digest
from facegan.metrics import class_ious, count_confusion, mean_iou, pixel_accuracy
from facegan.metrics.segmenter import Segmenter, train_segmenter

WEIGHTS = Path(__file__).with_name("segmenter.safetensors")
DIGEST = "0c7e4ad2982bee3821fa963a2062631dfc2c6f422e0cbb665bcc32cbc500528a"
RESOLUTION = 32
TRAIN_SEED, TEST_SEED = 1_000_003, 1_000_004  # of the faces
FACES, STEPS, BATCH = 32_768, 4_000, 32


class WrongWeightsError(FaceGANError):
    """The weights are not those that figures are compared by."""


def load_segmenter(weights: Path = WEIGHTS) -> Segmenter:
    """Return the segmenter with its weights, ready to read.

    Raises:
        WrongWeightsError: the file is missing, or its SHA-256 is another.
    """
    if not weights.is_file():
        raise WrongWeightsError(f"The segmenter's weights, {weights}, are missing.")
    if (found := file_digest(weights)) != DIGEST:
        raise WrongWeightsError(
            f"{weights} has the digest {found}, not {DIGEST}.",
            "Check the file out again; other weights make other figures.",
        )
    segmenter = Segmenter(len(LABELS))
    segmenter.load_state_dict(load_file(weights))
    return segmenter.eval()


def draw(seed: int, count: int) -> tuple[Tensor, Tensor]:
    """Draw toy faces: uint8 images (N, 3, 32, 32) and label maps (N, 32, 32)."""
    parts = [draw_faces(first, 256, RESOLUTION, seed) for first in range(0, count, 256)]
    images, maps = zip(*parts, strict=True)
    return torch.cat(images), torch.cat(maps)


def train(images: Tensor, maps: Tensor, steps: int) -> Segmenter:
    """Train a segmenter of toy faces, and print how far it is."""

    def report(step: int, loss: Tensor) -> None:
        if step % 250 == 0:
            print(f"step {step:5} loss {loss.item():.3f}", flush=True)

    return train_segmenter(images, maps, len(LABELS), steps=steps, batch_size=BATCH, on_step=report)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the .safetensors to write")
    parser.add_argument("--steps", type=int, default=STEPS)
    options = parser.parse_args()
    began = time.process_time()
    segmenter = train(*draw(TRAIN_SEED, FACES), options.steps)
    seconds = time.process_time() - began
    state = segmenter.state_dict()
    tensors = {  # half of the digits: half of the file, the same maps
        name: tensor.half().contiguous() if tensor.is_floating_point() else tensor
        for name, tensor in state.items()
    }
    save_file(tensors, options.out, {"made by": "benchmarks/segmenter.py"})
    segmenter.load_state_dict(load_file(options.out))
    images, maps = draw(TEST_SEED, 2_048)
    confusion = count_confusion(maps, segmenter.read(images), len(LABELS))
    for name, iou in zip(LABELS, class_ious(confusion).tolist(), strict=True):
        print(f"{name:12} {iou:.3f}")
    print(f"mIoU {mean_iou(confusion):.4f}, accuracy {pixel_accuracy(confusion):.4f} on 2,048"
          f" faces it has not seen; {seconds:.0f} s of processor time")  # fmt: skip
    print(f"SHA-256 {file_digest(options.out)}")


if __name__ == "__main__":
    main()
