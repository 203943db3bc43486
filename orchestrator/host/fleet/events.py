"""A job in the host's own words: its place in queue and history, and the events of its end."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from ...core.models.job import Job, JobState, Prompt
from ...core.workflow.prompt import class_of
from ..sanitise import sanitise
from .native_queue import Item

#: Of one prompt: a peer that tells of ever new nodes, or of its cache again and again, fills no memory here.
NODES_MAX, MESSAGES_MAX = 10_000, 1_000


class Trail:
    """What a peer has told of an attempt so far, as far as the host's words for its end need it."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, Any]] = []  #: that the host's history keeps
        self._cached: frozenset[str] = frozenset()
        self._node_id = ""
        self._nodes: Mapping[str, Any] = {}
        self._display: dict[str, str] = {}

    def observe(self, kind: str, data: Mapping[str, Any], prompt_id: str) -> None:
        if kind == "execution_cached":
            cached = data.get("nodes")
            self._cached = frozenset(map(str, cached)) if isinstance(cached, list) else frozenset()
            if len(self.messages) < MESSAGES_MAX:
                self.messages.append((kind, sanitise({**data, "prompt_id": prompt_id})))
        elif kind == "progress_state" and isinstance(data.get("nodes"), Mapping):
            self._nodes = data["nodes"]
        elif kind in ("executing", "executed") and isinstance(data.get("node"), str):
            shown_at = data.get("display_node")
            if isinstance(shown_at, str) and len(self._display) < NODES_MAX:
                self._display[data["node"]] = shown_at
            if kind == "executing":
                self._node_id = data["node"]

    @property
    def box(self) -> str:
        """The box of the graph that is at work."""
        return self.display(self._node_id)

    def display(self, node_id: str) -> str:
        """The box of the graph that shows this node."""
        return self._display.get(node_id, node_id)

    def executed(self) -> list[str]:
        """The nodes that have run; those from the cache have not."""
        states = self._nodes.items()
        done = (i for i, state in states if isinstance(state, Mapping) and state.get("state") == "finished")
        return [node_id for node_id in done if node_id not in self._cached]

    def interrupted_at(self, prompt: Mapping[str, Any]) -> tuple[str, str]:
        """Id and class of the node that was at work; of a node made at run time, of the one that made it."""
        node_id = str(self._about(self._node_id).get("real_node_id") or self._node_id)
        return node_id, class_of(prompt.get(node_id))

    def meta(self, node_id: str) -> dict[str, Any]:
        """As the host's history tells which boxes a node's output belongs to."""
        about = self._about(node_id)
        parent, real = about.get("parent_node_id"), about.get("real_node_id")
        return {
            "node_id": node_id,
            "display_node": self.display(node_id),
            "parent_node": parent if isinstance(parent, str) else None,
            "real_node_id": real if isinstance(real, str) else node_id,
        }

    def _about(self, node_id: str) -> Mapping[str, Any]:
        state = self._nodes.get(node_id)
        return state if isinstance(state, Mapping) else {}


def queue_item(job: Job, number: float, outputs: list[str], prompt: Prompt) -> Item:
    """As the host puts a prompt into its queue. ``create_time`` is in milliseconds."""
    extra = dict(job.request.extra_data)
    if job.request.workflow and "extra_pnginfo" not in extra:
        extra["extra_pnginfo"] = {"workflow": job.request.workflow}
    pnginfo = extra.get("extra_pnginfo")
    # The host's list of jobs fails as a whole at one of these that is no object.
    if not isinstance(pnginfo, Mapping):
        extra.pop("extra_pnginfo", None)
    elif not isinstance(pnginfo.get("workflow", {}), Mapping):
        extra["extra_pnginfo"] = {key: value for key, value in pnginfo.items() if key != "workflow"}
    if job.request.client_id:
        extra["client_id"] = job.request.client_id
    extra["create_time"] = milliseconds(job.created_at)
    return (number, job.prompt_id, prompt, extra, outputs)


def output_nodes(job: Job, is_output: Callable[[str], bool]) -> list[str]:
    """The nodes that are to run, where nobody has told."""
    prompt = job.request.prompt
    return list(job.request.targets) or [i for i, node in prompt.items() if is_output(class_of(node))]


def ending(job: Job, trail: Trail) -> tuple[str, dict[str, Any]]:
    """The host's own last word for such an end."""
    about = {"prompt_id": job.prompt_id}
    at = {"timestamp": milliseconds(job.ended_at)}
    if job.state is JobState.DONE:
        return "execution_success", {**about, **at}
    if job.state is JobState.CANCELLED:
        node_id, node_type = trail.interrupted_at(job.request.prompt)
        node = {"node_id": node_id, "node_type": node_type, "executed": trail.executed()}
        return "execution_interrupted", {**about, **node, **at}
    error = dict(job.error or {})
    guilty, refused = next(iter(_node_errors(error).items()), ("", {}))
    told = error.get("executed")
    return "execution_error", {
        **about,
        "node_id": str(error.get("node_id") or guilty or ""),
        "node_type": str(error.get("node_type") or refused.get("class_type") or "Remote Dispatch"),
        "executed": told if isinstance(told, list) else trail.executed(),
        "exception_message": _message(error),
        "exception_type": str(error.get("exception_type") or error.get("code") or "error"),
        "traceback": error.get("traceback") if isinstance(error.get("traceback"), list) else [],
        "current_inputs": error.get("current_inputs") or {},
        "current_outputs": error.get("current_outputs") or [],
        **at,
    }


def _message(error: Mapping[str, Any]) -> str:
    """The node's own words, as the host would tell them; where we know what helps, that stands below them, in
    the place of the host's own tips."""
    own, ours = error.get("exception_message"), str(error.get("message") or "The job failed.")
    if not isinstance(own, str) or not own.strip():
        return ours
    before, _, after = ours.partition(f": {own.strip()}")
    tips = ours if before == ours else after.lstrip(" .")  # our sentence may quote the node's
    return f"{own.rstrip()}\n{tips}" if tips else own


def _node_errors(error: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    found = error.get("node_errors")
    nodes = found.items() if isinstance(found, Mapping) else ()
    return {str(node_id): node for node_id, node in nodes if isinstance(node, Mapping)}


def milliseconds(moment: datetime | None) -> int:
    return int((moment.timestamp() if moment else time.time()) * 1000)
