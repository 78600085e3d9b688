"""Reads the code blocks of a document, in order, with what stands right behind each."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^( *)```([a-z]*)\n(.*?)^\1```", re.M | re.S)
SHELL = ("sh", "bash")


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        language: What stands behind the fence; "" where nothing does.
        text: Its lines, without the indentation of a list it stands in.
        line: Where it begins, from 1.
    """

    language: str
    text: str
    line: int


def blocks_of(document: Path) -> list[Block]:
    """All blocks of a document."""
    text = document.read_text()
    return [
        Block(found[2], re.sub(f"^{found[1]}", "", found[3], flags=re.M),
              text[: found.start()].count("\n") + 1)
        for found in FENCE.finditer(text)
    ]  # fmt: skip


def answers_of(blocks: list[Block]) -> list[tuple[Block, Block | None]]:
    """Each block with the JSON block that shows its answer, where that is the next one of all."""
    nexts = [*blocks[1:], None]
    return [
        (block, after if after is not None and after.language == "json" else None)
        for block, after in zip(blocks, nexts, strict=True)
    ]


def commands_of(text: str) -> list[str]:
    """The lines of a shell block: continued ones joined, comments and empty ones left out."""
    joined = re.sub(r"\\\n\s*", " ", text)
    lines = (re.sub(r"(^|\s)#.*", "", line).strip() for line in joined.splitlines())
    return [line for line in lines if line]
