"""Makes jobs look local: in the native queue and history, and live for the client that queued them.

Who sent a prompt hears what a plain ComfyUI would say of it, each message in its order. A prompt that came
without a client id is told to everybody, as far as the host does that.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any

from ...backends.events import Message, PeerEvent, PreviewFrame, RawFrame
from ...backends.wire import COMFYUI_TYPES, TEXT, renamed
from ...core.models.backend import LOCAL_PEER_ID
from ...core.models.job import Job, JobState, Prompt
from ...core.prompts.preparation import changed_prompt
from ...core.workflow.prompt import class_of
from ...dispatch.attempts.live_outputs import NodeOutput
from ...runtime import Runtime
from ..page.outbox import Outgoing, event_text
from ..page.pack_events import PackEvents
from ..page.previews import picture_message, raw_message, takes_metadata
from ..page.sockets import Sockets
from ..page.turns import Turns
from ..sanitise import sanitise
from .events import NODES_MAX, Trail, ending, milliseconds, output_nodes, queue_item
from .native_queue import Item, NativeQueue

_RELAYED = frozenset({"execution_cached", "executing", "progress", "progress_state"})
_SUPERSEDED = frozenset({"progress", "progress_state"})  #: by the next one, for a client that lags behind
#: The newest of each, to a client that comes back. It heard of the start; told again, some give the job up.
_REPLAYED = ("executing", "progress_state")
#: What the host tells to everybody where nobody in particular queued the prompt.
_TOLD_TO_ALL = frozenset({"progress", "progress_state", "execution_interrupted"})


class FleetMirror:
    """Belongs to the server's loop. `is_output`: of a class, whether it is an output node."""

    def __init__(
        self,
        server: Any,
        sockets: Sockets,
        runtime: Runtime,
        native: NativeQueue,
        packs: PackEvents,
        is_output: Callable[[str], bool],
    ) -> None:
        self._server = server
        self._runtime = runtime
        self._native = native
        self._packs = packs
        self._is_output = is_output
        self._sockets = sockets
        self._turns = Turns(sockets.send, self._needs_turns)
        self._shown: dict[str, _Shown] = {}

    def start(self) -> None:
        self._runtime.jobs.on_change(self._on_job)
        self._runtime.jobs.on_message(self._on_message)
        for job in reversed(self._runtime.jobs.all()):
            if not job.state.is_final:  # it waited when ComfyUI was closed
                self._on_job(job)

    def announce(self, job_id: str, number: float, outputs: tuple[str, ...]) -> None:
        """The number that the prompt's sender was told, and the output nodes that are to run."""
        self._shown[job_id] = _Shown(number, list(outputs))

    def number_of(self, job_id: str) -> float:
        """The number that a job's sender was told; a new one once the job has ended."""
        shown = self._shown.get(job_id)
        return shown.number if shown else self._native.next_number()

    def is_announced(self, job_id: str) -> bool:
        return job_id in self._shown

    def take_back(self, job_id: str) -> None:
        """The announced job was not accepted."""
        self._shown.pop(job_id, None)

    def greet(self, client_id: str) -> None:
        """Tell a client that has just connected what its running jobs are at, as the host does."""
        for job in reversed(self._runtime.jobs.all()):
            shown = self._shown.get(job.id)
            if shown and shown.is_running and job.request.client_id == client_id:
                for kind in _REPLAYED:
                    if kind in shown.newest:
                        self._relay(job, shown.newest[kind])

    def _needs_turns(self, client_id: str) -> bool:
        return client_id in self._server.sockets and not takes_metadata(self._server, client_id)

    def _on_job(self, job: Job) -> None:
        if not job.request.is_native:
            return
        shown = self._shown.get(job.id)
        if shown is None:
            if job.state.is_final:
                return
            outputs = output_nodes(job, self._is_output)
            shown = self._shown[job.id] = _Shown(self._native.next_number(), outputs)
        if shown.is_listed and shown.prompt_sent is not job.request.prompt:  # it was edited
            shown.outputs, shown.is_listed = output_nodes(job, self._is_output), False
        if job.backend_id == LOCAL_PEER_ID:
            # The host shows and tells what it runs itself.
            self._native.forget(job.id)
            shown.is_running = shown.is_listed = False
            shown.forget_attempt()
            self._turns.end(job.request.client_id, job.id)
            if job.state.is_final:
                del self._shown[job.id]
            return
        if job.state.is_final:
            del self._shown[job.id]
            self._finish(job, shown)
            self._turns.end(job.request.client_id, job.id)
        elif job.begun_at is not None and not shown.is_running:
            shown.is_running = True
            shown.forget_attempt()  # only now: without another one, the job ends with the words of the last
            self._native.show_running(job.id, shown.item(job))
            self._send_start(job, shown)
        elif job.begun_at is None and (shown.is_running or not shown.is_listed):
            shown.is_running = False
            self._release_frame(job, shown)
            self._turns.end(job.request.client_id, job.id)  # nobody knows for how long it waits
            self._native.show_waiting(job.id, shown.item(job))
        shown.is_listed = True

    def _send_start(self, job: Job, shown: _Shown) -> None:
        if shown.was_told_of_start:
            return  # it is tried again elsewhere; a prompt starts once
        shown.was_told_of_start = True
        start = {"prompt_id": job.prompt_id, "timestamp": milliseconds(job.begun_at), "remote": True}
        self._send(job, "execution_start", start)

    def _finish(self, job: Job, shown: _Shown) -> None:
        self._release_frame(job, shown)
        if job.state is JobState.CANCELLED and not shown.was_told_of_start:
            self._native.forget(job.id)
            return
        begun_at = job.begun_at or job.started_at or job.ended_at  # while nobody listened, it began unheard
        start = ("execution_start", {"prompt_id": job.prompt_id, "timestamp": milliseconds(begun_at)})
        kind, data = ending(job, shown.trail)
        outputs = sanitise(job.shown)
        for node_id in outputs:
            self._tell_output(job, shown, node_id, partial(outputs.get, node_id))
        self._native.finish(
            job.id,
            shown.item(job),
            outputs,
            {node_id: shown.trail.meta(node_id) for node_id in outputs},
            job.state is JobState.DONE,
            [start, *shown.trail.messages, (kind, sanitise(data))],
        )
        self._send(job, kind, data)
        self._send(job, "executing", {"node": None, "prompt_id": job.prompt_id})

    # What its peer tells

    def _on_message(self, job: Job, message: Message) -> None:
        shown = self._shown.get(job.id)
        if shown is None:
            return
        if isinstance(message, PreviewFrame):
            self._picture(job, shown, message)
        elif isinstance(message, RawFrame):
            self._release_frame(job, shown)
            if message.kind == TEXT or self._packs.may_tell(job, shown.trail.box):
                self._post(job, Outgoing(lambda: raw_message(message), size=len(message.body)))
        else:
            self._event(job, shown, message)

    def _event(self, job: Job, shown: _Shown, event: PeerEvent) -> None:
        if event.type != "progress":
            self._release_frame(job, shown)
        shown.trail.observe(event.type, event.data, job.prompt_id)
        if isinstance(event, NodeOutput) and event.shown is not None:
            if self._sockets.hears(job.request.client_id):
                future = event.shown()
                self._tell_output(job, shown, str(event.data.get("node")), lambda: _result(future), future)
        elif _is_relayed(event):
            if event.type in _REPLAYED:
                shown.newest[event.type] = event
            self._relay(job, event)
        elif event.type not in COMFYUI_TYPES:
            own = self._packs.data_of(job, event, shown.trail.box)
            if own is not None:
                self._send(job, event.type, own, sent_as=event.prompt_id)
        self._release_frame(job, shown)

    def _tell_output(
        self,
        job: Job,
        shown: _Shown,
        node_id: str,
        output_of: Callable[[], Any],
        ready: asyncio.Future[Any] | None = None,
    ) -> None:
        """What a node has made, unless just that was told of it before."""

        def make() -> str | None:
            output = sanitise(output_of())
            if output is None or shown.told.get(node_id) == output:
                return None
            if len(shown.told) < NODES_MAX:
                shown.told[node_id] = output
            about = {"node": node_id, "display_node": shown.trail.display(node_id), "output": output}
            return event_text("executed", {**about, "prompt_id": job.prompt_id})

        if job.request.client_id:
            self._post(job, Outgoing(make, ready=ready))

    def _relay(self, job: Job, event: PeerEvent) -> None:
        replaces = (job.id, event.type) if event.type in _SUPERSEDED else None
        self._send(job, event.type, event.data, replaces=replaces, sent_as=event.prompt_id)

    def _picture(self, job: Job, shown: _Shown, frame: PreviewFrame) -> None:
        self._release_frame(job, shown)
        client_id = job.request.client_id
        if frame.meta is not None and not (client_id and takes_metadata(self._server, client_id)):
            # The host sends event 1 after the `progress` that comes with it, and event 4 before.
            shown.held = frame
        else:
            self._post_picture(job, shown, frame, with_metadata=True)

    def _release_frame(self, job: Job, shown: _Shown) -> None:
        if shown.held is not None:
            frame, shown.held = shown.held, None
            self._post_picture(job, shown, frame, with_metadata=False)

    def _post_picture(self, job: Job, shown: _Shown, frame: PreviewFrame, *, with_metadata: bool) -> None:
        def make() -> bytes:
            return picture_message(frame, job.prompt_id, with_metadata=with_metadata)

        node_id = frame.display_node_id or frame.node_id
        is_result = self._is_output(class_of(job.request.prompt.get(node_id)))
        if is_result and not shown.is_new_result(node_id):
            return
        replaces = None if is_result else (job.id, "preview")
        self._post(job, Outgoing(make, replaces, size=len(frame.data)))

    def _send(
        self, job: Job, kind: str, data: Any, *, replaces: Hashable | None = None, sent_as: str = ""
    ) -> None:
        if not job.request.client_id and kind in COMFYUI_TYPES and kind not in _TOLD_TO_ALL:
            return

        def make() -> str:
            return event_text(kind, renamed(sanitise(data), sent_as, job.prompt_id))

        self._post(job, Outgoing(make, replaces))

    def _post(self, job: Job, message: Outgoing) -> None:
        if job.request.client_id:
            self._turns.send(job.request.client_id, job.id, message)
        else:
            self._sockets.broadcast(message)


class _Shown:
    """What was told of one job. ``held``: a picture whose turn comes after the next `progress`."""

    def __init__(self, number: float, outputs: list[str]) -> None:
        self.number = number
        self.outputs = outputs
        self.is_listed = False
        self.is_running = False
        self.was_told_of_start = False
        self.told: dict[str, Any] = {}  #: outputs, by node
        self._delivered: Counter[str] = Counter()
        self.prompt_sent: Prompt | None = None  #: the one that ``_prompt`` was made of
        self._prompt: Prompt = {}
        self.forget_attempt()

    def item(self, job: Job) -> Item:
        """As the host's lists have it, see ``queue_item``."""
        if self.prompt_sent is not job.request.prompt:
            self.prompt_sent, self._prompt = job.request.prompt, changed_prompt(job.request)
        return queue_item(job, self.number, self.outputs, self._prompt)

    def is_new_result(self, node_id: str) -> bool:
        """Whether this picture of an output node is more than what a lost attempt has delivered already."""
        self._sent[node_id] += 1
        is_new = self._sent[node_id] > self._delivered[node_id]
        self._delivered[node_id] = max(self._delivered[node_id], self._sent[node_id])
        return is_new

    def forget_attempt(self) -> None:
        """What a peer said counts for its own attempt alone."""
        self.trail = Trail()
        self.newest: dict[str, PeerEvent] = {}
        self.held: PreviewFrame | None = None
        self._sent: Counter[str] = Counter()


def _result(future: asyncio.Future[Any]) -> Any:
    is_there = future.done() and not future.cancelled() and future.exception() is None
    return future.result() if is_there else None


def _is_relayed(event: PeerEvent) -> bool:
    """Whether it is told on as it comes. The peer's word that the prompt has ended is not ours: its results
    are still to be fetched."""
    if event.type == "execution_error":  # a branch was blocked; the prompt goes on
        return event.data.get("exception_type") == "ExecutionBlocked"
    if event.type == "executed":  # of a node that shows nothing, from the cache
        return event.data.get("output") is None
    return event.type in _RELAYED and event.data.get("node", "") is not None
