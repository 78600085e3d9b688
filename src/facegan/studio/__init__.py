"""A local web page to browse and morph the images of any endpoint.

Importing this package does not import Gradio; ``facegan.studio.page`` does.
"""

from facegan.studio.model_info import ModelInfo, fetch_model_info
from facegan.studio.quiz import RealImages
from facegan.studio.saved_image import GenerationOptions, SavedImage
from facegan.studio.studio import Studio
from facegan.studio.timeout_transport import TimeoutTransport

__all__ = [
    "GenerationOptions",
    "ModelInfo",
    "RealImages",
    "SavedImage",
    "Studio",
    "TimeoutTransport",
    "fetch_model_info",
]
