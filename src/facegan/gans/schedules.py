"""Schedules of learning rates that families share."""


def linear_decay(kimg: float, schedule_kimg: float) -> float:
    """Return the share of a rate that is left after `kimg` thousand images.

    It is 1 in the first half of `schedule_kimg`, then falls linearly to 0, as in Pix2Pix and
    CycleGAN (100 epochs and 100 more; arXiv:1703.10593, section 4). Always 1 if that is 0.
    """
    if not schedule_kimg:
        return 1.0
    return min(1.0, max(0.0, 2 * (1 - kimg / schedule_kimg)))
