"""Data sets: from images on a disk to batches in memory. Imports nothing about networks."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from facegan.data.dataset import Dataset, order_of, random_numbers, reading_order, to_float
    from facegan.data.image_folder import ImageFolderDataset
    from facegan.data.mirroring import mirror_rows, mirrored_in_step
    from facegan.data.opening import open_dataset
    from facegan.data.packed import PackedDataset

__all__ = [
    "Dataset",
    "ImageFolderDataset",
    "PackedDataset",
    "mirror_rows",
    "mirrored_in_step",
    "open_dataset",
    "order_of",
    "random_numbers",
    "reading_order",
    "to_float",
]
MODULES = {  # imported on first use: `data.prepare` works without torch
    "ImageFolderDataset": "image_folder",
    "PackedDataset": "packed",
    "mirror_rows": "mirroring",
    "mirrored_in_step": "mirroring",
    "open_dataset": "opening",
}


def __getattr__(name: str) -> Any:
    """Import the module that defines a public name."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"facegan.data.{MODULES.get(name, 'dataset')}"), name)
