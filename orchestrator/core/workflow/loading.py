"""The typed workflow → the live graph, as the frontend builds it when it loads a file.

Saved inputs are matched to a class's inputs by name, because files keep the order of the day they were
saved and classes change. A subgraph definition is loaded once and shared by all its instances.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...errors import WorkflowError
from ..models.workflow import Graph, Link, Node, Subgraph, Workflow
from .file_hints import told_widgets
from .group_nodes import PREFIXES, group_classes, group_name, unpack
from .live_graph import PRIMITIVE, REROUTE, VIRTUAL_TYPES, LiveGraph, LiveNode
from .object_info import MATCH_TYPE, ObjectInfo
from .pack_links import add_page_links
from .pack_rules import PAGE_ONLY
from .pack_widgets import arrange, doubts, forget_memory, has_rule, reset_by_format, without_empty_choices
from .promotion import bind_promoted, migrate_proxies
from .widgets import Autogrow, Layout, Socket, Widget, class_layout, class_specs, drop_forced_values, restore


class Loader:
    """Builds live graphs; definitions leaf first, so that an instance finds its definition complete."""

    def __init__(self, workflow: Workflow, info: ObjectInfo) -> None:
        self._groups = group_classes(workflow.group_nodes, info)
        classes = {
            prefix + name: made.definition for name, made in self._groups.items() for prefix in PREFIXES
        }
        self._info = info.extended(classes) if classes else info
        self._workflow = workflow
        self.definitions: dict[str, LiveGraph] = {}

    def load(self) -> LiveGraph:
        """Return the root graph; raises WorkflowError for subgraphs that contain themselves."""
        for subgraph in _leaf_first(self._workflow.subgraphs):
            graph = LiveGraph(
                subgraph.id, subgraph.name, inputs=list(subgraph.inputs), outputs=list(subgraph.outputs)
            )
            self._fill(graph, subgraph)
            self.definitions[subgraph.id] = graph
        root = LiveGraph()
        self._fill(root, self._workflow.graph)
        if self._groups:
            self._unpack_groups(root)
        return root

    def _unpack_groups(self, root: LiveGraph) -> None:
        graphs = (root, *self.definitions.values())
        ids = [int(i) for graph in graphs for i in graph.nodes if i.isascii() and i.isdigit() and len(i) < 16]
        last = max([self._workflow.last_node_id, *ids])
        for node in list(root.nodes.values()):
            group = self._groups.get(group_name(node.type) or "")
            if group is not None:
                last = unpack(root, node, group, self.load_node, last)

    def _fill(self, graph: LiveGraph, saved: Graph) -> None:
        graph.links = usable_links(saved)
        by_target: dict[str, list[Link]] = {}
        for link in graph.links.values():
            by_target.setdefault(link.target_id, []).append(link)
        for node in saved.nodes:
            if node.id not in graph.nodes:
                graph.nodes[node.id] = self.load_node(node, by_target.get(node.id, ()))
        add_page_links(graph, saved.page_links)
        hosts = [live for live in graph.nodes.values() if live.inner is not None]
        for host in hosts:
            bind_promoted(host)
        for host in hosts:
            migrate_proxies(host)

    def load_node(self, node: Node, links: Sequence[Link]) -> LiveNode:
        if node.type in self.definitions:
            return self._instance(node, links)
        if node.type in VIRTUAL_TYPES:
            return self._virtual(node, links)
        if node.type in PAGE_ONLY:
            return self._page_only(node, links)
        if node.type not in self._info:
            live = _as_saved(node)
            live.known = False
            live.widgets = told_widgets(node)
            attach(live, node, links)
            return live
        return self._known(node, links)

    def _known(self, node: Node, links: Sequence[Link]) -> LiveNode:
        specs = class_specs(self._info, node.type)
        layout = class_layout(node.type, specs)
        values = node.values
        from_pack = self._info.is_from_pack(node.type) or has_rule(node.type)
        told = arrange(node, layout) if from_pack else values
        if not isinstance(values, Mapping):
            values = tuple(drop_forced_values(specs, layout.widgets, values))
        if values == node.values:  # else the names tell of other places than the page reads
            values = told
        defined = {socket.name for socket in layout.sockets}
        layout.sockets += [
            Socket(slot.name, slot.type, slot.widget, slot.label)
            for slot in node.inputs
            if slot.name not in defined
        ]
        if layout.autogrow:
            _grow_linked(layout, node, links)
        values = without_empty_choices(node.type, layout, values)
        restore(layout, values, node.named)
        if isinstance(node.values, Mapping) and from_pack:
            reset_by_format(layout)
        forget_memory(node, layout)
        found = tuple(doubts(node, layout, values)) if from_pack else ()
        names = {widget.name for widget in layout.widgets}
        sockets = [s for s in layout.sockets if s.widget is None or s.widget in names]
        outputs = list(self._info.output_types(node.type))
        outputs += [slot.type for slot in node.outputs[len(outputs) :]]
        live = LiveNode(
            id=node.id,
            type=node.type,
            title=node.title or self._info.display_name(node.type),
            mode=node.mode,
            sockets=sockets,
            outputs=outputs,
            widgets=layout.widgets,
            saved=node,
            # Instances of groups are unpacked in the root graph; what is left elsewhere cannot run.
            known=group_name(node.type) is None,
            output_groups=self._info.output_groups(node.type),
            doubts=found,
        )
        attach(live, node, links)
        for group in layout.autogrow.values():
            _close_first_gaps(live, group)
        return live

    def _virtual(self, node: Node, links: Sequence[Link]) -> LiveNode:
        live = _as_saved(node)
        if node.type == REROUTE and not live.sockets:
            live.sockets = [Socket("", "*")]
        if node.type == PRIMITIVE and not isinstance(node.values, Mapping) and node.values:
            live.widgets = [Widget("value", node.values[0])]
        attach(live, node, links)
        return live

    def _page_only(self, node: Node, links: Sequence[Link]) -> LiveNode:
        live = _as_saved(node)
        live.page_only = PAGE_ONLY[node.type]
        attach(live, node, links)
        return live

    def _instance(self, node: Node, links: Sequence[Link]) -> LiveNode:
        inner = self.definitions[node.type]
        labels = {slot.name: slot.label for slot in node.inputs}
        live = LiveNode(
            id=node.id,
            type=node.type,
            title=node.title or inner.name,
            mode=node.mode,
            sockets=[Socket(b.name, b.type, label=labels.get(b.name) or b.label) for b in inner.inputs],
            outputs=[boundary.type for boundary in inner.outputs],
            inner=inner,
            saved=node,
        )
        inner.instances.append(live)
        attach(live, node, links)
        return live


def _as_saved(node: Node) -> LiveNode:
    return LiveNode(
        id=node.id,
        type=node.type,
        title=node.title or node.type,
        mode=node.mode,
        sockets=[Socket(slot.name, slot.type, slot.widget, slot.label) for slot in node.inputs],
        outputs=[slot.type for slot in node.outputs],
        saved=node,
    )


def attach(live: LiveNode, node: Node, links: Sequence[Link]) -> None:
    """Give each link that ends in `node` its socket: by the saved input's name, else by position."""
    if not links:
        return
    named: dict[str, list[str]] = {}
    for slot in node.inputs:
        if slot.link is not None:
            named.setdefault(slot.link, []).append(slot.name)
    loose: list[Link] = []
    for link in links:
        names = named.get(link.id)
        places = [i for i, socket in enumerate(live.sockets) if socket.name in names] if names else []
        if places:
            live.incoming.setdefault(link.target_slot if link.target_slot in places else places[0], link)
        elif not names:
            loose.append(link)
    for link in loose:
        if 0 <= link.target_slot < len(live.sockets):
            live.incoming.setdefault(link.target_slot, link)


def usable_links(graph: Graph) -> dict[str, Link]:
    """The links by id; of several that end in one input the one that the input names, else the first."""
    named = {slot.link for node in graph.nodes for slot in node.inputs if slot.link is not None}
    by_end: dict[tuple[str, int], Link] = {}
    for link in graph.links:
        end = (link.target_id, link.target_slot)
        rival = by_end.get(end)
        if rival is None or (not _same_start(rival, link) and link.id in named and rival.id not in named):
            by_end[end] = link
    kept = {id(link) for link in by_end.values()}
    links: dict[str, Link] = {}
    for link in graph.links:
        if id(link) in kept:
            links.setdefault(link.id, link)
    return links


def _same_start(one: Link, other: Link) -> bool:
    return (one.origin_id, one.origin_slot) == (other.origin_id, other.origin_slot)


def _grow_linked(layout: Layout, node: Node, links: Sequence[Link]) -> None:
    alive = {link.id for link in links}
    for slot in node.inputs:
        if slot.link not in alive:
            continue
        for group in layout.autogrow.values():
            ordinal = group.ordinal(slot.name)
            if ordinal is not None and ordinal < group.maximum:
                layout.grow(group, ordinal)
                layout.grow(group, ordinal + 1)


def _close_first_gaps(live: LiveNode, group: Autogrow) -> None:
    """Move links down into the group's first inputs when these are free.

    The frontend does so on loading, one step for each free input a new node would have, and only for
    inputs of matched type.
    """
    if not any(spec.type == MATCH_TYPE for spec in group.inputs):
        return
    places = {socket.name: index for index, socket in enumerate(live.sockets)}
    rows: list[list[int]] = []
    while len(rows) < group.maximum:
        names = [group.slot_name(len(rows), spec.name) for spec in group.inputs]
        if not all(name in places for name in names):
            break
        rows.append([places[name] for name in names])
    first = rows[: max(1, group.minimum + 1)]
    free = [(row, place) for row, row_places in enumerate(first) for place in row_places]
    for row, place in [entry for entry in free if entry[1] not in live.incoming]:
        if row + 1 < group.minimum or place in live.incoming:
            continue
        for lower, upper in zip(rows[row:], rows[row + 1 :], strict=False):
            for target, source in zip(lower, upper, strict=True):
                moved = live.incoming.pop(source, None)
                live.incoming.pop(target, None)
                if moved is not None:
                    live.incoming[target] = moved


def _leaf_first(subgraphs: Mapping[str, Subgraph]) -> list[Subgraph]:
    """Definitions in an order where every definition comes after those it uses."""
    needs = {
        key: {node.type for node in subgraph.nodes if node.type in subgraphs}
        for key, subgraph in subgraphs.items()
    }
    users: dict[str, list[str]] = {key: [] for key in subgraphs}
    for key, wanted in needs.items():
        for used in wanted:
            users[used].append(key)
    missing = {key: len(wanted) for key, wanted in needs.items()}
    ready = [key for key, count in missing.items() if not count]
    order: list[Subgraph] = []
    while ready:
        key = ready.pop(0)
        order.append(subgraphs[key])
        for user in users[key]:
            missing[user] -= 1
            if not missing[user]:
                ready.append(user)
    if len(order) < len(subgraphs):
        stuck = ", ".join(repr(subgraphs[key].name or key) for key, count in missing.items() if count)
        raise WorkflowError(f"Subgraphs contain themselves: {stuck}. Take the inner copy out and save again.")
    return order
