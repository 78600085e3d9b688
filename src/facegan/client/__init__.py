"""The Python client of an endpoint; needs neither torch nor AWS."""

from facegan.client.face_client import FaceClient
from facegan.client.seed_text import parse_seeds
from facegan.client.sources import Source, Sources
from facegan.client.transports import (
    FrontPageTransport,
    HttpTransport,
    Reply,
    StreamedReply,
    StreamingTransport,
    Transport,
    WSGITransport,
)

__all__ = [
    "FaceClient",
    "FrontPageTransport",
    "HttpTransport",
    "Reply",
    "Source",
    "Sources",
    "StreamedReply",
    "StreamingTransport",
    "Transport",
    "WSGITransport",
    "parse_seeds",
]
