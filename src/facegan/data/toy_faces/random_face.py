"""Draws the parameters of faces at random: how often each trait occurs and how far it varies."""

import torch
from torch import Tensor

from facegan.data.toy_faces.palette import (
    GREYS,
    HAIR_COLOURS,
    IRIS_COLOURS,
    SKIN_TONES,
    colour_of_hsv,
    mix,
    pick,
    shade,
)
from facegan.data.toy_faces.parameters import (
    Beard,
    Eyes,
    Glasses,
    Hair,
    HeadShape,
    Mouth,
    Pose,
    Scene,
    ToyFace,
)
from facegan.data.toy_faces.random_draw import Draw

# The front edge of the hair: y = base + slope·x + tent·|x - part| + temple·(|x| / face width)^6,
# cut into strands `notch` deep. One row a cut; then its weight on short and on long hair.
HAIR_CUTS = torch.tensor(
    [
        # base  slope  tent  temple notch  short long
        [-0.40, 0.00, 0.10, 0.42, 0.018, 0.26, 0.10],  # brushed up
        [-0.27, 0.00, 0.00, 0.30, 0.030, 0.24, 0.30],  # fringe
        [-0.33, 0.38, 0.10, 0.34, 0.025, 0.26, 0.30],  # swept to a side
        [-0.46, 0.00, 0.62, 0.30, 0.012, 0.08, 0.30],  # parted
        [-0.49, 0.00, 0.12, 0.52, 0.010, 0.11, 0.00],  # receding
        [-1.30, 0.00, 0.00, 1.28, 0.010, 0.05, 0.00],  # a wreath of hair about a bald head
    ]
)
WREATH = 5


def _draw_pose(draw: Draw) -> Pose:
    return Pose(
        roll=draw.normal(0, 0.07),
        scale=draw.normal(1.08, 0.045),
        left=draw.normal(0, 0.025),
        down=draw.normal(0.06, 0.02),
        slide_x=draw.normal(0, 0.045),
        slide_y=draw.normal(0, 0.018),
        light=draw.uniform(-1, 1),
    )


def _draw_head(draw: Draw, tone: Tensor, child: Tensor, old: Tensor) -> HeadShape:
    step = tone * (len(SKIN_TONES) - 1.001)
    index = step.long().flatten()
    skin = mix(pick(SKIN_TONES, index), pick(SKIN_TONES, index + 1), step % 1)
    warmth = draw.normal(0, 0.012).unsqueeze(1) * torch.tensor([1.0, 0, -1]).view(1, 3, 1, 1)
    return HeadShape(
        half_width=draw.normal(0.475, 0.022) + 0.02 * child,
        half_height=draw.normal(0.56, 0.018) - 0.04 * child,
        jaw=draw.uniform(0.03, 0.20) * (1 - 0.6 * child),
        skin=(skin + warmth).clamp(0, 1),
        blush=draw.uniform(0.05, 0.35) + 0.08 * child,
        freckles=draw.chance(0.12) * (tone < 0.55),
        child=child,
        old=old,
        ear_size=draw.normal(1.0, 0.08),
    )


def _draw_eyes(draw: Draw, tone: Tensor, child: Tensor, lashes: Tensor) -> Eyes:
    on_light = torch.tensor([0.35, 0.25, 0.18, 0.22]).expand(len(tone), 4)
    on_dark = torch.tensor([0.7, 0.3, 0.0, 0.0]).expand(len(tone), 4)
    weights = torch.lerp(on_light, on_dark, tone.view(-1, 1))
    light_iris = pick(IRIS_COLOURS, draw.choice(weights))
    return Eyes(
        apart=draw.normal(0.205, 0.010),
        half_width=draw.normal(0.108, 0.007) * (1 + 0.10 * child),
        half_height=draw.uniform(0.068, 0.092) * (1 + 0.12 * child),
        iris=(light_iris * draw.uniform(0.8, 1.2).unsqueeze(1)).clamp(0, 1),
        iris_radius=draw.normal(0.072, 0.004) * (1 + 0.10 * child),
        gaze_x=draw.normal(0, 0.014),
        gaze_y=draw.normal(0.002, 0.008),
        laughing=draw.chance(0.07),
        wink=draw.chance(0.03),
        lash=draw.uniform(0.010, 0.015) + 0.006 * lashes,
        brow_y=draw.normal(-0.215, 0.014),
        brow_slope=draw.normal(0.10, 0.09).clamp(min=0.0),
        brow_arch=draw.uniform(0.015, 0.05),
        brow_thickness=draw.uniform(0.017, 0.034) * (1 - 0.3 * child) * (1 - 0.3 * lashes),
        brow_width=draw.normal(0.118, 0.008),
    )


def _draw_mouth(draw: Draw, skin: Tensor, child: Tensor, lashes: Tensor) -> Mouth:
    bare = shade(skin, 0.86, 0.60, 0.58)
    lipstick = colour_of_hsv(
        draw.uniform(0.94, 1.01), draw.uniform(0.55, 0.78), draw.uniform(0.62, 0.86)
    )
    opening = draw.uniform(0.05, 0.125) * draw.chance(0.45)
    return Mouth(
        nose_width=draw.uniform(0.055, 0.085) * (1 - 0.25 * child),
        nose_y=draw.normal(0.125, 0.012),
        y=draw.normal(0.285, 0.012),
        half_width=draw.uniform(0.135, 0.190) + 0.25 * opening,
        smile=draw.uniform(0.45, 1.15) * draw.chance(0.95) + 0.15,
        opening=opening,
        lip_thickness=draw.uniform(0.020, 0.032) + 0.008 * lashes,
        lip=mix(bare, lipstick, draw.chance(0.10 + 0.40 * lashes) * (1 - child)),
    )


def _draw_hair_colour(draw: Draw, tone: Tensor, old: Tensor) -> Tensor:
    light, dark = HAIR_COLOURS[:, 3], HAIR_COLOURS[:, 4]
    weights = torch.lerp(light.expand(len(tone), -1), dark, tone.view(-1, 1).sqrt())
    natural = pick(HAIR_COLOURS[:, :3], draw.choice(weights)) * draw.uniform(0.85, 1.15)[:, None]
    silver, white = GREYS.view(2, 1, 3, 1, 1)
    grey = mix(silver, white, draw.uniform())
    return mix(natural, grey, old * draw.chance(0.8)).clamp(0, 1)


def _draw_hair(draw: Draw, tone: Tensor, long: Tensor, old: Tensor) -> Hair:
    weights = torch.lerp(HAIR_CUTS[:, 5], HAIR_CUTS[:, 6], long.view(-1, 1))
    cut = draw.choice(weights)
    base, slope, tent, temple, notch = (c.view(-1, 1, 1) for c in HAIR_CUTS[cut, :5].unbind(1))
    wreath = (cut == WREATH).float().view(-1, 1, 1)
    shaven = draw.chance(0.05) * (1 - long)
    curl = draw.uniform() * draw.chance(0.30 + 0.40 * tone)
    before = draw.chance(0.65) * long
    length = torch.where(long > 0, draw.uniform(0.35, 1.25), draw.uniform(0.02, 0.16))
    volume = (draw.uniform(0.035, 0.10) + 0.02 * long) * (1 - wreath)
    volume = volume + 0.14 * curl * (1 - wreath)
    return Hair(
        colour=_draw_hair_colour(draw, tone, old),
        opacity=1 - shaven,
        long=long,
        volume=volume,
        side_volume=volume * torch.where(long > 0, 0.9, 0.35 + 0.45 * curl),
        crown=-2 + 1.75 * wreath,
        length=length,
        front_length=torch.where(before > 0, length + 0.2, draw.uniform(0.02, 0.12)),
        flare=draw.uniform(-0.03, 0.10),
        curl=curl,
        bun=draw.chance(0.10) * long,
        base=base + draw.normal(0, 0.02),
        slope=slope * (1 - 2 * draw.chance(0.5)),
        tent=tent,
        temple=temple,
        notch=notch,
        part=draw.normal(0, 0.09),
        phases=(draw.uniform(0, 6.3), draw.uniform(0, 6.3), draw.uniform(0, 6.3), draw.uniform()),
        fineness=draw.uniform(0.8, 1.3),
    )


def _draw_beard(draw: Draw, hair: Tensor, allowed: Tensor) -> Beard:
    kind = draw.uniform()
    opacity = torch.where(draw.chance(0.22) > 0, draw.uniform(0.15, 0.32), draw.uniform(0.9, 1.0))
    worn = draw.chance(0.5) * allowed * opacity
    return Beard(
        colour=shade(hair, 0.86, 0.84, 0.82),
        full=worn * (kind < 0.55),
        goatee=worn * (kind > 0.55) * (kind < 0.8),
        moustache=worn * ((kind < 0.7) | (kind > 0.8)),
        top=draw.uniform(-0.085, -0.050),
        bushiness=draw.uniform(0.0, 0.06),
    )


def _draw_glasses(draw: Draw) -> Glasses:
    worn = draw.chance(0.22)
    dark = draw.chance(0.14)
    return Glasses(
        worn=worn,
        half_width=draw.uniform(0.14, 0.165),
        half_height=draw.uniform(0.115, 0.145),
        roundness=draw.uniform(0.45, 1.0),
        thickness=draw.uniform(0.013, 0.020) + 0.004 * dark,
        colour=colour_of_hsv(draw.uniform(), draw.uniform(0.0, 0.6), draw.uniform(0.06, 0.45)),
        tint=torch.where(dark > 0, draw.uniform(0.90, 0.97), draw.uniform(0.06, 0.16)),
    )


def _draw_scene(draw: Draw) -> Scene:
    hue = draw.uniform()
    deep = draw.chance(0.25)
    cloth = draw.uniform()
    return Scene(
        first=colour_of_hsv(
            hue, draw.uniform(0.12, 0.32) + 0.16 * deep, draw.uniform(0.78, 0.95) - 0.30 * deep
        ),
        second=colour_of_hsv(
            hue + draw.normal(0, 0.11), draw.uniform(0.10, 0.38), draw.uniform(0.74, 0.96)
        ),
        angle=draw.uniform(0, 6.283),
        halo=draw.uniform(0.0, 0.22),
        cloth=colour_of_hsv(cloth, draw.uniform(0.15, 0.75), draw.uniform(0.25, 0.92)),
        trim=colour_of_hsv(
            cloth + draw.normal(0, 0.25), draw.uniform(0.0, 0.6), draw.uniform(0.3, 1.0)
        ),
        shoulder=draw.uniform(0.78, 1.0),
        shoulder_y=draw.uniform(0.66, 0.76),
        stripes=draw.chance(0.18),
        stripe_width=draw.uniform(18, 34),
        v_neck=draw.chance(0.35),
        neck=draw.uniform(0.38, 0.47),
    )


def draw_parameters(first: int, count: int, seed: int) -> ToyFace:
    """The parameters of faces ``first`` to ``first + count - 1``, each from its own stream."""
    draw = Draw(first, count, seed)
    tone, life = draw.uniform(), draw.uniform()
    child, old = (life < 0.16).float(), (life > 0.86).float()
    long = draw.chance(0.48)
    lashes = torch.where(long > 0, draw.chance(0.85), draw.chance(0.12))
    head = _draw_head(draw, tone, child, old)
    hair = _draw_hair(draw, tone, long, old)
    return ToyFace(
        pose=_draw_pose(draw),
        head=head,
        eyes=_draw_eyes(draw, tone, child, lashes),
        mouth=_draw_mouth(draw, head.skin, child, lashes),
        hair=hair,
        beard=_draw_beard(draw, hair.colour, (1 - child) * (1 - lashes) * (1 - 0.9 * long)),
        glasses=_draw_glasses(draw),
        scene=_draw_scene(draw),
    )
