"""Nodes that a server no longer has and takes by another name: GET /node_replacements of ComfyUI 0.33.

It replaces them in a prompt before it validates it (``app/node_replace_manager.py``), so an old prompt runs
there. A server has its own list: node packs add to it.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ..models.job import Prompt
from .prompt import class_of, is_link


@dataclass(frozen=True)
class Replacement:
    """Of one old class. ``taken``: new input -> the old one whose value it gets, None where all keep their
    names; ``given``: new input -> value. ``slots``: old output -> new one; others stay where they are."""

    class_type: str
    taken: Mapping[str, str] | None
    given: Mapping[str, Any]
    slots: Mapping[int, int]


Replacements = Mapping[str, Replacement]  #: by the old class


def read_replacements(body: object) -> Replacements:
    """By old class, the first that the server names: it takes no other. What cannot be read is left out."""
    found: dict[str, Replacement] = {}
    for old, entries in body.items() if isinstance(body, Mapping) else ():
        entry = entries[0] if isinstance(entries, list) and entries else None
        if isinstance(entry, Mapping) and isinstance(entry.get("new_node_id"), str):
            inputs, slots = entry.get("input_mapping"), entry.get("output_mapping")
            named = [item for item in _objects(inputs) if isinstance(item.get("new_id"), str)]
            given = {item["new_id"]: item["set_value"] for item in named if "set_value" in item}
            taken = {item["new_id"]: str(item.get("old_id")) for item in named if item["new_id"] not in given}
            pairs = ((item.get("old_idx"), item.get("new_idx")) for item in _objects(slots))
            moved = {was: now for was, now in pairs if isinstance(was, int) and isinstance(now, int)}
            found[old] = Replacement(entry["new_node_id"], None if inputs is None else taken, given, moved)
    return found


def with_replacements(prompt: Prompt, by: Replacements, classes: Container[str]) -> Prompt:
    """The prompt as a server with these `classes` reads it: for one that it lacks it takes another."""
    todo = {
        node_id: replacement
        for node_id, node in prompt.items()
        if class_of(node) not in classes
        if (replacement := by.get(class_of(node))) and replacement.class_type in classes
    }
    if not todo:
        return prompt
    changed = dict(prompt)
    for node_id, replacement in todo.items():
        changed[node_id] = _replaced(prompt[node_id], replacement)
    for node_id, node in changed.items():
        moved = {
            name: [value[0], todo[str(value[0])].slots[value[1]]]
            for name, value in node.get("inputs", {}).items()
            if is_link(value) and str(value[0]) in todo and value[1] in todo[str(value[0])].slots
        }
        if moved:
            changed[node_id] = {**node, "inputs": {**node["inputs"], **moved}}
    return changed


def _replaced(node: Mapping[str, Any], by: Replacement) -> dict[str, Any]:
    old = node.get("inputs", {})
    taken = old if by.taken is None else {new: old[name] for new, name in by.taken.items() if name in old}
    return {**node, "class_type": by.class_type, "inputs": {**taken, **by.given}}


def _objects(value: object) -> Iterable[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else ()
