"""local_test's scripts, with a stand-in for Docker: what they ask of it, and what they refuse."""

import os
import re
import shutil
import socket
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from facegan.cli.__main__ import facegan, run_safely
from facegan.data.packed import PackedDataset

SCRIPTS = Path(__file__).parents[2] / "local_test"
# Answers as the real one does where the scripts look, and writes down what it is to run.
DOCKER = """#!/bin/sh
case "$1 $2" in
    "version --format") case "$3" in *Server.Arch*) echo amd64 ;; *) echo 27.0 ;; esac ;;
    "info --format") echo '[name=seccomp]' ;;
    "image inspect") [ "$5" != absent ] && echo "${ARCHITECTURE:-amd64}" ;;
    "compose version") echo "Docker Compose version ${COMPOSE:-v2.40.3}" ;;
    run*) echo "$*" > "$ASKED"; ${RUNS:-true} ;;
    *) exit 1 ;;
esac
"""
DENIED = """#!/bin/sh
echo "permission denied while trying to connect to the Docker daemon socket" >&2; exit 1
"""
STOPPED = """#!/bin/sh
echo "Cannot connect to the Docker daemon at unix:///var/run/docker.sock." >&2; exit 1
"""
TOOLS = (
    "bash", "sh", "dirname", "basename", "id", "grep", "mkdir", "rm", "tar", "sleep", "cat", "gzip",
)  # fmt: skip
Run = Callable[..., tuple[int, str]]


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A PATH that has what the scripts need, and no Docker but ours."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in TOOLS:
        (folder / name).symlink_to(str(shutil.which(name)))
    install(folder, "docker", DOCKER)
    return folder


@pytest.fixture
def run(tools: Path, tmp_path: Path) -> Run:
    """Run a script: its exit code and what it said."""

    def start(script: str, *words: object, **variables: str) -> tuple[int, str]:
        environment = {"PATH": str(tools), "ASKED": str(tmp_path / "asked"), **variables}
        done = subprocess.run(
            [SCRIPTS / script, *map(str, words)], env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=20,
        )  # fmt: skip
        return done.returncode, done.stdout

    return start


@pytest.fixture
def test_dir(tmp_path: Path) -> Path:
    """A copy of SageMaker's layout, with a folder of images."""
    folder = tmp_path / "test_dir"
    shutil.copytree(SCRIPTS / "test_dir" / "input" / "config", folder / "input" / "config")
    (folder / "input" / "data" / "training").mkdir(parents=True)
    return folder


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield int(listener.getsockname()[1])


def install(folder: Path, name: str, text: str) -> None:
    """A program of ours on the scripts' PATH."""
    (folder / name).write_text(text)
    (folder / name).chmod(0o755)


def in_one_line(message: str) -> str:
    """What a script said, if it is one line."""
    assert len(message.splitlines()) == 1, message
    return message


def asked(tmp_path: Path) -> str:
    """What Docker was to run."""
    return (tmp_path / "asked").read_text()


# --- what Docker lacks ----------------------------------------------------------------------------


def test_nothing_is_reported_where_nothing_is_missing(run: Run, free_port: int) -> None:
    assert run("check_docker.sh", "compose", "image=faces", f"port={free_port}") == (0, "")


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (None, "Docker is not installed. Install it"),
        (DENIED, "You may not use Docker. Join its group"),
        (STOPPED, "Docker does not answer. Start it"),
    ],
)
def test_a_docker_that_cannot_be_used_is_reported(
    run: Run, tools: Path, program: str | None, message: str
) -> None:
    (tools / "docker").unlink()
    if program:
        install(tools, "docker", program)
    for script in ("check_docker.sh", "train_local.sh", "serve_local.sh", "make_data.sh"):
        code, said = run(script)
        assert code == 1 and in_one_line(said).startswith(message)


@pytest.mark.parametrize("version", ["v2.40.3", "2.26.1-4", "v5.0.0", "v10.1"])
def test_any_compose_of_today_will_do(run: Run, version: str) -> None:
    assert run("check_docker.sh", "compose", COMPOSE=version) == (0, "")


def test_an_old_compose_will_do_beside_docker_only(run: Run, tools: Path) -> None:
    code, message = run("check_docker.sh", "compose", COMPOSE="v1.29.2")
    assert code == 1 and in_one_line(message).startswith("Docker's compose is missing. Install")
    install(tools, "docker-compose", "#!/bin/sh\n")
    assert run("check_docker.sh", "compose", COMPOSE="v1.29.2") == (0, "")


def test_a_gpu_asked_for_where_none_is(run: Run, tools: Path, test_dir: Path) -> None:
    code, message = run("train_local.sh", "faces", test_dir, GPUS="all")
    assert code == 1 and "no NVIDIA GPU that works" in in_one_line(message)
    install(tools, "nvidia-smi", "#!/bin/sh\n")
    code, message = run("train_local.sh", "faces", test_dir, GPUS="all")
    assert code == 1 and "Install nvidia-container-toolkit" in in_one_line(message)


def test_gpus_are_used_where_docker_has_some(
    run: Run, tools: Path, test_dir: Path, tmp_path: Path
) -> None:
    for program in ("nvidia-smi", "nvidia-container-runtime-hook"):
        install(tools, program, "#!/bin/sh\n")
    assert run("train_local.sh", "faces", test_dir)[0] == 0
    assert "--gpus all" in asked(tmp_path)
    assert run("train_local.sh", "faces", test_dir, GPUS="none")[0] == 0
    assert "--gpus" not in asked(tmp_path)


def test_an_image_that_is_not_there_or_of_another_machine(run: Run) -> None:
    code, message = run("serve_local.sh", "absent")
    assert code == 1 and "There is no image absent here. Build it (make build)" in in_one_line(
        message
    )
    code, message = run("serve_local.sh", "faces", ARCHITECTURE="arm64")
    assert code == 1 and "built for arm64, and this Docker runs amd64" in in_one_line(message)


def test_a_port_that_is_taken(run: Run, taken_port: int) -> None:
    code, message = run("serve_local.sh", "faces", PORT=str(taken_port))
    assert code == 1
    assert in_one_line(message) == (
        f"Port {taken_port} is taken. Stop what listens there, or choose another: "
        f"PORT={taken_port + 1}.\n"
    )
    code, message = run("serve_local.sh", "faces", PORT="http")
    assert code == 1 and "http is not a port" in in_one_line(message)


# --- training -------------------------------------------------------------------------------------


def test_training_is_started_as_sagemaker_does(run: Run, test_dir: Path, tmp_path: Path) -> None:
    code, message = run("train_local.sh", "faces", test_dir)
    assert code == 0 and "Docker has no usable GPU: using the CPU." in message
    words = asked(tmp_path)
    assert words.endswith(" faces train\n") and f"-v {test_dir}:/opt/ml " in words
    assert f"-v {test_dir}/input:/opt/ml/input:ro" in words
    assert f"--user {os.getuid()}:{os.getgid()}" in words
    assert "Stopped before the end" in message  # our Docker leaves no model


def test_a_finished_training_says_where_its_model_is(run: Run, test_dir: Path) -> None:
    (test_dir / "model").mkdir()
    (test_dir / "model" / "model_card.json").touch()
    code, message = run("train_local.sh", "faces", test_dir)
    assert code == 0 and f"The model is in {test_dir}/model" in message


def test_a_failed_training_fails_and_says_where_the_reason_is(run: Run, test_dir: Path) -> None:
    install(test_dir, "fails", f"#!/bin/sh\necho why > {test_dir}/output/failure; exit 7\n")
    code, message = run("train_local.sh", "faces", test_dir, RUNS=str(test_dir / "fails"))
    assert code == 7 and f"Why it failed: {test_dir}/output/failure" in message


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("input/data/training", "training is missing. Put pictures there, or draw some"),
        ("input/config/resourceconfig.json", "resourceconfig.json is missing. Copy it from"),
        ("", "is not a folder. Copy local_test/test_dir"),
    ],
)
def test_a_layout_with_a_hole_is_refused(
    run: Run, test_dir: Path, missing: str, message: str
) -> None:
    place = test_dir / missing
    place.unlink() if place.is_file() else shutil.rmtree(place)
    code, said = run("train_local.sh", "faces", test_dir)
    assert code == 1 and message in in_one_line(said)


def test_a_signal_stops_the_container_as_sagemaker_does(
    tools: Path, test_dir: Path, tmp_path: Path
) -> None:
    """SIGTERM to the script, as Ctrl-C: `docker stop` with SageMaker's two minutes."""
    stop = tmp_path / "stop"
    install(tools, "docker", DOCKER.replace("run*)", f"stop*) echo $* > {stop} ;;\n    run*)"))
    (tmp_path / "runs").write_text(f"until [ -e {stop} ]; do sleep 0.05; done")
    script = subprocess.Popen(
        [SCRIPTS / "train_local.sh", "faces", test_dir], stdout=subprocess.PIPE, text=True,
        env={"PATH": str(tools), "ASKED": str(tmp_path / "asked"), "RUNS": f"sh {tmp_path}/runs"},
    )  # fmt: skip
    while not (tmp_path / "asked").exists():
        assert script.poll() is None
    script.terminate()
    message, _ = script.communicate(timeout=20)
    assert script.returncode == 0 and "Stopped before the end" in message
    assert stop.read_text() == "stop --time 120 facegan-train\n"


def test_the_layout_has_sagemakers_names() -> None:
    config = SCRIPTS / "test_dir" / "input" / "config"
    assert {path.name for path in config.iterdir()} == {
        "hyperparameters.json", "inputdataconfig.json", "resourceconfig.json",
    }  # fmt: skip


# --- serving --------------------------------------------------------------------------------------


def test_a_folder_and_an_archive_are_served_read_only(
    run: Run, model_dir: Path, tmp_path: Path, free_port: int
) -> None:
    code, message = run("serve_local.sh", "faces", model_dir, PORT=str(free_port))
    assert code == 0, message
    words = asked(tmp_path)
    assert words.endswith(" faces serve\n") and f"-v {model_dir}:/opt/ml/model:ro" in words
    assert f"-p 127.0.0.1:{free_port}:8080" in words


def test_an_archive_is_unpacked_first(
    run: Run, model_dir: Path, tmp_path: Path, free_port: int
) -> None:
    scripts = copy_of_scripts(tmp_path)
    archive = model_dir / "model.tar.gz"
    code, message = run(str(scripts / "serve_local.sh"), "faces", archive, PORT=str(free_port))
    assert code == 0, message
    served = scripts / "test_dir" / "served"
    assert f"-v {served}:/opt/ml/model:ro" in asked(tmp_path)
    assert {path.name for path in served.iterdir()} == {"model_card.json", "generator.safetensors"}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "There is no model at"),
        (lambda path: path.write_bytes(b"no archive"), "is not a readable archive"),
        (lambda path: tarfile.open(path, "w:gz").close(), "has no model_card.json"),
        (lambda path: path.mkdir(), "has no model_card.json"),
    ],
)
def test_what_is_not_a_model_is_not_served(
    run: Run, tmp_path: Path, free_port: int, make: Callable[[Path], object], message: str
) -> None:
    make(tmp_path / "model.tar.gz")
    script = copy_of_scripts(tmp_path) / "serve_local.sh"
    code, said = run(str(script), "faces", tmp_path / "model.tar.gz", PORT=str(free_port))
    assert code == 1 and message in in_one_line(said)


def test_faces_are_drawn_by_the_training_image(run: Run, tmp_path: Path) -> None:
    code, message = run("make_data.sh", "faces", tmp_path / "new" / "training", IMAGES="10")
    assert code == 0, message
    assert re.search(r"-v \S+/new:/data faces -m facegan.cli data toy", asked(tmp_path))
    assert "--out /data/training --images 10 --resolution 32" in asked(tmp_path)


@pytest.mark.parametrize(
    ("kind", "toy", "prepare"),
    [
        ("label-maps", "--label-maps", "--label-maps"),
        ("sketch", "--paired sketch", "--paired"),
        ("night", "--unpaired night", "--unpaired"),
    ],
)
def test_companions_are_drawn_and_prepared(
    run: Run, tools: Path, tmp_path: Path, kind: str, toy: str, prepare: str
) -> None:
    """As the command line of facegan takes it: these very words run."""
    install(tools, "docker", DOCKER.replace('> "$ASKED"', '>> "$ASKED"'))
    code, told = run("make_data.sh", "faces", tmp_path / "training", IMAGES="2", KIND=kind)
    assert code == 0, told
    drawn, prepared = asked(tmp_path).splitlines()
    assert drawn.endswith(f"data toy --out /data/training-drawn --images 2 --resolution 32 {toy}")
    assert prepared.endswith(
        "data prepare /data/training-drawn --out /data/training --resolution 32 "
        f"{prepare} /data/training-drawn"
    )
    for line in (drawn, prepared):
        words = line.partition("-m facegan.cli ")[2].replace("/data/", f"{tmp_path}/").split()
        assert run_safely(facegan, words) == 0
    assert PackedDataset(tmp_path / "training").companions


def test_a_kind_that_is_not_there_is_named(run: Run, tmp_path: Path) -> None:
    code, told = run("make_data.sh", "faces", tmp_path / "training", KIND="maps")
    assert code == 1 and "KIND is maps" in in_one_line(told)


def copy_of_scripts(tmp_path: Path) -> Path:
    """The scripts where what they unpack disturbs nobody."""
    folder = tmp_path / "local_test"
    folder.mkdir()
    for script in SCRIPTS.glob("*.sh"):
        shutil.copy(script, folder)
    return folder
