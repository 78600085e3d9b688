"""Everything that grows: hair behind and before the face, and beards."""

from dataclasses import dataclass

import torch
from torch import Tensor

from facegan.data.toy_faces.canvas import (
    Canvas,
    ellipse,
    hump,
    smooth_intersection,
    smooth_union,
)
from facegan.data.toy_faces.head import face_distance
from facegan.data.toy_faces.palette import shade
from facegan.data.toy_faces.parameters import Beard, Hair, HeadShape, Mouth, Pose


@dataclass(frozen=True)
class HairFields:
    """A head of hair before it is painted: its outline and how light falls on it, (N, H, W)."""

    outline: Tensor
    strands: Tensor  # about -1 to 1
    light: Tensor  # a factor, about 1
    shine: Tensor  # added light, at least 0


def _strands(canvas: Canvas, hair: Hair) -> Tensor:
    """Locks that fan out from above the parting; curls where the hair is curly.

    Sines of unrelated frequencies, bent by one another, so that no stripe repeats.
    """
    x, y = canvas.x, canvas.y
    first, second, third, _ = hair.phases
    fan = (x - hair.part) / (y + 1.25).clamp(min=0.3) * hair.fineness
    bend = torch.sin(3.1 * y + 5 * fan + third)
    locks = 0.6 * torch.sin(19 * fan + first + 1.1 * bend) + 0.4 * torch.sin(
        43 * fan + second - 1.7 * bend
    )
    curls = torch.sin(17 * x + first + 1.5 * torch.sin(11 * y + third))
    curls = curls * torch.sin(18 * y + second + 1.5 * torch.sin(13 * x + first))
    return torch.lerp(locks, curls, hair.curl)


def hair_fields(canvas: Canvas, hair: Hair, head: HeadShape, pose: Pose) -> HairFields:
    """The whole head of hair, as if the face did not cover it."""
    x, y = canvas.x, canvas.y
    strands = _strands(canvas, hair)
    wide = head.half_width + hair.side_volume + 0.012
    high = head.half_height + hair.volume
    across, down = x / wide, (y + 0.05) / high
    radius = (across.square() + down.square()).sqrt()
    cap = (radius - 1) * wide - (0.008 + 0.022 * hair.curl) * strands
    sway = 0.02 * torch.sin(7 * y + hair.phases[0])
    fall_width = wide - 0.02 + hair.flare * y + sway * hair.long
    fall = smooth_intersection((x.abs() - fall_width), y - hair.length - 0.03 * strands, 0.12)
    fall = torch.maximum(fall, -0.05 - y) + 3 * (1 - hair.long)
    outline = smooth_union(cap, fall, 0.04)
    nape = smooth_intersection(cap, y - hair.length, 0.10)
    outline = torch.where(hair.long > 0, outline, nape)
    bun = ellipse(x, y + head.half_height + hair.volume + 0.07, 0.19, 0.16) + 3 * (1 - hair.bun)
    outline = torch.minimum(outline, bun - 0.01 * strands)
    outline = smooth_intersection(outline, hair.crown - y, 0.05)
    band = torch.exp(-((radius - 0.78) * 7).square())
    return HairFields(
        outline=outline,
        strands=strands,
        light=0.97 + 0.11 * strands - 0.14 * y + 0.18 * pose.light * x,
        shine=0.12 * band * (0.75 + 0.5 * strands) * (0.7 + pose.light * x).clamp(min=0),
    )


def _lit(hair: Hair, fields: HairFields, depth: Tensor | float) -> Tensor:
    """The hair's colour under its light; ``depth`` below 1 darkens what lies further back."""
    lit = hair.colour * (fields.light * depth).unsqueeze(1)
    return (lit + (fields.shine * depth).unsqueeze(1)).clamp(0, 1)


def paint_back_hair(canvas: Canvas, hair: Hair, fields: HairFields) -> None:
    """The hair behind the head and the neck, darker but for its rim."""
    depth = 1 - 0.28 * canvas.cover(fields.outline + 2 * canvas.pixel)
    canvas.paint(canvas.cover(fields.outline) * hair.opacity, _lit(hair, fields, depth), "hair")


def paint_front_hair(
    canvas: Canvas, hair: Hair, head: HeadShape, fields: HairFields, on_face: Tensor
) -> None:
    """The hair before the forehead, the ears and, where it is long, the shoulders.

    Args:
        on_face: (N, H, W) coverage of the face, on which the hair's shadow falls.
    """
    x, y = canvas.x, canvas.y
    aside = (x / head.half_width).square()
    temple = hair.temple * aside * aside * aside
    edge = hair.base + hair.slope * x + hair.tent * (x - hair.part).abs() + temple
    edge = edge + hair.notch * fields.strands
    # Begins where the back hair covers fully: two soft edges on one line would add up.
    front = smooth_intersection(fields.outline + canvas.pixel, y - edge, 0.02)
    front = smooth_intersection(front, y - hair.front_length, 0.05)
    shadow = canvas.cover(front - 0.03, 0.08) * on_face * hair.opacity * 0.28
    canvas.paint(shadow, shade(head.skin, 0.50, 0.36, 0.34))
    canvas.paint(canvas.cover(front) * hair.opacity, _lit(hair, fields, 1.0), "hair")


def paint_beard(canvas: Canvas, beard: Beard, head: HeadShape, mouth: Mouth, pose: Pose) -> None:
    """Beard, goatee and moustache, as one coat so that none is laid on twice."""
    x, y = canvas.x, canvas.y
    rough = torch.sin(47 * x + 3 * torch.sin(19 * y)) * torch.sin(37 * y + 2 * torch.sin(29 * x))
    rough = 0.008 * rough
    aside = (x / head.half_width).square()
    top = mouth.y + beard.top - 0.42 * aside * aside
    full = smooth_intersection(
        face_distance(canvas, head) - beard.bushiness * 0.6 - 0.006, top - y, 0.06
    )
    x, y = x - 1.1 * pose.slide_x, y - mouth.y - pose.slide_y
    goatee = ellipse(x, y - 0.15, 0.13, 0.15 + beard.bushiness)
    moustache = (y + 0.065 - 1.1 * x.square()).abs() - 0.042 * hump(x, mouth.half_width + 0.045)
    moustache = torch.maximum(moustache, x.abs() - mouth.half_width - 0.03)
    edge = 0.045
    alpha = canvas.cover(full + rough, edge) * beard.full
    alpha = torch.maximum(alpha, canvas.cover(goatee + rough, edge) * beard.goatee)
    alpha = torch.maximum(alpha, canvas.cover(moustache + 0.4 * rough, 0.02) * beard.moustache)
    light = 1 + 5 * rough - 0.15 * y
    canvas.paint(alpha, (beard.colour * light.unsqueeze(1)).clamp(0, 1), "beard")
