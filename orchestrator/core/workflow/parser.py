"""Raw workflow JSON → the typed Workflow. Nobody else indexes raw workflow files.

Tolerant where the frontend is (missing fields, numbers or strings as ids, links as arrays or objects),
strict where guessing would change what runs. Every complaint says where in the file.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
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
from .raw_values import as_id, as_list, as_mapping, as_name, as_slot, as_text, as_type, optional_text, words

MAX_NODES = 20_000
MAX_LINKS = 200_000
MAX_SLOTS = 2_000
MAX_DEPTH = 64


class WorkflowParser:
    """Reads workflows in the UI format (the file a user saves)."""

    def parse(self, workflow: Any) -> Workflow:
        """Return the typed form of `workflow`, a parsed JSON object.

        Raises WorkflowError, naming the place, for anything that is no workflow, is larger than
        the limits of this module, or holds values that JSON cannot (NaN).
        """
        root = as_mapping(workflow, "the workflow")
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
        node_id = as_id(raw_id, "a node id of the prompt")
        where = f"node {node_id}"
        node = as_mapping(raw, where)
        class_type = as_text(node.get("class_type"), f"class_type of {where}")
        inputs = as_mapping(node.get("inputs", EMPTY), f"the inputs of {where}")
        for name, value in inputs.items():
            as_name(name, f"an input name of {where}")
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
                as_name(key, f"a key in {where}")
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
        for index, raw in enumerate(as_list(found, "definitions.subgraphs")):
            subgraph = as_mapping(raw, f"subgraph definition {index}")
            pending.append((subgraph, depth + 1))
            yield _subgraph(subgraph, index)


def _subgraph(raw: Mapping[str, Any], index: int) -> Subgraph:
    subgraph_id = as_id(raw.get("id"), f"the id of subgraph definition {index}")
    where = f"subgraph {raw.get('name') or subgraph_id!r}"
    graph = _graph(raw, where)
    return Subgraph(
        graph.nodes,
        graph.links,
        graph.page_links,
        id=subgraph_id,
        name=str(raw.get("name") or ""),
        inputs=tuple(_boundaries(raw.get("inputs"), f"the inputs of {where}")),
        outputs=tuple(_boundaries(raw.get("outputs"), f"the outputs of {where}")),
    )


def _boundaries(raw: Any, where: str) -> Iterator[Boundary]:
    for index, entry in enumerate(as_list(raw, where)):
        slot = as_mapping(entry, "entry", index, "of", where)
        links = slot.get("linkIds")
        yield Boundary(
            id=str(slot.get("id", index)),
            name=as_name(slot.get("name") or "", where),
            type=as_type(slot.get("type")),
            label=optional_text(slot.get("label")),
            links=tuple(str(link) for link in links) if isinstance(links, list) else (),
        )


def _group_node(name: str, raw: Any) -> GroupNode:
    where = f"group node {name!r}"
    group = as_mapping(raw, where)
    nodes = as_list(group.get("nodes"), f"the nodes of {where}")
    links = as_list(group.get("links"), f"the links of {where}")
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
        tuple(_node({**as_mapping(n, where), "id": i}, i, where) for i, n in enumerate(nodes)),
        tuple(
            _link([f"g{i}", *link[:4], link[5] if len(link) > 5 else None], i, where)
            for i, link in enumerate(inner)
        ),
        frozenset(_outward(as_list(group.get("external"), f"the outer links of {where}"), where)),
        names,
        shown,
    )


def _outward(entries: list[Any], where: str) -> Iterator[tuple[str, int]]:
    """``[node, output, type]``. Old files hold the node itself in place of its number, which pages pass over;
    nothing at all is number 0 to them."""
    for entry in entries:
        told = isinstance(entry, list) and len(entry) > 2 and None not in entry[1:3]
        if told and not isinstance(entry[0], Mapping):
            yield as_id(entry[0] or 0, where), as_slot(entry[1], where)


def _graph(raw: Mapping[str, Any], where: str) -> Graph:
    nodes = as_list(raw.get("nodes"), f"the nodes of {where}")
    links = as_list(raw.get("links"), f"the links of {where}")
    if len(nodes) > MAX_NODES:
        raise WorkflowError(f"{where} has {len(nodes)} nodes; at most {MAX_NODES} can be read.")
    if len(links) > MAX_LINKS:
        raise WorkflowError(f"{where} has {len(links)} links; at most {MAX_LINKS} can be read.")
    return Graph(
        tuple(_node(node, index, where) for index, node in enumerate(nodes)),
        tuple(_link(link, index, where) for index, link in enumerate(links) if not _is_void(link)),
        _page_links(raw.get("extra"), where),
    )


def _page_links(extra: Any, where: str) -> tuple[Link, ...] | None:
    """``extra.ue_links``: the links of cg-use-everywhere, by node and slot."""
    found = extra.get("ue_links") if isinstance(extra, Mapping) else None
    if not isinstance(found, list):
        return None
    if len(found) > MAX_LINKS:
        raise WorkflowError(f"{where} has {len(found)} links in 'extra'; at most {MAX_LINKS} can be read.")
    ends = ("upstream", "upstream_slot", "downstream", "downstream_slot", "type")
    told = [link for link in found if isinstance(link, Mapping)]
    rows = [[f"ue{n}", *(link.get(end) for end in ends)] for n, link in enumerate(told)]
    return tuple(_link(row, n, where) for n, row in enumerate(rows) if not _is_void(row))


def _node(raw: Any, index: int, scope: str) -> Node:
    node = as_mapping(raw, "node number", index, "of", scope)
    node_id = as_id(node.get("id"), "the id of node number", index, "of", scope)
    where = f"node {node_id} of {scope}"
    properties = node.get("properties")
    mode = node.get("mode")
    named = node.get("widgets_values_named")
    if isinstance(named, Mapping):
        check_value(named, f"widgets_values_named of {where}")
    return Node(
        id=node_id,
        type=as_name(as_text(node.get("type"), "the type of", where), "the type of", where),
        title=optional_text(node.get("title")),
        mode=mode if isinstance(mode, int) else 0,
        inputs=tuple(_inputs(node.get("inputs"), where)),
        outputs=tuple(_outputs(node.get("outputs"), where)),
        values=_values(node.get("widgets_values"), where),
        properties=properties if isinstance(properties, Mapping) else EMPTY,
        named=named if isinstance(named, Mapping) else None,
    )


def _inputs(raw: Any, where: str) -> Iterator[InputSlot]:
    for index, entry in enumerate(_slots(raw, where)):
        slot = as_mapping(entry, "input", index, "of", where)
        link, widget = slot.get("link"), slot.get("widget")
        widget = widget.get("name") if isinstance(widget, Mapping) else None
        yield InputSlot(
            name=as_name("" if slot.get("name") is None else slot["name"], "input", index, "of", where),
            type=as_type(slot.get("type")),
            link=None if link is None else as_id(link, "the link of input", index, "of", where),
            widget=optional_text(widget),
            label=optional_text(slot.get("label")),
        )


def _outputs(raw: Any, where: str) -> Iterator[OutputSlot]:
    for index, entry in enumerate(_slots(raw, where)):
        slot = as_mapping(entry, "output", index, "of", where)
        links = slot.get("links")
        yield OutputSlot(
            name=str(slot.get("name") or ""),
            type=as_type(slot.get("type")),
            links=tuple(str(link) for link in links) if isinstance(links, list) else (),
            label=optional_text(slot.get("label")),
        )


def _slots(raw: Any, where: str) -> list[Any]:
    slots = as_list(raw, f"the slots of {where}")
    if len(slots) > MAX_SLOTS:
        raise WorkflowError(f"{where} has {len(slots)} slots; at most {MAX_SLOTS} can be read.")
    return slots


def _is_void(link: Any) -> bool:
    """Old files have link records without an id, or with an end missing; pages make no link of them."""
    if isinstance(link, Mapping):
        return any(link.get(name) is None for name in _LINK_FIELDS)
    return link is None or (isinstance(link, list) and len(link) > 4 and None in link[:5])


_LINK_FIELDS = ("id", "origin_id", "origin_slot", "target_id", "target_slot")


def _link(raw: Any, index: int, scope: str) -> Link:
    where = ("link number", index, "of", scope)
    if isinstance(raw, Mapping):
        fields = [raw.get(name) for name in _LINK_FIELDS]
        kind = raw.get("type")
    elif isinstance(raw, list) and len(raw) >= 5:
        fields = raw[:5]
        kind = raw[5] if len(raw) > 5 else None
    else:
        raise WorkflowError(f"{words(where)} is neither [id, node, slot, node, slot, type] nor an object.")
    return Link(
        as_id(fields[0], "the id of", *where),
        as_id(fields[1], "the origin of", *where),
        as_slot(fields[2], "the origin slot of", *where),
        as_id(fields[3], "the target of", *where),
        as_slot(fields[4], "the target slot of", *where),
        as_type(kind),
    )


def _values(raw: Any, where: str) -> tuple[Any, ...] | Mapping[str, Any]:
    if isinstance(raw, Mapping):
        values: tuple[Any, ...] | Mapping[str, Any] = raw
        check_value(raw, f"widgets_values of {where}")
    else:
        values = tuple(as_list(raw, f"widgets_values of {where}"))
        for index, value in enumerate(values):
            check_value(value, f"value {index} of {where}")
    return values
