"""A model's files, to be packed and changed."""

from pathlib import Path

import pytest

from facegan.model_files import CARD_NAME, WEIGHTS_NAME


@pytest.fixture
def files(model_dir: Path) -> dict[str, bytes]:
    """The weights come first, as they did in every archive before the card was put there."""
    return {name: (model_dir / name).read_bytes() for name in (WEIGHTS_NAME, CARD_NAME)}
