"""gunicorn's settings in the container; their reasons are in serving/gunicorn_settings.py."""

import os

from facegan.environment import ServingEnvironment
from facegan.serving.gunicorn_settings import gunicorn_settings

here = ServingEnvironment.from_mapping(os.environ)
log_format = here.log_format or "json"  # for CloudWatch, which reads its fields
globals().update(gunicorn_settings(here.host, here.port, here.threads, log_format, here.log_level))
