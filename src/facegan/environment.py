"""Parses SageMaker's environment variables, configuration files and folders.

Sources: docs.aws.amazon.com/sagemaker, "Use your own training algorithms" and "Use your own
inference code"; sagemaker-training and sagemaker-inference (names of variables). Nothing here
reads the process's environment: callers pass it.
"""

import ast
import json
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from facegan.errors import ConfigError

MIB = 2**20
# The channel of images: the SDK's name for it, then the built-in algorithms'.
TRAINING_CHANNELS = ("training", "train")
# Prefixes of hyperparameters that are the toolkits' or the tuning job's, and not the algorithm's.
TUNING_MARK = "_tuning_objective_metric"
FOREIGN_HYPERPARAMETERS = ("sagemaker_", TUNING_MARK)
NONE_IS_A_VALUE = ("augment",)  # where Python's None is a value of its own, not "unset"
MAX_HYPERPARAMETER = 2500  # characters of a value (CreateTrainingJob.HyperParameters)
LAUNCHER_ROLE = "facegan"  # the role of processes that facegan's launcher starts
SWITCHES = {"true": True, "1": True, "yes": True, "on": True,
            "false": False, "0": False, "no": False, "off": False}  # fmt: skip
LOG_LEVELS = ("debug", "info", "warning", "error")
MAX_PIXELS = 89_478_485  # of an image that is decoded; see safe_images
MAX_PAYLOAD_MIB = 100  # the most a batch transform job sends (CreateTransformJob.MaxPayloadInMB)


@dataclass(frozen=True, kw_only=True)
class ServingEnvironment:
    """How to serve: the variables of an inference container."""

    model_dir: Path
    host: str = "0.0.0.0"
    port: int = 8080
    threads: int = 96  # more than may wait for the model: the rest refuse, and answer /ping
    device: str = "auto"
    precision: str = "auto"
    backend: str = "auto"
    default_accept: str = "image/png"
    max_images: int = 64
    max_body_bytes: int = 6 * MIB
    max_pixels: int = 32_000_000  # of the images in a request
    is_multi_model: bool = False  # several models, loaded while the container runs
    models_dir: Path = Path("/opt/ml/models")  # their folder
    model_memory_bytes: int | None = None  # for all of them; None: the container's
    is_evicting: bool = False  # whether idle models make room for new ones
    load_seconds: int = 60  # for a model without custom code
    own_code: bool = True  # whether a model's own code may run
    log_format: str | None = None  # "json" or "text"; None: the server's default
    log_level: str = "INFO"
    emf: bool = False  # CloudWatch's embedded metrics in the log
    instance_type: str | None = None  # as "ml.g5.xlarge"; SageMaker does not set it for endpoints

    @classmethod
    def from_mapping(cls, variables: Mapping[str, str]) -> Self:
        """Parse the variables; each has a default.

        ``SAGEMAKER_BASE_DIR`` moves /opt/ml, ``SM_MODEL_DIR`` the single model.

        Raises:
            ConfigError: a value is invalid; the message names its variable.
        """
        read = Variables(variables)
        memory = read.number("FACEGAN_MODEL_MEMORY_MB", 0, 0, 2**30)
        return cls(
            model_dir=read.path("SM_MODEL_DIR", read.base_dir / "model"),
            host=read.text("FACEGAN_HOST", cls.host),
            port=read.number("SAGEMAKER_BIND_TO_PORT", cls.port, 1, 65535),
            threads=read.number("FACEGAN_THREADS", cls.threads, 1, 1024),
            device=read.text("FACEGAN_DEVICE", cls.device),
            precision=read.text("FACEGAN_PRECISION", cls.precision),
            backend=read.text("FACEGAN_BACKEND", cls.backend),
            default_accept=read.text("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT", cls.default_accept),
            max_images=read.number("FACEGAN_MAX_IMAGES", cls.max_images, 1, 65536),
            max_body_bytes=MIB * payload_mib(read),
            max_pixels=read.number("FACEGAN_MAX_PIXELS", cls.max_pixels, 1, MAX_PIXELS),
            is_multi_model=read.switch("SAGEMAKER_MULTI_MODEL", cls.is_multi_model),
            models_dir=read.base_dir / "models",
            model_memory_bytes=MIB * memory if memory else None,
            is_evicting=read.switch("FACEGAN_EVICT", cls.is_evicting),
            load_seconds=read.number("FACEGAN_LOAD_SECONDS", cls.load_seconds, 1, 3600),
            own_code=read.switch("FACEGAN_OWN_CODE", cls.own_code),
            log_format=read.choice("FACEGAN_LOG_FORMAT", ("json", "text")),
            log_level=(read.choice("LOG_LEVEL", LOG_LEVELS) or cls.log_level).upper(),
            emf=read.choice("FACEGAN_EMF", ("true", "false")) == "true",
            instance_type=read.text("SM_CURRENT_INSTANCE_TYPE", "") or None,
        )

    @property
    def limits(self) -> dict[str, int]:
        """The limits of a request, by their names in ServingLimits."""
        return {
            "max_images": self.max_images,
            "max_body_bytes": self.max_body_bytes,
            "max_pixels": self.max_pixels,
            "max_waiting_requests": self.max_waiting_requests,
        }

    @property
    def max_waiting_requests(self) -> int:
        """Requests that may wait for the model: two thirds of the threads; the rest refuse."""
        return max(1, self.threads * 2 // 3)


def wants_graphs(variables: Mapping[str, str]) -> bool:
    """Return whether a run exports its model's graphs when it ends (``FACEGAN_GRAPHS``)."""
    return Variables(variables).switch("FACEGAN_GRAPHS", True)


@dataclass(frozen=True, kw_only=True)
class TrainingEnvironment:
    """A training job's folders, hyperparameters and hosts."""

    base_dir: Path
    model_dir: Path  # becomes model.tar.gz
    checkpoint_dir: Path  # synced with S3 while training, restored at a restart
    tensorboard_dir: Path  # synced with S3 while training, where the job asks for it
    output_data_dir: Path  # becomes output.tar.gz
    channels: Mapping[str, Path] = field(default_factory=dict)
    hyperparameters: Mapping[str, str] = field(default_factory=dict)
    hosts: tuple[str, ...] = ("algo-1",)
    current_host: str = "algo-1"
    network_interface: str = ""  # between the hosts
    meeting_port: int = 7777  # of the rendezvous, on the first host
    instance_type: str | None = None  # as "ml.g5.xlarge"; None if unknown

    @classmethod
    def from_mapping(cls, variables: Mapping[str, str]) -> Self:
        """Parse a training container's variables and configuration files.

        ``SAGEMAKER_BASE_DIR`` moves /opt/ml; ``SM_MODEL_DIR``, ``SM_OUTPUT_DATA_DIR`` and
        ``SM_CHANNEL_<NAME>`` move one folder each; ``FACEGAN_MEETING_PORT`` sets the hosts' port.

        Raises:
            ConfigError: a variable or a configuration file is invalid; the message names it.
        """
        read = Variables(variables)
        base, config = read.base_dir, read.base_dir / "input/config"
        refuse_pipe_mode(config / "inputdataconfig.json")
        hosts, current_host = read_hosts(config / "resourceconfig.json")
        return cls(
            base_dir=base,
            model_dir=read.path("SM_MODEL_DIR", base / "model"),
            checkpoint_dir=job_checkpoints(
                synced_folder(config / "checkpointconfig.json", base / "checkpoints"),
                read_json(config / "hyperparameters.json", default={}),
                read.text("TRAINING_JOB_NAME", ""),
            ),
            tensorboard_dir=synced_folder(
                config / "tensorboardoutputconfig.json", base / "output/tensorboard"
            ),
            output_data_dir=read.path("SM_OUTPUT_DATA_DIR", base / "output/data"),
            channels=find_channels(base / "input/data", variables),
            hyperparameters=read_hyperparameters(config / "hyperparameters.json"),
            hosts=hosts,
            current_host=current_host,
            network_interface=read_interface(config / "resourceconfig.json"),
            instance_type=read.text("SM_CURRENT_INSTANCE_TYPE", "")
            or read_instance_type(config / "resourceconfig.json"),
            meeting_port=read.number("FACEGAN_MEETING_PORT", cls.meeting_port, 1, 65535),
        )

    @property
    def channels_dir(self) -> Path:
        """The folder that holds all channels."""
        return self.base_dir / "input/data"

    @property
    def host_rank(self) -> int:
        """This host's index, from 0."""
        return self.hosts.index(self.current_host)

    @property
    def training_channel(self) -> Path:
        """The folder of the images: the channel ``training`` or ``train``."""
        given = [name for name in TRAINING_CHANNELS if name in self.channels]
        if len(given) > 1:
            raise ConfigError(
                f"The job has the channels {' and '.join(map(repr, given))}; both mean the images "
                "to train on.",
                "Pass only one of them.",
            )
        return self.channel(given[0] if given else TRAINING_CHANNELS[0])

    def channel(self, name: str) -> Path:
        """Return the folder of an input channel."""
        if name not in self.channels:
            found = ", ".join(sorted(self.channels)) or "none"
            raise ConfigError(
                f"There is no channel {name!r} in {self.channels_dir}; found: {found}.",
                f"Give the job an input channel named {name!r}, or set SM_CHANNEL_{name.upper()}.",
            )
        return self.channels[name]


@dataclass(frozen=True, kw_only=True)
class ProcessingEnvironment:
    """A Processing job's hosts, and its inputs that are spread over them."""

    hosts: tuple[str, ...]
    current_host: str
    sharded_inputs: tuple[Path, ...]  # folders of inputs with ShardedByS3Key

    @classmethod
    def from_mapping(cls, variables: Mapping[str, str]) -> Self:
        """Parse a Processing job's configuration files; without them there is one host.

        ``SAGEMAKER_BASE_DIR`` moves /opt/ml. The files: docs.aws.amazon.com/sagemaker, "Build Your
        Own Processing Container", How Amazon SageMaker Processing Configures Your Container.

        Raises:
            ConfigError: a file is invalid; the message names it.
        """
        config = Variables(variables).base_dir / "config"
        hosts, current_host = read_hosts(config / "resourceconfig.json")
        return cls(
            hosts=hosts,
            current_host=current_host,
            sharded_inputs=read_sharded_inputs(config / "processingjobconfig.json"),
        )

    @property
    def share(self) -> tuple[int, int]:
        """(K, M): this host is number K of M, from 0."""
        return self.hosts.index(self.current_host), len(self.hosts)

    def is_sharded(self, folder: Path) -> bool:
        """Return whether a folder belongs to an input that is spread over the hosts."""
        path = folder.absolute()
        return any(path.is_relative_to(input_folder) for input_folder in self.sharded_inputs)


@dataclass(frozen=True, kw_only=True)
class WorkerEnvironment:
    """The variables of a process that torch's elastic launcher started."""

    rank: int
    size: int
    local_rank: int
    host: str  # its name, for messages
    host_rank: int
    address: str  # of the rendezvous
    port: int
    run: str  # unique to this attempt
    launcher_holds_store: bool  # else rank 0 does
    error_file: Path | None  # where the launcher reads why the process failed
    is_ours: bool  # started by facegan's launcher, which reports failures itself

    @classmethod
    def from_mapping(cls, variables: Mapping[str, str]) -> Self | None:
        """Parse the launcher's variables; None for a process without a launcher.

        Names: docs.pytorch.org, "torchrun", Environment Variables; ``FACEGAN_HOST_NAME`` is ours.

        Raises:
            ConfigError: a variable is missing or invalid; the message names it.
        """
        if "RANK" not in variables or "WORLD_SIZE" not in variables:
            return None
        read = Variables(variables)
        size = read.number("WORLD_SIZE", 1, 1, 65536)
        attempt = [read.text(f"TORCHELASTIC_{x}", "0") for x in ("RUN_ID", "RESTART_COUNT")]
        error_file = read.text("TORCHELASTIC_ERROR_FILE", "")
        return cls(
            rank=read.number("RANK", 0, 0, size - 1),
            size=size,
            local_rank=read.number("LOCAL_RANK", 0, 0, size - 1),
            host=read.text("FACEGAN_HOST_NAME", socket.gethostname()),
            host_rank=read.number("GROUP_RANK", 0, 0, size - 1),
            address=read.text("MASTER_ADDR", "localhost"),
            port=read.number("MASTER_PORT", -1, 0, 65535),
            run="/".join(attempt),
            launcher_holds_store=read.text("TORCHELASTIC_USE_AGENT_STORE", "") == "True",
            error_file=Path(error_file) if error_file else None,
            is_ours=read.text("ROLE_NAME", "") == LAUNCHER_ROLE,
        )


@dataclass(frozen=True)
class Variables:
    """Environment variables by type; an empty one counts as unset."""

    values: Mapping[str, str]

    @property
    def base_dir(self) -> Path:
        """SageMaker's folder: /opt/ml, or SAGEMAKER_BASE_DIR."""
        return self.path("SAGEMAKER_BASE_DIR", Path("/opt/ml"))

    def text(self, name: str, default: str) -> str:
        """Return a variable without surrounding whitespace."""
        return self.values.get(name, "").strip() or default

    def path(self, name: str, default: Path) -> Path:
        """Return a variable that names a file or folder."""
        return Path(self.text(name, str(default)))

    def choice(self, name: str, words: tuple[str, ...]) -> str | None:
        """Return one of the given words in lower case; None if the variable is unset."""
        text = self.text(name, "")
        if text and text.lower() not in words:
            hint = "Set it to " + " or ".join(words) + ", or unset it."
            raise ConfigError(f"The variable {name} is {text!r}.", hint)
        return text.lower() or None

    def number(self, name: str, default: int, low: int, high: int) -> int:
        """Return a whole number in a range."""
        text = self.text(name, str(default))
        try:
            number = int(text)
        except ValueError:
            number = low - 1
        if not low <= number <= high:
            hint = f"Set it to a whole number from {low} to {high}, or unset it."
            raise ConfigError(f"The variable {name} is {text!r}.", hint)
        return number

    def switch(self, name: str, default: bool) -> bool:
        """Return a switch: true or false, 1 or 0, yes or no, on or off."""
        text = self.text(name, str(default)).lower()
        if text not in SWITCHES:
            hint = "Set it to true or false, or unset it."
            raise ConfigError(f"The variable {name} is {text!r}.", hint)
        return SWITCHES[text]


def payload_mib(read: Variables) -> int:
    """Return the largest body in MiB; batch transform's 0 means chunked bodies of any size."""
    default = ServingEnvironment.max_body_bytes // MIB
    return (
        read.number("SAGEMAKER_MAX_PAYLOAD_IN_MB", default, 0, MAX_PAYLOAD_MIB) or MAX_PAYLOAD_MIB
    )


def failure_file(variables: Mapping[str, str]) -> Path:
    """Return the file for a job's failure; its first 1,024 characters become FailureReason."""
    return Variables(variables).base_dir / "output/failure"


def synced_folder(config: Path, default: Path) -> Path:
    """Return a folder that SageMaker syncs with S3: the job's ``LocalPath``, or the default.

    The files are those that AWS's own smdebug reads (smdebug/core/config_constants.py).
    """
    named = read_json(config, default={}).get("LocalPath") or str(default)
    if not isinstance(named, str):
        raise ConfigError(f"{config}: LocalPath is {named!r}.", "It must be a folder's name.")
    return Path(named)


def job_checkpoints(folder: Path, hyperparameters: Mapping[str, Any], job: str) -> Path:
    """Return a job's checkpoint folder: the jobs of a tuning job share one prefix in S3.

    Args:
        folder: The folder that SageMaker syncs.
        hyperparameters: As SageMaker writes them; a tuning job adds its objective.
        job: The training job's name, which a restart keeps.
    """
    return folder / job if TUNING_MARK in hyperparameters and job else folder


def find_channels(folder: Path, variables: Mapping[str, str]) -> dict[str, Path]:
    """Return the input channels by name: folders that exist, then those that variables name."""
    prefix = "SM_CHANNEL_"
    paths = folder.iterdir() if folder.is_dir() else ()
    channels = {path.name: path for path in paths if path.is_dir()}
    for name, text in variables.items():
        if name.startswith(prefix) and text.strip():
            channels[name.removeprefix(prefix).lower()] = Path(text.strip())
    return channels


def refuse_pipe_mode(config: Path) -> None:
    """Raise ConfigError if an input channel is in Pipe mode, which gives files without names."""
    for name, facts in read_json(config, default={}).items():
        if isinstance(facts, dict) and facts.get("TrainingInputMode") == "Pipe":
            raise ConfigError(
                f"The channel {name!r} is in Pipe mode, which facegan does not read.",
                "Use FastFile, which streams from S3 too, or File.",
            )


def read_hyperparameters(path: Path) -> dict[str, str]:
    """Return a job's hyperparameters, without those for SageMaker's own toolkits."""
    values = read_json(path, default={})
    ours = {
        name: value
        for name, value in values.items()
        if not name.strip().replace("-", "_").startswith(FOREIGN_HYPERPARAMETERS)
    }
    return plain_hyperparameters(ours, str(path))


def plain_hyperparameters(values: Mapping[str, Any], where: str = "") -> dict[str, str]:
    """Normalize hyperparameters, however people and SDKs write them.

    SDKs write JSON (quoted texts and lists) or Python (``True``, ``None``), and accept names with
    dashes. ``None`` means unset; for ``augment`` it means no operation.

    Args:
        values: By name, mostly texts.
        where: Their file, for the error.

    Raises:
        ConfigError: a name is given twice, or a value is an object.
    """
    plain: dict[str, str] = {}
    for raw_name, raw in values.items():
        name = raw_name.strip().replace("-", "_")
        if name in plain:
            spelled = " and ".join(
                repr(it) for it in values if it.strip().replace("-", "_") == name
            )
            raise ConfigError(f"{name} is given twice, as {spelled}.", "Give it once.")
        text = plain_text(raw)
        if text is None and isinstance(raw, dict):
            prefix = f"{where}: " if where else ""
            raise ConfigError(
                f"{prefix}the hyperparameter {name!r} is {raw!r}, which is an object.",
                "Give one value, as text.",
            )
        if text is not None or name in NONE_IS_A_VALUE:
            plain[name] = "none" if text is None else text
    return plain


def plain_text(raw: Any) -> str | None:
    """Return a value as plain text: unquoted, lists with commas; None for null or None."""
    for _ in range(3):  # quoted once by the user, once by an SDK
        if not isinstance(raw, str):
            break
        raw = raw.strip()
        read = literal(raw)
        if isinstance(read, str) or read is None or isinstance(read, list | tuple):
            raw = read
    if raw is None or isinstance(raw, dict):
        return None
    if isinstance(raw, list | tuple):
        return ",".join(plain_text(part) or "none" for part in raw)
    return str(raw).strip()


def literal(text: str) -> Any:
    """Parse a text as JSON or as a Python literal; return the text itself if it is neither."""
    if len(text) > MAX_HYPERPARAMETER:
        return text
    for read in (json.loads, ast.literal_eval):
        with suppress(ValueError, SyntaxError, RecursionError, MemoryError):
            return read(text)
    return text


def read_hosts(path: Path) -> tuple[tuple[str, ...], str]:
    """Return all hosts of a job, sorted, and this one; a machine without the file is alone."""
    values = read_json(path, default={"hosts": ["algo-1"], "current_host": "algo-1"})
    hosts, current = values.get("hosts"), values.get("current_host")
    if not isinstance(hosts, list) or not all(isinstance(host, str) for host in hosts):
        raise ConfigError(f"{path}: hosts is {hosts!r}.", "It must be a list of names.")
    if not isinstance(current, str) or current not in hosts:
        raise ConfigError(f"{path}: current_host is {current!r}.", f"It must be one of {hosts}.")
    return tuple(sorted(hosts)), current


def read_sharded_inputs(path: Path) -> tuple[Path, ...]:
    """Return the folders of a Processing job's inputs that are spread over its hosts."""
    inputs = read_json(path, default={}).get("ProcessingInputs") or []
    try:
        s3_inputs = [one["S3Input"] for one in inputs if one.get("S3Input")]
        return tuple(
            Path(s3_input["LocalPath"])
            for s3_input in s3_inputs
            if s3_input.get("S3DataDistributionType") == "ShardedByS3Key"
        )
    except (AttributeError, KeyError, TypeError) as cause:
        raise ConfigError(
            f"{path}: ProcessingInputs is not a list of inputs ({cause!r})."
        ) from None


def read_interface(path: Path) -> str:
    """Return the network interface between a job's hosts; empty without the file."""
    name = read_json(path, default={}).get("network_interface_name", "")
    if not isinstance(name, str):
        raise ConfigError(f"{path}: network_interface_name is {name!r}.", "It must be a name.")
    return name


def read_instance_type(path: Path) -> str | None:
    """Return a training job's instance type; None if the file does not have it."""
    found = read_json(path, default={}).get("current_instance_type")
    return found if isinstance(found, str) and found else None


def read_json(path: Path, default: dict[str, Any]) -> dict[str, Any]:
    """Return the JSON object in a file, or the default without a file.

    Raises:
        ConfigError: the file cannot be read, or is not a JSON object.
    """
    try:
        values = json.loads(path.read_bytes())
    except FileNotFoundError:
        return default
    except (OSError, ValueError, RecursionError) as cause:
        raise ConfigError(f"{path} cannot be read as JSON: {cause}.") from cause
    if not isinstance(values, dict):
        raise ConfigError(f"{path} holds {type(values).__name__}, not a JSON object.")
    return values
