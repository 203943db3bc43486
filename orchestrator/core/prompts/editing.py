"""Waiting jobs that are to run another graph: each keeps what it has of its own, like its seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ...errors import OrchestratorError
from ..engine.parameter_patcher import patch_parameters
from ..models.job import JobRequest, Prompt
from ..workflow.cut import graph_id_of
from ..workflow.prompt import class_of
from .titles import described

_DEPTH_MAX = 64  #: of a workflow that is merged; what lies deeper is taken as it was edited
_PLAIN = (str, int, float, bool)
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


def edited(requests: Sequence[JobRequest], edit: Edited) -> tuple[JobRequest, ...]:
    """These requests with the edited graph in them, let go. The first of them was opened and edited. A value
    by which they differed stays each one's own, unless just that value was edited."""
    own = _own_values(requests, edit.prompt)
    before = workflow_of(requests[0])
    return tuple(
        _renewed(request, edit, changes, merged(before, workflow_of(request), edit.workflow))
        for request, changes in zip(requests, own, strict=True)
    )


def merged(before: Any, own: Any, now: Any, depth: int = _DEPTH_MAX) -> Any:
    """`now` (JSON), and where it is still as it was `before`, what stands there in `own`. Objects in a list
    are told apart by their id."""
    if own == before or own is None or depth == 0:
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
    return own if now == before else now


def _by_id(items: Sequence[Any]) -> dict[str, Any]:
    """Empty unless each of them has an id, and no two the same."""
    known = {str(item["id"]): item for item in items if isinstance(item, Mapping) and "id" in item}
    return known if len(known) == len(items) else {}


def _own_values(requests: Sequence[JobRequest], now: Prompt) -> list[dict[str, Any]]:
    """By address, for each of these requests: where they differ or are said to be changed, and the first one
    was left as it was."""
    befores = [prompt_of(request) for request in requests]
    own: list[dict[str, Any]] = [{} for _ in befores]
    for node_id, node in now.items():
        for name, value in node.get("inputs", {}).items():
            address = f"{node_id}.{name}"
            values = [_plain_at(before, node_id, name, class_of(node)) for before in befores]
            is_told = len(set(values) - {None}) > 1 or address in requests[0].changes
            if value is None or values[0] != value or not is_told:
                continue
            for changes, found in zip(own, values, strict=True):
                if found is not None:
                    changes[address] = found
    return own


def _plain_at(prompt: Prompt, node_id: str, name: str, class_type: str) -> str | int | float | bool | None:
    """The value there; None for a link, another class or nothing."""
    node = prompt.get(node_id)
    value = node.get("inputs", {}).get(name) if node is not None and class_of(node) == class_type else None
    return value if isinstance(value, _PLAIN) else None


def _renewed(
    request: JobRequest, edit: Edited, changes: Mapping[str, Any], workflow: _Workflow | None
) -> JobRequest:
    extra = {name: value for name, value in request.extra_data.items() if name != "extra_pnginfo"}
    if workflow:
        extra["extra_pnginfo"] = {"workflow": workflow}
    return replace(
        request,
        prompt=edit.prompt,
        workflow=None,
        changes=changes,
        extra_data=extra,
        targets=(),
        notes=edit.notes,
        graph_id=graph_id_of(edit.workflow) or request.graph_id,
        title=described(edit.prompt, changes, edit.name),
        held=False,
    )
