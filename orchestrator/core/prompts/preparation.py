"""Makes of a request the prompt that one peer would get: converted, cut down, patched, spelled its way."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ...errors import OrchestratorError, UnknownNodeError, WorkflowError
from ..engine.parameter_patcher import patch_parameters
from ..models.job import JobRequest, Prompt, Source
from ..workflow.converter import workflow_to_api
from ..workflow.cut import DISPATCH_CLASS, bridged
from ..workflow.inspector import inspect_parameters
from ..workflow.object_info import ObjectInfo
from ..workflow.prompt import class_of, names_every_class, upstream, without_classes
from ..workflow.replacements import with_replacements
from ..workflow.result_nodes import ResultPlan, add_result_node
from .peer_files import is_model_file
from .requirements import (
    NO_DOUBT,
    Doubt,
    InputReference,
    Lacks,
    PathReference,
    doubt_of,
    input_references,
    lacks_of,
    localise_paths,
    path_references,
)
from .validation import doubtful

_NO_OUTPUTS = (
    "Nothing in this graph makes a file. Add a Save or Preview node, "
    "or link the value you want to the Remote Dispatch node."
)


@dataclass(frozen=True)
class Prepared:
    """A prompt for one peer. ``unmet`` is empty when that peer may run it; ``error`` says why nobody can.
    ``cautions``: what speaks against that peer, though it may take the prompt; ``rests_on``: what this and
    ``unmet`` were read from. ``inputs``: where files of the master may have to go along; ``paths``: where
    something may be named that only one machine has."""

    prompt: Prompt
    unmet: tuple[str, ...] = ()
    plan: ResultPlan | None = None
    error: OrchestratorError | None = None
    inputs: tuple[InputReference, ...] = ()
    paths: tuple[PathReference, ...] = ()
    cautions: tuple[str, ...] = ()
    rests_on: Doubt = NO_DOUBT


def prepare(request: JobRequest, info: ObjectInfo, now: datetime | None = None) -> Prepared:
    """Prepare `request` for the peer whose definitions are `info`. `now` fills the dates in the file names of
    a workflow, as its page does when Run is pressed. Never raises the family's errors: they are the job's
    fault and stand in ``error``."""
    try:
        prompt = _graph(request, info, now)
        # A change may replace just the file that the peer lacks.
        if request.changes and all(class_of(node) in info for node in prompt.values()):
            prompt = patch_parameters(prompt, inspect_parameters(prompt, info), request.changes)
        running = _running(prompt, request, info)
        lacks = lacks_of(prompt, info, running)
        if lacks.sure:
            return _prepared(prompt, running, info, lacks)
        prompt = localise_paths(prompt, info)
        plan = None
        if request.result is not None:
            prompt, plan = add_result_node(prompt, request.result, info, exact=request.exact)
        elif not running:
            raise WorkflowError(_NO_OUTPUTS)
        running = _running(prompt, request, info)
        # The node for the result is stock, but a peer may be older than it.
        return _prepared(prompt, running, info, lacks_of(prompt, info, running) if plan else lacks, plan)
    except UnknownNodeError as exc:
        names = sorted({class_type for _, class_type, _ in exc.nodes})
        missing = tuple(f"it lacks the node {name}" for name in names)
        return Prepared({}, missing, rests_on=doubt_of(names))
    except OrchestratorError as exc:
        return Prepared({}, error=exc)


def _running(prompt: Prompt, request: JobRequest, info: ObjectInfo) -> Prompt:
    """What is needed of it: ComfyUI neither checks nor runs a node that no wanted output depends on."""
    roots = [
        node_id
        for node_id, node in prompt.items()
        if class_of(node) in info and info.is_output_node(class_of(node))
        if not request.targets or node_id in request.targets
    ]
    if request.result is not None:
        roots.append(request.result.node_id)
    needed = upstream(prompt, roots)
    return prompt if len(needed) == len(prompt) else {i: n for i, n in prompt.items() if i in needed}


def _prepared(
    prompt: Prompt, running: Prompt, info: ObjectInfo, lacks: Lacks, plan: ResultPlan | None = None
) -> Prepared:
    inputs, paths = input_references(running, info), path_references(running, info)
    told = {file.value for file in inputs} | {path.value for path in paths}
    objections = [
        (class_type, words)
        for class_type, words, value in (() if lacks.sure else doubtful(running, info))
        if not (isinstance(value, str) and (value in told or is_model_file(value)))
    ]
    cautions = (*lacks.unsure, *(words for _, words in objections))
    rests_on = lacks.rests_on.and_(doubt_of(class_type for class_type, _ in objections))
    return Prepared(prompt, lacks.sure, plan, None, inputs, paths, cautions, rests_on)


def changed_prompt(request: JobRequest) -> Prompt:
    """The prompt with those of its changes that name a node by its id, as a page's do: what people read in
    ComfyUI's lists. Titles and classes would have the whole graph inspected, for each of a thousand jobs."""
    prompt = dict(request.prompt)
    for address, value in request.changes.items():
        node_id, _, name = address.partition(".")
        node = prompt.get(node_id)
        if node is not None and name in node.get("inputs", {}):
            prompt[node_id] = {**node, "inputs": {**node["inputs"], name: value}}
    return prompt


def _graph(request: JobRequest, info: ObjectInfo, now: datetime | None) -> Prompt:
    prompt = request.prompt
    if request.workflow is not None and not names_every_class(prompt):
        try:
            prompt = workflow_to_api(request.workflow, _with_dispatch_node(info), now=now)
        except UnknownNodeError:
            # What depends on a dispatch node may exist on the master only; the host's own prompt knows it.
            if not prompt:
                raise
    if request.source is Source.HTTP:
        prompt = bridged(prompt)
    prompt = without_classes(prompt, request.drop_classes) if request.drop_classes else dict(prompt)
    if not prompt:
        raise WorkflowError("The graph is empty. Add the nodes that shall run on a peer.")
    return with_replacements(prompt, info.replacements, info)


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
            "precision": ["COMBO", {"options": []}],
            "copies": ["INT", {}],
        },
    },
    "output": ["*"],
    "output_node": True,
}
