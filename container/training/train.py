"""What SageMaker starts: from a training job's environment to a run, its model in /opt/ml/model.

The image sets SAGEMAKER_TRAINING_MODULE=train:main, so that sagemaker-training's command `train`
calls main() in its own process: PID 1, which hears SIGTERM. (Its script mode would not pass the
signal on, and would lose the traceback.) `python train.py` does the same without the toolkit.

The run's folder is SageMaker's checkpoint folder, which outlives a spot interruption: a job that
is started again finds its run there and resumes it.
"""

import contextlib
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any

from facegan.cache_folder import default_cache, set_torch_cache
from facegan.environment import TrainingEnvironment, failure_file, wants_graphs
from facegan.errors import ConfigError
from facegan.failure_reason import failure_reason
from facegan.gans.resolve import OFFERED
from facegan.gpu_check import require_visible_gpu
from facegan.hyperparameters.run_spec import RunSpec
from facegan.path_kinds import describe_path, refuse_data

try:  # the one exception that the toolkit reports by its text alone
    from sagemaker_training.errors import ClientError as JobFailed
except ImportError:

    class JobFailed(Exception):  # type: ignore[no-redef]
        """The job failed; the text says why."""


FROM_CHANNELS = ("data", "evaluate_data")  # settings that a job's channels give
OFFERED_TO_JOBS = tuple(name for name in OFFERED if name not in FROM_CHANNELS)


def main() -> None:
    """Run the job to its end.

    Raises:
        SystemExit: with code 0; it was stopped, and goes on when it is started again.
        JobFailed: it cannot go on; why is in the failure file. (The toolkit would take any
            SystemExit for success.)
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s", force=True)  # not the toolkit's
    signal.signal(signal.SIGTERM, leave)
    set_torch_cache(os.environ)
    reason_file = failure_file(os.environ)
    try:
        reason_file.unlink(missing_ok=True)
        run(TrainingEnvironment.from_mapping(os.environ))
    except Exception as error:
        reason = failure_reason(error)
        with contextlib.suppress(OSError):  # on a full disk the log has to do
            reason_file.parent.mkdir(parents=True, exist_ok=True)
            reason_file.write_text(reason + "\n")
        raise JobFailed(reason) from None


def run(environment: TrainingEnvironment) -> None:
    """Start the run, or go on with the one in the checkpoint folder."""
    # torch takes seconds to import, in which SIGTERM is already heard
    from facegan.artifact import copy_artifact
    from facegan.training import RunFolder
    from facegan.training.allocator import keep_freed_memory
    from facegan.training.distributed.launcher import Cluster
    from facegan.training.run import Run, complete_spec
    from facegan.training.start import start

    keep_freed_memory(os.environ)
    has_all_data = environment.host_rank == 0
    spec = complete_spec(run_spec(environment), OFFERED_TO_JOBS, has_all_data)
    if spec.hyperparameters.get("device", "auto") == "auto":
        require_visible_gpu(os.environ, environment.instance_type, "the hyperparameter device=cpu")
    folder = RunFolder(environment.checkpoint_dir, environment.tensorboard_dir)
    resume = folder.holds_run()
    if resume:
        plan = folder.as_started(spec.as_mapping())
        folder.check_same(plan)
        spec = RunSpec.from_mapping(plan)
    cache = default_cache(os.environ)
    job = Run(
        spec=spec,
        out=str(folder.path),
        resume=resume,
        tensorboard=str(folder.tensorboard),
        cache=None if cache is None else str(cache),
        exports_graphs=wants_graphs(os.environ),
    )
    cluster = Cluster(
        environment.hosts,
        environment.host_rank,
        environment.network_interface,
        environment.meeting_port,
    )
    is_finished = start(job, environment.hyperparameters.get("processes"), cluster)
    if is_finished:  # what is left takes a moment; local mode stops all hosts when one has ended
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if environment.host_rank:
        return  # the first host writes for all
    folder.copy_record(environment.output_data_dir)
    if not is_finished:
        print("Stopped. Started again with the same checkpoints, the job goes on where it was.")
        leave()
    copy_artifact(folder.model, environment.model_dir)
    draw_report(folder.path, environment.output_data_dir / "report.html")


def run_spec(environment: TrainingEnvironment) -> RunSpec:
    """Return what the job asks for: the channels' images and the hyperparameters.

    Raises:
        ConfigError: a hyperparameter names what a channel gives.
        DatasetError: a channel holds no images.
    """
    values: dict[str, Any] = dict(environment.hyperparameters)
    values.pop("processes", None)  # the number of processes does not define a run
    for name in FROM_CHANNELS:
        if name in values:
            hint = "Give the job an input channel instead."
            raise ConfigError(f"{name} is given as a hyperparameter.", hint)
    values["data"] = str(environment.training_channel)
    if "evaluation" in environment.channels:  # held-out images, for evaluate_kimg
        values["evaluate_data"] = str(environment.channel("evaluation"))
    if len(environment.hosts) == 1:  # of several, one may have no share of the images
        for name in FROM_CHANNELS:
            if name in values:
                refuse_data(describe_path(values[name]))
    return RunSpec.from_mapping(values)


def draw_report(run_dir: Path, page: Path) -> None:
    """Put the run's page beside its record; the model is in place, and no page is worth it."""
    from facegan.report import read_run, write_report

    reals = "Left out, so that the job ends soon; facegan report RUN --data DIR shows them."
    try:
        write_report(read_run(run_dir), reals, page)
    except Exception:
        logging.warning("The report could not be written.", exc_info=True)


def leave(*signal_and_frame: object) -> None:
    """Stop before the end, without a model and without a failure."""
    sys.exit(0)


if __name__ == "__main__":
    try:
        main()
    except JobFailed as failed:
        sys.exit(f"Error: {failed}")
