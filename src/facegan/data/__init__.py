"""From pictures on a disk to batches in memory; knows nothing of networks."""

from facegan.data.dataset import Dataset, order_of, random_numbers, to_float
from facegan.data.image_folder import ImageFolderDataset

__all__ = ["Dataset", "ImageFolderDataset", "order_of", "random_numbers", "to_float"]
