"""Advice for training on small data sets."""

FEW, SMALL = 100, 5_000
AUGMENTATION = "--augment blit,geom,recolor --augment-probability adaptive"


def advice_on_size(images: int, augment: str) -> str:
    """Return advice for a number of images; empty if they are enough or already augmented.

    Args:
        images: The number of training images.
        augment: The run's augmentation policy, or "none".
    """
    is_augmented = augment not in ("", "none")
    count = f"{images:,} image{'s' if images != 1 else ''}"
    if images < FEW:
        verb = "is" if images == 1 else "are"
        warning = f"Warning: {count} {verb} so few that the model will only repeat them."
        return warning if is_augmented else f"{warning} Add images, or at least {AUGMENTATION}"
    if images < SMALL and not is_augmented:
        return f"With only {count}, augmentation helps: {AUGMENTATION}"
    return ""
