"""A saved workflow → the prompt ComfyUI's frontend (1.58) would send for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from ...errors import UnknownNodeError, WorkflowError
from ..models.job import Prompt
from ..models.workflow import EMPTY, Workflow
from .documents import document_of
from .identity import unique_ids
from .incomplete import refuse, refuse_missing
from .links import Constant, NodePlace, Output, StepBudget, resolve_input, settle_matched_types
from .live_graph import PRIMITIVE, LiveNode, link_order
from .loading import Loader
from .object_info import ObjectInfo
from .pack_rules import FILLED_PREFIX, SENT_AS
from .parser import WorkflowParser, check_prompt, is_api_format
from .text import dynamic_prompt, fill_placeholders
from .values import MISSING, entered_value, js_text
from .widgets import CUSTOM_COMBO, Widget

MAX_PROMPT_NODES = 20_000
MAX_SUBGRAPH_DEPTH = 64
# Save nodes fill %placeholders% in their filename_prefix.
SAVE_NODES = frozenset(
    {
        "SaveImage", "SaveImageAdvanced", "SaveSVGNode", "SaveVideo", "SaveAnimatedWEBP", "SaveWEBM",
        "SaveAudio", "SaveAudioMP3", "SaveAudioOpus", "SaveAudioAdvanced", "SaveGLB", "Save3DAdvanced",
        "SaveGaussianSplat", "SavePointCloud", "SaveAnimatedPNG", "CLIPSave", "VAESave", "ModelSave",
        "LoraSave", "SaveLatent",
    }
)  # fmt: skip


def workflow_to_api(
    workflow: Workflow | Mapping[str, Any],
    definitions: ObjectInfo | Mapping[str, Any],
    *,
    now: datetime | None = None,
) -> Prompt:
    """Return the prompt (API format) of a workflow in UI format; a prompt passes through as a copy.

    `definitions` is the server's /object_info or ``{"KSampler": ["seed"]}``. `now` fills ``%date:…%`` in
    file names; without it such placeholders stay for ComfyUI to see. Values are shared with the input,
    never changed. Raises UnknownNodeError naming every active node without a definition, WorkflowError
    for a malformed file.
    """
    return _convert(workflow, ObjectInfo.of(definitions), now, strict=True)


def sketch_prompt(
    workflow: Workflow | Mapping[str, Any], definitions: ObjectInfo | Mapping[str, Any] | None = None
) -> Prompt:
    """Like `workflow_to_api`, but nodes of unknown classes are kept with the values the file names.

    For looking at a workflow, not for running it.
    """
    return _convert(workflow, ObjectInfo.of(definitions), None, strict=False)


def _convert(
    workflow: Workflow | Mapping[str, Any], info: ObjectInfo, now: datetime | None, *, strict: bool
) -> Prompt:
    if not isinstance(workflow, Workflow):
        if isinstance(workflow, Mapping) and workflow and not isinstance(workflow.get("nodes"), list):
            workflow = workflow if is_api_format(workflow) else document_of(workflow, "This").graph
        if is_api_format(workflow):
            return check_prompt(workflow)
        workflow = WorkflowParser().parse(workflow)
    return _Conversion(unique_ids(workflow), info, now).prompt(strict=strict)


class _Conversion:
    def __init__(self, workflow: Workflow, info: ObjectInfo, now: datetime | None) -> None:
        self._now = now
        self._info = info
        self._budget = StepBudget()
        self._named: dict[str, LiveNode] | None = None
        loader = Loader(workflow, info)
        self._root = loader.load()
        unpacked = [
            n.inner for n in self._root.nodes.values() if n.inner and n.type not in loader.definitions
        ]
        self._graphs = [*loader.definitions.values(), *unpacked, self._root]
        settle_matched_types(self._graphs)

    def prompt(self, *, strict: bool) -> Prompt:
        self._apply_primitives()
        places = [place for place in self._places() if place.node.active and not place.node.virtual]
        unknown = [place for place in places if not place.node.known]
        if unknown and strict:
            raise _unknown(unknown)
        prompt = {place.id: self._entry(place) for place in places}
        if strict:
            self._refuse_doubts(places)
        for entry in prompt.values():
            inputs = entry["inputs"]
            dangling = [name for name, value in inputs.items() if _is_link(value) and value[0] not in prompt]
            for name in dangling:
                del inputs[name]
        if strict:
            refuse_missing(prompt, self._info)
        return prompt

    def _refuse_doubts(self, places: list[NodePlace]) -> None:
        found = [
            f"Node {place.id} {place.node.title!r} ({place.node.type}): {doubt}."
            for place in places
            for doubt in place.node.doubts
        ]
        refuse([*found, *dict.fromkeys(self._budget.doubts)])

    def _places(self) -> Iterator[NodePlace]:
        """Every node with its instance path: instances first, then what they hold.

        As in the frontend, an instance that is muted or bypassed in the root graph hides its inner
        nodes, one inside another subgraph does not.
        """
        count = 0
        pending = [NodePlace(node, self._root) for node in reversed(self._root.nodes.values())]
        while pending:
            place = pending.pop()
            count += 1
            if count > MAX_PROMPT_NODES:
                raise WorkflowError(f"The workflow expands to more than {MAX_PROMPT_NODES} nodes.")
            yield place
            inner = place.node.inner
            if inner is None or (not place.path and not place.node.active):
                continue
            path = (*place.path, place)
            if len(path) > MAX_SUBGRAPH_DEPTH:
                raise WorkflowError(f"Subgraphs are nested more than {MAX_SUBGRAPH_DEPTH} levels deep.")
            pending += [NodePlace(node, inner, path) for node in reversed(inner.nodes.values())]

    def _entry(self, place: NodePlace) -> dict[str, Any]:
        node = place.node
        inputs: dict[str, Any] = {}
        for widget in node.widgets:
            if widget.sent and widget.name and widget.value is not MISSING:
                inputs[widget.name] = _wrapped(self._sent_value(node, widget))
        for index, socket in enumerate(node.sockets):
            source = resolve_input(place, index, self._budget) if index in node.incoming else None
            if isinstance(source, Output):
                inputs[socket.name] = [source.place.id, source.slot]
            elif isinstance(source, Constant) and source.value is not MISSING:
                inputs[socket.name] = _wrapped(source.value)
        if node.type == CUSTOM_COMBO:
            inputs["index"] = _chosen_option(node, inputs.get("choice"))
        kind = SENT_AS.get(node.type, node.type)
        return {"inputs": inputs, "class_type": kind, "_meta": {"title": node.title}}

    def _sent_value(self, node: LiveNode, widget: Widget) -> Any:
        value = widget.value
        if not isinstance(value, str):
            return value
        if widget.spec is not None and widget.spec.options.get("dynamicPrompts") is True:
            return dynamic_prompt(value)
        if widget.name == "filename_prefix" and (node.type in SAVE_NODES or node.type in FILLED_PREFIX):
            return fill_placeholders(value, self._widget_text, self._now)
        return value

    def _widget_text(self, name: str, widget_name: str) -> str | None:
        """A widget's value for ``%name.widget%``: by the node's S&R name, else by its title."""
        if self._named is None:
            nodes = [node for graph in (self._root, *self._graphs[:-1]) for node in graph.nodes.values()]
            titled = {node.title: node for node in reversed(nodes)}
            self._named = titled | {str(_search_name(node)): node for node in reversed(nodes)}
        found = self._named.get(name)
        widget = next((w for w in found.widgets if w.name == widget_name), None) if found else None
        return None if widget is None else js_text(widget.value)

    def _apply_primitives(self) -> None:
        for graph in self._graphs:
            ends: dict[str, list[tuple[LiveNode, int]]] = {}
            for node in graph.nodes.values():
                for index, link in node.incoming.items():
                    origin = graph.nodes.get(link.origin_id)
                    if origin is not None and origin.type == PRIMITIVE:
                        ends.setdefault(origin.id, []).append((node, index))
            for node_id, targets in ends.items():
                targets.sort(key=lambda end: link_order(end[0].incoming[end[1]]))
                self._apply_primitive(graph.nodes[node_id], targets)

    def _apply_primitive(self, node: LiveNode, targets: list[tuple[LiveNode, int]]) -> None:
        if not node.widgets:
            return
        self._doubt_primitives(targets)
        first, index = targets[0]
        kind = _widget_type(first, index)
        if kind is None or not node.outputs or node.outputs[0] != kind:
            return
        value = node.widgets[0].value
        properties = node.saved.properties if node.saved else EMPTY
        if isinstance(value, str) and properties.get("Run widget replace on values"):
            value = fill_placeholders(value, self._widget_text, self._now)
        for target, place in targets:
            widget = target.widget_at(place)
            if widget is not None:
                widget.value = entered_value(widget.spec, value)

    @staticmethod
    def _doubt_primitives(targets: list[tuple[LiveNode, int]]) -> None:
        """A primitive takes the type of its target's widget, which is unknown where the page made that."""
        for target, index in targets:
            widget = target.widget_at(index)
            if widget is not None and widget.spec is None:
                target.doubts = (
                    *target.doubts,
                    f"a primitive sets its {widget.name}, which no definition describes",
                )


def _widget_type(node: LiveNode, index: int) -> str | None:
    """Type of the widget a primitive linked to this input would get; None when it gets none."""
    widget = node.widget_at(index)
    return widget.spec.type if widget is not None and widget.spec is not None else None


def _chosen_option(node: LiveNode, choice: Any) -> int:
    """Position of `choice` among the options its user typed; -1 when it is none of them."""
    options = [widget.value for widget in node.widgets[2:]]
    if _is_link(choice):
        choice = node.widgets[0].value
    return options.index(choice) if choice in options else -1


def _search_name(node: LiveNode) -> Any:
    return (node.saved.properties if node.saved else EMPTY).get("Node name for S&R", node.type)


def _is_link(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2


def _wrapped(value: Any) -> Any:
    return {"__value__": value} if isinstance(value, (list, tuple)) else value


def _unknown(places: list[NodePlace]) -> UnknownNodeError:
    nodes = [(place.id, place.node.type, place.node.title) for place in places]
    listed = "; ".join(f"node {i} '{title}' of class {kind!r}" for i, kind, title in nodes[:10])
    more = f"; and {len(nodes) - 10} more" if len(nodes) > 10 else ""
    return UnknownNodeError(
        f"The server does not know the class of {len(nodes)} active node(s): {listed}{more}. "
        "Install the node packs they belong to, or mute, bypass or remove these nodes. If they exist in the "
        "page only, export the workflow there with Export (API).",
        nodes,
    )
