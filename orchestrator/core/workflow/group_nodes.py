"""Old group nodes: several nodes that act as one, from before there were subgraphs.

The frontend (1.58) gives a group a class of its own to load its instances, then unpacks each instance into
its nodes and wraps these into a subgraph with new ids. The prompt shows the result, so the same is done
here. What that unpacking loses (the instance's own mode, links into rerouted inputs) is lost here too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ..models.workflow import SUBGRAPH_INPUT_NODE, Boundary, GroupNode, Link, Node
from .live_graph import PRIMITIVE, REROUTE, LiveGraph, LiveNode
from .object_info import COMBO, InputSpec, ObjectInfo
from .pack_rules import PAGE_WIDGETS
from .promotion import promote
from .prompt import SEED_NAMES
from .widgets import Socket, Widget, class_specs

PREFIXES = ("workflow>", "workflow/")
RECOMMENDED_TYPES = frozenset({"CLIPTextEncode", "LoadImage", "SaveImage", "PreviewImage"})
RECOMMENDED_WIDGETS = frozenset({"seed"})


@dataclass(slots=True)
class GroupClass:
    """The class the frontend makes of a group: how its inputs and outputs map to the inner nodes.

    ``widgets``: inner node → inner widget → the class's widget. ``inputs``: inner node → inner input →
    number of the class's socket. ``outputs``: the (inner node, output) behind each output of the class.
    """

    group: GroupNode
    specs: dict[str, list[Any]] = field(default_factory=dict)
    widgets: dict[str, dict[str, str]] = field(default_factory=dict)
    inputs: dict[str, dict[str, int]] = field(default_factory=dict)
    outputs: list[tuple[str, int]] = field(default_factory=list)
    types: list[str] = field(default_factory=list)

    @property
    def definition(self) -> dict[str, Any]:
        return {"input": {"required": self.specs}, "output": self.types, "display_name": self.group.name}


def group_name(node_type: str) -> str | None:
    """The group a node of this type is an instance of."""
    prefix = next((p for p in PREFIXES if node_type.startswith(p)), None)
    return node_type[len(prefix) :] if prefix else None


def group_classes(groups: Mapping[str, GroupNode], info: ObjectInfo) -> dict[str, GroupClass]:
    """The classes of all groups whose inner nodes are known."""
    virtual = {PRIMITIVE, REROUTE, "Note", "MarkdownNote"}
    return {
        name: _Builder(group, info).build()
        for name, group in groups.items()
        if all(node.type in info or node.type in virtual for node in group.nodes)
    }


class _Builder:
    def __init__(self, group: GroupNode, info: ObjectInfo) -> None:
        self._group = group
        self._info = info
        self._made = GroupClass(group)
        self._seen: dict[str, int] = {}
        self._seen_outputs: set[str] = set()
        self._sockets = 0
        self._from = {(link.origin_id, link.origin_slot) for link in group.links}
        self._to = {(link.target_id, link.target_slot): link for link in group.links}

    def build(self) -> GroupClass:
        converted: list[tuple[Node, list[tuple[int, InputSpec]]]] = []
        for node in self._group.nodes:
            specs = self._specs(node)
            if specs is None:
                continue
            plain = [spec for spec in specs if spec.section != "hidden"]
            if plain:
                converted.append((node, self._add_inputs(node, plain)))
            self._add_outputs(node)
        for node, sockets in converted:
            self._add_converted(node, sockets)
        return self._made

    def _specs(self, node: Node) -> Sequence[InputSpec] | None:
        if node.type in self._info:
            specs = class_specs(self._info, node.type)
            order = {"required": 0, "optional": 1, "hidden": 2}
            return sorted(specs, key=lambda spec: order[spec.section])
        if node.type == PRIMITIVE:
            link = next((x for x in self._group.links if x.origin_id == node.id), None)
            return None if link is None else (self._primitive_spec(node, link),)
        if node.type == REROUTE:
            inside = any(x.target_id == node.id for x in self._group.links)
            outward = (node.id, 0) in self._group.outward
            if inside and (node.id, 0) in self._from and not outward:
                return None
            kind = node.outputs[0].type if node.outputs else "*"
            return (InputSpec(kind, kind, options={"forceInput": True}),)
        return None

    def _primitive_spec(self, node: Node, link: Link) -> InputSpec:
        target = next((n for n in self._group.nodes if n.id == link.target_id), node)
        slot = dict(enumerate(target.inputs)).get(link.target_slot)
        widget = slot.widget or slot.name if slot else None
        known = self._info.input(target.type, widget) if widget and target.type in self._info else None
        options = {"control_after_generate": True} if known is not None else {}
        if known is not None and known.type == COMBO:
            if "options" not in known.options:
                # A choice of the old schema gets no widget here, only a socket that nothing fits.
                return InputSpec("value", "*")
            return InputSpec("value", COMBO, options=options, choices=known.choices)
        return InputSpec("value", known.type if known else link.type, options=options)

    def _add_inputs(self, node: Node, specs: Sequence[InputSpec]) -> list[tuple[int, InputSpec]]:
        converted: list[tuple[int, InputSpec]] = []
        sockets: list[InputSpec] = []
        widgets = self._made.widgets.setdefault(node.id, {})
        for spec in specs:
            if not spec.is_widget:
                sockets.append(spec)
                continue
            place = next(
                (i for i, slot in enumerate(node.inputs) if slot.name == spec.name == slot.widget), None
            )
            if place is not None:
                converted.append((place, spec))
                continue
            widgets[spec.name] = self._add(node, spec)
        inputs = self._made.inputs.setdefault(node.id, {})
        for position, spec in enumerate(sockets):
            place = next((i for i, slot in enumerate(node.inputs) if slot.name == spec.name), position)
            if (node.id, place) in self._to:
                continue
            shown = self._group.shown.get(("input", node.id, spec.name), True)
            name = self._name(node, spec)
            if shown:
                self._made.specs[name] = _raw(spec)
                inputs[spec.name] = self._sockets
                self._sockets += 1
        return converted

    def _add_converted(self, node: Node, sockets: list[tuple[int, InputSpec]]) -> None:
        for place, spec in sorted(sockets, key=lambda entry: entry[0]):
            if (node.id, place) in self._to:
                continue
            self._made.widgets[node.id][spec.name] = self._add(node, spec)
            self._made.inputs[node.id][spec.name] = self._sockets
            self._sockets += 1

    def _add(self, node: Node, spec: InputSpec) -> str:
        name = self._name(node, spec)
        raw = _raw(spec)
        if spec.name in SEED_NAMES:
            raw[1] = {**raw[1], "control_after_generate": True}
        self._made.specs[name] = raw
        return name

    def _name(self, node: Node, spec: InputSpec) -> str:
        label = next((slot.label for slot in node.inputs if slot.name == spec.name and slot.label), None)
        name = key = self._group.names.get(("input", node.id, spec.name)) or label or spec.name
        if (node.type == PRIMITIVE and node.title) or name in self._seen:
            prefix = f"{node.title or node.type} "
            name = key = prefix + spec.name
            if name in self._seen:
                name = f"{prefix}{self._seen[name]} {spec.name}"
        self._seen[key] = self._seen.get(key, 1) + 1
        return name

    def _add_outputs(self, node: Node) -> None:
        types: Sequence[str]
        if node.type in self._info:
            types = self._info.output_types(node.type)
        else:
            types = [slot.type for slot in node.outputs[:1]]
        for slot, kind in enumerate(types):
            inside = (node.id, slot) in self._from and (node.id, slot) not in self._group.outward
            if self._group.shown.get(("output", node.id, str(slot)), not inside):
                self._made.outputs.append((node.id, slot))
                self._made.types.append(kind)


def _raw(spec: InputSpec) -> list[Any]:
    options = dict(spec.options)
    if spec.choices is not None:
        options["options"] = list(spec.choices)
    return [spec.type, options]


def unpack(
    root: LiveGraph,
    instance: LiveNode,
    group: GroupClass,
    load: Callable[[Node, Sequence[Link]], LiveNode],
    last_id: int,
) -> int:
    """Replace `instance` in `root` by a subgraph of the group's nodes; returns the last id it used."""
    inner = LiveGraph(instance.type, group.group.name)
    ids: dict[str, str] = {}
    for node in group.group.nodes:
        last_id += 1
        ids[node.id] = str(last_id)
    last_id += 1
    host_id = str(last_id)
    links = [
        replace(x, origin_id=ids[x.origin_id], target_id=ids[x.target_id])
        for x in group.group.links
        if x.origin_id in ids and x.target_id in ids
    ]
    inner.links = {link.id: link for link in links}
    for node in group.group.nodes:
        bare = replace(
            node,
            id=ids[node.id],
            inputs=tuple(replace(slot, link=None) for slot in node.inputs),
        )
        live = load(bare, [link for link in links if link.target_id == bare.id])
        if node.type in PAGE_WIDGETS:
            live.doubts = (
                *live.doubts,
                "it stands in an old group node, whose page makes widgets of its own",
            )
        inner.nodes[bare.id] = live
    for node in group.group.nodes:
        if node.type == PRIMITIVE:
            inner.nodes[ids[node.id]].widgets = []
    _copy_values(instance, group, inner, ids)
    host = LiveNode(host_id, instance.type, group.group.name, 0, [], [], inner=inner)
    inner.instances.append(host)
    _link_inputs(host, instance, group, inner, ids)
    _link_outputs(root, host, instance, group, inner, ids)
    for live in list(inner.nodes.values()):
        _promote_recommended(host, inner, live)
    root.nodes = {key: node for key, node in root.nodes.items() if node is not instance}
    root.nodes[host_id] = host
    return last_id


def _promote_recommended(host: LiveNode, inner: LiveGraph, node: LiveNode) -> None:
    """Show the widgets on the subgraph that the frontend promotes whenever it makes one."""
    for index, socket in enumerate(node.sockets):
        wanted = node.type in RECOMMENDED_TYPES or socket.widget in RECOMMENDED_WIDGETS
        if socket.widget is not None and wanted and index not in node.incoming:
            promote(inner, node, index, socket.widget)


def _copy_values(instance: LiveNode, group: GroupClass, inner: LiveGraph, ids: Mapping[str, str]) -> None:
    consumed: set[int] = set()
    for node in group.group.nodes:
        live = inner.nodes[ids[node.id]]
        for name, outer_name in group.widgets.get(node.id, {}).items():
            outer = next(
                (w for w in instance.widgets if w.name == outer_name and id(w) not in consumed), None
            )
            if outer is None:
                continue
            if node.type == PRIMITIVE:
                consumed.add(id(outer))
                if _keeps_value(inner, live):
                    live.widgets = [Widget("value", outer.value)]
            else:
                widget = next((w for w in live.widgets if w.name == name), None)
                if widget is not None:
                    widget.value = outer.value
                    consumed.add(id(outer))


def _keeps_value(inner: LiveGraph, primitive: LiveNode) -> bool:
    """Whether the value of a primitive survives the unpacking: only that of a text box does."""
    for node, index in inner.targets(link.id for link in inner.leaving(primitive.id, 0)):
        widget = node.widget_at(index)
        return widget is not None and widget.spec is not None and widget.spec.multiline
    return False


def _link_inputs(
    host: LiveNode, instance: LiveNode, group: GroupClass, inner: LiveGraph, ids: Mapping[str, str]
) -> None:
    for node_id, inputs in group.inputs.items():
        live = inner.nodes[ids[node_id]]
        for name, number in inputs.items():
            outer = instance.incoming.get(number)
            place = next((i for i, socket in enumerate(live.sockets) if socket.name == name), None)
            if outer is None or place is None:
                continue
            slot = len(host.sockets)
            kind = live.sockets[place].type
            link = Link(f"in{slot}", SUBGRAPH_INPUT_NODE, slot, live.id, place, kind)
            inner.links[link.id] = link
            inner.inputs.append(Boundary(str(slot), name, kind, links=(link.id,)))
            live.incoming[place] = link
            host.sockets.append(Socket(name, kind))
            host.incoming[slot] = replace(outer, target_id=host.id, target_slot=slot)


def _link_outputs(
    root: LiveGraph,
    host: LiveNode,
    instance: LiveNode,
    group: GroupClass,
    inner: LiveGraph,
    ids: Mapping[str, str],
) -> None:
    for slot, (node_id, output) in enumerate(group.outputs):
        link = Link(f"out{slot}", ids[node_id], output, "-20", slot, group.types[slot])
        inner.links[link.id] = link
        inner.outputs.append(Boundary(str(slot), str(slot), link.type, links=(link.id,)))
        host.outputs.append(link.type)
    for node in root.nodes.values():
        for place, link in list(node.incoming.items()):
            if link.origin_id == instance.id:
                node.incoming[place] = replace(link, origin_id=host.id)
    for key, link in list(root.links.items()):
        if link.origin_id == instance.id:
            root.links[key] = replace(link, origin_id=host.id)
