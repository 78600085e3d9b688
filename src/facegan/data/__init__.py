"""From pictures on a disk to batches in memory; knows nothing of networks."""

from facegan.data.dataset import Dataset, order_of, random_numbers, reading_order, to_float
from facegan.data.image_folder import ImageFolderDataset
from facegan.data.mirroring import mirror_rows, mirroring
from facegan.data.opening import open_dataset
from facegan.data.packed import PackedDataset

__all__ = [
    "Dataset",
    "ImageFolderDataset",
    "PackedDataset",
    "mirror_rows",
    "mirroring",
    "open_dataset",
    "order_of",
    "random_numbers",
    "reading_order",
    "to_float",
]
