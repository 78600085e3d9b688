"""Says before a job is paid what its preset needs of memory and what its instances' GPUs have."""

import click

from facegan.cloud.training_request import TrainingJob
from facegan.gans.batch_split import check_micro_batch, micro_batch_sizes
from facegan.gans.memory import describe_memory, find_memory
from facegan.gans.resolve import resolve
from facegan.gpu_check import gpus_of
from facegan.hyperparameters.run_spec import RunSpec


def say_memory(job: TrainingJob, resolution: int | None = None) -> None:
    """Print :func:`memory_note`, beside what programs read."""
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
    values, gpus = job.hyperparameters, gpus_of(job.instance_type)
    spec = RunSpec.from_mapping({k: v for k, v in values.items() if k != "processes"})
    spec = spec.replaced(resolution=spec.resolution or resolution)
    if gpus is None or not spec.resolution or values.get("device") == "cpu":
        return ""
    run = resolve(spec)
    need = find_memory(run.family, run.spec.preset or "", run.preset, spec.resolution)
    batch = run.complete_config.batch_size or 0
    processes = int(float(values.get("processes", gpus.count))) * job.instance_count
    if batch % processes:
        return ""  # the job itself refuses it, with the nearest that divide
    check_micro_batch(run.family, run.preset, batch, processes, run.config.micro_batch)
    if need is None:
        return ""
    precision = run.config.precision
    if precision == "auto":
        precision = "bf16" if gpus.has_bf16 else "fp32"
    sizes = micro_batch_sizes(run.family, run.preset, batch, processes)
    images = run.config.micro_batch or sizes[0]
    if not isinstance(images, int):  # auto
        images = need.largest_fitting(sizes, precision, gpus.bytes) or sizes[-1]
    device = f"a GPU of {job.instance_type}"
    return describe_memory(need, sizes, images, precision, device, gpus.bytes)
