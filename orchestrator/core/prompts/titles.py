"""What a prompt does, in a few words: the name of a job that nobody named."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from ..models.job import Prompt
from ..workflow.prompt import class_of, links_of, title_of
from .peer_files import is_model_file

TITLE_MAX = 64  #: characters


def described(prompt: Prompt) -> str:
    """The text that it paints, else model and steps, else its first node and its last; "" for none."""
    text = _painted_text(prompt)
    if text:
        return _cut(text)
    model = next((value for _, value in _strings(prompt) if is_model_file(value)), "")
    steps = next((found for found in map(_steps, prompt.values()) if found), "")
    if model or steps:
        name = PurePosixPath(model.replace("\\", "/")).stem
        return _cut(" · ".join(filter(None, (name, steps))))
    return _cut(_first_and_last(prompt))


def _painted_text(prompt: Prompt) -> str:
    encoders = {
        node_id: value
        for node_id, value in _strings(prompt)
        if "TextEncode" in class_of(prompt[node_id]) and value.strip()
    }
    for node in prompt.values():
        for name, source, _ in links_of(node):
            if name == "positive" and source in encoders:
                return encoders[source]
    return next(iter(encoders.values()), "")


def _strings(prompt: Prompt) -> Iterator[tuple[str, str]]:
    for node_id, node in prompt.items():
        for value in _inputs(node).values():
            if isinstance(value, str):
                yield node_id, value


def _steps(node: Any) -> str:
    steps = _inputs(node).get("steps")
    return f"{title_of(node)}, {steps} steps" if isinstance(steps, int) else ""


def _first_and_last(prompt: Prompt) -> str:
    sources = {source for node in prompt.values() for _, source, _ in links_of(node)}
    ends = [node_id for node_id in prompt if node_id not in sources]
    if not ends:
        return ""
    # A node that nothing is linked to may stand about unused.
    last = next((node_id for node_id in ends if any(links_of(prompt[node_id]))), ends[0])
    first, seen = last, {last}
    while True:
        before = next((source for _, source, _ in links_of(prompt[first]) if source in prompt), None)
        if before is None or before in seen:
            break
        first = before
        seen.add(first)
    names = [title_of(prompt[first]), title_of(prompt[last])]
    return " → ".join(dict.fromkeys(filter(None, names)))


def _inputs(node: Any) -> dict[str, Any]:
    inputs = node.get("inputs") if isinstance(node, dict) else None
    return inputs if isinstance(inputs, dict) else {}


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= TITLE_MAX else line[: TITLE_MAX - 1].rstrip() + "…"
