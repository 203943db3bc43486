"""A workflow as the page saves it, with other values in some of its widgets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

WidgetPlace = tuple[str, int]
"""A node and which of its ``widgets_values``. "4" is a node of the root graph; in "9:4" the node 4 stands in
the subgraph whose instance is the node 9. All instances of a subgraph share what stands in it."""
_Wanted = dict[str, dict[int, Any]]  #: by node id


def with_values(
    workflow: Mapping[str, Any], places: Mapping[str, WidgetPlace], changes: Mapping[str, Any]
) -> dict[str, Any]:
    """The workflow with each of `changes` (address to value) that has a place; shares all else with the
    original. A place that is not there is passed over: the page knows it better than the file."""
    definitions = workflow.get("definitions")
    subgraphs = definitions.get("subgraphs") if isinstance(definitions, dict) else None
    known = {str(each["id"]): each for each in _objects(subgraphs) if "id" in each}
    wanted: dict[str, _Wanted] = {}  # by subgraph; "" is the root graph
    for address, value in changes.items():
        if address not in places:
            continue
        path, index = places[address]
        *hosts, node_id = path.split(":")
        subgraph = _innermost(workflow, known, hosts)
        if subgraph is not None:
            wanted.setdefault(subgraph, {}).setdefault(node_id, {})[index] = value
    changed = _with_nodes(workflow, wanted.pop("", {}))
    if wanted and isinstance(definitions, dict) and isinstance(subgraphs, list):
        changed["definitions"] = {
            **definitions,
            "subgraphs": [
                _with_nodes(each, wanted.get(str(each.get("id")), {})) if isinstance(each, dict) else each
                for each in subgraphs
            ],
        }
    return changed


def _innermost(
    workflow: Mapping[str, Any], known: Mapping[str, Mapping[str, Any]], hosts: Sequence[str]
) -> str | None:
    """The subgraph in which the last of these instances leads; "" without any, None where one is missing."""
    subgraph, graph = "", workflow
    for host in hosts:
        kinds = (node.get("type") for node in _objects(graph.get("nodes")) if str(node.get("id")) == host)
        subgraph = str(next(kinds, None))
        if subgraph not in known:
            return None
        graph = known[subgraph]
    return subgraph


def _objects(found: Any) -> Iterable[Mapping[str, Any]]:
    return (each for each in found if isinstance(each, dict)) if isinstance(found, list) else ()


def _with_nodes(graph: Mapping[str, Any], wanted: _Wanted) -> dict[str, Any]:
    nodes = graph.get("nodes")
    if not wanted or not isinstance(nodes, list):
        return dict(graph)
    return {**graph, "nodes": [_changed(node, wanted) for node in nodes]}


def _changed(node: Any, wanted: _Wanted) -> Any:
    values = node.get("widgets_values") if isinstance(node, dict) else None
    changes = wanted.get(str(node.get("id"))) if isinstance(values, list) else None
    if not changes:
        return node
    return {**node, "widgets_values": [changes.get(n, value) for n, value in enumerate(values or ())]}
