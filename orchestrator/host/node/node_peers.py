"""Tells every open page which peer works on the nodes of its graph, and which one did last."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ...backends.events import Message, PeerEvent
from ...core.models.backend import LOCAL_PEER_ID
from ...core.models.job import Job
from ...runtime import Runtime
from ..page.page_events import PageEvent
from .progress import box_states

NODES_MAX = 2_000  #: of one job; a peer could name any number


@dataclass
class _Told:
    graph_id: str
    peer: str
    states: dict[str, str] = field(default_factory=dict)


class NodePeers:
    """`send(event, data)` tells all pages. Jobs of graphs that no page showed are left out.

    `data` is ``{"graph_id", "job_id", "peer", "nodes": {id: "running" | "finished"}}``, with the nodes that
    changed.
    """

    def __init__(self, runtime: Runtime, send: Callable[[str, Any], None]) -> None:
        self._runtime = runtime
        self._send = send
        self._told: dict[str, _Told] = {}

    def start(self) -> None:
        self._runtime.jobs.on_message(self._on_message)
        self._runtime.jobs.on_change(self._on_job)

    def _on_message(self, job: Job, message: Message) -> None:
        graph_id = job.request.graph_id
        if not graph_id or not isinstance(message, PeerEvent) or message.type != "progress_state":
            return
        peer = self._runtime.peers.name(job.backend_id)
        told = self._told.get(job.id)
        if told is None or told.peer != peer:
            told = self._told[job.id] = _Told(graph_id, peer)
        states = {box: state.kind for box, state in box_states(message.data.get("nodes")).items()}
        self._tell(job.id, told, {box: kind for box, kind in states.items() if told.states.get(box) != kind})

    def _on_job(self, job: Job) -> None:
        told = self._told.get(job.id)
        if told is not None and (job.state.is_final or job.backend_id in ("", LOCAL_PEER_ID)):
            lit = [box for box, kind in told.states.items() if kind == "running"]
            self._tell(job.id, told, dict.fromkeys(lit, "finished"))
            del self._told[job.id]

    def _tell(self, job_id: str, told: _Told, changed: dict[str, str]) -> None:
        told.states.update(changed)
        if changed and len(told.states) <= NODES_MAX:
            names = {"graph_id": told.graph_id, "job_id": job_id, "peer": told.peer}
            self._send(PageEvent.NODE_PEERS, {**names, "nodes": changed})
