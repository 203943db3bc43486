"""What the page translates of the server's sentences is what the server says."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
LOCALES = ROOT / "web" / "locales" / "server"
HOLE = "\0"
SEAMS_MAX = 4  #: of the literals that one sentence is composed of
SHORT = 3  #: characters of what may stand anywhere


def literals() -> Iterator[str]:
    """The texts in the engine's code, with a hole for each value."""
    for path in (ROOT / "orchestrator").rglob("*.py"):
        for found in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(found, ast.JoinedStr):
                parts = (p.value if isinstance(p, ast.Constant) else HOLE for p in found.values)
                yield "".join(map(str, parts))
            elif isinstance(found, ast.Constant) and isinstance(found.value, str):
                yield found.value


def is_said(segment: str, texts: str, seams: int = SEAMS_MAX) -> bool:
    """Whether the server can say this between two values: it stands in its code, in few pieces."""
    segment = segment.strip(" .()")
    if len(segment) <= SHORT or segment in texts:
        return True
    longest = next((n for n in range(len(segment) - 1, SHORT, -1) if segment[:n] in texts), 0)
    return seams > 1 and longest > SHORT and is_said(segment[longest:], texts, seams - 1)


def test_every_sentence_that_the_page_translates_is_one_of_the_servers() -> None:
    texts = "\n".join(literals())
    sentences = json.loads((LOCALES / "fr.json").read_text("utf-8"))
    unsaid = [
        sentence
        for sentence in sentences
        if not all(is_said(segment, texts) for segment in re.split(r"\{\w+\}", sentence))
    ]
    assert unsaid == []


def test_a_sentence_that_was_reworded_is_noticed() -> None:
    texts = "\n".join(literals())
    assert is_said(" refused the connection. Is ComfyUI running there with --listen?", texts)
    assert not is_said(" refused our connection. Does ComfyUI run there with --listen?", texts)
