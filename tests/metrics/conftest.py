"""A small extractor in place of the real one of 17 MB."""

import pytest
from noise import Pooled

from facegan.metrics import Extractor


@pytest.fixture
def pooled() -> Extractor:
    """Return an extractor with the embedded one's name."""
    return Extractor("lite0", Pooled(), 12, "none", "0" * 64)
