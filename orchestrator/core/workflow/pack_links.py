"""Links that the page of a node pack makes: by a name that two nodes share, or by rules of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from ..models.workflow import EMPTY, SUBGRAPH_OUTPUT_NODE, Link
from .live_graph import LiveGraph, LiveNode
from .pack_rules import BROADCASTERS, CHOOSY, PageOnly


def add_page_links(graph: LiveGraph, links: Iterable[Link] | None) -> None:
    """Make the links that the file names in its ``extra``; doubt those that it should name and does not.

    The page makes them as it queues. They go by the inputs as the file has them, and replace others.
    """
    for link in links or ():
        target = graph.nodes.get(link.target_id)
        if target is None:
            if link.target_id == SUBGRAPH_OUTPUT_NODE:
                graph.links[link.id] = link
            continue
        index = _socket(target, link.target_slot)
        if index is not None and link.origin_id != target.id:
            graph.links[link.id] = target.incoming[index] = replace(link, target_slot=index)
    made = {(link.origin_id, link.origin_slot) for link in links or ()}
    for node in graph.nodes.values():
        if node.type in BROADCASTERS and node.active and not node.doubts:
            node.doubts = tuple(_lacking(graph, node, made, in_file=links is not None))


def _lacking(
    graph: LiveGraph, sender: LiveNode, made: set[tuple[str, int]], *, in_file: bool
) -> Iterator[str]:
    """That the file lacks links of `sender`, seen by open ends; `made`: where the links it has start."""
    sources = {(link.origin_id, link.origin_slot): link.type for link in sender.incoming.values()}
    for slot, kind in enumerate(sender.outputs):
        if not graph.leaving(sender.id, slot):
            sources[sender.id, slot] = kind
    if not sources or (_is_choosy(sender) and made & set(sources)):
        return
    for open_end in _open_ends(graph, set(sources.values()) - {"*"}):
        yield f"the links that it makes are not in the file, such as one to {open_end}"
        return
    if not in_file:
        yield "the links that it makes are not in the file"


def _open_ends(graph: LiveGraph, kinds: set[str]) -> Iterator[str]:
    """The inputs of these kinds that nothing feeds."""
    for node in graph.nodes.values():
        if not node.active or node.virtual or node.type in BROADCASTERS or _is_choosy(node):
            continue
        for index, socket in enumerate(node.sockets):
            if index not in node.incoming and socket.widget is None and socket.type in kinds:
                yield f"{socket.name} of node {node.id}"


def _is_choosy(node: LiveNode) -> bool:
    """Whether a node's own settings limit what it sends or takes, or may do so."""
    properties = node.saved.properties if node.saved is not None else EMPTY
    wishes = properties.get("ue_properties")
    wishes = wishes if isinstance(wishes, Mapping) else EMPTY
    limits = [value for key, value in wishes.items() if key.endswith(("_regex", "_restricted"))]
    limits += [wishes.get("input_ue_unconnectable"), properties.get("rejects_ue_links")]
    return any(limits) or node.type in CHOOSY


def _socket(node: LiveNode, slot: int) -> int | None:
    """The socket that the file counts as number `slot`."""
    saved = node.saved.inputs if node.saved is not None else ()
    if 0 <= slot < len(saved):
        return next((i for i, socket in enumerate(node.sockets) if socket.name == saved[slot].name), None)
    return slot if 0 <= slot < len(node.sockets) else None


def shared_name(node: LiveNode) -> Any:
    """What a node that sets or gets a value calls it: its first value."""
    values = node.saved.values if node.saved is not None else ()
    return values[0] if isinstance(values, tuple) and values else None


def setters(node: LiveNode, rule: PageOnly, graphs: Iterable[LiveGraph]) -> Iterator[tuple[int, LiveNode]]:
    """The nodes that set what `node` gets, each with the place of its graph among `graphs`."""
    name = shared_name(node)
    for place, graph in enumerate(graphs):
        for other in graph.nodes.values():
            if name not in (None, "") and other.type == rule.setter and shared_name(other) == name:
                yield place, other
