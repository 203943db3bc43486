"""The typed form of a saved workflow: what the rest of the code reads instead of raw JSON.

Field names follow the file format of ComfyUI's frontend (0.4 with array links, and the newer one with
object links; both end here). Ids are strings throughout: files hold numbers and strings alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from types import MappingProxyType
from typing import Any

SUBGRAPH_INPUT_NODE = "-10"
SUBGRAPH_OUTPUT_NODE = "-20"
EMPTY: Mapping[str, Any] = MappingProxyType({})


class NodeMode(IntEnum):
    """How a node takes part in a run; every other number in a file behaves like ALWAYS."""

    ALWAYS = 0
    MUTED = 2
    BYPASSED = 4


@dataclass(frozen=True, slots=True)
class InputSlot:
    """A node's input as saved. ``widget`` is the widget's name when the input is also a widget."""

    name: str
    type: str
    link: str | None = None
    widget: str | None = None
    label: str | None = None


@dataclass(frozen=True, slots=True)
class OutputSlot:
    """A node's output as saved."""

    name: str
    type: str
    links: tuple[str, ...] = ()
    label: str | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """A connection inside one graph. The ends -10 and -20 are the graph's own inputs and outputs."""

    id: str
    origin_id: str
    origin_slot: int
    target_id: str
    target_slot: int
    type: str = "*"


@dataclass(frozen=True, slots=True)
class Node:
    """A node as saved.

    ``values`` are the widget values in the file's form: by position or by name. ``named`` is the second,
    named copy that frontends from 1.58 on write.
    """

    id: str
    type: str
    title: str | None = None
    mode: int = NodeMode.ALWAYS
    inputs: tuple[InputSlot, ...] = ()
    outputs: tuple[OutputSlot, ...] = ()
    values: tuple[Any, ...] | Mapping[str, Any] = ()
    properties: Mapping[str, Any] = field(default_factory=dict)
    named: Mapping[str, Any] | None = None

    @property
    def active(self) -> bool:
        return self.mode not in (NodeMode.MUTED, NodeMode.BYPASSED)


@dataclass(frozen=True, slots=True)
class Boundary:
    """An input or output of a subgraph definition, seen from inside."""

    id: str
    name: str
    type: str
    label: str | None = None
    links: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Graph:
    """One scope: the nodes of the workflow, or of one subgraph definition.

    ``page_links`` are those that the page of cg-use-everywhere makes when it queues, as it left them in the
    file; None when it left none.
    """

    nodes: tuple[Node, ...] = ()
    links: tuple[Link, ...] = ()
    page_links: tuple[Link, ...] | None = None


@dataclass(frozen=True, slots=True)
class Subgraph(Graph):
    """A subgraph definition; nodes of ``type == id`` are its instances."""

    id: str = ""
    name: str = ""
    inputs: tuple[Boundary, ...] = ()
    outputs: tuple[Boundary, ...] = ()


@dataclass(frozen=True, slots=True)
class GroupNode:
    """The definition of an old group node (before subgraphs): nodes that act as one.

    Nodes are numbered from 0, and ids are these numbers. ``outward`` holds the (node, output) pairs that
    are linked outside as well; ``names`` and ``shown`` hold what the user renamed and showed or hid, keyed
    by ("input", node, input name) or ("output", node, output number).
    """

    name: str
    nodes: tuple[Node, ...] = ()
    links: tuple[Link, ...] = ()
    outward: frozenset[tuple[str, int]] = frozenset()
    names: Mapping[tuple[str, str, str], str] = field(default_factory=dict)
    shown: Mapping[tuple[str, str, str], bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Workflow:
    """A whole file: the root graph, the subgraph definitions and the old group nodes it uses."""

    graph: Graph
    subgraphs: Mapping[str, Subgraph] = field(default_factory=dict)
    group_nodes: Mapping[str, GroupNode] = field(default_factory=dict)
    last_node_id: int = 0

    def __getitem__(self, key: str) -> Any:
        """``workflow["node_ids"]``: the ids of the root graph's nodes, in file order."""
        if key == "node_ids":
            return [node.id for node in self.graph.nodes]
        raise KeyError(key)

    @property
    def classes(self) -> frozenset[str]:
        """Every node type in the file, subgraphs included, active or not."""
        scopes: list[Graph] = [self.graph, *self.subgraphs.values()]
        return frozenset(node.type for scope in scopes for node in scope.nodes)
