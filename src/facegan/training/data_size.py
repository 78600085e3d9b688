"""Says before a run that its data set is small, and what helps."""

FEW, SMALL = 100, 5_000
AUGMENTATION = "--augment blit,geom,recolor --augment-probability adaptive"


def advice_on_size(images: int, augment: str) -> str:
    """What to say of so many images; empty where there are enough, or augmentation helps already.

    Args:
        images: How many there are to train on.
        augment: The run's policy, "none" where there is no augmentation.
    """
    is_augmented = augment not in ("", "none")
    count = f"{images:,} image{'s' if images != 1 else ''}"
    if images < FEW:
        verb = "is" if images == 1 else "are"
        told = f"Warning: {count} {verb} so few that the model will only repeat them."
        return told if is_augmented else f"{told} Add images, or at least {AUGMENTATION}"
    if images < SMALL and not is_augmented:
        return f"With only {count} augmentation helps: {AUGMENTATION}"
    return ""
