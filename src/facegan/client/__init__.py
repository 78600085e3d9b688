"""Asking an endpoint for faces, from Python, with no torch and no AWS."""

from facegan.client.face_client import FaceClient
from facegan.client.seed_text import parse_seeds
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
    "StreamedReply",
    "StreamingTransport",
    "Transport",
    "WSGITransport",
    "parse_seeds",
]
