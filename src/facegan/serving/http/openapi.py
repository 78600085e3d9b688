"""Builds the OpenAPI 3.1 document from the models and tables that answer the requests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, Field
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from facegan import __version__
from facegan.errors import FaceGANError
from facegan.model_files import ModelCard
from facegan.serving.limits import ServingLimits
from facegan.wire import CSV, JSON, JSON_LINES, NPY, REQUEST_TYPES, ZIP, GenerateRequest
from facegan.wire.image_codecs import IMAGE_CODECS

REFS = "#/components/schemas/{model}"
Json = dict[str, Any]
Statuses = Mapping[type[FaceGANError], int]


class Refused(BaseModel):
    """Every error reply, whatever type was requested."""

    error: str = Field(description="The error's class.", examples=["RequestError"])
    message: str = Field(examples=["seeds[1]: must be a whole number, not the text 'a'."])
    hint: str = Field(examples=['Example: {"seeds": [1, 2, 3], "truncation_psi": 1.0}'])


class DrawnFace(BaseModel):
    """One face of a JSON reply."""

    seed: int | None = Field(description="null if drawn from a latent.", examples=[7])
    class_name: str | None = Field(
        alias="class", description="null if the model has no classes.", examples=["long"]
    )
    png: str = Field(description="A PNG in base64.", examples=["iVBORw0KGgo="])


class DrawnFaces(BaseModel):
    """A JSON reply."""

    images: list[DrawnFace]
    model: dict[str, Any] = Field(examples=[{"family": "dcgan", "truncation_psi": 1.0}])


class ExecutionParameters(BaseModel):
    """SageMaker batch transform's parameters."""

    MaxConcurrentTransforms: int = Field(ge=1, examples=[16])
    BatchStrategy: str = Field(examples=["SINGLE_RECORD"])
    MaxPayloadInMB: int = Field(ge=1, examples=[6])


class Schemas(GenerateJsonSchema):
    """JSON schemas of our models; an array of latents is a list of lists in JSON."""

    def is_instance_schema(self, schema: core_schema.IsInstanceSchema) -> JsonSchemaValue:
        """Return the schema of latents, the only NumPy array."""
        row = {"type": "array", "items": {"type": "number"}, "minItems": 1}
        return {"type": "array", "items": row, "minItems": 1}


MODELS: tuple[type[BaseModel], ...] = (GenerateRequest, Refused, DrawnFaces, ExecutionParameters)
REQUEST_ID = {
    "X-Request-Id": {
        "description": "Ties the reply to its line in the log; the caller's own, if it sent one.",
        "schema": {"type": "string"},
    }
}


@dataclass(frozen=True)
class ServiceInfo:
    """What is known of a served model, or of all models of a server.

    Attributes:
        description: One sentence.
        latent_dim: The width of latents; None if it is unknown, or differs between models.
        reads_lines: Whether a body of JSON Lines holds many requests.
        reads: Whether requests are parsed by this package, and not by custom code.
        writes: Whether replies are encoded by this package, and not by custom code.
        may_differ: Whether some models may have custom code.
    """

    description: str
    latent_dim: int | None = None
    reads_lines: bool = True
    reads: bool = True
    writes: bool = True
    may_differ: bool = False

    @property
    def is_ours(self) -> bool:
        """Whether no custom code takes part."""
        return self.reads and self.writes and self.reads_lines and not self.may_differ


def info_of_card(card: ModelCard) -> ServiceInfo:
    """Return the info of a model without custom code."""
    size = f"{card.resolution} x {card.resolution}"
    return ServiceInfo(f"A {card.family} that draws faces of {size} pixels.", card.latent_dim)


def openapi_document(info: ServiceInfo, limits: ServingLimits, statuses: Statuses) -> Json:
    """Return the document of a server of one model (spec.openapis.org/oas/v3.1.0)."""
    paths = {"/invocations": {"post": invocations(info, limits, statuses)}}
    return document(info.description, paths, statuses)


def document(
    description: str, paths: Json, statuses: Statuses, models: Sequence[type[BaseModel]] = ()
) -> Json:
    """Return a document of the given routes and those that every server has."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "facegan", "version": __version__, "description": description},
        "paths": {
            "/ping": {"get": ping(statuses)},
            **paths,
            "/execution-parameters": {
                "get": answer("For batch transform.", reference("ExecutionParameters"))
            },
            "/metrics": {"get": answer("Metrics for Prometheus.", media_type="text/plain")},
            "/openapi.json": {"get": answer("This document.")},
            "/": {"get": answer("What is served, and examples of requests.")},
        },
        "components": {"schemas": schemas([*MODELS, *models])},
    }


def schemas(models: Sequence[type[BaseModel]]) -> Json:
    """Return the models' schemas by name, with those they refer to."""
    found: Json = {}
    for model in models:
        schema = model.model_json_schema(ref_template=REFS, schema_generator=Schemas)
        found |= schema.pop("$defs", {})
        found[model.__name__] = schema
    return found


def reference(name: str) -> Json:
    """Return a reference to a schema."""
    return {"$ref": REFS.format(model=name)}


def reply(description: str, content: Json | None = None) -> Json:
    """Return a reply with the header that all replies have."""
    return {"description": description, "headers": REQUEST_ID} | (
        {"content": content} if content else {}
    )


def answer(description: str, schema: Json | None = None, media_type: str = JSON) -> Json:
    """Return a GET and its reply."""
    schema = schema or {"type": "object" if media_type == JSON else "string"}
    replies = {"200": reply(description, {media_type: {"schema": schema}})}
    return {"summary": description, "responses": replies}


def ping(statuses: Statuses) -> Json:
    """Return SageMaker's health check."""
    replies = {"200": reply("Ready.")}
    if 503 in statuses.values():
        replies["503"] = reply("Not ready, broken, or stopping.")
    return {"summary": "Whether requests are answered.", "responses": replies}


def invocations(info: ServiceInfo, limits: ServingLimits, statuses: Statuses) -> Json:
    """Return the POST that draws images."""
    return {
        "summary": "Draw faces.",
        "description": f"At most {limits.max_images} images, and {limits.max_body_bytes:,} bytes "
        "either way.",
        "parameters": [
            header("X-Request-Id", "A name for the request.", 128),
            header("X-Amzn-SageMaker-Custom-Attributes", "Returned unchanged.", 1024),
        ],
        "requestBody": {"required": True, "content": read_types(info)},
        "responses": {
            "200": reply("Faces.", written_types(info)),
            **refusals(statuses, info),
        },
    }


def read_types(info: ServiceInfo) -> Json:
    """Return the content types of requests."""
    types = [x for x in REQUEST_TYPES if info.reads_lines or x != JSON_LINES] if info.reads else []
    content = {name: request_media(name, info.latent_dim) for name in types}
    own = {"*/*": {"schema": {"description": "What the model's own input_fn reads."}}}
    return content | ({} if info.reads and not info.may_differ else own)


def written_types(info: ServiceInfo) -> Json:
    """Return the content types of replies."""
    content = {name: reply_media(name) for name in IMAGE_CODECS} if info.writes else {}
    own = {"*/*": {"schema": {"description": "What the model's own output_fn writes."}}}
    return content | ({} if info.writes and not info.may_differ else own)


def header(name: str, description: str, length: int) -> Json:
    """Return a header that a request may have."""
    schema = {"type": "string", "maxLength": length}
    return {"name": name, "in": "header", "description": description, "schema": schema}


def request_media(content_type: str, latent_dim: int | None) -> Json:
    """Return one content type of requests, with an example if it is text."""
    if content_type == JSON:
        example = {"seeds": [1, 2, 3, 4]}
        return {"schema": reference("GenerateRequest"), "example": example}
    if content_type == JSON_LINES:
        text = "One request per line, answered with one line each, in order; errors too."
        schema = {"type": "string", "description": text}
        return {"schema": schema, "example": '{"seeds": [1]}\n{"seeds": [2, 3]}\n'}
    width = latent_dim or "the model's width"
    if content_type == CSV:
        text = f"One latent per line: {width} numbers, separated by commas."
        media: Json = {"schema": {"type": "string", "description": text}}
        return media | ({"example": ",".join(["0.5"] * latent_dim)} if latent_dim else {})
    return {"schema": binary(content_type, f"Latents (N, {width}), written by numpy.save.")}


REPLIES = {  # where the type's name does not say what it holds
    JSON_LINES: "One object per face, each sent as soon as it is drawn.",
    NPY: "uint8 images (N, H, W, 3), for numpy.load.",
    ZIP: "One PNG per face, and provenance.json.",
}


def reply_media(content_type: str) -> Json:
    """Return one content type of replies."""
    if content_type == JSON:
        return {"schema": reference("DrawnFaces")}
    text = REPLIES.get(content_type, "One face, or all of them in one image, depending on layout.")
    return {"schema": binary(content_type, text)}


def binary(content_type: str, description: str) -> Json:
    """Return the schema of bytes, which have no examples in JSON."""
    return {"type": "string", "contentMediaType": content_type, "description": description}


def refusals(statuses: Statuses, info: ServiceInfo) -> Json:
    """Return every status of the table, described by its error classes' docstrings."""
    found: dict[int, list[str]] = {}
    for cls, status in statuses.items():
        found.setdefault(status, []).append((cls.__doc__ or "").splitlines()[0])
    content = {JSON: {"schema": reference("Refused")}}
    ours = {str(status): reply(" ".join(docs), content) for status, docs in sorted(found.items())}
    own = {"default": reply("An error of the model's own code, with its status.", content)}
    return ours if info.is_ours else ours | own
