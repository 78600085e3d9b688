"""A stand-in for an extractor of 17 MB."""

import pytest
from noise import Pooled

from facegan.metrics import Extractor


@pytest.fixture
def pooled() -> Extractor:
    """It takes the name of the embedded one."""
    return Extractor("lite0", Pooled(), 12, "none", "0" * 64)
