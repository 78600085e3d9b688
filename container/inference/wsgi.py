"""The app that gunicorn's worker loads: the model that SageMaker unpacked, behind HTTP."""

import os

from facegan.artifact import load_artifact
from facegan.environment import ServingEnvironment
from facegan.serving.app import create_app
from facegan.serving.cores import usable_cores
from facegan.serving.limits import ServingLimits
from facegan.synthesis import Engine, Synthesizer, use_at_most

here = ServingEnvironment.from_mapping(os.environ)
use_at_most(usable_cores())
app = create_app(
    Synthesizer(load_artifact(here.model_dir), Engine.choose(here.device, here.precision)),
    limits=ServingLimits(
        max_images=here.max_images,
        max_body_bytes=here.max_body_bytes,
        max_waiting_requests=here.max_waiting_requests,
    ),
    default_accept=here.default_accept,
    threads=here.threads,
    emf=here.emf,
)
