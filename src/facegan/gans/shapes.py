"""Checks that a network can take images of a shape, and names the sides that it can take."""

from facegan.errors import ConfigError


def pyramid(family: str, smallest: int, image_shape: tuple[int, ...]) -> list[int]:
    """Return the sides of a network's maps, from the smallest, doubled, to the image's.

    Args:
        family: Name of the family, for the error.
        smallest: Side of the first map.
        image_shape: (3, H, W) of the images.

    Raises:
        ConfigError: the images are not square RGB, or their side is not such a doubling.
    """
    channels, height, width = image_shape
    sides = [smallest]
    while sides[-1] < height:
        sides.append(2 * sides[-1])
    if channels != 3 or height != width or sides[-1] != height or len(sides) < 2:
        raise ConfigError(
            f"{family} cannot generate images of {width}x{height} with {channels} channels.",
            f"It generates square RGB images of {2 * smallest}, {4 * smallest}, {8 * smallest} … "
            "pixels: choose one of these as resolution, or prepare the data at one.",
        )
    return sides


def check_multiple(family: str, network: str, divisor: int, image_shape: tuple[int, ...]) -> None:
    """Raise ConfigError if a network that halves and doubles its input cannot take a shape.

    Sides are powers of two, as in every model card.

    Args:
        family: Name of the family, for the error.
        network: The network, such as "a U-Net of 5 halvings".
        divisor: The sides must be multiples of it.
        image_shape: (3, H, W) of the images.
    """
    channels, height, width = image_shape
    is_power = height > 0 and height & (height - 1) == 0
    if channels != 3 or height != width or height % divisor or not is_power:
        sides = ", ".join(str(divisor << power) for power in range(4))
        raise ConfigError(
            f"{family} cannot generate images of {width}x{height} with {channels} channels.",
            f"{network[0].upper()}{network[1:]} takes square RGB images of {sides} … pixels: "
            "choose one of these as resolution, or prepare the data at one.",
        )


# A PatchGAN's halvings → side, in pixels, of the patch that one of its logits sees.
PATCH_SIDES = {0: 1, 1: 16, 2: 34, 3: 70, 4: 142, 5: 286}


def check_patch_side(family: str, halvings: int, side: int) -> None:
    """Raise ConfigError if images are too small for a PatchGAN.

    Two 4x4 convolutions of stride 1 and padding 1 take a pixel each from the halved side, and one
    logit must remain.
    """
    if halvings and side // 2**halvings < 3:
        fitting = max(h for h in PATCH_SIDES if not h or side // 2**h >= 3)
        raise ConfigError(
            f"{family}'s discriminator cannot halve images of {side} px {halvings} times.",
            f"Set patch_halvings to {fitting} or less.",
        )
