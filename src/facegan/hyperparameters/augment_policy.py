"""Parses the setting `augment`: operations and their probabilities; without torch."""

import re

from facegan.errors import ConfigError, did_you_mean

NOTHING = "none"
OPERATIONS = ("color", "translation", "blit", "geom", "recolor", "cutout")  # in the papers' orders
# Other trainers' names, and switches where a list is expected.
ELSEWHERE = {
    "bgc": "blit,geom,recolor",
    "ada": "blit,geom,recolor",
    "bg": "blit,geom",
    "diffaugment": "color,translation,cutout",
    **dict.fromkeys(("true", "yes", "on", "1"), "color,translation,cutout"),
    **dict.fromkeys(("false", "no", "off", "0", "null", "[]"), NOTHING),
    **dict.fromkeys(("rotate", "rotation", "scale", "zoom"), "geom"),
    **dict.fromkeys(("brightness", "contrast", "saturation", "hue"), "recolor"),
    **dict.fromkeys(("translate", "shift"), "translation"),
}


def parse_policy(policy: str) -> dict[str, float]:
    """Return each operation's share of augment_probability, 0 to 1 (default 1), by name.

    Args:
        policy: Names in ``OPERATIONS`` separated by commas, some with a share: "blit,recolor:0.5".

    Raises:
        ConfigError: an operation is unknown (the nearest are offered), or a share out of range.
    """
    shares = {}
    for part in policy.split(","):
        name, colon, share = (word.strip() for word in part.partition(":"))
        if name in ("", NOTHING) and not colon:
            continue
        if name not in OPERATIONS:
            message = f"augment names an unknown operation {name!r}."
            raise ConfigError(message, hint_for(name, policy))
        shares[name] = parse_share(name, share) if colon else 1.0
    return shares


def reads_between_pixels(policy: str) -> bool:
    """Return whether a policy moves images, so that a filter interpolates between pixels."""
    return not parse_policy(policy).keys().isdisjoint(("blit", "geom"))


def hint_for(name: str, policy: str) -> str:
    """Return what to write for an unknown operation: a plain list, or the nearest name."""
    if name.lower() in ("flip", "hflip", "mirror", "xflip"):
        return "For mirrored images set mirror=on; blit mirrors too, and turns and shifts."
    words = [word for word in re.findall(r"[a-z]+(?::[\d.]+)?", policy.lower())
             if word.partition(":")[0] in OPERATIONS]  # fmt: skip
    if set(policy) & set("[](){}\"' ;+|") and words:
        return f"Write the operations with commas between them: {','.join(words)}."
    if meant := ELSEWHERE.get(name.lower()):
        return f"Write augment as {meant}."
    return did_you_mean(name, OPERATIONS, "operations")


def parse_share(name: str, text: str) -> float:
    """Parse the share after a name's colon."""
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        hint = f"Write {name}:0.5 to make it half as likely as the others."
        raise ConfigError(f"augment gives {name} the share {text!r}.", hint)
    return share
