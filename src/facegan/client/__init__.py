"""Asking an endpoint for faces, from Python, with no torch and no AWS."""

from facegan.client.face_client import FaceClient
from facegan.client.transports import (
    HttpTransport,
    Reply,
    StreamedReply,
    StreamingTransport,
    Transport,
    WSGITransport,
)

__all__ = [
    "FaceClient",
    "HttpTransport",
    "Reply",
    "StreamedReply",
    "StreamingTransport",
    "Transport",
    "WSGITransport",
]
