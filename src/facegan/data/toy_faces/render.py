"""Draws chunks of faces: parameters in, images and label maps out."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from facegan.data.toy_faces import hair, head, scene
from facegan.data.toy_faces.canvas import Canvas
from facegan.data.toy_faces.parameters import ToyFace
from facegan.data.toy_faces.random_draw import MAX_SEED
from facegan.data.toy_faces.random_face import draw_parameters
from facegan.data.toy_faces.variants import PLAIN, find_variant
from facegan.errors import ConfigError

RENDERER_VERSION = 1
MIN_RESOLUTION, MAX_RESOLUTION = 8, 1024
SUPERSAMPLING = 2


def check_spec(images: int, resolution: int, seed: int) -> None:
    """Refuse what cannot be drawn.

    Raises:
        ConfigError: Names the value and its range.
    """
    if images < 1:
        raise ConfigError(f"images is {images}; a data set has at least 1.")
    if not MIN_RESOLUTION <= resolution <= MAX_RESOLUTION:
        allowed = f"{MIN_RESOLUTION} to {MAX_RESOLUTION}"
        raise ConfigError(f"resolution is {resolution}; toy faces are {allowed} pixels a side.")
    if not 0 <= seed <= MAX_SEED:
        raise ConfigError(f"seed is {seed}; it must be 0 to {MAX_SEED}.")


def chunk_size(resolution: int) -> int:
    """How many images are drawn at once: as many as keep a plane of floats in a core's cache.

    Measured: 8 at 64 pixels (half a MiB a plane), 32 at 32. A change moves the last bit of some
    pixels, and asks for a new ``RENDERER_VERSION``.
    """
    return max(1, min(32, 8 * 64 * 64 // resolution**2))


@contextmanager
def _one_thread() -> Iterator[None]:
    """Keep kernels whole: split among threads, their edges may round otherwise."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def blank_canvas(face: ToyFace, side: int, kind: type[Canvas] = Canvas) -> Canvas:
    """An empty canvas of ``side`` pixels with the coordinates of these faces' poses."""
    pose, count = face.pose, len(face.pose.roll)
    axis = (torch.arange(side, dtype=torch.float32) + 0.5) / side * 2 - 1
    frame_x, frame_y = axis.view(1, 1, side), axis.view(1, side, 1)
    across, down = (frame_x - pose.left) / pose.scale, (frame_y - pose.down) / pose.scale
    cos, sin = pose.roll.cos(), pose.roll.sin()
    return kind(
        image=torch.zeros(count, 3, side, side),
        labels=torch.zeros(count, side, side, dtype=torch.uint8),
        frame_x=frame_x,
        frame_y=frame_y,
        x=cos * across + sin * down,
        y=cos * down - sin * across,
        pixel=2 / side / pose.scale,
    )


def paint_faces(canvas: Canvas, face: ToyFace) -> None:
    """Paint every part, back to front. A window is the box in which its parts can lie."""
    level, upper = canvas.window(-0.8, -0.4, 0.8, 0.4), canvas.window(-0.64, -0.5, 0.64, 0.36)
    middle, lower = (
        canvas.window(-0.45, -0.45, 0.45, 0.75),
        canvas.window(-0.8, -0.35, 0.8, 0.95),
    )
    fields = hair.hair_fields(canvas, face.hair, face.head, face.pose)
    scene.paint_background(canvas, face.scene)
    hair.paint_back_hair(canvas, face.hair, fields)
    scene.paint_clothes(canvas, face.scene, face.pose)
    scene.paint_neck(canvas, face.scene, face.head, face.pose)
    head.paint_ears(level, face.head, face.pose)
    on_face = head.paint_face(canvas, face.head, face.pose)
    hair.paint_beard(lower, face.beard, face.head, face.mouth, face.pose)
    head.paint_mouth(middle, face.head, face.mouth, face.pose)
    head.paint_nose(middle, face.head, face.mouth, face.pose)
    head.paint_eyes(upper, face.eyes, face.head, face.hair, face.pose)
    head.paint_temples(upper, face.glasses, face.eyes, face.head, face.pose)
    hair.paint_front_hair(canvas, face.hair, face.head, fields, on_face)
    head.paint_glasses(upper, face.glasses, face.eyes, face.pose)


def most_common_label(labels: Tensor) -> Tensor:
    """(N, 2R, 2R) → (N, R, R): the label of most of each block of four; a tie goes to its first."""
    a, b = labels[:, ::2, ::2], labels[:, ::2, 1::2]
    c, d = labels[:, 1::2, ::2], labels[:, 1::2, 1::2]
    a_repeats = (a == b) | (a == c) | (a == d)
    b_repeats = (b == c) | (b == d)
    return torch.where(a_repeats, a, torch.where(b_repeats, b, torch.where(c == d, c, a)))


def draw_chunk(
    chunk: int, resolution: int, seed: int, variant: str = PLAIN
) -> tuple[Tensor, Tensor]:
    """Chunk ``chunk`` of a data set: uint8 images (B, 3, R, R) and labels (B, R, R)."""
    count, drawn_as = chunk_size(resolution), find_variant(variant)
    with torch.inference_mode(), _one_thread():
        face = drawn_as.change(draw_parameters(chunk * count, count, seed))
        canvas = blank_canvas(face, resolution * SUPERSAMPLING, drawn_as.canvas)
        paint_faces(canvas, face)
        image = drawn_as.image(canvas, SUPERSAMPLING).mul(255).add_(0.5)
        return image.to(torch.uint8), most_common_label(canvas.labels)


def draw_faces(
    first: int, count: int, resolution: int, seed: int = 0, variant: str = PLAIN
) -> tuple[Tensor, Tensor]:
    """Synthetic cartoon faces ``first`` to ``first + count - 1`` of the data set ``seed``.

    Image k of a seed is the same bytes whichever faces it is drawn with: faces are drawn in chunks
    that begin at fixed numbers, and a face is cut out of its chunk.

    Args:
        first: Number of the first face, at least 0.
        count: How many, at least 1.
        resolution: Side of the images in pixels, 8 to 1024.
        seed: 0 to 2**63 - 1.
        variant: ``plain``, or the same faces as a ``sketch``, at ``night``, all with ``glasses``,
            all with ``no glasses``.

    Returns:
        Images, uint8 (count, 3, R, R), RGB, and label maps, uint8 (count, R, R), indices into
        ``LABELS``: the part that is on top at each pixel.

    Raises:
        ConfigError: A value is out of its range.
    """
    check_spec(count, resolution, seed)
    if first < 0:
        raise ConfigError(f"first is {first}; images are counted from 0.")
    size = chunk_size(resolution)
    chunks = range(first // size, (first + count - 1) // size + 1)
    images, labels = zip(
        *(draw_chunk(chunk, resolution, seed, variant) for chunk in chunks), strict=True
    )
    wanted = slice(first - chunks[0] * size, first - chunks[0] * size + count)
    return torch.cat(images)[wanted], torch.cat(labels)[wanted]
