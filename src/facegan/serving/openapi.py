"""The OpenAPI 3.1 document, made of the same models and tables that answer the requests."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, Field
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from facegan import __version__
from facegan.errors import FaceGANError
from facegan.model_files import ModelCard
from facegan.serving.limits import ServingLimits
from facegan.wire import CSV, JSON, JSON_LINES, REQUEST_TYPES, GenerateRequest
from facegan.wire.image_codecs import IMAGE_CODECS

REFS = "#/components/schemas/{model}"
Json = dict[str, Any]


class Refused(BaseModel):
    """Every refusal, whatever was asked for."""

    error: str = Field(description="Its class.", examples=["RequestError"])
    message: str = Field(examples=["seeds[1]: input should be a valid integer."])
    hint: str = Field(examples=['Example: {"seeds": [1, 2, 3], "truncation_psi": 1.0}'])


class DrawnFace(BaseModel):
    """One face of a JSON reply."""

    seed: int | None = Field(description="None where it was drawn from a latent.", examples=[7])
    class_name: str | None = Field(
        alias="class", description="None where the model knows no classes.", examples=["long"]
    )
    png: str = Field(description="A PNG in base64.", examples=["iVBORw0KGgo="])


class DrawnFaces(BaseModel):
    """A JSON reply."""

    images: list[DrawnFace]
    model: dict[str, Any] = Field(examples=[{"family": "dcgan", "truncation_psi": 1.0}])


class ExecutionParameters(BaseModel):
    """What SageMaker's batch transform asks."""

    MaxConcurrentTransforms: int = Field(ge=1, examples=[16])
    BatchStrategy: str = Field(examples=["SINGLE_RECORD"])
    MaxPayloadInMB: int = Field(ge=1, examples=[6])


class Schemas(GenerateJsonSchema):
    """JSON schemas of our models; an array of numbers is a list of lists on the wire."""

    def is_instance_schema(self, schema: core_schema.IsInstanceSchema) -> JsonSchemaValue:
        """The latents."""
        row = {"type": "array", "items": {"type": "number"}, "minItems": 1}
        return {"type": "array", "items": row, "minItems": 1}


MODELS: tuple[type[BaseModel], ...] = (GenerateRequest, Refused, DrawnFaces, ExecutionParameters)
REQUEST_ID = {
    "X-Request-Id": {
        "description": "Ties the reply to its line in the log; the caller's own, if it sent one.",
        "schema": {"type": "string"},
    }
}


def openapi_document(
    card: ModelCard, limits: ServingLimits, statuses: Mapping[type[FaceGANError], int]
) -> Json:
    """The document (spec.openapis.org/oas/v3.1.0).

    Args:
        card: The model's.
        limits: What one request may cost.
        statuses: The table from error class to status.
    """
    told = f"A {card.family} that draws faces of {card.resolution} x {card.resolution} pixels."
    return {
        "openapi": "3.1.0",
        "info": {"title": "facegan", "version": __version__, "description": told},
        "paths": {
            "/ping": {"get": ping(statuses)},
            "/invocations": {"post": invocations(card, limits, statuses)},
            "/execution-parameters": {"get": answer("ExecutionParameters", "For batch transform.")},
            "/metrics": {"get": text("Prometheus' metrics.")},
            "/openapi.json": {"get": answer(None, "This document.")},
            "/": {"get": answer(None, "What is served, and how to ask for it.")},
        },
        "components": {"schemas": schemas()},
    }


def schemas() -> Json:
    """The models' schemas by name, those they refer to included."""
    found: Json = {}
    for model in MODELS:
        schema = model.model_json_schema(ref_template=REFS, schema_generator=Schemas)
        found |= schema.pop("$defs", {})
        found[model.__name__] = schema
    return found


def reference(name: str) -> Json:
    """A schema by its name."""
    return {"$ref": REFS.format(model=name)}


def reply(description: str, content: Json | None = None) -> Json:
    """A reply, with the header that all have."""
    return {"description": description, "headers": REQUEST_ID} | (
        {"content": content} if content else {}
    )


def answer(model: str | None, description: str) -> Json:
    """A GET that is answered with JSON."""
    schema = reference(model) if model else {"type": "object"}
    return {
        "summary": description,
        "responses": {"200": reply(description, {JSON: {"schema": schema}})},
    }


def text(description: str) -> Json:
    """A GET that is answered with text."""
    content = {"text/plain": {"schema": {"type": "string"}}}
    return {"summary": description, "responses": {"200": reply(description, content)}}


def ping(statuses: Mapping[type[FaceGANError], int]) -> Json:
    """SageMaker's health check."""
    replies = {"200": reply("Ready.")}
    if 503 in statuses.values():
        replies["503"] = reply("Not ready, broken, or about to end.")
    return {"summary": "Whether requests are answered.", "responses": replies}


def invocations(
    card: ModelCard, limits: ServingLimits, statuses: Mapping[type[FaceGANError], int]
) -> Json:
    """The faces."""
    return {
        "summary": "Draw faces.",
        "description": f"At most {limits.max_images} images, and {limits.max_body_bytes:,} bytes "
        "either way.",
        "parameters": [
            header("X-Request-Id", "A name for the request.", 128),
            header("X-Amzn-SageMaker-Custom-Attributes", "Sent back as it is.", 1024),
        ],
        "requestBody": {
            "required": True,
            "content": {name: request_media(name, card) for name in REQUEST_TYPES},
        },
        "responses": {
            "200": reply("Faces.", {name: reply_media(name) for name in IMAGE_CODECS}),
            **refusals(statuses),
        },
    }


def header(name: str, description: str, length: int) -> Json:
    """A header that a caller may send."""
    schema = {"type": "string", "maxLength": length}
    return {"name": name, "in": "header", "description": description, "schema": schema}


def request_media(content_type: str, card: ModelCard) -> Json:
    """How a request is written as one content type, with an example where it is text."""
    if content_type == JSON:
        example = {"seeds": [1, 2, 3, 4]}
        return {"schema": reference("GenerateRequest"), "example": example}
    if content_type == JSON_LINES:
        return {"schema": {"type": "string"}, "example": '{"seeds": [1]}\n{"seeds": [2, 3]}\n'}
    if content_type == CSV:
        return {"schema": {"type": "string"}, "example": ",".join(["0.5"] * card.latent_dim)}
    return {"schema": {"type": "string", "contentMediaType": content_type}}


def reply_media(content_type: str) -> Json:
    """How faces are written as one content type."""
    if content_type == JSON:
        return {"schema": reference("DrawnFaces")}
    return {"schema": {"type": "string", "contentMediaType": content_type}}


def refusals(statuses: Mapping[type[FaceGANError], int]) -> Json:
    """Every status of the table, with what it means: its classes' own words."""
    found: dict[int, list[str]] = {}
    for cls, status in statuses.items():
        found.setdefault(status, []).append((cls.__doc__ or "").splitlines()[0])
    content = {JSON: {"schema": reference("Refused")}}
    return {str(status): reply(" ".join(told), content) for status, told in sorted(found.items())}
