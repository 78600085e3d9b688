"""Checks that an image's side is the first map's side, doubled a number of times."""

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
