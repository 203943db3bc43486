"""Makes fleet jobs look local: in the native queue and history, and live on the page that queued them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from ..backends.events import PeerEvent, PreviewFrame
from ..core.models.job import HERE, Job, JobState, Source
from ..runtime import Runtime
from .native_queue import Item, NativeQueue
from .previews import PREVIEW_WITH_METADATA, preview_message
from .sanitise import sanitise

PROGRESS_EVERY_S = 0.25  #: a browser gets no more than four pictures of the progress a second and job
_AT_ONCE = frozenset({"execution_cached"})
_PROGRESS = ("executing", "progress_state", "progress")  #: of these only the newest counts


class FleetMirror:
    """Belongs to the server's loop. Listens to all jobs; cares for those of fleet mode only."""

    def __init__(self, server: Any, runtime: Runtime, native: NativeQueue) -> None:
        self._server = server
        self._runtime = runtime
        self._native = native
        self._shown: dict[str, _Shown] = {}

    def start(self) -> None:
        self._runtime.on_job(self._on_job)
        self._runtime.on_message(self._on_message)
        for job in reversed(self._runtime.jobs()):
            if not job.state.is_final:  # it waited when ComfyUI was closed
                self._on_job(job)

    def announce(self, job_id: str, number: float) -> None:
        """The number that the prompt's sender was told."""
        self._shown[job_id] = _Shown(number)

    def number_of(self, job_id: str) -> float:
        """The number that a job's sender was told; a new one once the job has ended."""
        shown = self._shown.get(job_id)
        return shown.number if shown else self._native.next_number()

    def take_back(self, job_id: str) -> None:
        """The announced job was not accepted."""
        self._shown.pop(job_id, None)

    def greet(self, client_id: str) -> None:
        """Tell a page that has just connected what its running jobs are at."""
        for job in reversed(self._runtime.jobs()):
            shown = self._shown.get(job.id)
            if shown and shown.is_running and job.request.client_id == client_id:
                self._send(job, "execution_start", {"timestamp": _ms(job.begun_at), "remote": True})
                for kind, data in shown.newest.items():
                    self._send(job, kind, data)

    def _on_job(self, job: Job) -> None:
        if job.request.source is not Source.FLEET:
            return
        shown = self._shown.get(job.id)
        if shown is None:
            if job.state.is_final:
                return
            shown = self._shown[job.id] = _Shown(self._native.next_number())
        if job.backend_id == HERE:
            # The host shows and tells what it runs itself.
            self._native.forget(job.id)
            shown.is_running = shown.is_listed = False
            shown.forget_attempt()
            if job.state.is_final:
                del self._shown[job.id]
            return
        if job.state.is_final:
            del self._shown[job.id]
            self._finish(job, shown)
        elif job.begun_at is not None and not shown.is_running:
            shown.is_running = True
            self._native.show_running(_item(job, shown))
            self._send(job, "execution_start", {"timestamp": _ms(job.begun_at), "remote": True})
        elif job.begun_at is None and (shown.is_running or not shown.is_listed):
            shown.is_running = False
            shown.forget_attempt()
            self._native.show_waiting(_item(job, shown))
        shown.is_listed = True

    def _finish(self, job: Job, shown: _Shown) -> None:
        shown.cancel_timer()
        if job.state is JobState.CANCELLED and not shown.is_running:
            self._native.forget(job.id)
            return
        item = _item(job, shown)
        start = ("execution_start", {"prompt_id": job.id, "timestamp": _ms(job.begun_at)})
        ending = _ending(job)
        outputs = sanitise(job.shown)
        messages = [start, *shown.kept, (ending[0], sanitise({**ending[1], "prompt_id": job.id}))]
        for node_id, output in outputs.items():
            self._send(job, "executed", {"node": node_id, "display_node": node_id, "output": output})
        self._native.finish(item, outputs, job.state is JobState.DONE, messages)
        self._send(job, *ending)
        self._send(job, "executing", {"node": None})

    def _on_message(self, job: Job, message: PeerEvent | PreviewFrame) -> None:
        shown = self._shown.get(job.id)
        if shown is None:
            return
        if isinstance(message, PreviewFrame):
            self._preview(job, shown, message)
        elif message.type in _AT_ONCE:
            shown.kept.append((message.type, sanitise({**message.data, "prompt_id": job.id})))
            self._send(job, message.type, message.data)
        elif message.type in _PROGRESS and message.data.get("node", "") is not None:
            # The peer's word that nothing runs any more is not ours: its results are still to be fetched.
            shown.newest[message.type] = message.data
            shown.due.add(message.type)
            if shown.timer is None:
                loop = asyncio.get_running_loop()
                wait_s = max(0.0, shown.told_at + PROGRESS_EVERY_S - loop.time())
                shown.timer = loop.call_later(wait_s, self._tell_progress, job, shown)

    def _tell_progress(self, job: Job, shown: _Shown) -> None:
        shown.timer = None
        shown.told_at = asyncio.get_running_loop().time()
        for kind in _PROGRESS:
            if kind in shown.due:
                self._send(job, kind, shown.newest[kind])
        shown.due.clear()

    def _preview(self, job: Job, shown: _Shown, frame: PreviewFrame) -> None:
        client_id = job.request.client_id
        # A browser slower than the peer gets the next picture instead of a queue of them.
        busy = shown.sending is not None and not shown.sending.done()
        if client_id in self._server.sockets and not busy:
            body = preview_message(frame, job.id)
            shown.sending = asyncio.create_task(
                self._server.send_bytes(PREVIEW_WITH_METADATA, body, client_id),
                name=f"remote-dispatch preview {job.id}",
            )

    def _send(self, job: Job, kind: str, data: Mapping[str, Any]) -> None:
        client_id = job.request.client_id
        if client_id in self._server.sockets:
            self._server.send_sync(kind, sanitise(_renamed(data, job.id)), client_id)


class _Shown:
    """What the page was told of one job."""

    def __init__(self, number: float) -> None:
        self.number = number
        self.is_listed = False
        self.is_running = False
        self.kept: list[tuple[str, Any]] = []
        self.newest: dict[str, Mapping[str, Any]] = {}
        self.due: set[str] = set()
        self.told_at = float("-inf")
        self.timer: asyncio.TimerHandle | None = None
        self.sending: asyncio.Task[None] | None = None

    def forget_attempt(self) -> None:
        """What a peer said counts for its own attempt alone."""
        self.cancel_timer()
        self.kept.clear()
        self.newest.clear()
        self.due.clear()

    def cancel_timer(self) -> None:
        if self.timer:
            self.timer.cancel()
            self.timer = None


def _item(job: Job, shown: _Shown) -> Item:
    request = job.request
    extra = {**request.extra_data, "client_id": request.client_id, "create_time": _ms(job.created_at)}
    return (shown.number, job.id, request.prompt, extra, list(request.targets))


def _renamed(data: Mapping[str, Any], prompt_id: str) -> dict[str, Any]:
    """An event under the prompt id that the page knows; progress_state repeats it for each node."""
    renamed = {**data, "prompt_id": prompt_id}
    nodes = data.get("nodes")
    if isinstance(nodes, Mapping):
        renamed["nodes"] = {
            node_id: {**state, "prompt_id": prompt_id} if isinstance(state, Mapping) else state
            for node_id, state in nodes.items()
        }
    return renamed


def _ending(job: Job) -> tuple[str, dict[str, Any]]:
    """The host's own last word for such an end."""
    at = {"timestamp": _ms(job.ended_at)}
    if job.state is JobState.DONE:
        return "execution_success", at
    error = dict(job.error or {})
    node: dict[str, Any] = {
        "node_id": error.get("node_id"),
        "node_type": error.get("node_type"),
        "executed": [],
    }
    if job.state is JobState.CANCELLED:
        return "execution_interrupted", {**node, **at}
    guilty, refused = next(iter(_node_errors(error).items()), ("", {}))
    return "execution_error", {
        **node,
        "node_id": str(error.get("node_id") or guilty or ""),
        "node_type": str(error.get("node_type") or refused.get("class_type") or "Remote Dispatch"),
        "exception_message": str(error.get("message") or "The job failed."),
        "exception_type": str(error.get("exception_type") or error.get("code") or "error"),
        "traceback": error.get("traceback") if isinstance(error.get("traceback"), list) else [],
        "current_inputs": error.get("current_inputs") or {},
        "current_outputs": error.get("current_outputs") or [],
        **at,
    }


def _node_errors(error: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    found = error.get("node_errors")
    nodes = found.items() if isinstance(found, Mapping) else ()
    return {str(node_id): node for node_id, node in nodes if isinstance(node, Mapping)}


def _ms(moment: datetime | None) -> int:
    return int((moment.timestamp() if moment else time.time()) * 1000)
