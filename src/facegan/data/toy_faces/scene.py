"""What is behind and below the head: background, clothes, neck."""

import torch
from torch import Tensor

from facegan.data.toy_faces.canvas import Canvas, ellipse
from facegan.data.toy_faces.palette import WHITE, shade
from facegan.data.toy_faces.parameters import HeadShape, Pose, Scene


def paint_background(canvas: Canvas, scene: Scene) -> None:
    """A gradient between two colours, lighter behind the head."""
    across, down = canvas.frame_x, canvas.frame_y
    slant = across * scene.angle.cos() + down * scene.angle.sin()
    share = (slant * 0.4 + 0.5).clamp(0, 1).unsqueeze(1)
    halo = torch.exp(-2.5 * (across.square() + down.square())) * scene.halo
    gradient = torch.lerp(scene.first, scene.second, share)
    canvas.paint(torch.ones_like(canvas.x), gradient, "background")
    canvas.paint(halo, WHITE)


def _below_head(canvas: Canvas, pose: Pose) -> tuple[Tensor, Tensor]:
    """Body coordinates: they move and grow with the head but do not turn with it."""
    x = (canvas.frame_x - 0.7 * pose.left) / pose.scale
    y = (canvas.frame_y - pose.down) / pose.scale
    return x, y


def paint_clothes(canvas: Canvas, scene: Scene, pose: Pose) -> None:
    """Shoulders, darker towards the sides, some striped."""
    canvas = canvas.window(-1, 0.5, 1, 1)
    x, y = _below_head(canvas, pose)
    shoulders = ellipse(x, y - scene.shoulder_y - 0.5, scene.shoulder, 0.5)
    light = 1.02 - 0.22 * x.square() + 0.08 * pose.light * x
    bands = torch.sin(y * scene.stripe_width).mul(4).clamp(-1, 1) * 0.5 + 0.5
    cloth = torch.lerp(scene.cloth, scene.trim, (bands * scene.stripes).unsqueeze(1))
    canvas.paint(canvas.cover(shoulders), (cloth * light.unsqueeze(1)).clamp(0, 1), "body")


def paint_neck(canvas: Canvas, scene: Scene, head: HeadShape, pose: Pose) -> None:
    """Neck and neckline, hemmed in the clothes' second colour, with the chin's shadow on it."""
    canvas = canvas.window(-0.5, 0.25, 0.5, 1)
    x, y = _below_head(canvas, pose)
    half_width = scene.neck * head.half_width * (1 - 0.12 * head.child)
    x = x + 0 * y
    column = torch.maximum(x.abs() - half_width, torch.maximum(0.2 - y, y - 0.80))
    round_neck = ellipse(x, y - 0.79, half_width + 0.02, 0.13)
    v_neck = torch.maximum(0.74 - y, (x.abs() - half_width - 0.02) + (y - 0.76) * 0.9)
    neckline = torch.lerp(round_neck, v_neck, scene.v_neck)
    hem = canvas.cover(neckline - 0.035) * (y > 0.75)
    canvas.paint(hem, scene.trim, "body")
    chin = (1 - (y - 0.48) * 4).clamp(0, 1) * 0.22
    light = 0.95 - chin + 0.08 * pose.light * x / half_width
    skin = shade(head.skin, 0.97, 0.93, 0.91) * light.unsqueeze(1)
    canvas.paint(canvas.cover(torch.minimum(column, neckline)), skin.clamp(0, 1), "neck")
