"""The workflow as the frontend has it after loading: nodes with widgets, values and matched links."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ..models.workflow import SUBGRAPH_OUTPUT_NODE, Boundary, Link, Node, NodeMode
from .pack_rules import PageOnly
from .widgets import Socket, Widget

REROUTE = "Reroute"
PRIMITIVE = "PrimitiveNode"
# Nodes that exist in the editor only; a link passes through them or ends there.
VIRTUAL_TYPES = frozenset({REROUTE, PRIMITIVE, "Note", "MarkdownNote"})


@dataclass(slots=True)
class LiveNode:
    """One node after loading. ``incoming`` maps the index of a socket to the link that ends there.

    ``page_only``: the rule of a node that a pack's page keeps for itself. ``doubts`` say what of it only the
    page knows.
    """

    id: str
    type: str
    title: str
    mode: int
    sockets: list[Socket]
    outputs: list[str]
    widgets: list[Widget] = field(default_factory=list)
    incoming: dict[int, Link] = field(default_factory=dict)
    inner: LiveGraph | None = None
    promoted: dict[int, Widget] = field(default_factory=dict)
    saved: Node | None = None
    known: bool = True
    output_groups: tuple[str | None, ...] = ()
    page_only: PageOnly | None = None
    doubts: tuple[str, ...] = ()

    @property
    def virtual(self) -> bool:
        return self.type in VIRTUAL_TYPES or self.inner is not None or self.page_only is not None

    @property
    def active(self) -> bool:
        return self.mode not in (NodeMode.MUTED, NodeMode.BYPASSED)

    def widget_at(self, index: int) -> Widget | None:
        """The widget behind the socket at `index`: the node's own, or what an instance promotes."""
        if self.inner is not None:
            return self.promoted.get(index)
        if not 0 <= index < len(self.sockets) or self.sockets[index].widget is None:
            return None
        return next((w for w in self.widgets if w.name == self.sockets[index].widget), None)


@dataclass(slots=True)
class LiveGraph:
    """One scope after loading: the root, or a subgraph definition with its boundary."""

    id: str = ""
    name: str = ""
    nodes: dict[str, LiveNode] = field(default_factory=dict)
    links: dict[str, Link] = field(default_factory=dict)
    inputs: list[Boundary] = field(default_factory=list)
    outputs: list[Boundary] = field(default_factory=list)
    instances: list[LiveNode] = field(default_factory=list)

    def targets(self, link_ids: Iterable[str]) -> Iterator[tuple[LiveNode, int]]:
        """The (node, socket index) each of these links ends in, as far as they exist."""
        for link_id in link_ids:
            link = self.links.get(link_id)
            node = self.nodes.get(link.target_id) if link else None
            if node is None:
                continue
            for index, incoming in node.incoming.items():
                if incoming.id == link_id:
                    yield node, index

    def leaving(self, node_id: str, slot: int) -> list[Link]:
        """The links that start at an output, in the order of their ids."""
        start = (node_id, slot)
        found = [link for link in self.links.values() if (link.origin_id, link.origin_slot) == start]
        return sorted(found, key=link_order)

    def producer_of_output(self, slot: int) -> Link | None:
        """The link that feeds the graph's own output `slot`."""
        if not 0 <= slot < len(self.outputs):
            return None
        listed = [self.links[link] for link in self.outputs[slot].links if link in self.links]
        if listed:
            return listed[0]
        end = (SUBGRAPH_OUTPUT_NODE, slot)
        return next((x for x in self.links.values() if (x.target_id, x.target_slot) == end), None)


def link_order(link: Link) -> tuple[bool, int, str]:
    """Sorts links by id: numbers first, by size."""
    return (not link.id.isdigit(), len(link.id), link.id)
