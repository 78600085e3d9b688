"""What crosses HTTP: requests, images, and the tables that both ends read."""

from facegan.wire.content_types import CSV, JSON, NPY, PNG
from facegan.wire.generate_request import GenerateRequest
from facegan.wire.image_codecs import (
    IMAGE_CODECS,
    Face,
    decode_faces,
    decode_images,
    encode_images,
)
from facegan.wire.negotiation import bare_type, negotiate
from facegan.wire.provenance import Provenance, read_provenance
from facegan.wire.request_codecs import REQUEST_CODECS, decode_request, encode_request

__all__ = [
    "CSV",
    "IMAGE_CODECS",
    "JSON",
    "NPY",
    "PNG",
    "REQUEST_CODECS",
    "Face",
    "GenerateRequest",
    "Provenance",
    "bare_type",
    "decode_faces",
    "decode_images",
    "decode_request",
    "encode_images",
    "encode_request",
    "negotiate",
    "read_provenance",
]
