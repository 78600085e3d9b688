"""Decides how many processes share a run, and trains in this one or has the others started."""

import json
import os
import sys
from dataclasses import asdict
from typing import Any

from facegan.cli.launch import ONE_HOST, Cluster, launch
from facegan.cli.worker import Order, take_part
from facegan.environment import WorkerEnvironment
from facegan.errors import ConfigError


def train_shared(order: Order, processes: int | str | None, cluster: Cluster = ONE_HOST) -> bool:
    """Train in this process, or in several where there are more GPUs, hosts or wishes.

    Args:
        order: The run.
        processes: How many on each host; None is one per GPU.
        cluster: The hosts.

    Returns:
        Whether the run is finished; it may have been stopped.

    Raises:
        FaceGANError: whatever ended the run, in whichever process.
    """
    from facegan.cli.train import train
    from facegan.gans import convert

    if environment := WorkerEnvironment.from_mapping(os.environ):  # torchrun was here before
        return take_part(environment, lambda: order, order.plan["data"])
    each = count_gpus(order.plan) if processes is None else convert("processes", int, processes)
    if each < 1:
        raise ConfigError(f"processes is {each}.", "At least one must train.")
    if each * len(cluster.hosts) == 1:
        return train(order.folder, order.plan, order.resume)
    check_shares(order.plan, each * len(cluster.hosts))
    words = json.dumps(asdict(order))
    return launch([sys.executable, "-m", "facegan.cli.worker", words], each, cluster)


def count_gpus(plan: dict[str, Any]) -> int:
    """How many GPUs a plan can use; at least one device."""
    import torch

    uses_all = plan.get("device", "auto") in ("auto", "cuda")
    return max(torch.cuda.device_count(), 1) if uses_all else 1


def check_shares(plan: dict[str, Any], processes: int) -> None:
    """Refuse a batch that the processes cannot share, before they are started."""
    from facegan.gans import find_family, find_preset
    from facegan.training.plan import check_batch, check_micro_batch, resolve_plan

    family = find_family(plan["family"])
    numbers, config = resolve_plan(plan)
    preset = find_preset(family, plan["preset"]).replaced(numbers)
    batch = config.completed_by(preset).batch_size or 0
    check_batch(family, preset, batch, processes)
    check_micro_batch(family, preset, batch, processes, config.micro_batch)
