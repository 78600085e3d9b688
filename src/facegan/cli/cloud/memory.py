"""Says before a job is paid what its preset needs of memory and what its instances' GPUs have."""

import contextlib

import click

from facegan.cloud.training_request import TrainingJob
from facegan.gpu_check import gpus_of


def say_memory(job: TrainingJob, resolution: int | None = None) -> None:
    """Print :func:`memory_note`, beside what programs read; nothing without the families."""
    with contextlib.suppress(ImportError):
        if note := memory_note(job, resolution):
            click.echo(note, err=True)


def memory_note(job: TrainingJob, resolution: int | None) -> str:
    """What a process of a job needs, what its GPU has, and which micro-batch would fit.

    Args:
        job: Its hyperparameters are known to be right.
        resolution: Of the data, where it was looked at; the hyperparameter goes before it.

    Returns:
        A line; empty where the preset, its resolution or the instance type was not measured.

    Raises:
        ConfigError: the micro-batch does not divide what each of the job's GPUs computes.
    """
    from facegan.cloud.hyperparameters import DEFAULT_FAMILY, PLAN
    from facegan.gans import find_family, find_preset
    from facegan.gans.memory import describe_memory, find_memory
    from facegan.training.plan import check_micro_batch, micro_batch_sizes, resolve_plan

    values, gpus = job.hyperparameters, gpus_of(job.instance_type)
    resolution = int(float(values.get("resolution", resolution or 0)))
    if gpus is None or not resolution or values.get("device") == "cpu":
        return ""
    family = find_family(str(values.get("family", DEFAULT_FAMILY)))
    name = str(values.get("preset") or family.default_preset(resolution))
    plan = {key: value for key, value in values.items() if key not in PLAN}
    numbers, config = resolve_plan({**plan, "family": family.name, "preset": name})
    preset = find_preset(family, name).replaced(numbers)
    need = find_memory(family, name, preset, resolution)
    batch = config.completed_by(preset).batch_size or 0
    processes = int(float(values.get("processes", gpus.count))) * job.instance_count
    if batch % processes:
        return ""  # the job itself refuses it, with the nearest that divide
    check_micro_batch(family, preset, batch, processes, config.micro_batch)
    if need is None:
        return ""
    precision = config.precision
    if precision == "auto":
        precision = "bf16" if gpus.has_bf16 else "fp32"
    sizes = micro_batch_sizes(family, preset, batch, processes)
    images = config.micro_batch or sizes[0]
    if not isinstance(images, int):  # auto
        images = need.largest_fitting(sizes, precision, gpus.bytes) or sizes[-1]
    device = f"a GPU of {job.instance_type}"
    return describe_memory(need, sizes, images, precision, device, gpus.bytes)
