"""Request ids and custom attributes: which of a client's are accepted, by app and worker alike."""

import random
import re

# An id that a client may choose, so that its log and the server's can be joined.
VALID_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:=;+/-]{0,127}")
# InvokeEndpoint's CustomAttributes: up to 1,024 visible ASCII characters, with spaces between them.
ATTRIBUTES = re.compile(r"[!-~](?:[ -~]{0,1022}[!-~])?")
CUSTOM = "X-Amzn-SageMaker-Custom-Attributes"


def name_request(sent: str | None) -> str:
    """Return a request's id: the one that was sent if it is valid, else a new one."""
    return sent if sent and VALID_ID.fullmatch(sent) else f"{random.getrandbits(128):032x}"


def is_echoed(attributes: str) -> bool:
    """Return whether custom attributes are sent back: whether SageMaker would pass them on."""
    return ATTRIBUTES.fullmatch(attributes) is not None
