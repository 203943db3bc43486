"""Cuts what a dispatch node runs remotely out of a prompt, before ComfyUI validates that prompt.

The upstream of a dispatch node is taken out and left as a constant (the *stash*) in the node's own input.
So the master needs neither the models nor the node classes of what it sends away, and the host's cache key
of the node follows the content of its upstream. Nodes that local outputs also need stay local too.

Links that come from another dispatch node are a boundary: the stash keeps them, and the node gets them as
an additional link input, so that the host runs the other one first and hands its value over.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ...errors import WorkflowError
from ..models.job import Prompt, ResultLink
from .prompt import class_of, is_link, links_of, upstream, without_classes
from .result_nodes import replace_source

DISPATCH_CLASS = "RemoteDispatch"
VALUE_INPUT = "value"
STASH_KEY = "__rd__"
_BOUNDARY_PREFIX = "upstream_"

GRAPH_ID_MAX = 64


@dataclass(frozen=True)
class Stash:
    """What was cut out. ``link`` is None for the whole-graph form.

    ``boundaries`` maps the name of an additional link input to the id of the dispatch node it comes from;
    inside ``prompt`` those links still name that node. ``fingerprint`` stands for the UI workflow in the
    cache key (whole-graph form only).
    """

    prompt: Prompt
    link: ResultLink | None = None
    boundaries: Mapping[str, str] = field(default_factory=dict)
    fingerprint: str = ""

    def to_input(self) -> dict[str, str]:
        """The constant that stands in the node's input; equal content gives an equal constant."""
        data = {
            "prompt": self.prompt,
            "link": [self.link.node_id, self.link.slot] if self.link else None,
            "boundaries": dict(self.boundaries),
            "fingerprint": self.fingerprint,
        }
        return {STASH_KEY: json.dumps(data, sort_keys=True, separators=(",", ":"))}

    @classmethod
    def from_input(cls, value: object) -> Stash | None:
        """Read the constant back; None when `value` is something else (the prompt was not cut).

        Raises:
            WorkflowError: it looks like a stash and is none.
        """
        if not isinstance(value, Mapping) or STASH_KEY not in value:
            return None
        try:
            data = json.loads(value[STASH_KEY])
            link = data["link"]
            return cls(
                prompt=_checked_prompt(data["prompt"]),
                link=ResultLink(str(link[0]), int(link[1])) if link else None,
                boundaries={str(k): str(v) for k, v in data["boundaries"].items()},
                fingerprint=str(data["fingerprint"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError) as exc:
            raise WorkflowError(
                "The graph handed to Remote Dispatch is damaged. Load the workflow again and run it."
            ) from exc


def cut_prompt(
    prompt: Prompt, *, is_output: Callable[[str], bool], workflow: Mapping[str, Any] | None = None
) -> Prompt:
    """Return the prompt as the master shall run it; the argument is not changed.

    `is_output` tells whether a class is an output node on the master (False for a class it lacks).
    Dispatch nodes whose input is already a stash are left as they are.
    """
    dispatchers = [
        node_id
        for node_id, node in prompt.items()
        if class_of(node) == DISPATCH_CLASS and isinstance(node.get("inputs"), dict)
    ]
    result: Prompt = dict(prompt)
    sent: set[str] = set()
    for node_id in dispatchers:
        inputs = dict(prompt[node_id]["inputs"])
        value = inputs.get(VALUE_INPUT)
        if is_link(value):
            link = ResultLink(str(value[0]), value[1])
            stash, ids = _stash_upstream(prompt, link, _titles_wanted(inputs))
        elif value is None:
            stash, ids = _stash_whole(prompt, workflow, _titles_wanted(inputs))
        else:
            continue
        sent |= ids
        inputs[VALUE_INPUT] = stash.to_input()
        inputs.update({name: [source, 0] for name, source in stash.boundaries.items()})
        result[node_id] = {**prompt[node_id], "inputs": inputs}
    if not sent:
        return result
    outputs = [i for i, node in result.items() if i not in sent and is_output(class_of(node))]
    needed = upstream(result, outputs)
    return {node_id: node for node_id, node in result.items() if node_id not in sent or node_id in needed}


def bridged(prompt: Prompt) -> Prompt:
    """The prompt for who runs all of it in one place: a dispatch node hands on what is linked to its input,
    so whoever uses it gets that instead."""
    result = dict(prompt)
    for node_id, node in prompt.items():
        inputs = result[node_id].get("inputs") if class_of(node) == DISPATCH_CLASS else None
        value = inputs.get(VALUE_INPUT) if isinstance(inputs, dict) else None
        if is_link(value):
            result = replace_source(result, node_id, value)
    return result


def _stash_upstream(
    prompt: Prompt, link: ResultLink, keep_title: Callable[[str], bool]
) -> tuple[Stash, set[str]]:
    """A dispatch node directly linked to another has an empty prompt: its value is the other's."""
    ids = upstream(prompt, [link.node_id], frozenset({DISPATCH_CLASS}))
    sources = {source for i in ids for _, source, _ in links_of(prompt[i])} | {link.node_id}
    crossed = sorted(s for s in sources if class_of(prompt.get(s)) == DISPATCH_CLASS)
    stash = Stash(
        prompt=_stashed(prompt, ids, keep_title),
        link=link,
        boundaries={f"{_BOUNDARY_PREFIX}{n}": source for n, source in enumerate(crossed)},
    )
    return stash, ids


def _stash_whole(
    prompt: Prompt, workflow: Mapping[str, Any] | None, keep_title: Callable[[str], bool]
) -> tuple[Stash, set[str]]:
    ids = set(without_classes(prompt, frozenset({DISPATCH_CLASS})))
    return Stash(_stashed(prompt, ids, keep_title), fingerprint=workflow_fingerprint(workflow)), ids


def _stashed(prompt: Prompt, ids: set[str], keep_title: Callable[[str], bool]) -> Prompt:
    stashed: Prompt = {}
    for node_id in sorted(ids):
        node = {key: value for key, value in prompt[node_id].items() if key in ("class_type", "inputs")}
        meta = prompt[node_id].get("_meta")
        title = meta.get("title") if isinstance(meta, Mapping) else None
        # A renamed title must not run anything again, unless the node's overrides speak of it.
        if isinstance(title, str) and keep_title(title):
            node["_meta"] = {"title": title}
        stashed[node_id] = node
    return stashed


def _titles_wanted(inputs: Mapping[str, Any]) -> Callable[[str], bool]:
    overrides = inputs.get("overrides")
    if isinstance(overrides, str):
        return lambda title: title in overrides
    return lambda title: is_link(overrides)


# What moving things about in the editor changes, and running them does not.
_LAYOUT_KEYS = frozenset(
    {"pos", "size", "order", "bounding", "color", "bgcolor", "groups", "extra", "config"}
)
_FINGERPRINT_DEPTH = 64


def graph_id_of(workflow: Mapping[str, Any] | None) -> str:
    """The id by which the page knows the graph; "" where it gave none."""
    graph_id = workflow.get("id") if workflow else None
    return graph_id if isinstance(graph_id, str) and len(graph_id) <= GRAPH_ID_MAX else ""


def workflow_fingerprint(workflow: Mapping[str, Any] | None) -> str:
    """A text that changes with what a UI workflow computes, not with its layout; "" for None."""
    return json.dumps(_without_layout(workflow, 0), sort_keys=True, default=str) if workflow else ""


def _without_layout(value: Any, depth: int) -> Any:
    if depth > _FINGERPRINT_DEPTH:
        raise WorkflowError("The workflow is nested too deeply to be a ComfyUI workflow.")
    if isinstance(value, Mapping):
        return {str(k): _without_layout(v, depth + 1) for k, v in value.items() if k not in _LAYOUT_KEYS}
    if isinstance(value, list):
        return [_without_layout(item, depth + 1) for item in value]
    return value


def _checked_prompt(value: object) -> Prompt:
    if not isinstance(value, dict) or not all(isinstance(node, dict) for node in value.values()):
        raise TypeError("a prompt is an object of nodes")
    return value
