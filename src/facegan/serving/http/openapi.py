"""The OpenAPI 3.1 document, made of the same models and tables that answer the requests."""

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
    """Every refusal, whatever was asked for."""

    error: str = Field(description="Its class.", examples=["RequestError"])
    message: str = Field(examples=["seeds[1]: must be a whole number, not the text 'a'."])
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


@dataclass(frozen=True)
class ServiceInfo:
    """What is known of whoever answers requests, a model's own code included.

    Attributes:
        told: What it is, in a sentence.
        latent_dim: The width of latents; None where it is not known, or differs.
        reads_lines: Whether a body of JSON Lines is many requests.
        reads: Whether requests are ours to read; if not, any type may be read, or none.
        writes: Whether replies are ours to write.
        may_differ: Whether our types are those of some models, and others have their own.
    """

    told: str
    latent_dim: int | None = None
    reads_lines: bool = True
    reads: bool = True
    writes: bool = True
    may_differ: bool = False

    @property
    def is_ours(self) -> bool:
        """Whether nothing but our code answers."""
        return self.reads and self.writes and self.reads_lines and not self.may_differ


def info_of_card(card: ModelCard) -> ServiceInfo:
    """The info of a model of ours."""
    told = f"A {card.family} that draws faces of {card.resolution} x {card.resolution} pixels."
    return ServiceInfo(told, card.latent_dim)


def openapi_document(info: ServiceInfo, limits: ServingLimits, statuses: Statuses) -> Json:
    """The document of a server of one model (spec.openapis.org/oas/v3.1.0).

    Args:
        info: Who answers.
        limits: What one request may cost.
        statuses: The table from error class to status.
    """
    paths = {"/invocations": {"post": invocations(info, limits, statuses)}}
    return document(info.told, paths, statuses)


def document(
    told: str, paths: Json, statuses: Statuses, models: Sequence[type[BaseModel]] = ()
) -> Json:
    """A document of some routes, and of those that every server has."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "facegan", "version": __version__, "description": told},
        "paths": {
            "/ping": {"get": ping(statuses)},
            **paths,
            "/execution-parameters": {"get": answer("ExecutionParameters", "For batch transform.")},
            "/metrics": {"get": text("Prometheus' metrics.")},
            "/openapi.json": {"get": answer(None, "This document.")},
            "/": {"get": answer(None, "What is served, and how to ask for it.")},
        },
        "components": {"schemas": schemas([*MODELS, *models])},
    }


def schemas(models: Sequence[type[BaseModel]]) -> Json:
    """The models' schemas by name, those they refer to included."""
    found: Json = {}
    for model in models:
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


def ping(statuses: Statuses) -> Json:
    """SageMaker's health check."""
    replies = {"200": reply("Ready.")}
    if 503 in statuses.values():
        replies["503"] = reply("Not ready, broken, or about to end.")
    return {"summary": "Whether requests are answered.", "responses": replies}


def invocations(info: ServiceInfo, limits: ServingLimits, statuses: Statuses) -> Json:
    """The faces."""
    return {
        "summary": "Draw faces.",
        "description": f"At most {limits.max_images} images, and {limits.max_body_bytes:,} bytes "
        "either way.",
        "parameters": [
            header("X-Request-Id", "A name for the request.", 128),
            header("X-Amzn-SageMaker-Custom-Attributes", "Sent back as it is.", 1024),
        ],
        "requestBody": {"required": True, "content": read_types(info)},
        "responses": {
            "200": reply("Faces.", written_types(info)),
            **refusals(statuses, info),
        },
    }


def read_types(info: ServiceInfo) -> Json:
    """How requests are written."""
    types = [x for x in REQUEST_TYPES if info.reads_lines or x != JSON_LINES] if info.reads else []
    content = {name: request_media(name, info.latent_dim) for name in types}
    own = {"*/*": {"schema": {"description": "Whatever the model's own input_fn reads."}}}
    return content | ({} if info.reads and not info.may_differ else own)


def written_types(info: ServiceInfo) -> Json:
    """How replies are written."""
    content = {name: reply_media(name) for name in IMAGE_CODECS} if info.writes else {}
    own = {"*/*": {"schema": {"description": "Whatever the model's own output_fn writes."}}}
    return content | ({} if info.writes and not info.may_differ else own)


def header(name: str, description: str, length: int) -> Json:
    """A header that a caller may send."""
    schema = {"type": "string", "maxLength": length}
    return {"name": name, "in": "header", "description": description, "schema": schema}


def request_media(content_type: str, latent_dim: int | None) -> Json:
    """How a request is written as one content type, with an example where it is text."""
    if content_type == JSON:
        example = {"seeds": [1, 2, 3, 4]}
        return {"schema": reference("GenerateRequest"), "example": example}
    if content_type == JSON_LINES:
        told = "A request a line; answered line by line, in order, a wrong line as such."
        schema = {"type": "string", "description": told}
        return {"schema": schema, "example": '{"seeds": [1]}\n{"seeds": [2, 3]}\n'}
    width = latent_dim or "the model's width"
    if content_type == CSV:
        told = f"A latent a line: {width} numbers, parted by commas."
        media: Json = {"schema": {"type": "string", "description": told}}
        return media | ({"example": ",".join(["0.5"] * latent_dim)} if latent_dim else {})
    return {"schema": binary(content_type, f"What numpy.save writes of latents (N, {width}).")}


REPLIES = {  # what each type holds, where its name does not say it
    JSON_LINES: "An object a face, each sent as soon as it is drawn.",
    NPY: "uint8 images (N, H, W, 3), as numpy.load reads them.",
    ZIP: "A PNG a face, and provenance.json.",
}


def reply_media(content_type: str) -> Json:
    """How faces are written as one content type."""
    if content_type == JSON:
        return {"schema": reference("DrawnFaces")}
    told = REPLIES.get(content_type, "A face, or all of them in one picture, as layout says.")
    return {"schema": binary(content_type, told)}


def binary(content_type: str, told: str) -> Json:
    """The schema of bytes; JSON has no examples of those."""
    return {"type": "string", "contentMediaType": content_type, "description": told}


def refusals(statuses: Statuses, info: ServiceInfo) -> Json:
    """Every status of the table, with what it means: its classes' own words."""
    found: dict[int, list[str]] = {}
    for cls, status in statuses.items():
        found.setdefault(status, []).append((cls.__doc__ or "").splitlines()[0])
    content = {JSON: {"schema": reference("Refused")}}
    told = {str(status): reply(" ".join(words), content) for status, words in sorted(found.items())}
    own = {"default": reply("A refusal of the model's own code, with its status.", content)}
    return told if info.is_ours else told | own
