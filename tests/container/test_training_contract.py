"""SageMaker's contract with a training container, a line a test."""

import json
from pathlib import Path

from containers import LABEL, TRAINING, Job, started

from facegan import __version__
from facegan.artifact import load_artifact
from facegan.docker_engine import Docker

ISOLATED = ("--network=none", "--read-only")
LONGER = {"total_kimg": "0.512"}


def test_a_job_leaves_what_sagemaker_uploads(docker: Docker, job: Job) -> None:
    """Network isolation, a read-only root, hyperparameters as strings, an unknown SM_*."""
    more = ("--env", "SM_OF_TOMORROW=[1]")
    with started(docker, TRAINING, *ISOLATED, *more, *job.options, command=["train"]) as container:
        assert container.ends() == 0, container.says()
        message = container.says()
    card = load_artifact(job.base / "model").card
    assert (card.preset, card.kimg, card.settings["share_fakes"]) == ("tiny", 0.064, True)
    assert {path.name for path in (job.base / "model").iterdir()} == {
        "generator.safetensors", "generator.onnx", "model_card.json",
    }  # fmt: skip
    assert json.loads((job.base / "output/data/run.json").read_text())["version"] == __version__
    assert list(job.base.glob("output/tensorboard/events.out.tfevents.*"))
    assert job.checkpoints and job.failure == ""
    assert "kimg=0.064;" in message and "Traceback" not in message


def test_without_a_command_it_trains_and_any_user_may_run_it(docker: Docker, job: Job) -> None:
    """The SDK's local trainer gives no command."""
    for path in [job.base, *job.base.rglob("*")]:
        path.chmod(0o777)
    for folder in job.base.parents[:3]:  # pytest's own are closed to others
        folder.chmod(0o755)
    strict = ("--user=54321:54321", "--cap-drop=ALL", "--security-opt=no-new-privileges")
    with started(docker, TRAINING, *ISOLATED, *strict, *job.options) as container:
        assert container.ends() == 0, container.says()
    assert job.weights and (job.base / "model").stat().st_uid == 54321


def test_docker_stop_leaves_a_checkpoint_and_the_next_run_ends_as_an_undisturbed_one(
    docker: Docker, job: Job, tmp_path: Path, pictures: list[Path]
) -> None:
    """Within 10 s, of the 120 that SageMaker grants."""
    job.configure(pictures, **LONGER)
    with started(docker, TRAINING, *ISOLATED, *job.options, command=["train"]) as container:
        container.wait_for("kimg=0.032;")
        assert "train" in container.inside("cat", "/proc/1/cmdline")
        seconds = container.stop(grace_seconds=120)
        assert container.look("{{.State.ExitCode}}") == "0", container.says()
        message = container.says()
    assert seconds < 10
    assert "Stopped." in message and "kimg=0.512;" not in message and "Traceback" not in message
    assert job.checkpoints and job.weights == b"" and job.failure == ""

    with started(docker, TRAINING, *ISOLATED, *job.options, command=["train"]) as container:
        assert container.ends() == 0, container.says()
        assert "kimg=0.032;" not in container.says()  # it went on
    undisturbed = Job(tmp_path / "undisturbed").configure(pictures, **LONGER)
    with started(docker, TRAINING, *ISOLATED, *undisturbed.options, command=["train"]) as container:
        assert container.ends() == 0, container.says()
    assert job.weights == undisturbed.weights != b""


def test_a_failing_job_says_why_in_the_failure_file_and_exits_non_zero(
    docker: Docker, job: Job, pictures: list[Path]
) -> None:
    job.configure(pictures, total_kmig="1")
    with started(docker, TRAINING, *ISOLATED, *job.options, command=["train"]) as container:
        assert container.ends() == 1
        message = container.says()
    assert "Unknown hyperparameter 'total_kmig'. Did you mean total_kimg" in job.failure
    assert job.failure.strip() in message and "Traceback" not in message
    assert job.weights == b""


def test_a_missing_channel_is_named(docker: Docker, job: Job) -> None:
    channel = job.base / "input/data/training"
    channel.rename(job.base / "input/data/pictures")
    with started(docker, TRAINING, *ISOLATED, *job.options, command=["train"]) as container:
        assert container.ends() == 1
    assert "training" in job.failure and "Traceback" not in job.failure


def test_a_gpu_that_is_not_there_is_reported_in_a_line(
    docker: Docker, job: Job, pictures: list[Path]
) -> None:
    job.configure(pictures, device="cuda:7")
    with started(docker, TRAINING, *ISOLATED, *job.options, command=["train"]) as container:
        assert container.ends() == 1
    assert "cuda:7" in job.failure and "Traceback" not in job.failure


def test_an_empty_channel_on_one_of_two_hosts_is_filled_by_the_other(
    docker: Docker, tmp_path: Path, pictures: list[Path]
) -> None:
    """ShardedByS3Key gives some hosts nothing when there are fewer objects than hosts."""
    hosts = ("algo-1", "algo-2")
    jobs = [Job(tmp_path / host, host, hosts).configure([]) for host in hosts]
    jobs[0].configure(pictures)
    network = docker.output("network", "create", "--label", LABEL, f"{LABEL}-{tmp_path.name}")
    try:
        words = [
            ("--network", network, "--network-alias", job.host, "--hostname", job.host)
            for job in jobs
        ]
        with (
            started(docker, TRAINING, *words[0], *jobs[0].options, command=["train"]) as first,
            started(docker, TRAINING, *words[1], *jobs[1].options, command=["train"]) as second,
        ):
            assert (second.ends(), first.ends()) == (0, 0), first.says() + second.says()
            assert "64 images" in first.says()
    finally:
        docker.output("network", "rm", network)
    assert load_artifact(jobs[0].base / "model").card.kimg == 0.064
    assert jobs[1].weights == b""  # the first host writes for all


def test_an_empty_channel_of_the_only_host_is_named(docker: Docker, tmp_path: Path) -> None:
    job = Job(tmp_path / "ml").configure([])
    with started(docker, TRAINING, *ISOLATED, *job.options, command=["train"]) as container:
        assert container.ends() == 1
    assert "/opt/ml/input/data/training" in job.failure and "Traceback" not in job.failure
