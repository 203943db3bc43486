"""Makes of a request the prompt that one peer would get: converted, cut down, patched, spelled its way."""

from __future__ import annotations

from dataclasses import dataclass

from ...errors import OrchestratorError, UnknownNodeError, WorkflowError
from ..models.job import JobRequest, Prompt, Source
from ..workflow.converter import workflow_to_api
from ..workflow.cut import DISPATCH_CLASS, bridged
from ..workflow.inspector import inspect_parameters
from ..workflow.object_info import ObjectInfo
from ..workflow.prompt import class_of, names_every_class, without_classes
from ..workflow.result_nodes import ResultPlan, add_result_node
from .parameter_patcher import patch_parameters
from .requirements import InputReference, input_references, localise_paths, unmet

_NO_OUTPUTS = (
    "Nothing in this graph makes a file. Add a Save or Preview node, "
    "or link the value you want to the Remote Dispatch node."
)


@dataclass(frozen=True)
class Prepared:
    """A prompt for one peer. ``unmet`` is empty when that peer can run it; ``error`` says why nobody can.
    ``inputs``: where files of the master may have to go along."""

    prompt: Prompt
    unmet: tuple[str, ...] = ()
    plan: ResultPlan | None = None
    error: OrchestratorError | None = None
    inputs: tuple[InputReference, ...] = ()


def prepare(request: JobRequest, info: ObjectInfo) -> Prepared:
    """Prepare `request` for the peer whose definitions are `info`. Never raises the family's errors:
    they are the job's fault and stand in ``error``."""
    try:
        prompt = _graph(request, info)
        lacks = unmet(prompt, info)
        if lacks:
            return Prepared(prompt, lacks, inputs=input_references(prompt, info))
        if request.changes:
            prompt = patch_parameters(prompt, inspect_parameters(prompt, info), request.changes)
            lacks = unmet(prompt, info)
            if lacks:
                return Prepared(prompt, lacks, inputs=input_references(prompt, info))
        prompt = localise_paths(prompt, info)
        if request.result is not None:
            prompt, plan = add_result_node(prompt, request.result, info)
            # The node for the result is stock, but a peer may be older than it.
            return Prepared(prompt, unmet(prompt, info), plan, inputs=input_references(prompt, info))
        if not any(info.is_output_node(class_of(node)) for node in prompt.values()):
            raise WorkflowError(_NO_OUTPUTS)
        return Prepared(prompt, inputs=input_references(prompt, info))
    except UnknownNodeError as exc:
        names = sorted({class_type for _, class_type, _ in exc.nodes})
        return Prepared({}, tuple(f"it lacks the node {name}" for name in names))
    except OrchestratorError as exc:
        return Prepared({}, error=exc)


def _graph(request: JobRequest, info: ObjectInfo) -> Prompt:
    prompt = request.prompt
    if request.workflow is not None and not names_every_class(prompt):
        try:
            prompt = workflow_to_api(request.workflow, _with_dispatch_node(info))
        except UnknownNodeError:
            # What hangs on a dispatch node may exist on the master only; the host's own prompt knows it.
            if not prompt:
                raise
    if request.source is Source.HTTP:
        prompt = bridged(prompt)
    prompt = without_classes(prompt, request.drop_classes) if request.drop_classes else dict(prompt)
    if not prompt:
        raise WorkflowError("The graph is empty. Add the nodes that shall run on a peer.")
    return prompt


def _with_dispatch_node(info: ObjectInfo) -> ObjectInfo:
    """Peers do not have our node; the conversion has to know it to leave it out again."""
    return info.extended({DISPATCH_CLASS: _DISPATCH_NODE})


_DISPATCH_NODE = {
    "input": {
        "required": {},
        "optional": {
            "value": ["*", {}],
            "overrides": ["STRING", {"multiline": True}],
            "peer": ["COMBO", {"options": []}],
            "if_no_peer": ["COMBO", {"options": []}],
            "run_again": ["COMBO", {"options": []}],
        },
    },
    "output": ["*"],
    "output_node": True,
}
