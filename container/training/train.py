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
import time
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from facegan.cli.cache import set_torch_cache
from facegan.cli.inputs import refuse_data
from facegan.cli.launch import Cluster
from facegan.cli.processes import train_shared
from facegan.cli.train import plan_run
from facegan.cli.worker import Order
from facegan.environment import TrainingEnvironment, failure_file
from facegan.errors import DatasetError
from facegan.failure_reason import failure_reason
from facegan.gpu_check import require_visible_gpu
from facegan.path_kinds import what_is

try:  # the one exception that the toolkit reports by its text alone
    from sagemaker_training.errors import ClientError as JobFailed
except ImportError:

    class JobFailed(Exception):  # type: ignore[no-redef]
        """The job failed; the text says why."""


PIPE_SECONDS = 300
OF_THE_PLAN = ("evaluate_split", "family", "labels", "preset", "resolution", "split")


def main() -> None:
    """Run the job to its end.

    Raises:
        SystemExit: with code 0; it was stopped, and goes on when it is started again.
        JobFailed: it cannot go on; why is in the failure file. (The toolkit would take any
            SystemExit for success.)
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s", force=True)  # not the toolkit's
    signal.signal(signal.SIGTERM, leave)
    set_torch_cache()
    reason_file = failure_file(os.environ)
    try:
        reason_file.unlink(missing_ok=True)
        run(unpacked(TrainingEnvironment.from_mapping(os.environ)))
    except Exception as error:
        reason = failure_reason(error)
        with contextlib.suppress(OSError):  # on a full disk the log has to do
            reason_file.parent.mkdir(parents=True, exist_ok=True)
            reason_file.write_text(reason + "\n")
        raise JobFailed(reason) from None


def run(environment: TrainingEnvironment) -> None:
    """Start the run, or go on with the one in the checkpoint folder."""
    from facegan.artifact import copy_artifact
    from facegan.training import RunFolder  # torch: seconds, in which SIGTERM is already heard

    plan = plan_of(environment)
    if plan.get("device", "auto") == "auto":
        require_visible_gpu(os.environ, environment.instance_type, "the hyperparameter device=cpu")
    folder = RunFolder(environment.checkpoint_dir, environment.tensorboard_dir)
    resume = folder.holds_run()
    if resume:
        plan = folder.as_started(plan)
        folder.check_same(plan)
    order = Order(str(folder.path), plan, resume, str(folder.tensorboard))
    cluster = Cluster(
        environment.hosts,
        environment.host_rank,
        environment.network_interface,
        environment.meeting_port,
    )
    is_finished = train_shared(order, environment.hyperparameters.get("processes"), cluster)
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


def unpacked(environment: TrainingEnvironment) -> TrainingEnvironment:
    """The same job with what comes through pipes in folders, as in File mode.

    Raises:
        DatasetError: a pipe does not come, or carries no prepared data set.
    """
    from facegan.data.piped import unpack_pipe

    channels = dict(environment.channels)
    for name, fifo in environment.pipes.items():
        channels[name] = environment.unpacked_dir / name
        logging.info("Reading the channel %s from its pipe …", name)
        with open_pipe(fifo) as stream:
            unpack_pipe(stream, channels[name])
    return replace(environment, channels=channels)


def open_pipe(fifo: Path) -> IO[bytes]:
    """A FIFO, which SageMaker may make a little after the container has started.

    Raises:
        DatasetError: it is not there in time.
    """
    patience_ends = time.monotonic() + PIPE_SECONDS
    while not fifo.exists():
        if time.monotonic() > patience_ends:
            raise DatasetError(f"The pipe {fifo} did not come within {PIPE_SECONDS} s.")
        time.sleep(0.1)
    return fifo.open("rb")


def plan_of(environment: TrainingEnvironment) -> dict[str, Any]:
    """What the job asks for: the channel's pictures and the hyperparameters, checked."""
    given = dict(environment.hyperparameters)
    given.pop("processes", None)  # how a run is shared is no part of what it is
    asked = {name: given.pop(name) for name in OF_THE_PLAN if name in given}
    asked |= {"data": str(environment.training_channel)}
    if "evaluation" in environment.channels:  # held-out pictures, for evaluate_kimg
        asked |= {"evaluate_data": str(environment.channel("evaluation"))}
    is_first = environment.host_rank == 0
    if len(environment.hosts) == 1:  # of several, one may have no share of the images
        for name in asked.keys() & {"data", "evaluate_data"}:
            refuse_data(what_is(asked[name]))
    return plan_run(asked, given, also=(*OF_THE_PLAN, "processes"), is_first=is_first)


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
