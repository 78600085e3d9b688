"""What makes one face differ from another: pose, head, features, hair, beard, glasses and scene.

Scalars are (N, 1, 1), colours (N, 3, 1, 1) in [0, 1]. Lengths are in head coordinates, angles in
radians, y points down. A flag is a scalar that is 0 or 1.
"""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Pose:
    """Where the head is and how it is turned; ``slide`` moves the features on the face."""

    roll: Tensor
    scale: Tensor
    left: Tensor
    down: Tensor
    slide_x: Tensor
    slide_y: Tensor
    light: Tensor  # -1: from the left, 1: from the right


@dataclass(frozen=True)
class HeadShape:
    """Face outline, skin and age; ``child`` and ``old`` are flags."""

    half_width: Tensor
    half_height: Tensor
    jaw: Tensor  # how much narrower the face is at the chin
    skin: Tensor
    blush: Tensor
    freckles: Tensor
    child: Tensor
    old: Tensor
    ear_size: Tensor


@dataclass(frozen=True)
class Eyes:
    """Both eyes and brows; mirrored, but for the gaze and the wink."""

    apart: Tensor
    half_width: Tensor
    half_height: Tensor
    iris: Tensor
    iris_radius: Tensor
    gaze_x: Tensor
    gaze_y: Tensor
    laughing: Tensor  # flag: closed in an upward arc
    wink: Tensor  # flag: the right one is
    lash: Tensor
    brow_y: Tensor
    brow_slope: Tensor  # positive: outer ends lower, which reads as kind
    brow_arch: Tensor
    brow_thickness: Tensor
    brow_width: Tensor


@dataclass(frozen=True)
class Mouth:
    """Nose and mouth; ``opening`` is 0 for closed lips."""

    nose_width: Tensor
    nose_y: Tensor
    y: Tensor
    half_width: Tensor
    smile: Tensor
    opening: Tensor
    lip_thickness: Tensor
    lip: Tensor


@dataclass(frozen=True)
class Hair:
    """The hair's outline, front edge, strands and colour."""

    colour: Tensor
    opacity: Tensor  # flag: 0 on a shaven head
    long: Tensor  # flag
    volume: Tensor
    side_volume: Tensor
    crown: Tensor  # y above which no hair grows
    length: Tensor  # y of the lower end
    front_length: Tensor  # y down to which hair lies before the shoulders or the ears
    flare: Tensor
    curl: Tensor
    bun: Tensor  # flag
    base: Tensor
    slope: Tensor
    tent: Tensor
    temple: Tensor
    notch: Tensor
    part: Tensor
    phases: tuple[Tensor, Tensor, Tensor, Tensor]
    fineness: Tensor


@dataclass(frozen=True)
class Beard:
    """Opacities of its pieces, 0 where there is none; below a half it is stubble."""

    colour: Tensor
    full: Tensor
    goatee: Tensor
    moustache: Tensor
    top: Tensor  # its upper edge, below the middle of the mouth
    bushiness: Tensor


@dataclass(frozen=True)
class Glasses:
    """Frame and lenses; ``tint`` is the lenses' opacity."""

    worn: Tensor
    half_width: Tensor
    half_height: Tensor
    roundness: Tensor
    thickness: Tensor
    colour: Tensor
    tint: Tensor


@dataclass(frozen=True)
class Scene:
    """Background and clothes."""

    first: Tensor
    second: Tensor
    angle: Tensor
    halo: Tensor
    cloth: Tensor
    trim: Tensor
    shoulder: Tensor
    shoulder_y: Tensor
    stripes: Tensor
    stripe_width: Tensor
    v_neck: Tensor
    neck: Tensor


@dataclass(frozen=True)
class ToyFace:
    """Everything that decides how a batch of faces looks."""

    pose: Pose
    head: HeadShape
    eyes: Eyes
    mouth: Mouth
    hair: Hair
    beard: Beard
    glasses: Glasses
    scene: Scene
