"""How much memory a model will take, known before it is loaded."""

import stat
from collections.abc import Iterator
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

# A graph's weights are held as they were read, and once more by each size of batch.
COPIES = 5
MOST, LIVE = 8, 2  # rows that graphs draw at once; a kernel's own room beside what a row takes
# What OpenVINO keeps of a model besides: for all sizes of batch, by measurement.
GRAPHS_OVERHEAD, NODE_BYTES = 12 << 20, 320 << 10
OVERHEAD = 4 << 20  # modules, a thread, what an allocator keeps
UNKNOWN_ACTIVATIONS = 64 << 20  # of a model whose own code loads it: nobody can say


@dataclass(frozen=True)
class MemoryEstimate:
    """What one model needs, in bytes.

    Attributes:
        weights: As long as it is loaded.
        activations: While it draws a batch; models that draw in turn share this room.
    """

    weights: int
    activations: int


def estimate_memory(model_dir: Path, drawing: BackendConfig | None = None) -> MemoryEstimate:
    """Return the footprint of the model in a folder: by its card, its graphs or weights' header.

    Of a folder without a card, but with code of its owner's that loads it, all files count.

    Raises:
        ArtifactError: there is no model, or its card or its weights are damaged, contradict each
            other, or are of an unknown family.
    """
    if not (model_dir / CARD_NAME).exists() and (model_dir / OWN_CODE).is_file():
        return MemoryEstimate(sum(plain_sizes(model_dir)) + OVERHEAD, UNKNOWN_ACTIVATIONS)
    card = read_card(model_dir)
    if card.graph is not None and (drawing or BackendConfig()).wants_graphs(card):
        return footprint_of_graphs(model_dir, card)
    return footprint_of_network(model_dir, card)


def plain_sizes(folder: Path) -> Iterator[int]:
    """Yield the sizes of the files in a folder; links are not followed."""
    for path in folder.rglob("*"):
        facts = path.lstat()
        if stat.S_ISREG(facts.st_mode):
            yield facts.st_size


def footprint_of_graphs(model_dir: Path, card: ModelCard) -> MemoryEstimate:
    """Return what a model drawn by its graphs takes, by the graphs: a card may say anything."""
    assert card.graph is not None
    files = map_files(model_dir, card.graph.sha256)
    checked = check_graphs(model_dir, files, card)
    count = 1 if card.resolution >= LARGE_RESOLUTION else MOST
    batch = max(LIVE * count * graph.row_bytes for graph in checked.values())
    compiled = GRAPHS_OVERHEAD + NODE_BYTES * sum(graph.nodes for graph in checked.values())
    return MemoryEstimate(COPIES * sum(map(len, files.values())) + compiled, batch)


def footprint_of_network(model_dir: Path, card: ModelCard) -> MemoryEstimate:
    """Return what a model drawn by torch takes."""
    from facegan.artifact import build_empty
    from facegan.synthesis.activations import activation_bytes

    header = read_weights_header(model_dir)
    try:
        empty = build_empty(card, header)
    except (ConfigError, RuntimeError) as cause:
        raise ArtifactError(f"{model_dir}: the generator cannot be rebuilt: {cause}") from cause
    return MemoryEstimate(header.bytes + OVERHEAD, activation_bytes(empty))
