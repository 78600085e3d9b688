"""How much memory a model will take, known before it is loaded."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from facegan.errors import ArtifactError, ConfigError
from facegan.model_files import (
    CARD_NAME,
    WEIGHTS_NAME,
    ModelCard,
    check_graphs,
    read_card,
    read_files,
)
from facegan.synthesis.company import LARGE
from facegan.synthesis.opening import Drawing

MAX_HEADER_BYTES = 100_000_000  # safetensors' own limit
# A graph's weights are held as they were read, and once more by each size of batch.
COPIES = 5
MOST, LIVE = 8, 2  # rows that graphs draw at once; a kernel's own room beside what a row takes
OVERHEAD = 4 << 20  # modules, a thread, what an allocator keeps
UNKNOWN_ACTIVATIONS = 64 << 20  # of a model whose own code loads it: nobody can say


@dataclass(frozen=True)
class Footprint:
    """What one model needs, in bytes.

    Attributes:
        weights: As long as it is loaded.
        activations: While it draws a batch; models that draw in turn share this room.
    """

    weights: int
    activations: int


def foresee(model_dir: Path, drawing: Drawing | None = None) -> Footprint:
    """The footprint of the model in a folder; reads its card, and its graphs or
    its weights' header.

    A folder without a card is one whose own code loads it: all of its files count.

    Raises:
        ArtifactError: a card or weights that are damaged, or of an unknown family.
    """
    if not (model_dir / CARD_NAME).is_file():
        sizes = (path.stat().st_size for path in model_dir.rglob("*") if path.is_file())
        return Footprint(sum(sizes) + OVERHEAD, UNKNOWN_ACTIVATIONS)
    card = read_card(model_dir)
    if card.graph is not None and (drawing or Drawing()).wants_graphs(card):
        return footprint_of_graphs(model_dir, card)
    return footprint_of_network(model_dir, card)


def footprint_of_graphs(model_dir: Path, card: ModelCard) -> Footprint:
    """What a model drawn by its graphs takes, by the graphs themselves: a card may say anything."""
    assert card.graph is not None
    files = read_files(model_dir, card.graph.sha256)
    checked = check_graphs(model_dir, files, card)
    count = 1 if card.resolution >= LARGE else MOST
    batch = max(LIVE * count * graph.row_bytes for graph in checked.values())
    return Footprint(COPIES * sum(map(len, files.values())) + OVERHEAD, batch)


def footprint_of_network(model_dir: Path, card: ModelCard) -> Footprint:
    """What a model drawn by torch takes."""
    from facegan.artifact import build_empty
    from facegan.synthesis.activations import activation_bytes

    try:
        empty = build_empty(card)
    except (ConfigError, RuntimeError) as cause:
        raise ArtifactError(f"{model_dir}: the generator cannot be rebuilt: {cause}") from cause
    weights = weights_bytes(model_dir / WEIGHTS_NAME) + OVERHEAD
    return Footprint(weights, activation_bytes(empty))


def weights_bytes(path: Path) -> int:
    """The bytes of all tensors in a safetensors file, by its header.

    Format: huggingface.co/docs/safetensors, "Format".

    Raises:
        ArtifactError: the header is none, or tells another length than the file's.
    """
    try:
        with path.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if length > MAX_HEADER_BYTES:
                raise ValueError(f"a header of {length} bytes")
            header = json.loads(stream.read(length))
        ends = [value["data_offsets"][1] for name, value in header.items() if name[:2] != "__"]
        told = max(ends, default=0)
        if path.stat().st_size != 8 + length + told:
            raise ValueError("another length than its header tells")
    except (OSError, ValueError, TypeError, KeyError, IndexError, AttributeError) as cause:
        raise ArtifactError(
            f"{path} is no file of weights: {cause}.", "It is truncated or damaged; copy it again."
        ) from cause
    return int(told)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there was no memory; torch has one more for processors."""
    torch = sys.modules.get("torch")
    if isinstance(error, MemoryError) or (torch and isinstance(error, torch.OutOfMemoryError)):
        return True
    words = ("can't allocate memory", "bad_alloc")  # torch's and OpenVINO's
    return isinstance(error, RuntimeError) and any(word in str(error) for word in words)
