"""Links that the page of a node pack makes: by a name that two nodes share, or by rules of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import replace

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
    senders = [node for node in graph.nodes.values() if node.type in BROADCASTERS and node.active]
    if senders:
        open_ends = _open_ends(graph)
        used = {(link.origin_id, link.origin_slot) for link in graph.links.values()}
        made = {(link.origin_id, link.origin_slot) for link in links or ()}
        for node in senders:
            lacks = _lacks(node, open_ends, used, made, in_file=links is not None)
            node.doubts = (*node.doubts, lacks) if lacks else node.doubts


def _lacks(
    sender: LiveNode,
    open_ends: Mapping[str, str],
    used: Set[tuple[str, int]],
    made: Set[tuple[str, int]],
    *,
    in_file: bool,
) -> str:
    """Says that the file lacks links of `sender`; "" where it has them. `used` and `made` are the outputs
    that links start at, of all links and of those that the page makes."""
    sources = {(link.origin_id, link.origin_slot): link.type for link in sender.incoming.values()}
    own = ((sender.id, slot) for slot in range(len(sender.outputs)))
    sources |= {start: sender.outputs[start[1]] for start in own if start not in used}
    if not sources or (_is_choosy(sender) and made & set(sources)):
        return ""
    end = next((open_ends[kind] for kind in sources.values() if kind in open_ends), "")
    if end:
        return f"the links that it makes are not in the file, such as one to {end}"
    return "" if in_file else "the links that it makes are not in the file"


def _open_ends(graph: LiveGraph) -> dict[str, str]:
    """For each kind of link the first input that nothing feeds, in words."""
    found: dict[str, str] = {}
    for node in graph.nodes.values():
        if not node.active or node.virtual or node.type in BROADCASTERS or _is_choosy(node):
            continue
        for index, socket in enumerate(node.sockets):
            if index not in node.incoming and socket.widget is None and socket.type != "*":
                found.setdefault(socket.type, f"{socket.name} of node {node.id}")
    return found


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


def shared_name(node: LiveNode) -> str:
    """What a node that sets or gets a value calls it: its first value. "" for none."""
    values = node.saved.values if node.saved is not None else ()
    name = values[0] if isinstance(values, tuple) and values else ""
    return str(name) if isinstance(name, (str, int, float)) else ""


class Setters:
    """The nodes that set a value under a name, by graph and class: looked up once for all that get one."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, str], dict[str, list[LiveNode]]] = {}

    def of(
        self, node: LiveNode, rule: PageOnly, graphs: Iterable[LiveGraph]
    ) -> Iterator[tuple[int, LiveNode]]:
        """Those that set what `node` gets, each with the place of its graph among `graphs`."""
        name = shared_name(node)
        for place, graph in enumerate(graphs):
            for setter in self._in(graph, rule.setter).get(name, ()) if name else ():
                yield place, setter

    def _in(self, graph: LiveGraph, kind: str) -> dict[str, list[LiveNode]]:
        key = (id(graph), kind)
        if key not in self._known:
            self._known[key] = {}
            for node in graph.nodes.values():
                if node.type == kind:
                    self._known[key].setdefault(shared_name(node), []).append(node)
        return self._known[key]
