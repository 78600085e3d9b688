"""The app that gunicorn's worker loads: what SageMaker unpacked, one model or many, behind HTTP."""

import os

from facegan.environment import ServingEnvironment
from facegan.serving.start import app_of

app = app_of(ServingEnvironment.from_mapping(os.environ))
