"""The app that gunicorn's worker loads: what SageMaker unpacked, one model or many, behind HTTP."""

import os

from gunicorn.errors import AppImportError

from facegan.environment import ServingEnvironment
from facegan.errors import FaceGANError
from facegan.gpu_check import require_visible_gpu
from facegan.serving.start import app_of

try:
    here = ServingEnvironment.from_mapping(os.environ)
    if here.device == "auto":
        require_visible_gpu(os.environ, here.instance_type, "the variable FACEGAN_DEVICE=cpu")
    app = app_of(here)
except FaceGANError as error:  # gunicorn ends with the sentence, without a trace
    raise AppImportError(f"Error: {error}") from error
