"""The content types that cross the wire, spelled once."""

JSON = "application/json"
JSON_LINES = "application/jsonlines"
NPY = "application/x-npy"
ZIP = "application/zip"
CSV = "text/csv"
PNG = "image/png"
JPEG = "image/jpeg"
WEBP = "image/webp"

# Of an Accept header: the caller reads as it comes, so that no limit of a whole reply is meant.
STREAMED_LINES = f"{JSON_LINES};stream=true"
ALIASES = {  # other names that are in use; none of these types is registered
    "application/jsonl": JSON_LINES,
    "application/x-jsonlines": JSON_LINES,
    "application/x-jsonl": JSON_LINES,
    "application/x-ndjson": JSON_LINES,
    "image/jpg": JPEG,
}
