"""gunicorn's settings in the container; their reasons are in serving/http/gunicorn_settings.py."""

import os
import sys

from facegan.environment import ServingEnvironment
from facegan.errors import ConfigError
from facegan.serving.http.gunicorn_settings import gunicorn_settings

try:
    here = ServingEnvironment.from_mapping(os.environ)
except ConfigError as error:  # gunicorn would show a trace
    sys.exit(f"Error: {error}")
log_format = here.log_format or "json"  # for CloudWatch, which reads its fields
globals().update(gunicorn_settings(here.host, here.port, here.threads, log_format, here.log_level))
