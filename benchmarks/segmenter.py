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
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  # the field's own alias

from facegan.data.toy_faces import LABELS, draw_faces
from facegan.errors import FaceGANError
from facegan.files import file_digest
from facegan.metrics import class_ious, count_confusion, mean_iou, pixel_accuracy

WEIGHTS = Path(__file__).with_name("segmenter.safetensors")
DIGEST = "0c7e4ad2982bee3821fa963a2062631dfc2c6f422e0cbb665bcc32cbc500528a"
RESOLUTION = 32
WIDTHS = (24, 48, 80)  # channels at 32, 16 and 8 pixels
TRAIN_SEED, TEST_SEED = 1_000_003, 1_000_004  # of the faces
FACES, STEPS, BATCH, RATE = 32_768, 4_000, 32, 4e-3
# A class weighs its share of the pixels to this power. At 0, without weights, the rare classes are
# given up: irises, brows, lips.
BALANCE = -0.5


class WrongWeightsError(FaceGANError):
    """The weights are not those that figures are compared by."""


class Segmenter(nn.Module):
    """A U-Net of three levels: uint8 images (N, 3, H, W) → logits (N, 14, H, W).

    Sides are multiples of 4; the weights are for faces of 32 pixels.
    """

    def __init__(self) -> None:
        super().__init__()
        fine, middle, coarse = WIDTHS
        self.fine = nn.Sequential(layer(3, fine), layer(fine, fine))
        self.middle = nn.Sequential(layer(fine, middle, stride=2), layer(middle, middle))
        self.coarse = nn.Sequential(layer(middle, coarse, stride=2), layer(coarse, coarse))
        self.up_middle = layer(coarse + middle, middle)
        self.up_fine = layer(middle + fine, fine)
        self.classes = nn.Conv2d(fine, len(LABELS), 1)

    def forward(self, images: Tensor) -> Tensor:
        pixels = images.float() / 127.5 - 1
        fine = self.fine(pixels.contiguous(memory_format=torch.channels_last))
        middle = self.middle(fine)
        up = F.interpolate(self.coarse(middle), scale_factor=2.0)
        up = F.interpolate(self.up_middle(torch.cat([up, middle], 1)), scale_factor=2.0)
        logits: Tensor = self.classes(self.up_fine(torch.cat([up, fine], 1)))
        return logits

    @torch.no_grad()
    def read(self, images: Tensor) -> Tensor:
        """Return the label maps, uint8 (N, H, W), of uint8 images (N, 3, H, W)."""
        maps = [self(part).argmax(1).to(torch.uint8) for part in images.split(256)]
        return torch.cat(maps)


def layer(channels: int, out: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, out, 3, stride, 1, bias=False), nn.BatchNorm2d(out), nn.ReLU()
    )


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
    segmenter = Segmenter()
    segmenter.load_state_dict(load_file(weights))
    return segmenter.eval()


def draw(seed: int, count: int) -> tuple[Tensor, Tensor]:
    """Draw toy faces: uint8 images (N, 3, 32, 32) and label maps (N, 32, 32)."""
    parts = [draw_faces(first, 256, RESOLUTION, seed) for first in range(0, count, 256)]
    images, maps = zip(*parts, strict=True)
    return torch.cat(images), torch.cat(maps)


def class_weights(maps: Tensor) -> Tensor:
    """Return the weight of each class in the loss, whose mean over pixels is 1."""
    counts = torch.bincount(maps.flatten().long(), minlength=len(LABELS))
    shares = counts / counts.sum()
    weights = shares**BALANCE
    return weights / (weights * shares).sum()


def train(images: Tensor, maps: Tensor, steps: int) -> Segmenter:
    """Train a segmenter by balanced cross-entropy, under a one-cycle schedule."""
    torch.manual_seed(0)
    segmenter, weights = Segmenter(), class_weights(maps)
    segmenter.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(segmenter.parameters(), weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    for step in range(steps):
        chosen = torch.randint(len(images), (BATCH,))
        loss = F.cross_entropy(segmenter(images[chosen]), maps[chosen].long(), weights)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 250 == 0:
            print(f"step {step:5} loss {loss.item():.3f}", flush=True)
    return segmenter.eval()


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
