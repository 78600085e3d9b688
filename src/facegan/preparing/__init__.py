"""From pictures anywhere to a packed data set: decoded, cropped, resized and counted, once."""

from facegan.preparing.checking import Checked, check
from facegan.preparing.crops import CROPS
from facegan.preparing.merging import merge
from facegan.preparing.pipeline import prepare
from facegan.preparing.sampling import sample
from facegan.preparing.sources import StreamSource

__all__ = ["CROPS", "Checked", "StreamSource", "check", "merge", "prepare", "sample"]
