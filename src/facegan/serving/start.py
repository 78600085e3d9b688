"""Builds the app for an environment, with one model or many; for containers and `facegan serve`."""

from pathlib import Path

import flask

from facegan.environment import ServingEnvironment
from facegan.serving.custom_code.script import has_script
from facegan.serving.http.app import create_app
from facegan.serving.http.model_routes import create_models_app
from facegan.serving.limits import ServingLimits
from facegan.serving.model.cores import usable_cores
from facegan.serving.model.loading import load_within
from facegan.serving.model.memory import model_memory
from facegan.serving.model.registry import ModelRegistry
from facegan.serving.model.served_model import ServingSettings, open_model, settings_of_many
from facegan.synthesis import BackendConfig, estimate_memory


def app_of(here: ServingEnvironment) -> flask.Flask:
    """Return the WSGI app of an environment: of one model, or of many, loaded while it runs."""
    limits = ServingLimits(**here.limits)
    settings = ServingSettings(
        limits,
        here.default_accept,
        backend_config=BackendConfig(here.backend, here.device, here.precision, usable_cores()),
        own_code=here.own_code,
    )
    if here.is_multi_model:
        registry = registry_of(here, settings)
        return create_models_app(registry, limits=limits, threads=here.threads, emf=here.emf)
    served = load_within(
        load_seconds(here, here.model_dir),
        f"The model in {here.model_dir}",
        lambda: open_model(here.model_dir, settings),
    )
    return create_app(served, limits=limits, threads=here.threads, emf=here.emf)


def registry_of(here: ServingEnvironment, settings: ServingSettings) -> ModelRegistry:
    """Return the registry of many models."""
    many = settings_of_many(settings)
    return ModelRegistry(
        here.models_dir,
        lambda folder: open_model(folder, many),
        size_of=lambda folder: estimate_memory(folder, many.backend_config),
        seconds_of=lambda folder: load_seconds(here, folder),
        budget=here.model_memory_bytes or model_memory(),
        is_evicting=here.is_evicting,
        max_users=settings.limits.max_waiting_requests,
    )


def load_seconds(here: ServingEnvironment, model_dir: Path) -> float | None:
    """Return how long a model may take to load; None (unlimited) with custom code."""
    return None if has_script(model_dir) else float(here.load_seconds)
