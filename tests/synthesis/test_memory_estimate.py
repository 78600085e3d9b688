"""The memory estimate of a model is an upper bound, and not far from what it takes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from example_data import MAP_CLASSES

from facegan.artifact import Artifact, save_artifact
from facegan.errors import is_out_of_memory
from facegan.gans import FAMILIES, build_gan
from facegan.model_files import ModelCard
from facegan.synthesis import BackendConfig, estimate_memory
from facegan.synthesis.activations import activation_bytes
from facegan.synthesis.live_memory import LiveMemory
from facegan.synthesis.memory_estimate import OVERHEAD, UNKNOWN_ACTIVATIONS

SHAPE = (3, 32, 32)

# How much a process grows when it loads and runs models one after another, each kept.
GROWTH = """
import gc, json, sys
from facegan.artifact import load_artifact
from facegan.synthesis import Synthesizer

def resident(field="VmRSS"):
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field + ":"))

kept, sizes = [], []
for folder in sys.argv[1:]:
    synthesizer = Synthesizer(load_artifact(folder, mapped=True))
    synthesizer.generate_batch(synthesizer.example_batch(16))
    kept.append(synthesizer)
    gc.collect()
    sizes.append(resident())
print(json.dumps([after - before for before, after in zip(sizes, sizes[1:])]))
"""


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_every_family_is_estimated(family: str, tmp_path: Path) -> None:
    """Its weights to the byte, and a batch of sixteen at least as large as its images."""
    gan = build_gan(family, "tiny", SHAPE, seed=0, map_classes=MAP_CLASSES)
    save_artifact(gan, tmp_path)
    tensors = gan.served_weights().values()
    own = estimate_memory(tmp_path)
    assert own.weights - OVERHEAD == sum(x.numel() * x.element_size() for x in tensors)
    assert own.activations >= 16 * 3 * 32 * 32 * 4


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_what_is_alive_at_once_is_counted(device: str) -> None:
    """A map that is held for later counts until then, a view not again, a freed one no more."""
    x = torch.zeros(2, 3, 8, 8, device=device)
    size = x.numel() * x.element_size()
    with torch.inference_mode(), LiveMemory() as memory:
        held = x + 1
        held.permute(0, 2, 3, 1).contiguous().sum()  # a copy, and four bytes
        assert memory.live == size
        for _ in range(5):
            y = held + 1  # the one before is freed afterwards
        y = y * held
    assert memory.peak == 3 * size
    del held, y
    assert memory.live == 0


def test_maps_that_a_u_net_holds_are_estimated() -> None:
    """Its way out reads all maps of its way in, which no single layer does."""
    gan = build_gan("pix2pix", "tiny", SHAPE, seed=0)
    card = ModelCard(
        family="pix2pix", preset="tiny", settings=gan.preset.as_dict(), image_shape=SHAPE,
        latent_dim=0, weights_sha256="0" * 64, network_inputs=gan.family.inputs(gan.preset),
    )  # fmt: skip
    artifact = Artifact(gan.generator_ema.eval(), card, gan.family, gan.preset)
    held = sum(4 * 2**level * (16 // 2**level) ** 2 * 4 for level in range(3))
    assert activation_bytes(artifact) > 2 * 16 * held


def test_a_conditional_model_is_estimated(conditional_dir: Path) -> None:
    """Its network needs labels."""
    assert estimate_memory(conditional_dir).activations > 0


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_models_take_about_what_is_estimated(tmp_path: Path) -> None:
    """Four of 7 MiB each: never more, and at least a third of it."""
    folders = []
    for number in range(4):
        folders.append(tmp_path / str(number))
        gan = build_gan("dcgan", "tiny", SHAPE, seed=number, conv_dim=128)
        save_artifact(gan, folders[-1])
    done = subprocess.run(
        [sys.executable, "-c", GROWTH, *map(str, folders)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    grown = json.loads(done.stdout)
    size = estimate_memory(folders[0])
    assert sum(grown) / 3 <= size.weights + size.activations, (grown, size)
    assert sum(grown) / 3 >= size.weights / 3, (grown, size)


# The same of graphs: copies of one model.
GRAPH_GROWTH = GROWTH.replace(
    "from facegan.artifact import load_artifact\nfrom facegan.synthesis import Synthesizer",
    "from pathlib import Path\nfrom facegan.synthesis import BackendConfig, open_synthesizer",
).replace(
    "Synthesizer(load_artifact(folder, mapped=True))",
    "open_synthesizer(Path(folder), BackendConfig('openvino', cores=1))",
)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
def test_models_run_from_graphs_take_about_what_is_estimated(exported_dir: Path) -> None:
    """Of every family: never more, and at least a fifth. The first also takes OpenVINO's own."""
    done = subprocess.run(
        [sys.executable, "-c", GRAPH_GROWTH, *[str(exported_dir)] * 5],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    grown = sum(json.loads(done.stdout)) / 4
    size = estimate_memory(exported_dir, BackendConfig("openvino"))
    told = size.weights + size.activations
    assert told / 5 <= grown <= told, (grown / 2**20, told / 2**20)


def test_a_folder_without_a_card_counts_its_files(tmp_path: Path) -> None:
    """Custom code loads them."""
    (tmp_path / "weights.bin").write_bytes(bytes(1000))
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "inference.py").write_bytes(bytes(10))
    own = estimate_memory(tmp_path)
    assert (own.weights, own.activations) == (OVERHEAD + 1010, UNKNOWN_ACTIVATIONS)


def test_only_lack_of_memory_is_lack_of_memory() -> None:
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")
    )
    assert not is_out_of_memory(RuntimeError("shape mismatch"))
    assert not is_out_of_memory(ValueError("can't allocate memory"))
