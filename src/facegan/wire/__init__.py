"""Requests and replies as bytes, and the tables of content types that server and client share."""

from facegan.wire.charsets import as_utf8
from facegan.wire.content_types import (
    CSV,
    JPEG,
    JSON,
    JSON_LINES,
    MULTIPART,
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
    MAX_ABOUT_BYTES,
    REQUEST_CODECS,
    REQUEST_TYPES,
    asks_about,
    decode_request,
    encode_request,
)
from facegan.wire.signature import ModelSignature
from facegan.wire.source_codecs import image_content_type
from facegan.wire.source_images import (
    OpenSource,
    count_pixels,
    decode_sources,
    encode_pixels,
    open_source,
    open_sources,
)
from facegan.wire.zip_codec import file_names

__all__ = [
    "CSV",
    "IMAGE_CODECS",
    "JPEG",
    "JSON",
    "JSON_LINES",
    "MAX_ABOUT_BYTES",
    "MULTIPART",
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
    "ModelSignature",
    "OpenSource",
    "Provenance",
    "RequestLine",
    "as_utf8",
    "asks_about",
    "bare_type",
    "check_reply_type",
    "count_pixels",
    "decode_images",
    "decode_request",
    "decode_sources",
    "encode_images",
    "encode_lines",
    "encode_pixels",
    "encode_reply",
    "encode_request",
    "error_line",
    "file_names",
    "image_content_type",
    "image_lines",
    "iter_images",
    "iter_replies",
    "iter_requests",
    "open_source",
    "open_sources",
    "parse_images",
    "read_classes",
    "read_provenance",
]
