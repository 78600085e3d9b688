"""Opens and verifies a run's images, with progress bars."""

from typing import Any

from tqdm import tqdm

from facegan.training.data_source import DataSource
from facegan.training.distributed.dataset import open_on_all
from facegan.training.distributed.process_group import SINGLE_PROCESS, ProcessGroup
from facegan.training.verified import VerifiedData


def open_dataset(
    source: DataSource,
    resolution: int,
    labels_from: str = "manifest",
    group: ProcessGroup = SINGLE_PROCESS,
    split: str | None = None,
) -> Any:
    """Open the images, with a progress bar for the decoding in the main process."""
    hidden = None if group.is_main_process else True  # None: shown in a terminal
    with tqdm(desc="Reading images", unit="img", disable=hidden) as bar:
        return open_on_all(
            group,
            source.folder,
            resolution,
            bar.update,
            labels_from,
            split,
            source.open_file,
        )


def verify(dataset: Any, verified: VerifiedData) -> None:
    """Verify the digests of packed images with a progress bar, unless that was done before."""
    with tqdm(desc="Checking images", unit="img", disable=None, delay=1, leave=False) as bar:
        verified.check(dataset, bar.update)
