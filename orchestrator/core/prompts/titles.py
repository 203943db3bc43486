"""What a prompt does, in a few words: the name of a job that nobody named."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from ..models.job import Prompt
from ..workflow.prompt import class_of, is_seed, links_of, title_of
from .peer_files import is_model_file

TITLE_MAX = 64  #: characters
CHANGES_MAX = 3  #: that are told; more make no name
_VALUE_MAX, _VALUE_READ_MAX, _CHANGES_LENGTH = 20, 200, 44
PARTED = " · "  #: between what a job is called and what was changed in it
NO_CHANGES: Mapping[str, Any] = {}


def described(prompt: Prompt, changes: Mapping[str, Any] = NO_CHANGES, name: str = "") -> str:
    """What its sender calls it, else the text that it paints, else model and steps, else its first node and
    its last; "" for none. Then what is changed in it, as "seed 2584 · steps 20"; of a named one at least its
    seed. `changes`: by address, see JobRequest."""
    changed = {address.rpartition(".")[2]: value for address, value in changes.items()}
    if name and not changed:
        changed = dict(itertools.islice(_seeds(prompt), 1))
    text = None if name else changed.pop("text", None)
    told = "".join(
        f"{PARTED}{name} {_cut(_value(value), _VALUE_MAX)}"
        for name, value in itertools.islice(changed.items(), CHANGES_MAX)
    )
    told = _cut(told.removeprefix(PARTED), _CHANGES_LENGTH)
    base = name or (text if isinstance(text, str) and text.strip() else _base(prompt, changed))
    return PARTED.join(filter(None, (_cut(base, TITLE_MAX - len(told) - 3), told))) if told else _cut(base)


def _base(prompt: Prompt, changed: Collection[str]) -> str:
    """What is `changed` names no job by its old value."""
    if text := _painted_text(prompt):
        return text
    files = (value for name, _, value in _strings(prompt) if is_model_file(value) and name not in changed)
    model = PurePosixPath(next(files, "").replace("\\", "/")).stem
    steps = next(filter(None, map(_steps, prompt.values())), "") if "steps" not in changed else ""
    return PARTED.join(filter(None, (model, steps))) or _first_and_last(prompt)


def _seeds(prompt: Prompt) -> Iterator[tuple[str, int]]:
    for node in prompt.values():
        for name, value in _inputs(node).items():
            if is_seed(name) and type(value) is int:
                yield name, value


def _value(value: Any) -> str:
    """In a few letters: a list or an object may be megabytes, and this runs on the event loop."""
    if isinstance(value, str):
        return value[:_VALUE_READ_MAX]
    if isinstance(value, float):
        return f"{value:g}"
    return str(value) if isinstance(value, int) or value is None else "…"


def _painted_text(prompt: Prompt) -> str:
    encoders = {
        node_id: value
        for _, node_id, value in _strings(prompt)
        if "TextEncode" in class_of(prompt[node_id]) and value.strip()
    }
    for node in prompt.values():
        for name, source, _ in links_of(node):
            if name == "positive" and source in encoders:
                return encoders[source]
    return next(iter(encoders.values()), "")


def _strings(prompt: Prompt) -> Iterator[tuple[str, str, str]]:
    """The input's name, the node's id, the text."""
    for node_id, node in prompt.items():
        for name, value in _inputs(node).items():
            if isinstance(value, str):
                yield name, node_id, value


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


def _cut(text: str, most: int = TITLE_MAX) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 1].rstrip() + "…"
