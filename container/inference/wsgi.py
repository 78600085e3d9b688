"""The app that gunicorn's worker loads: the model that SageMaker unpacked, behind HTTP."""

import os

from facegan.artifact import load_artifact
from facegan.environment import ServingEnvironment
from facegan.serving.app import create_app
from facegan.serving.limits import ServingLimits
from facegan.synthesis import Synthesizer

here = ServingEnvironment.from_mapping(os.environ)
app = create_app(
    Synthesizer(load_artifact(here.model_dir)),
    limits=ServingLimits(max_images=here.max_images, max_body_bytes=here.max_body_bytes),
    default_accept=here.default_accept,
    threads=here.threads,
    emf=here.emf,
)
