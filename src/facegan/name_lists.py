"""Lists of people's names as one text that can be read back: ``a,b``, or JSON where it must be.

Command lines, pictures' metadata, tables and messages all write and read lists by these functions.
"""

import json
import re
from collections.abc import Iterable

# An item of a list that is parted by commas: a JSON string, or whatever holds no comma.
ITEM = re.compile(r'\s*("(?:[^"\\]|\\.)*"\s*(?=,|$)|[^,]*)(,|$)')


def write_names(names: Iterable[str], comma: str = ",") -> str:
    """Return names as one text: parted by commas, or as a JSON list if a name could be misread."""
    names = list(names)
    return comma.join(names) if all(map(is_plain, names)) else json.dumps(names, ensure_ascii=False)


def read_names(text: str) -> list[int | str]:
    """Return the names in a text of :func:`write_names`; items in double quotes may hold commas.

    A JSON list may hold whole numbers, too. A text that begins like JSON and is none is parted by
    commas. Empty items come back as empty texts.
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
    """Return one name for a sentence: in double quotes where its end would not be seen."""
    return name if is_plain(name) else json.dumps(name, ensure_ascii=False)


def is_plain(name: str) -> bool:
    """Return whether a name reads the same between commas as alone."""
    return bool(name) and "," not in name and name == name.strip() and name[0] not in '["'


def as_json_list(text: str) -> list[int | str] | None:
    """Return the texts and whole numbers of a JSON list; None where the text is no such list."""
    if not text.lstrip().startswith("["):
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    is_list = isinstance(found, list) and all(type(name) in (int, str) for name in found)
    return found if is_list else None


def unquoted(item: str) -> str:
    """Return what a JSON string says; any other item as it is."""
    if not item.startswith('"'):
        return item
    try:
        return str(json.loads(item))
    except ValueError:
        return item
