"""What crosses HTTP: requests, images, and the tables that both ends read."""

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
)
from facegan.wire.face_codecs import Face, decode_faces, read_faces, stream_images
from facegan.wire.generate_request import GenerateRequest
from facegan.wire.image_codecs import (
    IMAGE_CODECS,
    decode_images,
    encode_images,
    encode_reply,
    least_bytes,
)
from facegan.wire.json_lines import (
    RequestLine,
    answer_line,
    encode_lines,
    error_line,
    read_answers,
    request_lines,
)
from facegan.wire.negotiation import bare_type, negotiate
from facegan.wire.provenance import Provenance, read_classes, read_provenance
from facegan.wire.request_codecs import (
    REQUEST_CODECS,
    REQUEST_TYPES,
    decode_request,
    encode_request,
)
from facegan.wire.sheet import Images, Sheet, check_reply_type
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
    "Face",
    "GenerateRequest",
    "Images",
    "Provenance",
    "RequestLine",
    "Sheet",
    "answer_line",
    "as_utf8",
    "bare_type",
    "check_reply_type",
    "decode_faces",
    "decode_images",
    "decode_request",
    "encode_images",
    "encode_lines",
    "encode_reply",
    "encode_request",
    "error_line",
    "file_names",
    "least_bytes",
    "negotiate",
    "read_answers",
    "read_classes",
    "read_faces",
    "read_provenance",
    "request_lines",
    "stream_images",
]
