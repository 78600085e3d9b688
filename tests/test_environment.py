"""SageMaker's variables and files, and each way in which they can be wrong."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facegan.environment import (
    ProcessingEnvironment,
    ServingEnvironment,
    TrainingEnvironment,
    WorkerEnvironment,
    failure_file,
    plain_hyperparameters,
)
from facegan.errors import ConfigError


def write_config(base: Path, name: str, content: object) -> None:
    """Put a file where SageMaker puts it."""
    path = base / "input/config" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))


def training(base: Path, **variables: str) -> TrainingEnvironment:
    return TrainingEnvironment.from_mapping({"SAGEMAKER_BASE_DIR": str(base), **variables})


def test_serving_needs_no_variable() -> None:
    """The defaults are SageMaker's."""
    assert ServingEnvironment.from_mapping({}) == ServingEnvironment(
        model_dir=Path("/opt/ml/model")
    )


def test_every_serving_variable_is_read() -> None:
    """One of each."""
    read = ServingEnvironment.from_mapping({
        "SM_MODEL_DIR": "/m", "SAGEMAKER_BIND_TO_PORT": "9000", "FACEGAN_HOST": "127.0.0.1",
        "FACEGAN_THREADS": "4", "SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT": "application/json",
        "FACEGAN_MAX_IMAGES": "8", "SAGEMAKER_MAX_PAYLOAD_IN_MB": "20",
        "FACEGAN_MAX_PIXELS": "1000000",
        "SAGEMAKER_MULTI_MODEL": "true", "SAGEMAKER_BASE_DIR": "/b", "FACEGAN_EVICT": "1",
        "FACEGAN_MODEL_MEMORY_MB": "512", "FACEGAN_OWN_CODE": "False",
        "FACEGAN_LOAD_SECONDS": "90",
        "FACEGAN_DEVICE": "cuda:1", "FACEGAN_PRECISION": "fp16",
        "FACEGAN_LOG_FORMAT": "json", "LOG_LEVEL": "Warning", "FACEGAN_EMF": "true",
    })  # fmt: skip
    assert read == ServingEnvironment(
        model_dir=Path("/m"), host="127.0.0.1", port=9000, threads=4,
        default_accept="application/json", max_images=8, max_body_bytes=20 * 2**20,
        max_pixels=1_000_000,
        is_multi_model=True, models_dir=Path("/b/models"), model_memory_bytes=512 * 2**20,
        is_evicting=True, own_code=False, load_seconds=90,
        device="cuda:1", precision="fp16",
        log_format="json", log_level="WARNING", emf=True,
    )  # fmt: skip


@pytest.mark.parametrize("name", ["FACEGAN_LOG_FORMAT", "LOG_LEVEL", "FACEGAN_EMF"])
def test_a_word_that_is_not_known_is_told(name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        ServingEnvironment.from_mapping({name: "sometimes"})


@pytest.mark.parametrize("name", ["SAGEMAKER_MULTI_MODEL", "FACEGAN_EVICT", "FACEGAN_OWN_CODE"])
def test_a_switch_that_is_neither_on_nor_off_is_named(name: str) -> None:
    """A misspelt "flase" must not let a model's code run."""
    with pytest.raises(ConfigError, match=name):
        ServingEnvironment.from_mapping({name: "flase"})


def test_the_base_folder_moves_the_model() -> None:
    """SAGEMAKER_BASE_DIR relocates /opt/ml."""
    read = ServingEnvironment.from_mapping({"SAGEMAKER_BASE_DIR": "/elsewhere"})
    assert read.model_dir == Path("/elsewhere/model")


def test_a_batch_transforms_zero_means_the_largest_payload() -> None:
    """MaxPayloadInMB=0 sends bodies in chunks of any length; it must not refuse all of them."""
    read = ServingEnvironment.from_mapping({"SAGEMAKER_MAX_PAYLOAD_IN_MB": "0"})
    assert read.max_body_bytes == 100 * 2**20


@pytest.mark.parametrize("name", [
    "SAGEMAKER_BIND_TO_PORT", "SAGEMAKER_MAX_PAYLOAD_IN_MB", "FACEGAN_THREADS",
    "FACEGAN_MAX_IMAGES", "FACEGAN_MAX_PIXELS",
])  # fmt: skip
@pytest.mark.parametrize("text", ["eight", "-1", "99999999", "8.5", "1e3"])
def test_a_wrong_number_is_named_with_its_variable(name: str, text: str) -> None:
    """Both the variable and what was read are in the message."""
    with pytest.raises(ConfigError, match=f"{name} is '{text}'"):
        ServingEnvironment.from_mapping({name: text})


def test_an_empty_variable_counts_as_unset() -> None:
    """`docker run -e NAME=` sets an empty one."""
    assert ServingEnvironment.from_mapping({"SAGEMAKER_BIND_TO_PORT": ""}).port == 8080


def test_training_finds_its_folders(tmp_path: Path) -> None:
    """All below the base folder, at SageMaker's names."""
    (tmp_path / "input/data/training").mkdir(parents=True)
    read = training(tmp_path)
    assert read.model_dir == tmp_path / "model"
    assert read.checkpoint_dir == tmp_path / "checkpoints"
    assert read.tensorboard_dir == tmp_path / "output/tensorboard"
    assert read.output_data_dir == tmp_path / "output/data"
    assert read.training_channel == tmp_path / "input/data/training"
    assert failure_file({"SAGEMAKER_BASE_DIR": str(tmp_path)}) == tmp_path / "output/failure"


def test_variables_move_single_folders(tmp_path: Path) -> None:
    """sagemaker-training sets them in script mode; a variable beats the folder."""
    (tmp_path / "input/data/training").mkdir(parents=True)
    read = training(tmp_path, SM_MODEL_DIR="/m", SM_CHANNEL_TRAINING="/faces")
    assert (read.model_dir, read.training_channel) == (Path("/m"), Path("/faces"))


@pytest.mark.parametrize("name", ["training", "train"])
def test_the_pictures_come_by_either_of_sagemakers_names(tmp_path: Path, name: str) -> None:
    """The SDK's examples say training, the built-in algorithms train."""
    (tmp_path / "input/data" / name).mkdir(parents=True)
    assert training(tmp_path).training_channel.name == name


def test_two_channels_for_the_pictures_are_refused(tmp_path: Path) -> None:
    """Nobody can say which was meant."""
    for name in ("training", "train"):
        (tmp_path / "input/data" / name).mkdir(parents=True)
    with pytest.raises(ConfigError, match="channels 'training' and 'train'"):
        _ = training(tmp_path).training_channel


def test_a_missing_channel_is_named_with_those_there_are(tmp_path: Path) -> None:
    """A job with another channel learns what ours is called."""
    (tmp_path / "input/data/faces").mkdir(parents=True)
    with pytest.raises(ConfigError, match=r"'training'.*found: faces"):
        _ = training(tmp_path).training_channel


def test_a_job_may_name_other_folders_to_be_synced(tmp_path: Path) -> None:
    """CheckpointConfig.LocalPath and TensorBoardOutputConfig.LocalPath."""
    write_config(tmp_path, "checkpointconfig", {"S3Uri": "s3://b/k", "LocalPath": "/mine"})
    write_config(tmp_path, "tensorboardoutputconfig", {"LocalPath": "/curves"})
    read = training(tmp_path)
    assert (read.checkpoint_dir, read.tensorboard_dir) == (Path("/mine"), Path("/curves"))


def test_folders_to_be_synced_have_defaults(tmp_path: Path) -> None:
    """A configuration without a LocalPath means SageMaker's own."""
    write_config(tmp_path, "checkpointconfig", {"S3Uri": "s3://b/k"})
    write_config(tmp_path, "tensorboardoutputconfig", {"LocalPath": None})
    read = training(tmp_path)
    assert read.checkpoint_dir == tmp_path / "checkpoints"
    assert read.tensorboard_dir == tmp_path / "output/tensorboard"


@pytest.mark.parametrize(
    ("is_tuned", "folder"), [(True, "checkpoints/faces-7"), (False, "checkpoints")]
)
def test_jobs_of_a_tuning_job_have_a_folder_each(
    tmp_path: Path, is_tuned: bool, folder: str
) -> None:
    """They share one address in S3, and would take one another's runs for their own."""
    mark = {"_tuning_objective_metric": "kid_lite0"} if is_tuned else {}
    write_config(tmp_path, "hyperparameters", {"preset": "tiny", **mark})
    read = training(tmp_path, TRAINING_JOB_NAME="faces-7")
    assert read.checkpoint_dir == tmp_path / folder


def test_hyperparameters_are_strings_without_the_toolkits_own(tmp_path: Path) -> None:
    """The SDK writes some strings as JSON, and adds names of its own."""
    write_config(tmp_path, "hyperparameters", {
        "preset": '"toy32"', "total_kimg": "50", "share_fakes": "true",
        "sagemaker_program": '"train.py"', "_tuning_objective_metric": "kid_lite0",
    })  # fmt: skip
    assert training(tmp_path).hyperparameters == {
        "preset": "toy32", "total_kimg": "50", "share_fakes": "true",
    }  # fmt: skip


def quoted_again(text: str, times: int) -> str:
    """A text as JSON, as JSON again …"""
    for _ in range(times):
        text = json.dumps(text)
    return text


@given(
    st.sampled_from(["tiny", "0.5", "true", "1e1", "blit,color", "cuda:1", "r3gan", "none"]),
    st.integers(0, 2),
    st.sampled_from(["", " ", "\n"]),
)
def test_quotation_marks_and_blanks_of_sdks_are_taken_off(
    text: str, times: int, blank: str
) -> None:
    sent = blank + quoted_again(text, times) + blank
    assert plain_hyperparameters({"name": sent}) == {"name": text}


@pytest.mark.parametrize(
    ("name", "sent", "meant"),
    [
        ("augment", '["blit", "color"]', "blit,color"),
        ("augment", "['blit', 'color:0.5']", "blit,color:0.5"),
        ("augment", "('blit',)", "blit"),
        ("augment", ["blit", "color"], "blit,color"),
        ("augment", "'[\"blit\"]'", "blit"),
        ("augment", "None", "none"),
        ("augment", None, "none"),
        ("augment", "[]", ""),
        ("preset", "'tiny'", "tiny"),
        ("share_fakes", "True", "True"),
        ("share_fakes", True, "True"),
        ("seed", 7, "7"),
        ("seed", "[7]", "7"),
        ("total_kimg", "1e3", "1e3"),
        ("max_minutes", "None", None),
        ("max_minutes", "null", None),
        ("split", '"null"', None),
    ],
)
def test_values_are_read_as_they_were_meant(name: str, sent: object, meant: str | None) -> None:
    expected = {} if meant is None else {name: meant}
    assert plain_hyperparameters({name: sent}) == expected


def test_names_may_have_dashes_but_not_be_there_twice() -> None:
    assert plain_hyperparameters({"tick-kimg": "1"}) == {"tick_kimg": "1"}
    with pytest.raises(ConfigError, match="tick_kimg is given twice, as 'tick-kimg' and 'tick_k"):
        plain_hyperparameters({"tick-kimg": "1", "tick_kimg": "2"})


@given(st.text(max_size=200))
def test_any_text_is_read_or_left_as_it_is(text: str) -> None:
    for value in plain_hyperparameters({"name": text}).values():
        assert isinstance(value, str)


def test_hosts_come_from_the_resource_configuration(tmp_path: Path) -> None:
    """Rank 0 is the first in the sorted list, on every host."""
    write_config(tmp_path, "resourceconfig", {
        "hosts": ["algo-2", "algo-1"], "current_host": "algo-2", "network_interface_name": "eth0",
    })  # fmt: skip
    read = training(tmp_path)
    assert (read.hosts, read.host_rank) == (("algo-1", "algo-2"), 1)


def test_a_machine_without_configuration_is_alone(tmp_path: Path) -> None:
    """As when the container is tried by hand."""
    read = training(tmp_path)
    assert (read.hosts, read.host_rank, dict(read.hyperparameters)) == (("algo-1",), 0, {})


WRONG_FILES = [
    ("hyperparameters", "{", "hyperparameters.json cannot be read as JSON"),
    ("hyperparameters", [1], "holds list, not a JSON object"),
    ("hyperparameters", {"total_kimg": {"a": 1}}, "'total_kimg' is {'a': 1}, which is an object"),
    ("resourceconfig", {"current_host": "a"}, "resourceconfig.json: hosts is None"),
    ("resourceconfig", {"hosts": ["a"], "current_host": "b"}, "current_host is 'b'"),
    ("resourceconfig", {"hosts": ["a"], "current_host": ["a"]}, "current_host is"),
    ("checkpointconfig", {"LocalPath": 7}, "checkpointconfig.json: LocalPath is 7"),
]


def test_a_processing_jobs_files_lie_elsewhere(tmp_path: Path) -> None:
    """Who the hosts are, and which inputs are spread over them; inputs may be of other kinds."""
    config = tmp_path / "config"
    config.mkdir()
    hosts = {"hosts": ["algo-2", "algo-10", "algo-1"], "current_host": "algo-2"}
    (config / "resourceconfig.json").write_text(json.dumps(hosts))
    inputs = [
        {"InputName": name, "S3Input": {"LocalPath": f"/in/{name}", "S3DataDistributionType": how}}
        for name, how in (("a", "ShardedByS3Key"), ("b", "FullyReplicated"))
    ]
    told = {"ProcessingInputs": [*inputs, {"InputName": "c", "DatasetDefinition": {}}]}
    (config / "processingjobconfig.json").write_text(json.dumps(told))
    variables = {"SAGEMAKER_BASE_DIR": str(tmp_path)}
    read = ProcessingEnvironment.from_mapping(variables)
    assert read.share == (2, 3)
    sharded = [Path(p) for p in ("/in/a", "/in/a/x", "/in/b", "/in", "/in/ab") if
               read.is_sharded(Path(p))]  # fmt: skip
    assert sharded == [Path("/in/a"), Path("/in/a/x")]
    (config / "processingjobconfig.json").write_text('{"ProcessingInputs": [7]}')
    with pytest.raises(
        ConfigError, match=r"processingjobconfig\.json: ProcessingInputs is not a list"
    ):
        ProcessingEnvironment.from_mapping(variables)


@pytest.mark.parametrize(("name", "content", "told"), WRONG_FILES)
def test_a_wrong_file_is_named(tmp_path: Path, name: str, content: object, told: str) -> None:
    """The message names the file, and what is wrong in it."""
    write_config(tmp_path, name, content)
    with pytest.raises(ConfigError, match=told):
        training(tmp_path)


# --- processes ----------------------------------------------------------------------------------

TORCHRUN = {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "GROUP_RANK": "1",
            "MASTER_ADDR": "algo-1", "MASTER_PORT": "29500", "TORCHELASTIC_RUN_ID": "job",
            "TORCHELASTIC_RESTART_COUNT": "2", "TORCHELASTIC_USE_AGENT_STORE": "True",
            "TORCHELASTIC_ERROR_FILE": "/tmp/error.json", "ROLE_NAME": "facegan",
            "FACEGAN_HOST_NAME": "algo-2"}  # fmt: skip


def test_a_process_that_nobody_launched_is_alone() -> None:
    assert WorkerEnvironment.from_mapping({"MASTER_PORT": "1"}) is None


def test_a_launched_process_reads_its_place() -> None:
    assert WorkerEnvironment.from_mapping(TORCHRUN) == WorkerEnvironment(
        rank=3, size=4, local_rank=1, host="algo-2", host_rank=1, address="algo-1", port=29500,
        run="job/2", launcher_holds_store=True, error_file=Path("/tmp/error.json"), is_ours=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "text"), [("RANK", "4"), ("WORLD_SIZE", "two"), ("MASTER_PORT", "")]
)
def test_a_wrong_place_is_named_with_its_variable(name: str, text: str) -> None:
    with pytest.raises(ConfigError, match=name):
        WorkerEnvironment.from_mapping({**TORCHRUN, name: text})


def test_the_hosts_network_is_read(tmp_path: Path) -> None:
    hosts = {"hosts": ["algo-1"], "current_host": "algo-1", "network_interface_name": "eth0"}
    write_config(tmp_path, "resourceconfig", hosts)
    read = training(tmp_path, FACEGAN_MEETING_PORT="8888")
    assert (read.network_interface, read.meeting_port) == ("eth0", 8888)
    write_config(tmp_path, "resourceconfig", {**hosts, "network_interface_name": 0})
    with pytest.raises(ConfigError, match="network_interface_name is 0"):
        training(tmp_path)
