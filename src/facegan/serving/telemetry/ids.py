"""What a request is called, and what of its caller's comes back: one rule for app and worker."""

import random
import re

# What a caller may call its request, so that its log and ours can be joined; else we name it.
SANE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:=;+/-]{0,127}")
# InvokeEndpoint's CustomAttributes: up to 1,024 visible characters of ASCII, blanks between them.
ATTRIBUTES = re.compile(r"[!-~](?:[ -~]{0,1022}[!-~])?")
CUSTOM = "X-Amzn-SageMaker-Custom-Attributes"


def name_request(asked: str | None) -> str:
    """The id of a request: its caller's own if that is sane, else a new one."""
    return asked if asked and SANE_ID.fullmatch(asked) else f"{random.getrandbits(128):032x}"


def is_echoed(attributes: str) -> bool:
    """Whether custom attributes come back: they are such as SageMaker passes on."""
    return ATTRIBUTES.fullmatch(attributes) is not None
