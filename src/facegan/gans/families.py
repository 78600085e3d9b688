"""The table of GAN families: built-in ones, and those of installed packages, by entry point.

A package adds a family with an entry point of the group ``facegan.families``, which names its
``Family`` object: see docs/adding-a-gan.md. Names are read from the packages' metadata; a package's
code is imported only when its family is requested.
"""

import logging
from collections import defaultdict
from collections.abc import Collection
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from facegan.errors import ConfigError, did_you_mean
from facegan.gans.cyclegan import FAMILY as CYCLEGAN
from facegan.gans.dcgan import FAMILY as DCGAN
from facegan.gans.family import Family
from facegan.gans.pix2pix import FAMILY as PIX2PIX
from facegan.gans.r3gan import FAMILY as R3GAN
from facegan.gans.spade import FAMILY as SPADE
from facegan.gans.stylegan2 import FAMILY as STYLEGAN2
from facegan.hyperparameters.setting import Preset

log = logging.getLogger(__name__)

GROUP = "facegan.families"
# A new built-in family is one folder, and one entry here.
FAMILIES: dict[str, Family] = {
    family.name: family for family in (CYCLEGAN, DCGAN, PIX2PIX, R3GAN, SPADE, STYLEGAN2)
}


@cache
def installed_families() -> dict[str, tuple[EntryPoint, ...]]:
    """Return the entry points of other packages' families, by name, without importing them."""
    found = defaultdict(set)
    for entry in entry_points(group=GROUP):
        found[entry.name].add(entry)
    for name in found.keys() & FAMILIES.keys():
        log.warning(
            "The family %r of %s is ignored: facegan has one of that name.",
            name,
            packages_of(tuple(found[name])),
        )
    return {name: tuple(found[name]) for name in sorted(found.keys() - FAMILIES.keys())}


def packages_of(entries: tuple[EntryPoint, ...]) -> str:
    """Return the packages of entry points, such as "mygan 1.0 and othergan 2.1"."""
    names = {f"{it.dist.name} {it.dist.version}" if it.dist else it.value for it in entries}
    return " and ".join(sorted(names))


def find_family(name: str) -> Family:
    """Return the family of that name; import it if it is an installed package's.

    Raises:
        ConfigError: the name is unknown (the nearest are offered) or in two packages, or the
            package cannot be imported.
    """
    if isinstance(name, str) and name in FAMILIES:
        return FAMILIES[name]
    installed = installed_families()
    if not isinstance(name, str) or name not in installed:
        known = (*FAMILIES, *installed)
        raise ConfigError(f"Unknown family {name!r}.", did_you_mean(str(name), known, "families"))
    return load_family(name, installed[name])


@cache
def load_family(name: str, entries: tuple[EntryPoint, ...]) -> Family:
    """Import an installed package's family."""
    packages = packages_of(entries)
    if len(entries) > 1:
        raise ConfigError(
            f"The family {name!r} is in two packages: {packages}.", "Uninstall one of them."
        )
    try:
        family = entries[0].load()
    except Exception as cause:  # any code may fail in any way
        raise ConfigError(
            f"The family {name!r} of {packages} cannot be imported: "
            f"{type(cause).__name__}: {cause}.",
            f"Update or uninstall {packages}; other families are not affected.",
        ) from cause
    if not isinstance(family, Family) or family.name != name:
        what = f"named {family.name!r}" if isinstance(family, Family) else f"{family!r}"
        raise ConfigError(
            f"The entry point {name!r} of {packages} is {what}, not a Family named {name!r}.",
            f"Update or uninstall {packages}; other families are not affected.",
        )
    return family


def find_preset(family: Family, name: str) -> Preset:
    """Return the family's preset of that name, or raise ConfigError with the nearest names."""
    if not isinstance(name, str) or name not in family.presets:
        message = f"Unknown preset {name!r} of family {family.name!r}."
        raise ConfigError(message, did_you_mean(str(name), tuple(family.presets), "presets"))
    return family.presets[name]


def check_conditional(family: Family, preset: Preset) -> None:
    """Raise ConfigError if a preset is conditional but the family's networks take no labels."""
    if preset.conditional and not family.has_classes:
        able = " or ".join(name for name, other in FAMILIES.items() if other.has_classes)
        raise ConfigError(
            f"The family {family.name!r} cannot be conditional: its networks take no labels.",
            f"Leave conditional out, or choose {able}.",
        )


COMPANIONS = {  # name: what it is, and the flag of `facegan data prepare`
    "paired": ("a second image for each image", "--paired OTHERS"),
    "label_maps": ("a label map for each image", "--label-maps MAPS"),
    "unpaired": ("images of a second domain", "--unpaired OTHERS"),
}


def check_companions(family: Family, preset: Preset, found: Collection[str]) -> None:
    """Raise ConfigError if the data lacks companions that a family needs.

    Args:
        family: The family.
        preset: The preset, with its settings changed.
        found: The names of the data's companions.
    """
    for name in family.companions(preset):
        if name not in found:
            what, flag = COMPANIONS[name]
            has = f"has only images and {', '.join(found)}" if found else "has only images"
            raise ConfigError(
                f"{family.name} needs {what} ({name}); the data {has}.",
                f"Prepare it with {flag}: facegan data prepare IMAGES --out DIR {flag}",
            )
