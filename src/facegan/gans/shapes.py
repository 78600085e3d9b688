"""Which images a pyramid of doublings can make: the one check of every family that is one."""

from facegan.errors import ConfigError


def pyramid(family: str, smallest: int, image_shape: tuple[int, ...]) -> list[int]:
    """The sides of the maps: the smallest, doubled again and again, up to the image's.

    Args:
        family: Who asks; named in the error.
        smallest: The side of the first map.
        image_shape: (3, H, W) of the images.

    Raises:
        ConfigError: the images are not square RGB, or no doublings lead to their side.
    """
    channels, height, width = image_shape
    sides = [smallest]
    while sides[-1] < height:
        sides.append(2 * sides[-1])
    if channels != 3 or height != width or sides[-1] != height or len(sides) < 2:
        raise ConfigError(
            f"{family} cannot make images of {width}x{height} with {channels} channels.",
            f"It makes square RGB images of {2 * smallest}, {4 * smallest}, {8 * smallest} … "
            "pixels: choose one of these as resolution, or prepare the data at one.",
        )
    return sides
