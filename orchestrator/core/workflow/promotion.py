"""Widgets of inner nodes that a subgraph's instance shows as its own.

Each instance holds its own values; they override the inner widget wherever the subgraph's input leads.
Older files name promoted widgets in ``properties.proxyWidgets`` instead of linking them: the frontend
turns those into inputs of the definition when it loads the file, and so does `migrate_proxies`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..models.workflow import SUBGRAPH_INPUT_NODE, Boundary, Link
from .live_graph import PRIMITIVE, LiveGraph, LiveNode
from .values import MISSING
from .widgets import Socket

_PREFIX = re.compile(r"^\s*(\d+)\s*:\s*(.+)$")


@dataclass(frozen=True, slots=True)
class ProxyEntry:
    """One promoted widget as older files name it: the inner node, its widget, the value to show."""

    node_id: str
    widget: str
    deeper_id: str | None
    value: Any = MISSING


def bind_promoted(host: LiveNode) -> None:
    """Find the inner widget behind each input of the instance `host`, then apply its saved values."""
    inner = host.inner
    if inner is None:
        return
    for index in range(len(host.sockets)):
        _bind(host, inner, index)
    values = host.saved.values if host.saved else ()
    quarantined = _quarantined(host)
    position = 0
    for index, socket in enumerate(host.sockets):
        widget = host.promoted.get(index)
        if widget is None:
            continue
        if socket.name in quarantined:
            widget.value = quarantined[socket.name]
        elif isinstance(values, Mapping):
            widget.value = values.get(socket.name, widget.value)
        elif position < len(values):
            widget.value = values[position]
        position += 1


def _bind(host: LiveNode, inner: LiveGraph, index: int) -> None:
    for node, target in inner.targets(inner.inputs[index].links):
        widget = node.widget_at(target)
        if widget is not None:
            host.promoted[index] = replace(widget, name=inner.inputs[index].name)
            return


def _quarantined(host: LiveNode) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for entry in _array(host, "proxyWidgetErrorQuarantine"):
        original = entry.get("originalEntry") if isinstance(entry, Mapping) else None
        if isinstance(original, list) and len(original) > 1 and original[0] == "-1" and "hostValue" in entry:
            found.setdefault(str(original[1]), entry["hostValue"])
    return found


def _array(host: LiveNode, name: str) -> Sequence[Any]:
    raw = host.saved.properties.get(name) if host.saved else None
    if isinstance(raw, str):
        try:
            raw = json.loads(raw)
        except (ValueError, RecursionError):
            return ()
    return raw if isinstance(raw, list) else ()


def proxy_entries(host: LiveNode) -> list[ProxyEntry]:
    """The entries of ``proxyWidgets``, or none at all when one of them is malformed."""
    entries: list[ProxyEntry] = []
    values = host.saved.values if host.saved and isinstance(host.saved.values, tuple) else ()
    for index, raw in enumerate(_array(host, "proxyWidgets")):
        if not isinstance(raw, list) or len(raw) not in (2, 3) or not all(isinstance(x, str) for x in raw):
            return []
        node_id, widget, deeper = raw[0], raw[1], raw[2] if len(raw) == 3 else None
        if not _resolves(host, node_id, widget):
            while match := _PREFIX.match(widget):
                deeper, widget = match[1], match[2]
        entries.append(ProxyEntry(node_id, widget, deeper, values[index] if index < len(values) else MISSING))
    return entries


def _resolves(host: LiveNode, node_id: str, widget: str) -> bool:
    """Whether following `widget` of the inner node down through nested instances ends at a widget."""
    for _ in range(100):
        node = host.inner.nodes.get(node_id) if host.inner else None
        if node is None:
            return False
        if node.inner is None:
            return any(w.name == widget for w in node.widgets)
        target = _input_target(node, widget)
        if target is None:
            return False
        host, (node_id, widget) = node, target
    return False


def _input_target(host: LiveNode, input_name: str) -> tuple[str, str] | None:
    """The inner node and widget (or nested input) that the instance's input `input_name` leads to."""
    inner = host.inner
    boundary = next((b for b in inner.inputs if b.name == input_name), None) if inner else None
    if inner is None or boundary is None:
        return None
    return _source(inner, boundary)


def _source(inner: LiveGraph, boundary: Boundary) -> tuple[str, str] | None:
    for node, index in inner.targets(boundary.links):
        if node.inner is not None:
            return node.id, node.sockets[index].name
        widget = node.widget_at(index)
        if widget is not None:
            return node.id, widget.name
    return None


def migrate_proxies(host: LiveNode) -> None:
    """Turn the proxy entries of `host` into inputs of its definition and give them their values."""
    inner = host.inner
    if inner is None:
        return
    entries = proxy_entries(host)
    primitives: dict[str, list[ProxyEntry]] = {}
    plans = [(entry, _linked_input(inner, entry)) for entry in entries]
    for entry, linked in plans:
        node = inner.nodes.get(entry.node_id)
        if linked is not None:
            _set_value(host, linked, entry.value)
        elif entry.node_id == "-1":
            _set_value(host, entry.widget, entry.value)
        elif node is not None and node.type == PRIMITIVE:
            primitives.setdefault(node.id, []).append(entry)
        elif node is not None and not entry.widget.startswith("$$"):
            _promote_entry(host, inner, node, entry)
    for node_id, cohort in primitives.items():
        _promote_primitive(host, inner, inner.nodes[node_id], cohort)


def _linked_input(inner: LiveGraph, entry: ProxyEntry) -> str | None:
    wanted = (entry.node_id, entry.widget)
    return next((b.name for b in inner.inputs if _source(inner, b) == wanted), None)


def _set_value(host: LiveNode, input_name: str, value: Any) -> None:
    indexes = [i for i, socket in enumerate(host.sockets) if socket.name == input_name]
    if len(indexes) == 1 and indexes[0] in host.promoted and value is not MISSING:
        host.promoted[indexes[0]].value = value


def _promote_entry(host: LiveNode, inner: LiveGraph, node: LiveNode, entry: ProxyEntry) -> None:
    index = _socket_for(node, entry)
    widget = node.widget_at(index) if index is not None else None
    if index is None or widget is None:
        return
    _set_value(host, promote(inner, node, index, entry.widget), entry.value)


def promote(inner: LiveGraph, node: LiveNode, index: int, name: str) -> str:
    """Link a new input of the definition to the widget input `index` of `node`; returns its name.

    Every instance gets the input, with the inner widget's value.
    """
    boundary = _add_input(inner, name, node.sockets[index].type)
    _connect(inner, boundary, node, index)
    return inner.inputs[boundary].name


def _socket_for(node: LiveNode, entry: ProxyEntry) -> int | None:
    if node.inner is None:
        return next((i for i, s in enumerate(node.sockets) if s.widget == entry.widget), None)
    for index, socket in enumerate(node.sockets):
        target = _input_target(node, socket.name)
        if entry.deeper_id is not None:
            if target == (entry.deeper_id, entry.widget):
                return index
        elif socket.name == entry.widget or (target is not None and target[1] == entry.widget):
            return index
    return None


def _promote_primitive(
    host: LiveNode, inner: LiveGraph, primitive: LiveNode, cohort: Sequence[ProxyEntry]
) -> None:
    targets = list(inner.targets(link.id for link in inner.leaving(primitive.id, 0)))
    if not targets or len({entry.widget for entry in cohort}) > 1:
        return
    kind = primitive.outputs[0] if primitive.outputs else "*"
    if any("*" not in (kind, node.sockets[i].type) and node.sockets[i].type != kind for node, i in targets):
        return
    titled = primitive.title if primitive.title != PRIMITIVE else ""
    boundary = _add_input(inner, titled or cohort[0].widget, kind)
    for node, index in targets:
        inner.links.pop(node.incoming[index].id, None)
        _connect(inner, boundary, node, index)
    value = next((entry.value for entry in cohort if entry.value is not MISSING), MISSING)
    if value is MISSING and primitive.widgets:
        value = primitive.widgets[0].value
    _set_value(host, inner.inputs[boundary].name, value)


def _add_input(inner: LiveGraph, name: str, kind: str) -> int:
    """Add an input to the definition and to every instance there is; returns its index."""
    taken = {boundary.name for boundary in inner.inputs}
    unique, number = name, 1
    while unique in taken:
        unique, number = f"{name}_{number}", number + 1
    inner.inputs.append(Boundary(f"added-{len(inner.inputs)}", unique, kind))
    for instance in inner.instances:
        instance.sockets.append(Socket(unique, kind))
    return len(inner.inputs) - 1


def _connect(inner: LiveGraph, boundary: int, node: LiveNode, index: int) -> None:
    replaced = node.incoming.get(index)
    if replaced is not None:
        inner.links.pop(replaced.id, None)
    link_id = f"added-{boundary}-{node.id}-{index}"
    link = Link(link_id, SUBGRAPH_INPUT_NODE, boundary, node.id, index, node.sockets[index].type)
    inner.links[link_id] = link
    node.incoming[index] = link
    known = inner.inputs[boundary]
    inner.inputs[boundary] = replace(known, links=(*known.links, link_id))
    for instance in inner.instances:
        if boundary not in instance.promoted:
            _bind(instance, inner, boundary)
