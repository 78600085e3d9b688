"""Requests and replies as bytes, and the tables of content types that server and client share."""

from facegan.wire.charsets import as_utf8
from facegan.wire.content_types import (
    CSV,
    JPEG,
    JSON,
    JSON_LINES,
    NPY,
    PNG,
    STREAMED_LINES,
    WEBP,
    ZIP,
    bare_type,
)
from facegan.wire.generate_request import GenerateRequest
from facegan.wire.image_codecs import (
    IMAGE_CODECS,
    decode_images,
    encode_images,
    encode_reply,
)
from facegan.wire.image_reply import ImageReply, Images, check_reply_type
from facegan.wire.json_codecs import GeneratedImage, image_lines, iter_images, parse_images
from facegan.wire.json_lines import (
    RequestLine,
    encode_lines,
    error_line,
    iter_replies,
    iter_requests,
)
from facegan.wire.provenance import Provenance, read_classes, read_provenance
from facegan.wire.request_codecs import (
    REQUEST_CODECS,
    REQUEST_TYPES,
    decode_request,
    encode_request,
)
from facegan.wire.zip_codec import file_names

__all__ = [
    "CSV",
    "IMAGE_CODECS",
    "JPEG",
    "JSON",
    "JSON_LINES",
    "NPY",
    "PNG",
    "REQUEST_CODECS",
    "REQUEST_TYPES",
    "STREAMED_LINES",
    "WEBP",
    "ZIP",
    "GenerateRequest",
    "GeneratedImage",
    "ImageReply",
    "Images",
    "Provenance",
    "RequestLine",
    "as_utf8",
    "bare_type",
    "check_reply_type",
    "decode_images",
    "decode_request",
    "encode_images",
    "encode_lines",
    "encode_reply",
    "encode_request",
    "error_line",
    "file_names",
    "image_lines",
    "iter_images",
    "iter_replies",
    "iter_requests",
    "parse_images",
    "read_classes",
    "read_provenance",
]
