"""A prompt as the workflow file that a person would have, for the command line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .cases import Drawn, Place, Prompt

Definitions = Mapping[str, Any]  #: GET /object_info
_WIDGETS = frozenset({"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"})
_SEEDS = frozenset({"seed", "noise_seed"})


@dataclass
class _File:
    definitions: Definitions
    nodes: dict[int, dict[str, Any]] = field(default_factory=dict)
    links: list[list[Any]] = field(default_factory=list)
    everywhere: list[dict[str, Any]] = field(default_factory=list)

    def add(self, class_type: str, values: list[Any], node_id: int = 0, **more: Any) -> dict[str, Any]:
        number = node_id or max(self.nodes, default=0) + 1
        place = [300 * len(self.nodes), 40]
        made = {
            **{"id": number, "type": class_type, "pos": place, "size": [220, 100], "flags": {}},
            **{"order": len(self.nodes), "mode": 0, "inputs": [], "outputs": [], "widgets_values": values},
            **{"properties": {"Node name for S&R": class_type}},
            **more,
        }
        self.nodes[number] = made
        return made

    def link(self, source: int, slot: int, target: int, place: int, kind: str) -> None:
        number = len(self.links) + 1
        self.links.append([number, source, slot, target, place, kind])
        self.nodes[target]["inputs"][place]["link"] = number
        self.nodes[source]["outputs"][slot]["links"].append(number)


def workflow_file(prompt: Prompt, definitions: Definitions, drawn: Drawn) -> dict[str, Any]:
    """The workflow whose prompt this is, with these links shown otherwise."""
    file = _File(definitions)
    for node_id, entry in prompt.items():
        made = file.add(entry["class_type"], _values(entry, definitions), int(node_id))
        definition = definitions[entry["class_type"]]
        made["outputs"] = [_socket(kind, "links", []) for kind in definition["output"]]
        made["inputs"] = [
            {**_socket(_kind(spec), "link", None), "name": name}
            | ({"widget": {"name": name}} if _is_widget(spec) else {})
            for name, spec in _inputs(definition)
            if not _is_widget(spec) or isinstance(entry["inputs"].get(name), list)
        ]
    for node_id, entry in prompt.items():
        for name, value in entry["inputs"].items():
            if isinstance(value, list):
                _draw(file, drawn, (node_id, name), int(value[0]), value[1])
    return {
        **{"id": "0d0f8c52-95d9-4f36-a6d1-1c6d3d0b7c55", "revision": 0, "nodes": list(file.nodes.values())},
        **{"links": file.links, "last_node_id": max(file.nodes), "last_link_id": len(file.links)},
        **{"groups": [], "config": {}, "extra": {"ue_links": file.everywhere}, "version": 0.4},
    }


def _draw(file: _File, drawn: Drawn, target: Place, source: int, slot: int) -> None:
    number, name = int(target[0]), target[1]
    inputs = file.nodes[number]["inputs"]
    place = next(n for n, socket in enumerate(inputs) if socket["name"] == name)
    kind = file.nodes[source]["outputs"][slot]["type"]
    if target in drawn.everywhere:
        sender = file.add("Anything Everywhere", [])
        sender["properties"]["ue_properties"] = {"version": "7.5", "group_restricted": 0}
        sender["inputs"] = [{**_socket(kind, "link", None), "name": "anything"}]
        file.link(source, slot, sender["id"], 0, kind)
        file.everywhere.append(
            {"downstream": number, "downstream_slot": place, "upstream": str(source), "upstream_slot": slot}
            | {"controller": sender["id"], "type": kind}
        )
    elif target in drawn.named:
        called = f"{kind.lower()}_{source}_{slot}"
        setter = file.add("SetNode", [called], title=f"Set_{called}", inputs=[_socket(kind, "link", None)])
        setter["outputs"] = [_socket(kind, "links", [])]
        getter = file.add("GetNode", [called], title=f"Get_{called}", outputs=[_socket(kind, "links", [])])
        file.link(source, slot, setter["id"], 0, kind)
        file.link(getter["id"], 0, number, place, kind)
    else:
        file.link(source, slot, number, place, kind)


def _values(entry: Mapping[str, Any], definitions: Definitions) -> list[Any]:
    """The widgets' values in their order; a seed is followed by what the page does to it after a run."""
    found: list[Any] = []
    for name, spec in _inputs(definitions[entry["class_type"]]):
        if _is_widget(spec):
            value = entry["inputs"].get(name)
            found.append(_default(spec) if value is None or isinstance(value, list) else value)
            if name in _SEEDS or _options(spec).get("control_after_generate"):
                found.append("fixed")
    return found


def _inputs(definition: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    for group in ("required", "optional"):
        yield from (definition["input"].get(group) or {}).items()


def _kind(spec: Any) -> str:
    return "COMBO" if isinstance(spec[0], list) else str(spec[0])


def _is_widget(spec: Any) -> bool:
    return _kind(spec) in _WIDGETS and not _options(spec).get("forceInput")


def _options(spec: Any) -> Mapping[str, Any]:
    return spec[1] if len(spec) > 1 and isinstance(spec[1], dict) else {}


def _default(spec: Any) -> Any:
    choices = spec[0] if isinstance(spec[0], list) else _options(spec).get("options") or [""]
    return _options(spec).get("default", choices[0] if choices else "")


def _socket(kind: Any, links: str, held: Any) -> dict[str, Any]:
    kind = "COMBO" if isinstance(kind, list) else kind
    return {"name": kind, "type": kind, links: held}
