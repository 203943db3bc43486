"""Raw workflow JSON → the typed Workflow. Nobody else indexes raw workflow files.

Tolerant where the frontend is (missing fields, numbers or strings as ids, links as arrays or objects),
strict where guessing would change what runs. Every complaint says where in the file.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ...errors import WorkflowError
from ..models.workflow import (
    EMPTY,
    Boundary,
    Graph,
    GroupNode,
    InputSlot,
    Link,
    Node,
    OutputSlot,
    Subgraph,
    Workflow,
)

MAX_NODES = 20_000
MAX_LINKS = 200_000
MAX_SLOTS = 2_000
MAX_DEPTH = 64
# Names that a browser would take for an object's own machinery.
FORBIDDEN_NAMES = frozenset({"__proto__", "constructor", "prototype"})


class WorkflowParser:
    """Reads workflows in the UI format (the file a user saves)."""

    def parse(self, workflow: Any) -> Workflow:
        """Return the typed form of `workflow`, a parsed JSON object.

        Raises WorkflowError, naming the place, for anything that is no workflow, is larger than
        the limits of this module, or holds values that JSON cannot (NaN).
        """
        root = _mapping(workflow, "the workflow")
        if is_api_format(root):
            raise WorkflowError(
                "This is a prompt in API format, not a workflow: it has no 'nodes' list. "
                "Send it as a prompt, or load the workflow that was saved with it."
            )
        if "nodes" not in root:
            raise WorkflowError(
                "This is no ComfyUI workflow: it has no 'nodes' list. Save the workflow again from ComfyUI."
            )
        graph = _graph(root, "workflow")
        extra = root.get("extra")
        extra = extra if isinstance(extra, Mapping) else EMPTY
        groups = extra.get("groupNodes")
        groups = groups if isinstance(groups, Mapping) else EMPTY
        subgraphs = {subgraph.id: subgraph for subgraph in reversed(list(_subgraphs(root)))}
        total = len(graph.nodes) + sum(len(subgraph.nodes) for subgraph in subgraphs.values())
        if total > MAX_NODES:
            raise WorkflowError(f"The workflow has {total} nodes; at most {MAX_NODES} can be read.")
        return Workflow(
            graph,
            dict(reversed(subgraphs.items())),
            {str(name): _group_node(str(name), raw) for name, raw in groups.items()},
            _last_node_id(root),
        )


def is_api_format(workflow: Any) -> bool:
    """Whether `workflow` is a prompt: node ids mapped to ``{"class_type": …, "inputs": …}``."""
    return (
        isinstance(workflow, Mapping)
        and not isinstance(workflow.get("nodes"), list)
        and bool(workflow)
        and all(isinstance(node, Mapping) and "class_type" in node for node in workflow.values())
    )


def check_prompt(prompt: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return a prompt in API format with string ids and checked shape; nodes are new dicts, values shared.

    Raises WorkflowError naming the node for a shape ComfyUI would not take.
    """
    checked: dict[str, dict[str, Any]] = {}
    if len(prompt) > MAX_NODES:
        raise WorkflowError(f"The prompt has {len(prompt)} nodes; at most {MAX_NODES} can be read.")
    for raw_id, raw in prompt.items():
        node_id = _id(raw_id, "a node id of the prompt")
        where = f"node {node_id}"
        node = _mapping(raw, where)
        class_type = _text(node.get("class_type"), f"class_type of {where}")
        inputs = _mapping(node.get("inputs", EMPTY), f"the inputs of {where}")
        for name, value in inputs.items():
            _name(name, f"an input name of {where}")
            check_value(value, f"input {name!r} of {where} ({class_type})")
        checked[node_id] = {**node, "inputs": dict(inputs), "class_type": class_type}
    return checked


def check_value(value: Any, where: str) -> None:
    """Refuse values that cannot travel as JSON: NaN and infinities, foreign types, absurd nesting."""
    if value is None or isinstance(value, (str, bool, int)):
        return
    pending: list[tuple[Any, int]] = [(value, 0)]
    while pending:
        item, depth = pending.pop()
        if item is None or isinstance(item, (str, bool, int)):
            continue
        if isinstance(item, float):
            if not math.isfinite(item):
                raise WorkflowError(f"The value of {where} is {item}; no prompt can hold it. Set a number.")
            continue
        if depth >= MAX_DEPTH:
            raise WorkflowError(f"The value of {where} is nested more than {MAX_DEPTH} levels deep.")
        if isinstance(item, Mapping):
            for key, inner in item.items():
                _name(key, f"a key in {where}")
                pending.append((inner, depth + 1))
        elif isinstance(item, (list, tuple)):
            pending += [(inner, depth + 1) for inner in item]
        else:
            raise WorkflowError(f"The value of {where} is of type {type(item).__name__}, which is not JSON.")


def _last_node_id(root: Mapping[str, Any]) -> int:
    state = root.get("state")
    last = state.get("lastNodeId") if isinstance(state, Mapping) else root.get("last_node_id")
    return last if isinstance(last, int) and 0 <= last < 2**53 else 0


def _subgraphs(root: Mapping[str, Any]) -> Iterator[Subgraph]:
    pending: list[tuple[Any, int]] = [(root, 0)]
    while pending:
        owner, depth = pending.pop(0)
        definitions = owner.get("definitions")
        found = definitions.get("subgraphs") if isinstance(definitions, Mapping) else None
        if found is None:
            continue
        if depth > MAX_DEPTH:
            raise WorkflowError(f"Subgraph definitions are nested more than {MAX_DEPTH} levels deep.")
        for index, raw in enumerate(_list(found, "definitions.subgraphs")):
            subgraph = _mapping(raw, f"subgraph definition {index}")
            pending.append((subgraph, depth + 1))
            yield _subgraph(subgraph, index)


def _subgraph(raw: Mapping[str, Any], index: int) -> Subgraph:
    subgraph_id = _id(raw.get("id"), f"the id of subgraph definition {index}")
    where = f"subgraph {raw.get('name') or subgraph_id!r}"
    graph = _graph(raw, where)
    return Subgraph(
        graph.nodes,
        graph.links,
        id=subgraph_id,
        name=str(raw.get("name") or ""),
        inputs=tuple(_boundaries(raw.get("inputs"), f"the inputs of {where}")),
        outputs=tuple(_boundaries(raw.get("outputs"), f"the outputs of {where}")),
    )


def _boundaries(raw: Any, where: str) -> Iterator[Boundary]:
    for index, entry in enumerate(_list(raw, where)):
        slot = _mapping(entry, "entry", index, "of", where)
        links = slot.get("linkIds")
        yield Boundary(
            id=str(slot.get("id", index)),
            name=_name(slot.get("name") or "", where),
            type=_type(slot.get("type")),
            label=_optional_text(slot.get("label")),
            links=tuple(str(link) for link in links) if isinstance(links, list) else (),
        )


def _group_node(name: str, raw: Any) -> GroupNode:
    where = f"group node {name!r}"
    group = _mapping(raw, where)
    nodes = _list(group.get("nodes"), f"the nodes of {where}")
    links = _list(group.get("links"), f"the links of {where}")
    inner = [link for link in links if isinstance(link, list) and len(link) >= 4 and link[0] is not None]
    names: dict[tuple[str, str, str], str] = {}
    shown: dict[tuple[str, str, str], bool] = {}
    config = group.get("config")
    for node, per_node in config.items() if isinstance(config, Mapping) else ():
        for side in ("input", "output"):
            entries = per_node.get(side) if isinstance(per_node, Mapping) else None
            for slot, entry in entries.items() if isinstance(entries, Mapping) else ():
                key = (side, str(node), str(slot))
                if isinstance(entry, Mapping) and isinstance(entry.get("name"), str):
                    names[key] = entry["name"]
                if isinstance(entry, Mapping) and isinstance(entry.get("visible"), bool):
                    shown[key] = entry["visible"]
    return GroupNode(
        name,
        tuple(_node({**_mapping(n, where), "id": i}, i, where) for i, n in enumerate(nodes)),
        tuple(
            _link([f"g{i}", *link[:4], link[5] if len(link) > 5 else None], i, where)
            for i, link in enumerate(inner)
        ),
        frozenset(
            (_id(entry[0], where), _slot(entry[1], where))
            for entry in _list(group.get("external"), f"the outer links of {where}")
            if isinstance(entry, list) and len(entry) > 2 and entry[2] is not None
        ),
        names,
        shown,
    )


def _graph(raw: Mapping[str, Any], where: str) -> Graph:
    nodes = _list(raw.get("nodes"), f"the nodes of {where}")
    links = _list(raw.get("links"), f"the links of {where}")
    if len(nodes) > MAX_NODES:
        raise WorkflowError(f"{where} has {len(nodes)} nodes; at most {MAX_NODES} can be read.")
    if len(links) > MAX_LINKS:
        raise WorkflowError(f"{where} has {len(links)} links; at most {MAX_LINKS} can be read.")
    return Graph(
        tuple(_node(node, index, where) for index, node in enumerate(nodes)),
        tuple(_link(link, index, where) for index, link in enumerate(links) if link is not None),
    )


def _node(raw: Any, index: int, scope: str) -> Node:
    node = _mapping(raw, "node number", index, "of", scope)
    node_id = _id(node.get("id"), "the id of node number", index, "of", scope)
    where = f"node {node_id} of {scope}"
    properties = node.get("properties")
    mode = node.get("mode")
    named = node.get("widgets_values_named")
    if isinstance(named, Mapping):
        check_value(named, f"widgets_values_named of {where}")
    return Node(
        id=node_id,
        type=_name(_text(node.get("type"), "the type of", where), "the type of", where),
        title=_optional_text(node.get("title")),
        mode=mode if isinstance(mode, int) else 0,
        inputs=tuple(_inputs(node.get("inputs"), where)),
        outputs=tuple(_outputs(node.get("outputs"), where)),
        values=_values(node.get("widgets_values"), where),
        properties=properties if isinstance(properties, Mapping) else EMPTY,
        named=named if isinstance(named, Mapping) else None,
    )


def _inputs(raw: Any, where: str) -> Iterator[InputSlot]:
    for index, entry in enumerate(_slots(raw, where)):
        slot = _mapping(entry, "input", index, "of", where)
        link, widget = slot.get("link"), slot.get("widget")
        widget = widget.get("name") if isinstance(widget, Mapping) else None
        yield InputSlot(
            name=_name("" if slot.get("name") is None else slot["name"], "input", index, "of", where),
            type=_type(slot.get("type")),
            link=None if link is None else _id(link, "the link of input", index, "of", where),
            widget=_optional_text(widget),
            label=_optional_text(slot.get("label")),
        )


def _outputs(raw: Any, where: str) -> Iterator[OutputSlot]:
    for index, entry in enumerate(_slots(raw, where)):
        slot = _mapping(entry, "output", index, "of", where)
        links = slot.get("links")
        yield OutputSlot(
            name=str(slot.get("name") or ""),
            type=_type(slot.get("type")),
            links=tuple(str(link) for link in links) if isinstance(links, list) else (),
            label=_optional_text(slot.get("label")),
        )


def _slots(raw: Any, where: str) -> list[Any]:
    slots = _list(raw, f"the slots of {where}")
    if len(slots) > MAX_SLOTS:
        raise WorkflowError(f"{where} has {len(slots)} slots; at most {MAX_SLOTS} can be read.")
    return slots


def _link(raw: Any, index: int, scope: str) -> Link:
    where = ("link number", index, "of", scope)
    if isinstance(raw, Mapping):
        names = ("id", "origin_id", "origin_slot", "target_id", "target_slot")
        fields = [raw.get(name) for name in names]
        kind = raw.get("type")
    elif isinstance(raw, list) and len(raw) >= 5:
        fields = raw[:5]
        kind = raw[5] if len(raw) > 5 else None
    else:
        raise WorkflowError(f"{_words(where)} is neither [id, node, slot, node, slot, type] nor an object.")
    return Link(
        _id(fields[0], "the id of", *where),
        _id(fields[1], "the origin of", *where),
        _slot(fields[2], "the origin slot of", *where),
        _id(fields[3], "the target of", *where),
        _slot(fields[4], "the target slot of", *where),
        _type(kind),
    )


def _values(raw: Any, where: str) -> tuple[Any, ...] | Mapping[str, Any]:
    if isinstance(raw, Mapping):
        values: tuple[Any, ...] | Mapping[str, Any] = raw
        check_value(raw, f"widgets_values of {where}")
    else:
        values = tuple(_list(raw, f"widgets_values of {where}"))
        for index, value in enumerate(values):
            check_value(value, f"value {index} of {where}")
    return values


# The parts of a place are put together only for a complaint: a file has thousands of places.
def _words(where: Iterable[object]) -> str:
    return " ".join(map(str, where))


def _mapping(value: Any, *where: object) -> Mapping[str, Any]:
    if isinstance(value, (dict, Mapping)):
        return value
    raise WorkflowError(f"Expected an object for {_words(where)}, found {_found(value)}.")


def _list(value: Any, *where: object) -> list[Any]:
    if value is None:
        return []
    if isinstance(value, (list, tuple)):
        return list(value)
    raise WorkflowError(f"Expected a list for {_words(where)}, found {_found(value)}.")


def _text(value: Any, *where: object) -> str:
    if isinstance(value, str) and value:
        return value
    raise WorkflowError(f"Expected a name for {_words(where)}, found {_found(value)}.")


def _name(value: Any, *where: object) -> str:
    if not isinstance(value, str):
        raise WorkflowError(f"Expected a name for {_words(where)}, found {_found(value)}.")
    if value in FORBIDDEN_NAMES:
        raise WorkflowError(f"{value!r} is not allowed as {_words(where)}.")
    return value


def _optional_text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _id(value: Any, *where: object) -> str:
    if type(value) is int:
        return str(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, (int, str)) or value == "":
        raise WorkflowError(f"Expected a number or a text for {_words(where)}, found {_found(value)}.")
    return _name(str(value), *where)


def _slot(value: Any, *where: object) -> int:
    if type(value) is int:
        return value
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 6:
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if value is None or isinstance(value, bool) or not isinstance(value, int):
        raise WorkflowError(f"Expected a slot number for {_words(where)}, found {_found(value)}.")
    return value


def _type(value: Any) -> str:
    if isinstance(value, str):
        return value or "*"
    if isinstance(value, (list, tuple)):
        return "COMBO"
    return "*" if value is None or value == 0 else str(value)


def _found(value: Any) -> str:
    text = repr(value) if isinstance(value, (str, int, float, bool)) else type(value).__name__
    return "nothing" if value is None else text[:60]
