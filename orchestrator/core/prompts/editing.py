"""Waiting jobs that are to run another graph: each keeps what it has of its own, like its seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ...errors import OrchestratorError
from ..engine.parameter_patcher import patch_parameters
from ..models.job import JobRequest, Prompt
from ..workflow.cut import graph_id_of
from ..workflow.prompt import class_of, is_link
from .titles import PARTED, described

_DEPTH_MAX = 64  #: of a workflow that is merged; what lies deeper is taken as it was edited
_PLAIN, _NUMBERS = (str, int, float, bool), (int, float)
_Workflow = Mapping[str, Any]


@dataclass(frozen=True)
class Edited:
    """What stands on the page now. ``workflow``: the graph that the files carry, None for none."""

    prompt: Prompt
    workflow: _Workflow | None = None
    name: str = ""
    notes: tuple[str, ...] = ()


def prompt_of(request: JobRequest) -> Prompt:
    """Its prompt with its changes in it, as far as that can be done without a peer's definitions."""
    try:
        return patch_parameters(request.prompt, (), request.changes) if request.changes else request.prompt
    except OrchestratorError:
        return request.prompt


def workflow_of(request: JobRequest) -> _Workflow | None:
    """The graph as a page saves it; None where nobody sent it."""
    pnginfo = request.extra_data.get("extra_pnginfo")
    carried = pnginfo.get("workflow") if isinstance(pnginfo, Mapping) else None
    return carried or request.workflow


def edited(requests: Sequence[JobRequest], edit: Edited) -> tuple[JobRequest | None, ...]:
    """These requests with the edited graph in them, let go. The first of them was opened and edited. A value
    by which they differed stays each one's own, unless just that value was edited. None for a request whose
    graph is another one, not the same with other values."""
    first = requests[0]
    if edit.name == described(prompt_of(first)).split(PARTED)[0]:
        edit = replace(edit, name="")  # nobody called it so: it was named after what it did
    shape, before = _shape(first), workflow_of(first)
    alike = [request for request in requests if _shape(request) == shape]
    prompts = _prompts([prompt_of(request) for request in alike], before, edit)
    renewed = {
        id(request): _renewed(request, edit, prompt, merged(before, workflow_of(request), edit.workflow))
        for request, prompt in zip(alike, prompts, strict=True)
    }
    return tuple(renewed.get(id(request)) for request in requests)


def merged(before: Any, own: Any, now: Any, depth: int = _DEPTH_MAX) -> Any:
    """`now` (JSON), and where it is still as it was `before`, what stands there in `own`. Objects in a list
    are told apart by their id."""
    if own is None or depth == 0 or own == before:
        return now
    if isinstance(before, Mapping) and isinstance(own, Mapping) and isinstance(now, Mapping):
        return {key: merged(before.get(key), own.get(key), value, depth - 1) for key, value in now.items()}
    if isinstance(before, list) and isinstance(own, list) and isinstance(now, list):
        if known := _by_id(now):
            olds, owns = _by_id(before), _by_id(own)
            return [merged(olds.get(key), owns.get(key), value, depth - 1) for key, value in known.items()]
        if len(before) == len(own) == len(now):
            return [merged(*three, depth - 1) for three in zip(before, own, now, strict=True)]
        return now
    return own if _same(now, before) else now


def _same(one: Any, other: Any) -> bool:
    """Also where a page has read one of them: its numbers have 53 bits."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    are_numbers = type(one) in _NUMBERS and type(other) in _NUMBERS
    return bool(one == other or (are_numbers and float(one) == float(other)))


def _by_id(items: Sequence[Any]) -> dict[str, Any]:
    """Empty unless each of them has an id, and no two the same."""
    known = {str(item["id"]): item for item in items if isinstance(item, Mapping) and "id" in item}
    return known if len(known) == len(items) else {}


def _shape(request: JobRequest) -> object:
    """A graph without its values: nodes, classes and links; as a page saves it, nodes and classes."""
    if not request.prompt:
        return sorted((key, str(node.get("type"))) for key, node in _nodes(request.workflow).items())
    return {
        node_id: (class_of(node), {name: link for name, link in _inputs(node).items() if is_link(link)})
        for node_id, node in request.prompt.items()
    }


def _nodes(workflow: _Workflow | None) -> dict[str, Any]:
    """Those of the root graph, by id."""
    nodes = (workflow or {}).get("nodes")
    return _by_id(nodes) if isinstance(nodes, list) else {}


def _inputs(node: Mapping[str, Any]) -> Mapping[str, Any]:
    inputs = node.get("inputs")
    return inputs if isinstance(inputs, Mapping) else {}


def _prompts(befores: Sequence[Prompt], before: _Workflow | None, edit: Edited) -> list[Prompt]:
    """For each of these the edited prompt, with its own values where those of the first were not edited."""
    prompts = [{**edit.prompt} for _ in befores]
    olds, news = _nodes(before), _nodes(edit.workflow)
    for node_id, node in edit.prompt.items():
        # Some packs draw a value whenever the page makes a prompt; then the box tells whether it was edited.
        old, new = (nodes.get(node_id, {}).get("widgets_values") for nodes in (olds, news))
        is_untouched = old is not None and _same(old, new)
        known = befores[0].get(node_id)
        opened = _inputs(known) if known is not None and class_of(known) == class_of(node) else {}
        names = [
            name
            for name, value in _inputs(node).items()
            if name in opened and not is_link(value) and (is_untouched or _same(opened[name], value))
        ]
        for prompt, its in zip(prompts, befores, strict=True):
            own = {name: value for name, value in _inputs(its.get(node_id, {})).items() if name in names}
            if own:
                prompt[node_id] = {**node, "inputs": {**node["inputs"], **own}}
    return prompts


def _renewed(request: JobRequest, edit: Edited, prompt: Prompt, workflow: _Workflow | None) -> JobRequest:
    changes = {  # of a variation: they tell which one it is
        f"{node_id}.{name}": value
        for node_id, node in prompt.items()
        for name, value in _inputs(node).items()
        if f"{node_id}.{name}" in request.changes and isinstance(value, _PLAIN)
    }
    if not request.prompt:  # the page has not seen them
        changes = dict(request.changes)
    extra = {name: value for name, value in request.extra_data.items() if name != "extra_pnginfo"}
    if workflow:
        extra["extra_pnginfo"] = {"workflow": workflow}
    return replace(
        request,
        prompt=prompt,
        workflow=None,
        changes=changes,
        extra_data=extra,
        targets=(),
        notes=edit.notes,
        graph_id=graph_id_of(edit.workflow) or request.graph_id,
        title=described(prompt, changes, edit.name),
        held=False,
    )
