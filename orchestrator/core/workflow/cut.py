"""Cuts what a dispatch node runs remotely out of a prompt, before ComfyUI validates that prompt.

The upstream of a dispatch node is taken out and left as a constant (the *stash*) in the node's own input.
So the master needs neither the models nor the node classes of what it sends away, and the host's cache key
of the node follows the content of its upstream. Nodes that local outputs also need stay local too.

Links that come from another dispatch node, or from a node that runs on the master alone, are a boundary: the
stash keeps them, and the node gets them as additional link inputs, so that the host runs the other one first,
with all that feeds it, and hands its value over. A loop that would be cut apart stays here in the same way.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ...errors import WorkflowError
from ..models.job import Prompt, ResultLink
from .boundaries import ANYTHING_TRAVELS, Boundaries, Loop, loops_of, sinks, torn_ends
from .carriers import can_travel, cannot_travel
from .prompt import class_of, downstream, is_link, links_of, upstream, without_classes
from .result_nodes import replace_source

DISPATCH_CLASS = "RemoteDispatch"
VALUE_INPUT = "value"
STASH_KEY = "__rd__"
_BOUNDARY_PREFIX = "upstream_"

GRAPH_ID_MAX = 64


@dataclass(frozen=True)
class Stash:
    """What was cut out. ``link`` is None for the whole-graph form.

    ``boundaries`` maps the name of an additional link input to the output of the master's node it comes from;
    inside ``prompt`` those links still name that node. ``fingerprint`` stands for the UI workflow in the
    cache key (whole-graph form only). ``refusal``: why it cannot run at all, "" where it may.
    """

    prompt: Prompt
    link: ResultLink | None = None
    boundaries: Mapping[str, ResultLink] = field(default_factory=dict)
    fingerprint: str = ""
    refusal: str = ""

    def to_input(self) -> dict[str, str]:
        """The constant that stands in the node's input; equal content gives an equal constant."""
        data = {
            "prompt": self.prompt,
            "link": [self.link.node_id, self.link.slot] if self.link else None,
            "boundaries": {name: [link.node_id, link.slot] for name, link in self.boundaries.items()},
            "fingerprint": self.fingerprint,
            **({"refusal": self.refusal} if self.refusal else {}),
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
                link=_as_link(link) if link else None,
                boundaries={str(name): _as_link(source) for name, source in data["boundaries"].items()},
                fingerprint=str(data["fingerprint"]),
                refusal=str(data.get("refusal", "")),
            )
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError) as exc:
            raise WorkflowError(
                "The graph handed to Remote Dispatch is damaged. Load the workflow again and run it."
            ) from exc


def cut_prompt(
    prompt: Prompt,
    *,
    is_output: Callable[[str], bool],
    workflow: Mapping[str, Any] | None = None,
    boundaries: Boundaries = ANYTHING_TRAVELS,
) -> Prompt:
    """Return the prompt as the master shall run it; the argument is not changed.

    `is_output` tells whether a class is an output node on the master (False for a class it lacks).
    `boundaries`: what may not travel. Dispatch nodes whose input is already a stash are left as they are.
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
            stash, ids = stash_upstream(prompt, link, _titles_wanted(inputs), boundaries)
        elif value is None:
            ids = _whole(prompt, is_output, boundaries)
            crossed = _crossed(prompt, ids)
            stash = Stash(
                _stashed(prompt, ids, _titles_wanted(inputs)),
                boundaries=crossed,
                fingerprint=workflow_fingerprint(workflow),
                refusal=_refusal(prompt, ids, crossed, boundaries),
            )
        else:
            continue
        sent |= ids
        inputs[VALUE_INPUT] = stash.to_input()
        inputs.update({name: [source.node_id, source.slot] for name, source in stash.boundaries.items()})
        result[node_id] = {**prompt[node_id], "inputs": inputs}
    if not sent:
        return result
    outputs = [i for i, node in result.items() if i not in sent and is_output(class_of(node))]
    needed = upstream(result, outputs)
    return {node_id: node for node_id, node in result.items() if node_id not in sent or node_id in needed}


def bridged(prompt: Prompt) -> Prompt:
    """The prompt for who runs all of it in one place: a dispatch node hands on what is linked to its input,
    so its users get that instead."""
    result = dict(prompt)
    for node_id, node in prompt.items():
        inputs = result[node_id].get("inputs") if class_of(node) == DISPATCH_CLASS else None
        value = inputs.get(VALUE_INPUT) if isinstance(inputs, dict) else None
        if is_link(value):
            result = replace_source(result, node_id, value)
    return result


def stash_upstream(
    prompt: Prompt,
    link: ResultLink,
    keep_title: Callable[[str], bool] = lambda title: False,
    boundaries: Boundaries = ANYTHING_TRAVELS,
) -> tuple[Stash, set[str]]:
    """What has to run elsewhere for the value of `link`, and the ids of its nodes. A node that links a
    boundary directly has an empty prompt: its value is that one's."""
    loops = loops_of(prompt, boundaries.loop_side)

    def before(stops: frozenset[str]) -> set[str]:
        return upstream(prompt, [link.node_id], frozenset({DISPATCH_CLASS}), stops)

    ids = _within(before, boundaries.here(prompt), loops)
    crossed = _crossed(prompt, ids, link)
    # Without a prompt nothing travels: the value is handed on as it is.
    refusal = _refusal(prompt, ids, crossed, boundaries) if ids else ""
    return Stash(_stashed(prompt, ids, keep_title), link, crossed, refusal=refusal), ids


def _whole(prompt: Prompt, is_output: Callable[[str], bool], boundaries: Boundaries) -> set[str]:
    """All that may travel, less what depends on a dispatch node, and less what only feeds nodes that stay."""
    every = set(without_classes(prompt, frozenset({DISPATCH_CLASS})))
    loops = loops_of(prompt, boundaries.loop_side)
    outputs = {i for i in every if is_output(class_of(prompt[i]))}

    def without(stops: frozenset[str]) -> set[str]:
        roots = (sinks(prompt) & every) | outputs
        return upstream(prompt, roots, frozenset({DISPATCH_CLASS}), stops) if stops else set(every)

    return _within(without, boundaries.here(prompt) & every, loops)


def _within(
    reach: Callable[[frozenset[str]], set[str]], stops: frozenset[str], loops: Iterable[Loop]
) -> set[str]:
    """The nodes that `reach` finds without passing `stops`, nor any loop that would be cut apart."""
    while True:
        ids = reach(stops)
        torn = torn_ends(loops, ids)
        if not torn:
            return ids
        stops |= torn


def _crossed(prompt: Prompt, ids: set[str], link: ResultLink | None = None) -> dict[str, ResultLink]:
    """The outputs that come from outside `ids`, by the name of the input that brings them."""
    sources = {(source, slot) for i in ids for _, source, slot in links_of(prompt[i])}
    if link is not None:
        sources.add((link.node_id, link.slot))
    outside = sorted((source, slot) for source, slot in sources if source in prompt and source not in ids)
    return {f"{_BOUNDARY_PREFIX}{n}": ResultLink(*source) for n, source in enumerate(outside)}


def _refusal(prompt: Prompt, ids: set[str], crossed: Mapping[str, ResultLink], boundaries: Boundaries) -> str:
    """About the first value that would have to travel to a peer and cannot."""
    for source in crossed.values():
        class_type = class_of(prompt[source.node_id])
        kind = boundaries.output_type(class_type, source.slot)
        if not can_travel(kind):
            return cannot_travel(source, kind)
        if boundaries.gives_list(class_type, source.slot):
            for node_id in sorted(downstream(prompt, [source.node_id]) & ids):
                if boundaries.takes_list(class_of(prompt[node_id])):
                    return (
                        f"Node {node_id} ({class_of(prompt[node_id])}) takes all items of a list at once, "
                        "and a peer gets one at a time. Put it behind Remote Dispatch."
                    )
    return ""


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


def _as_link(value: Any) -> ResultLink:
    """From ``[node id, slot]``, or the id alone, as version 0.1 wrote it."""
    return ResultLink(value, 0) if isinstance(value, str) else ResultLink(str(value[0]), int(value[1]))


def _checked_prompt(value: object) -> Prompt:
    if not isinstance(value, dict) or not all(isinstance(node, dict) for node in value.values()):
        raise TypeError("a prompt is an object of nodes")
    return value
