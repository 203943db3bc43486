"""Where a link really starts: through reroutes, bypassed nodes and the walls of subgraphs.

The rules are the frontend's (1.58). A source is looked for step by step, without recursion, and a link
that leads back to where it was is an error.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from ...errors import WorkflowError
from ..models.workflow import SUBGRAPH_INPUT_NODE, Link, NodeMode
from .live_graph import REROUTE, LiveGraph, LiveNode
from .pack_links import Setters, shared_name
from .pack_rules import PageOnly

MAX_STEPS = 100_000
MAX_STEPS_OF_ALL = 1_000_000
MAX_TYPE_PASSES = 100


@dataclass(slots=True)
class StepBudget:
    """The steps all links of one workflow may take together, so that a tangle cannot take for ever.

    ``doubts``: sentences about links on the way whose source only the page knows.
    """

    left: int = MAX_STEPS_OF_ALL
    doubts: list[str] = field(default_factory=list)
    setters: Setters = field(default_factory=Setters)

    def spend(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise WorkflowError(
                "The links of this workflow run through too many reroutes and bypassed nodes. "
                "Link nodes directly where you can."
            )


@dataclass(frozen=True, slots=True)
class NodePlace:
    """A node inside a chain of subgraph instances; ``path`` holds those instances, outermost first."""

    node: LiveNode
    graph: LiveGraph
    path: tuple[NodePlace, ...] = ()

    @property
    def id(self) -> str:
        """The id the node has in a prompt, for example ``57:8``."""
        return ":".join([*(place.node.id for place in self.path), self.node.id])

    def sibling(self, node: LiveNode) -> NodePlace:
        return NodePlace(node, self.graph, self.path)


@dataclass(frozen=True, slots=True)
class Output:
    """An output of a node that runs."""

    place: NodePlace
    slot: int


@dataclass(frozen=True, slots=True)
class Constant:
    """A value a subgraph's instance holds for an inner input."""

    value: Any


def resolve_input(place: NodePlace, socket: int, budget: StepBudget) -> Output | Constant | None:
    """What feeds the input `socket` of the node at `place`; None when nothing does.

    Raises WorkflowError when the link runs in a circle, or when `budget` is used up.
    """
    seen: set[tuple[str, str, int]] = set()
    kind: str | None = None
    for _ in range(MAX_STEPS):
        _visit(seen, place, "in", socket)
        budget.spend()
        link = place.node.incoming.get(socket)
        if link is None:
            return None
        if link.origin_id == SUBGRAPH_INPUT_NODE and place.path:
            host = place.path[-1]
            if link.origin_slot >= len(host.node.sockets) or link.origin_slot < 0:
                return None
            if link.origin_slot not in host.node.incoming:
                promoted = host.node.promoted.get(link.origin_slot)
                return Constant(promoted.value) if promoted is not None else None
            place, socket, kind = host, link.origin_slot, None
            continue
        source = place.graph.nodes.get(link.origin_id)
        if source is None:
            return None
        wanted = kind or place.node.sockets[socket].type
        found = _through(place.sibling(source), link.origin_slot, wanted, seen, budget)
        if found is None or isinstance(found, Output):
            return found
        place, socket, kind = found
    raise _circle(place)


def _through(
    place: NodePlace, slot: int, kind: str, seen: set[tuple[str, str, int]], budget: StepBudget
) -> Output | tuple[NodePlace, int, str | None] | None:
    """Follow an output inwards: a running node's output, or the input to go on from, or nothing."""
    for _ in range(MAX_STEPS):
        _visit(seen, place, "out", slot)
        node = place.node
        if node.mode == NodeMode.MUTED:
            if node.page_only is not None:
                budget.doubts.append(
                    f"Node {place.id} {node.title!r} is muted, which frontends read differently."
                )
            return None
        if node.mode == NodeMode.BYPASSED:
            match = bypass_input(node, slot, kind)
            return None if match is None else (place, match, None)
        if node.inner is not None:
            link = node.inner.producer_of_output(slot)
            if link is None:
                return None
            inside = (*place.path, place)
            if link.origin_id == SUBGRAPH_INPUT_NODE:
                return (place, link.origin_slot, kind) if link.origin_slot < len(node.sockets) else None
            source = node.inner.nodes.get(link.origin_id)
            if source is None:
                return None
            place, slot = NodePlace(source, node.inner, inside), link.origin_slot
            continue
        if node.page_only is not None:
            found = _page_source(place, node.page_only, budget)
            return (found, slot, kind) if found and slot < len(found.node.sockets) else None
        if node.virtual:
            return (place, slot, kind) if node.type == REROUTE and slot < len(node.sockets) else None
        return Output(place, slot)
    raise _circle(place)


def _page_source(place: NodePlace, rule: PageOnly, budget: StepBudget) -> NodePlace | None:
    """The node whose inputs feed the outputs of one that exists in the page only."""
    node = place.node
    if rule.untold:
        budget.doubts.append(f"Node {place.id} {node.title!r}: {rule.untold}.")
    if not rule.setter:
        return place
    outer = list(reversed(place.path)) if rule.outwards else []
    found = list(budget.setters.of(node, rule, [place.graph, *(each.graph for each in outer)]))
    if not found or (found[0][0] and len(found) > 1):
        name = shared_name(node)
        why = "more than one node sets" if found else "no node sets"
        budget.doubts.append(f"Node {place.id} {node.title!r}: {why} {name!r}.")
        return None
    level, setter = found[0]
    if not level:
        return place.sibling(setter)
    around = outer[level - 1]
    return NodePlace(setter, around.graph, around.path)


def bypass_input(node: LiveNode, slot: int, kind: str) -> int | None:
    """The input that takes the place of output `slot` of a bypassed node, for a target of type `kind`."""
    if not node.sockets or not 0 <= slot < len(node.outputs):
        return None
    types = [socket.type for socket in node.sockets]
    output = node.outputs[slot]
    if kind in ("*", ""):
        return slot if slot < len(types) else 0
    if slot < len(types) and compatible(types[slot], output) and compatible(types[slot], kind):
        return slot
    if kind in types:
        return types.index(kind)
    return next((i for i, t in enumerate(types) if compatible(t, output) and compatible(t, kind)), None)


def compatible(first: str, second: str) -> bool:
    """Whether the editor lets the two slot types be linked (case does not matter, `,` lists types)."""
    if first in ("", "*", "0") or second in ("", "*", "0") or first == second:
        return True
    left, right = first.lower().split(","), second.lower().split(",")
    return any(a in ("", "*") or b in ("", "*") or a == b for a in left for b in right)


def settle_matched_types(graphs: Iterable[LiveGraph]) -> None:
    """Give matched outputs the type that is linked into their template's inputs."""
    for graph in graphs:
        for _ in range(MAX_TYPE_PASSES):
            if not sum(_settle(graph, node) for node in graph.nodes.values()):
                break


def _settle(graph: LiveGraph, node: LiveNode) -> bool:
    changed = False
    for index, group in enumerate(node.output_groups):
        if group is None or index >= len(node.outputs):
            continue
        members = [i for i, socket in enumerate(node.sockets) if socket.template == group]
        types = {_origin_type(graph, node.incoming[i]) for i in members if i in node.incoming} - {"*"}
        kind = types.pop() if len(types) == 1 else "*"
        if kind != "*" and node.outputs[index] != kind:
            node.outputs[index] = kind
            for i in members:
                node.sockets[i].type = kind
            _cut_misfits(graph, node, index)
            changed = True
    return changed


def _cut_misfits(graph: LiveGraph, node: LiveNode, slot: int) -> None:
    """Drop the links that no longer fit an output whose type has become known."""
    for target, index in list(graph.targets(link.id for link in graph.leaving(node.id, slot))):
        if not compatible(node.outputs[slot], target.sockets[index].type):
            del target.incoming[index]


def _origin_type(graph: LiveGraph, link: Link) -> str:
    source = graph.nodes.get(link.origin_id)
    if source is not None and 0 <= link.origin_slot < len(source.outputs):
        return source.outputs[link.origin_slot]
    if link.origin_id == SUBGRAPH_INPUT_NODE and 0 <= link.origin_slot < len(graph.inputs):
        return graph.inputs[link.origin_slot].type
    return "*"


def _visit(seen: set[tuple[str, str, int]], place: NodePlace, side: str, slot: int) -> None:
    step = (place.id, side, slot)
    if step in seen:
        raise _circle(place)
    seen.add(step)


def _circle(place: NodePlace) -> WorkflowError:
    return WorkflowError(
        f"The links around node {place.id} ({place.node.title}) run in a circle, so its input has no source. "
        "Take one of these links out."
    )
