"""The private vocabulary that the project once had does not come back."""

import io
import re
import tokenize
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "facegan"
# The cloud's words are replaced when its commands are rebuilt.
FILES = sorted(file for file in SOURCE.rglob("*.py") if "cloud" not in file.parts)

# Parts of identifiers, and what an engineer would look for instead.
PRIVATE_NAMES = {
    "wish": "options, params, requested",
    "wishes": "options, params, requested",
    "desk": "context, components",
    "company": "batch_sizes",
    "lonely": "fallback_size",
    "painter": "backend",
    "patience": "deadline",
    "doctor": "monitor",
    "symptom": "diagnostic",
    "symptoms": "diagnostics",
    "foresee": "estimate_memory",
    "footprint": "memory_estimate",
    "belongings": "resources",
    "takedown": "destroy",
    "told": "message, requested",
    "judge": "discriminator",
    "judges": "discriminators",
    "mend": "fix",
    "strangers": "untagged",
}
# Phrases of translated English in docstrings, comments and messages.
PRIVATE_PHRASES = {
    r"\b[Ww]hoever\b": "name the subject: a caller, the server",
    r"\blest\b": "so that … not",
    r"\basked or not\b": "even when idle",
    r"(?<![Tt]here )\bis none\b(?! of)": "does not exist, or is not a …",
    r"\bof late\b": "recently",
    r"(?<![Tt]here )\bis no (file|folder|number|run|image|picture|tar|address)\b": "is not a …",
}


def name_parts(identifier: str) -> set[str]:
    """Split snake_case and CamelCase into lower-case words."""
    return {part.lower() for part in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", identifier)}


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(SOURCE)))
def test_names_are_the_fields_own(file: Path) -> None:
    tokens = tokenize.generate_tokens(io.StringIO(file.read_text()).readline)
    names = {token.string for token in tokens if token.type == tokenize.NAME} | {file.stem}
    private = {name: PRIVATE_NAMES[part] for name in names
               for part in name_parts(name) & PRIVATE_NAMES.keys()}  # fmt: skip
    assert not private, f"{file}: better names are {private}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(SOURCE)))
def test_sentences_are_plain(file: Path) -> None:
    tokens = tokenize.generate_tokens(io.StringIO(file.read_text()).readline)
    prose = (tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", None))
    text = "\n".join(token.string for token in tokens if token.type in prose)
    found = {phrase: better for phrase, better in PRIVATE_PHRASES.items()
             if re.search(phrase, text)}  # fmt: skip
    assert not found, f"{file}: {found}"


def test_parts_of_names_are_found() -> None:
    assert name_parts("PatientWorker_is_HTTPDoor") == {"patient", "worker", "is", "http", "door"}
