"""The embedded data set: synthetic cartoon faces, drawn from nothing but numbers."""

from facegan.data.toy_faces.canvas import LABELS
from facegan.data.toy_faces.factors import FACTORS
from facegan.data.toy_faces.render import draw_faces
from facegan.data.toy_faces.write import write_toy_faces

__all__ = ["FACTORS", "LABELS", "draw_faces", "write_toy_faces"]
