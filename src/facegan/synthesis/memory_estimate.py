"""Estimates how much memory a model will take, before it is loaded."""

import stat
from dataclasses import dataclass
from pathlib import Path

from facegan.errors import ArtifactError, ConfigError
from facegan.model_files import (
    CARD_NAME,
    OWN_CODE,
    ModelCard,
    check_graphs,
    map_files,
    read_card,
    read_weights_header,
)
from facegan.synthesis.batch_sizes import LARGE_RESOLUTION
from facegan.synthesis.load import BackendConfig

# A graph's weights are held as they were read, and once more by each batch size.
COPIES = 5
# The largest batch that graphs run; a kernel's scratch memory beside what a sample takes.
MAX_SIZE, SCRATCH_FACTOR = 8, 2
# What OpenVINO keeps of a model besides, for all batch sizes, as measured.
GRAPHS_OVERHEAD, NODE_BYTES = 12 << 20, 320 << 10
OVERHEAD = 4 << 20  # modules, a thread, allocator overhead
UNKNOWN_ACTIVATIONS = 64 << 20  # assumed for models that are loaded by custom code


@dataclass(frozen=True)
class MemoryEstimate:
    """A model's memory in bytes.

    Attributes:
        weights: For as long as it is loaded.
        activations: While it runs a batch; models that take turns share this room.
    """

    weights: int
    activations: int


def estimate_memory(model_dir: Path, config: BackendConfig | None = None) -> MemoryEstimate:
    """Estimate the memory of the model in a folder, from its card, graphs or weights' header.

    In a folder without a card but with custom code that loads the model, all files count.

    Raises:
        ArtifactError: there is no model, or its card or its weights are damaged, contradict each
            other, or are of an unknown family.
    """
    if not (model_dir / CARD_NAME).exists() and (model_dir / OWN_CODE).is_file():
        facts = [path.lstat() for path in model_dir.rglob("*")]  # links are not followed
        size = sum(fact.st_size for fact in facts if stat.S_ISREG(fact.st_mode))
        return MemoryEstimate(size + OVERHEAD, UNKNOWN_ACTIVATIONS)
    card = read_card(model_dir)
    if card.graph is not None and (config or BackendConfig()).use_graphs(card):
        return estimate_graphs(model_dir, card)
    return estimate_network(model_dir, card)


def estimate_graphs(model_dir: Path, card: ModelCard) -> MemoryEstimate:
    """Estimate the memory of exported graphs from the graphs: a card may claim anything."""
    assert card.graph is not None
    files = map_files(model_dir, card.graph.sha256)
    graphs = check_graphs(model_dir, files, card).values()
    count = 1 if card.resolution >= LARGE_RESOLUTION else MAX_SIZE
    activations = max(SCRATCH_FACTOR * count * graph.sample_bytes for graph in graphs)
    compiled = GRAPHS_OVERHEAD + NODE_BYTES * sum(graph.nodes for graph in graphs)
    return MemoryEstimate(COPIES * sum(map(len, files.values())) + compiled, activations)


def estimate_network(model_dir: Path, card: ModelCard) -> MemoryEstimate:
    """Estimate the memory of a torch network."""
    from facegan.artifact import build_empty  # imports torch, which graphs do without
    from facegan.synthesis.activations import activation_bytes

    header = read_weights_header(model_dir)
    try:
        empty = build_empty(card, header)
    except (ConfigError, RuntimeError) as cause:
        raise ArtifactError(f"{model_dir}: the generator cannot be rebuilt: {cause}") from cause
    return MemoryEstimate(header.bytes + OVERHEAD, activation_bytes(empty))
