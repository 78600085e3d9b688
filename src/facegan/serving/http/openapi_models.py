"""Builds the OpenAPI document of a server of many models (SageMaker's multi-model contract)."""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field

from facegan.errors import FaceGANError
from facegan.serving.http.openapi import MODELS as BASE_MODELS
from facegan.serving.http.openapi import (
    Json,
    ServiceInfo,
    document,
    invocations,
    reference,
    refusals,
    reply,
)
from facegan.serving.limits import ServingLimits
from facegan.wire import JSON

# Any model; each may have custom code.
ANY_MODEL = ServiceInfo(
    "Many models that draw faces, loaded while the server runs.", may_differ=True
)


class LoadModel(BaseModel):
    """A model to load."""

    model_config = ConfigDict(protected_namespaces=())

    model_name: str = Field(min_length=1, description="Opaque.", examples=["faces"])
    url: str = Field(description="Its folder.", examples=["/opt/ml/models/faces/model"])


class LoadedModel(BaseModel):
    """A model that is loaded."""

    name: str = Field(alias="modelName", examples=["faces"])
    url: str = Field(alias="modelUrl", examples=["/opt/ml/models/faces/model"])


class LoadedModels(BaseModel):
    """One page of loaded models."""

    models: list[LoadedModel]
    token: str | None = Field(
        default=None, alias="nextPageToken", description="Absent on the last page."
    )


class UnloadedModel(BaseModel):
    """A model that was unloaded."""

    name: str = Field(alias="modelName", examples=["faces"])


MODELS: tuple[type[BaseModel], ...] = (
    *BASE_MODELS,
    LoadModel,
    LoadedModel,
    LoadedModels,
    UnloadedModel,
)
NAME = {"name": "model_name", "in": "path", "required": True, "schema": {"type": "string"}}


def openapi_of_models(limits: ServingLimits, statuses: Mapping[type[FaceGANError], int]) -> Json:
    """Return the document; docs.aws.amazon.com/sagemaker, "Custom Containers Contract"."""
    refused = refusals(statuses, ANY_MODEL)

    def route(summary: str, model: type[BaseModel], **more: object) -> Json:
        content = {JSON: {"schema": reference(model.__name__)}}
        return {
            "summary": summary,
            "responses": {"200": reply(summary, content), **refused},
            **more,
        }

    body = {"required": True, "content": {JSON: {"schema": reference(LoadModel.__name__)}}}
    paging = [
        query("limit", "1 to 1000; 100 by default."),
        query("next_page_token", "From the previous page."),
    ]
    paths = {
        "/models": {
            "get": route("The models that are loaded.", LoadedModels, parameters=paging),
            "post": route("Load a model.", LoadedModel, requestBody=body),
        },
        "/models/{model_name}": {
            "parameters": [NAME],
            "get": route("One model.", LoadedModel),
            "delete": route("Unload a model.", UnloadedModel),
        },
        "/models/{model_name}/invoke": {
            "parameters": [NAME],
            "post": invocations(ANY_MODEL, limits, statuses),
        },
    }
    return document(ANY_MODEL.description, paths, MODELS)


def query(name: str, description: str) -> Json:
    """Return an optional query parameter."""
    return {"name": name, "in": "query", "description": description, "schema": {"type": "string"}}
