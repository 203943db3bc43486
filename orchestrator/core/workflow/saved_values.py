"""A workflow as the page saves it, with other values in some of its widgets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Place = tuple[str, int]  #: a node of the root graph, and which of its ``widgets_values``


def with_values(
    workflow: Mapping[str, Any], places: Mapping[str, Place], changes: Mapping[str, Any]
) -> dict[str, Any]:
    """The workflow with each of `changes` (address to value) that has a place; shares all else with the
    original. A place that is not there is passed over: the page knows it better than the file."""
    wanted: dict[str, dict[int, Any]] = {}
    for address, value in changes.items():
        if address in places:
            node_id, index = places[address]
            wanted.setdefault(node_id, {})[index] = value
    nodes = workflow.get("nodes")
    if not wanted or not isinstance(nodes, list):
        return dict(workflow)
    return {**workflow, "nodes": [_changed(node, wanted) for node in nodes]}


def _changed(node: Any, wanted: Mapping[str, Mapping[int, Any]]) -> Any:
    values = node.get("widgets_values") if isinstance(node, dict) else None
    changes = wanted.get(str(node.get("id"))) if isinstance(values, list) else None
    if not changes:
        return node
    return {**node, "widgets_values": [changes.get(n, value) for n, value in enumerate(values or ())]}
