"""The head and its features: ears, face, eyes, brows, nose, mouth, glasses."""

import torch
from torch import Tensor

from facegan.data.toy_faces.canvas import Canvas, ellipse, hump, rounded_box
from facegan.data.toy_faces.palette import BLACK, MOUTH_INSIDE, TONGUE, WHITE, shade
from facegan.data.toy_faces.parameters import Eyes, Glasses, Hair, HeadShape, Mouth, Pose

EYE_Y, EAR_Y = -0.045, 0.02


def face_distance(canvas: Canvas, head: HeadShape) -> Tensor:
    """(N, H, W) distance to the face's outline: an ellipse that narrows towards the chin."""
    down = (canvas.y / head.half_height).clamp(0, 1.1)
    half_width = head.half_width * (1 - head.jaw * down * down.sqrt())
    return ellipse(canvas.x, canvas.y, half_width, head.half_height)


def paint_ears(canvas: Canvas, head: HeadShape, pose: Pose) -> None:
    """Both ears; the one the head turns away from is nearer the face."""
    x = (canvas.x + 0.5 * pose.slide_x).abs() - head.half_width * 0.99
    y = canvas.y - EAR_Y - 0.5 * pose.slide_y
    ear = ellipse(x, y, 0.068 * head.ear_size, 0.105 * head.ear_size)
    canvas.paint(canvas.cover(ear), shade(head.skin, 0.95, 0.88, 0.85), "ear")
    canvas.paint(canvas.cover(ear + 0.032, 0.03) * 0.35, shade(head.skin, 0.72, 0.52, 0.48))


def paint_face(canvas: Canvas, head: HeadShape, pose: Pose) -> Tensor:
    """Lit skin with blush, freckles and the lines of age; returns the face's coverage."""
    x, y = canvas.x, canvas.y
    depth = (1 - (x / 0.55).square() - (y / 0.65).square()).clamp_(min=0).sqrt_()
    light = 0.90 + 0.11 * depth + 0.10 * pose.light * x - 0.05 * y
    coverage = canvas.cover(face_distance(canvas, head))
    canvas.paint(coverage, (head.skin * light.unsqueeze(1)).clamp(0, 1), "skin")
    feature_x, feature_y = x - pose.slide_x, y - pose.slide_y
    aside = feature_x.abs()
    cheek = ((aside - 0.25) / 0.11).square() + ((feature_y - 0.14) / 0.08).square()
    canvas.paint(torch.exp(-cheek) * head.blush * coverage, shade(head.skin, 1.04, 0.66, 0.64))
    dots = torch.sin(67 * x + 23 * y + 2 * torch.sin(31 * y)) * torch.sin(59 * y - 37 * x)
    freckles = canvas.cover(0.75 - dots, 0.5) * torch.exp(-0.5 * cheek) * head.freckles
    canvas.paint(freckles * 0.3, shade(head.skin, 0.70, 0.50, 0.40))
    fold = (aside - 0.15 - 0.30 * (feature_y - 0.13)).abs() - 0.006
    fold = torch.maximum(fold, (feature_y - 0.20).abs() - 0.07)
    brow = ((feature_y + 0.335 + 0.1 * x.square()).abs() - 0.005).maximum(aside - 0.17)
    lines = canvas.cover(torch.minimum(fold, brow), 0.02)
    canvas.paint(lines * head.old * 0.35, shade(head.skin, 0.66, 0.54, 0.50))
    return coverage


def paint_nose(canvas: Canvas, head: HeadShape, mouth: Mouth, pose: Pose) -> None:
    """A round tip with its shadow, and a light on it."""
    x = canvas.x - 1.25 * pose.slide_x
    y = canvas.y - mouth.nose_y - 1.3 * pose.slide_y
    bridge = ellipse(x + 0.030 * pose.light.sign(), y + 0.10, 0.020, 0.11)
    canvas.paint(canvas.cover(bridge, 0.03) * 0.16, shade(head.skin, 0.62, 0.46, 0.42))
    under = ellipse(x, y - 0.018, mouth.nose_width, mouth.nose_width * 0.62)
    canvas.paint(canvas.cover(under), shade(head.skin, 0.82, 0.66, 0.62), "nose")
    tip = ellipse(x, y, mouth.nose_width * 0.92, mouth.nose_width * 0.66)
    canvas.paint(canvas.cover(tip), shade(head.skin, 1.0, 0.92, 0.89), "nose")
    glint = ellipse(x - 0.015 * pose.light, y + 0.012, 0.022, 0.016)
    canvas.paint(canvas.cover(glint, 0.015) * 0.35, WHITE)


def paint_mouth(canvas: Canvas, head: HeadShape, mouth: Mouth, pose: Pose) -> None:
    """Lips that curve up with the smile; an open mouth shows teeth and tongue.

    The inside of the mouth counts as lip: no label is its own.
    """
    x = canvas.x - 1.1 * pose.slide_x
    middle = mouth.y + pose.slide_y + mouth.smile * (0.035 - 2.3 * x.square())
    y = canvas.y - middle
    swell = hump(x, mouth.half_width)
    opening, lip = mouth.opening, mouth.lip_thickness
    outer = torch.maximum(-y - (0.75 * lip + 0.25 * opening) * swell, y - (lip + opening) * swell)
    outer = torch.maximum(outer, x.abs() - mouth.half_width)
    lips = canvas.cover(outer)
    canvas.paint(lips, mouth.lip, "lip")
    is_open = (opening > 0).float()
    seam = canvas.cover(y.abs() - 0.012 * swell) * (1 - is_open) * (swell > 0.05)
    canvas.paint(seam, shade(mouth.lip, 0.55, 0.45, 0.45), "lip")
    inside = hump(x, 0.88 * mouth.half_width)
    gap = torch.maximum(-y - 0.25 * opening * inside, y - opening * inside)
    gap = torch.minimum(canvas.cover(gap), lips) * is_open
    canvas.paint(gap, MOUTH_INSIDE, "lip")
    tongue = ellipse(x, y - 1.05 * opening, 0.55 * mouth.half_width, 0.45 * opening + 1e-3)
    canvas.paint(gap * canvas.cover(tongue), TONGUE, "lip")
    canvas.paint(gap * canvas.cover(y - 0.38 * opening), WHITE, "teeth")


def paint_eyes(canvas: Canvas, eyes: Eyes, head: HeadShape, hair: Hair, pose: Pose) -> None:
    """Both eyes at once, in coordinates mirrored about the nose, and their brows."""
    x = canvas.x - pose.slide_x
    side = x.sign()
    out = x.abs() - eyes.apart  # positive outwards
    y = canvas.y - EYE_Y - pose.slide_y
    closed = torch.maximum(eyes.laughing, eyes.wink * (side > 0))
    _paint_open_eyes(canvas, eyes, head, pose, out, y, side, 1 - closed)
    arc = (y + 0.035 - 4.5 * out.square()).abs() - 0.020 * hump(out, eyes.half_width * 0.95)
    arc = torch.maximum(arc, out.abs() - eyes.half_width * 0.95)
    ink = shade(hair.colour, 0.35, 0.3, 0.3)
    canvas.paint(canvas.cover(arc) * closed, ink, "eye")
    _paint_brows(canvas, eyes, hair, out, canvas.y - pose.slide_y)


def _paint_open_eyes(
    canvas: Canvas,
    eyes: Eyes,
    head: HeadShape,
    pose: Pose,
    out: Tensor,
    y: Tensor,
    side: Tensor,
    is_open: Tensor,
) -> None:
    """White, iris, pupil, glint, lashes; ``is_open`` is (N, H, W), 0 over a closed eye."""
    half_height = torch.where(y < 0, eyes.half_height, eyes.half_height * 0.85)
    lid = ellipse(out, y, eyes.half_width, half_height)
    socket = canvas.cover(lid - 0.02, 0.03) * is_open
    canvas.paint(socket * 0.25, shade(head.skin, 0.60, 0.44, 0.42))
    white = canvas.cover(lid) * is_open
    canvas.paint(white, WHITE, "eye")
    iris_x, iris_y = out - eyes.gaze_x * side, y - eyes.gaze_y
    from_centre = torch.hypot(iris_x, iris_y)
    canvas.paint(white * canvas.cover(from_centre - eyes.iris_radius), eyes.iris, "iris")
    canvas.paint(white * canvas.cover(from_centre - 0.55 * eyes.iris_radius), BLACK, "iris")
    glint = torch.hypot(iris_x - 0.022 * pose.light.sign() * side, iris_y + 0.024)
    canvas.paint(white * canvas.cover(glint - 0.30 * eyes.iris_radius), WHITE, "iris")
    lash = ellipse(out, y - 0.012, eyes.half_width + 0.008, half_height + 0.012).abs() - eyes.lash
    lash = torch.maximum(lash, y + 0.25 * eyes.half_height)
    canvas.paint(canvas.cover(lash) * is_open, BLACK, "eye")


def _paint_brows(canvas: Canvas, eyes: Eyes, hair: Hair, out: Tensor, y: Tensor) -> None:
    """Soft arcs, thicker towards the nose."""
    arch = eyes.brow_arch * (out / eyes.brow_width).square()
    middle = eyes.brow_y + eyes.brow_slope * out + arch
    thickness = eyes.brow_thickness * hump(out, eyes.brow_width) * (1 - 2.5 * out)
    brow = torch.maximum((y - middle).abs() - thickness, out.abs() - eyes.brow_width)
    canvas.paint(canvas.cover(brow), shade(hair.colour, 0.72, 0.70, 0.70), "brow")


def paint_glasses(canvas: Canvas, glasses: Glasses, eyes: Eyes, pose: Pose) -> None:
    """Two lenses, a bridge between them, and a light across the glass."""
    x = canvas.x - pose.slide_x
    out = x.abs() - eyes.apart - 0.005
    y = canvas.y - EYE_Y - pose.slide_y - 0.005
    smaller = torch.minimum(glasses.half_width, glasses.half_height)
    rim = rounded_box(out, y, glasses.half_width, glasses.half_height, smaller * glasses.roundness)
    glass = canvas.cover(rim) * glasses.worn
    canvas.paint(glass * glasses.tint, glasses.colour, "glasses")
    glare = canvas.cover((x * 0.8 + y + 0.02).remainder(0.41) - 0.05, 0.02)
    canvas.paint(glass * glare * 0.14, WHITE)
    bridge = torch.maximum((y + 0.02).abs() - glasses.thickness, x.abs() - eyes.apart)
    bridge = torch.maximum(bridge, -rim)
    frame = torch.minimum(rim.abs() - glasses.thickness, bridge)
    canvas.paint(canvas.cover(frame) * glasses.worn, glasses.colour, "glasses")


def paint_temples(
    canvas: Canvas, glasses: Glasses, eyes: Eyes, head: HeadShape, pose: Pose
) -> None:
    """The arms of the glasses, from the rims to the ears; hair may cover them."""
    x = canvas.x - pose.slide_x
    y = canvas.y - EYE_Y - pose.slide_y + 0.02
    arm = torch.maximum(y.abs() - 0.7 * glasses.thickness, eyes.apart + 0.12 - x.abs())
    arm = torch.maximum(arm, canvas.x.abs() - head.half_width)
    canvas.paint(canvas.cover(arm) * glasses.worn, glasses.colour, "glasses")
