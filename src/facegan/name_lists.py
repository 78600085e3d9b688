"""Writes and reads lists of names as text: ``a,b``, or JSON where commas would be ambiguous.

Used by command lines, images' metadata, tables and messages.
"""

import json
import re
from collections.abc import Iterable

# An item of a comma-separated list: a JSON string, or text without a comma.
ITEM = re.compile(r'\s*("(?:[^"\\]|\\.)*"\s*(?=,|$)|[^,]*)(,|$)')


def write_names(names: Iterable[str], comma: str = ",") -> str:
    """Return names separated by commas, or as a JSON list if one would be ambiguous."""
    names = list(names)
    return comma.join(names) if all(map(is_plain, names)) else json.dumps(names, ensure_ascii=False)


def read_names(text: str) -> list[int | str]:
    """Return the names in a text of :func:`write_names`; items in double quotes may hold commas.

    A JSON list may also hold integers. Text that begins like JSON but is not valid is split at
    commas. Empty items are returned as empty strings.
    """
    if (found := as_json_list(text)) is not None:
        return found
    names: list[int | str] = []
    for item, comma in ITEM.findall(text):
        names.append(unquoted(item.strip()))
        if not comma:
            break
    return names if text.strip() else []


def quoted(name: str) -> str:
    """Return a name for a sentence, in double quotes if it is ambiguous without them."""
    return name if is_plain(name) else json.dumps(name, ensure_ascii=False)


def is_plain(name: str) -> bool:
    """Return whether a name is unambiguous between commas."""
    return bool(name) and "," not in name and name == name.strip() and name[0] not in '["'


def as_json_list(text: str) -> list[int | str] | None:
    """Return the strings and integers of a JSON list; None if the text is not one."""
    if not text.lstrip().startswith("["):
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    is_list = isinstance(found, list) and all(type(name) in (int, str) for name in found)
    return found if is_list else None


def unquoted(item: str) -> str:
    """Return the value of a JSON string; any other item unchanged."""
    if not item.startswith('"'):
        return item
    try:
        return str(json.loads(item))
    except ValueError:
        return item
