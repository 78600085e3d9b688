"""The app that gunicorn's worker loads: what SageMaker unpacked, one model or many, behind HTTP."""

import os

import flask

from facegan.environment import ServingEnvironment
from facegan.serving.app import create_app
from facegan.serving.limits import ServingLimits
from facegan.serving.memory import model_memory
from facegan.serving.model_routes import create_models_app
from facegan.serving.models import ModelRegistry
from facegan.serving.served import ServingSettings, open_model, settings_of_many


def app_of(here: ServingEnvironment) -> flask.Flask:
    """The app that an environment asks for."""
    limits = ServingLimits(max_images=here.max_images, max_body_bytes=here.max_body_bytes)
    settings = ServingSettings(limits, here.default_accept, own_code=here.own_code)
    if not here.is_multi_model:
        return create_app(open_model(here.model_dir, settings), limits=limits)
    many = settings_of_many(settings)
    registry = ModelRegistry(
        here.models_dir,
        lambda folder: open_model(folder, many),
        budget=here.model_memory_bytes or model_memory(),
        is_evicting=here.is_evicting,
    )
    return create_models_app(registry, limits=limits)


app = app_of(ServingEnvironment.from_mapping(os.environ))
