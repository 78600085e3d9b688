"""Content types of requests and replies, and how to read one out of a header."""

from functools import lru_cache

JSON = "application/json"
JSON_LINES = "application/jsonlines"
NPY = "application/x-npy"
ZIP = "application/zip"
CSV = "text/csv"
PNG = "image/png"
JPEG = "image/jpeg"
WEBP = "image/webp"

# In an Accept header: the caller reads a stream, so the limit of a whole reply does not apply.
STREAMED_LINES = f"{JSON_LINES};stream=true"
ALIASES = {  # other names in use; none of these types is registered
    "application/jsonl": JSON_LINES,
    "application/x-jsonlines": JSON_LINES,
    "application/x-jsonl": JSON_LINES,
    "application/x-ndjson": JSON_LINES,
    "image/jpg": JPEG,
}


@lru_cache(maxsize=128)  # callers send the same few headers
def bare_type(content_type: str | None) -> str:
    """Return a content type in lower case, without parameters and aliases; "" if there is none."""
    name = (content_type or "").partition(";")[0].strip().lower()
    return ALIASES.get(name, name)


def get_parameter(content_type: str | None, name: str) -> str:
    """Return a parameter of a content type, without quotes; "" if it is not there."""
    for part in (content_type or "").split(";")[1:]:
        key, _, value = part.partition("=")
        if key.strip().lower() == name:
            return value.strip(' \t"')
    return ""
