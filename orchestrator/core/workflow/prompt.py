"""The API-format prompt as a graph: what a node is called, what it depends on, what depends on it."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, TypeGuard

from ..models.job import Prompt

#: An object of JSON. A dict is known at once; asking the abstract class takes more than twice as long.
_OBJECT = (dict, Mapping)
#: Inputs that hold a seed: what is drawn again for each run.
SEED_NAMES = frozenset({"seed", "noise_seed"})


def is_link(value: object) -> TypeGuard[list[Any]]:
    """Whether an input's value is ``[node id, slot]``."""
    return (
        isinstance(value, (list, tuple))
        and len(value) == 2
        and isinstance(value[0], (str, int))
        and isinstance(value[1], int)
        and not isinstance(value[0], bool)
        and not isinstance(value[1], bool)
    )


def links_of(node: object) -> Iterator[tuple[str, str, int]]:
    """Yield ``(input, source node id, slot)`` of an API-format node; nothing for a malformed one."""
    inputs = node.get("inputs") if isinstance(node, _OBJECT) else None
    if isinstance(inputs, _OBJECT):
        for name, value in inputs.items():
            if is_link(value):
                yield str(name), str(value[0]), value[1]


def is_seed(name: str) -> bool:
    """Whether an input of this name holds a seed; in a dynamic combo it is ``sampling_mode.seed``."""
    return name.rpartition(".")[2] in SEED_NAMES


def seeded_nodes(prompt: Mapping[str, Any]) -> frozenset[str]:
    """Ids of those that make something new of their inputs with each seed, as samplers do. A node that only
    hands out a seed, or noise, is none."""
    found = set()
    for node_id, node in prompt.items():
        inputs = node.get("inputs") if isinstance(node, _OBJECT) else None
        links = {name for name, _, _ in links_of(node)}
        has_seed = isinstance(inputs, _OBJECT) and any(map(is_seed, inputs))
        if (has_seed and not all(map(is_seed, links))) or "noise" in links:
            found.add(node_id)
    return frozenset(found)


def class_of(node: object) -> str:
    """The node's class, or "" where the prompt does not tell."""
    value = node.get("class_type") if isinstance(node, _OBJECT) else None
    return value if isinstance(value, str) else ""


def names_every_class(prompt: Mapping[str, Any]) -> bool:
    """Whether there are nodes and all have a class: pages leave out one that their server does not know."""
    return bool(prompt) and all(class_of(node) for node in prompt.values())


def title_of(node: object) -> str:
    """The title a prompt carries for a node, else its class."""
    meta = node.get("_meta") if isinstance(node, _OBJECT) else None
    title = meta.get("title") if isinstance(meta, _OBJECT) else None
    return title if isinstance(title, str) and title else class_of(node)


def node_in_words(node_id: str, class_type: str, title: str) -> str:
    """A node as people are told of it: its title where it has one of its own, its class and its id."""
    if title == class_type:
        return f"{class_type} (node {node_id})"
    return f'"{title}" ({class_type}, node {node_id})'


def upstream(
    prompt: Mapping[str, Any],
    roots: Iterable[str],
    stop_classes: frozenset[str] = frozenset(),
    stop_ids: Collection[str] = (),
) -> set[str]:
    """Ids of `roots` and all they depend on; nodes of `stop_classes` and `stop_ids` are neither listed nor
    passed."""
    found: set[str] = set()
    todo = deque(roots)
    while todo:
        node_id = todo.popleft()
        node = prompt.get(node_id)
        if node is None or node_id in found or node_id in stop_ids or class_of(node) in stop_classes:
            continue
        found.add(node_id)
        todo.extend(source for _, source, _ in links_of(node))
    return found


def downstream(prompt: Mapping[str, Any], roots: Iterable[str]) -> set[str]:
    """Ids of `roots` and all that depends on them."""
    users: dict[str, list[str]] = {}
    for node_id, node in prompt.items():
        for _, source, _ in links_of(node):
            users.setdefault(source, []).append(node_id)
    found: set[str] = set()
    todo = deque(roots)
    while todo:
        node_id = todo.popleft()
        if node_id not in found:
            found.add(node_id)
            todo.extend(users.get(node_id, ()))
    return found


def without_classes(prompt: Mapping[str, Any], classes: frozenset[str]) -> Prompt:
    """The prompt less all nodes of `classes` and what depends on them."""
    gone = downstream(prompt, (i for i, node in prompt.items() if class_of(node) in classes))
    return {node_id: node for node_id, node in prompt.items() if node_id not in gone}
