"""A job's hyperparameters as SDKs write them: the run that was meant, or what to write."""

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from training_job import CONTAINER, Job

from facegan.environment import TrainingEnvironment
from facegan.errors import ConfigError, DatasetError
from facegan.gans.resolve import resolve
from facegan.hyperparameters.run_spec import RunSpec
from facegan.training.run import complete_spec

BASE = {"preset": '"tiny"', "family": '"dcgan"', "resolution": "32", "total_kimg": "0.016"}


def spec_of(base: Path, hyperparameters: dict[str, Any], images: Path | None) -> RunSpec:
    """What the container's program makes of a job."""
    spec = importlib.util.spec_from_file_location("container_train", CONTAINER / "train.py")
    assert spec and spec.loader
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    job = Job(base)
    job.configure(hyperparameters)
    (base / "input/data").mkdir(parents=True)
    if images:
        (base / "input/data/training").symlink_to(images)
    else:
        (base / "input/data/training").mkdir()
    environment = TrainingEnvironment.from_mapping({"SAGEMAKER_BASE_DIR": str(base)})
    return complete_spec(program.run_spec(environment), program.OFFERED_TO_JOBS)


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        ({"share_fakes": "True", "seed": '"7"'}, {"seed": 7}),
        ({"augment": "None"}, {"augment": "none"}),
        ({"augment": '["blit","color"]'}, {"augment": "blit,color"}),
        ({"augment": "['blit', 'color']"}, {"augment": "blit,color"}),
        ({"tick-kimg": "0.008"}, {"tick_kimg": 0.008}),
        ({"seed": "1e1"}, {"seed": 10}),
        ({"batch_size": " 8.0 "}, {"batch_size": 8}),
        ({"max_minutes": "None", "evaluate_split": "null"}, {"max_minutes": None}),
        ({"sagemaker_program": '"a.py"', "sagemaker_region": '"eu-west-1"'}, {}),
        ({"sagemaker_container_log_level": "20", "sagemaker_job_name": '"j"'}, {}),
        ({"sagemaker_submit_directory": '"s3://b/k"', "sagemaker-estimator": "x"}, {}),
    ],
)
def test_a_job_trains_as_it_was_meant(
    sent: dict[str, Any], meant: dict[str, Any], images_dir: Path, tmp_path: Path
) -> None:
    spec = spec_of(tmp_path, {**BASE, **sent}, images_dir)
    run = resolve(spec)
    assert {name: getattr(run.config, name) for name in meant} == meant
    assert spec.preset == "tiny" and not any("sagemaker" in name for name in spec.as_mapping())
    assert (run.changes.get("share_fakes") == "True") is ("share_fakes" in sent)


@pytest.mark.parametrize(
    ("sent", "message"),
    [
        ({"epochs": "10"}, "10 epochs of 64 images are total_kimg 0.64."),
        ({"learning-rate": "0.1"}, "discriminator_learning_rate or generator_learning_rate"),
        ({"batch": "8"}, "Did you mean batch_size?"),
        ({"gpus": "2"}, "Did you mean processes?"),
        ({"output_dir": "/opt/ml/model"}, "the folder that the run makes"),
        ({"augment": "blit;color"}, "commas between them: blit,color"),
        ({"augment": {"blit": 1}}, "is an object"),
        ({"batch_size": "[8, 16]"}, "batch_size is '8,16'. It must be a whole number"),
        ({"seed": "1", " seed": "2"}, "given twice"),
        ({"data": "faces"}, "data is given as a hyperparameter. Give the job an input channel"),
    ],
)
def test_a_refusal_holds_the_writing_that_works(
    sent: dict[str, Any], message: str, images_dir: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError) as refused:
        spec_of(tmp_path, {**BASE, **sent}, images_dir)
    assert message in str(refused.value)


def test_a_channel_without_images_says_what_it_holds(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="training is an empty folder: it holds no images"):
        spec_of(tmp_path, BASE, None)
