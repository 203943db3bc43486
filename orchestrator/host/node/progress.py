"""Shows a remote run on the boxes of the master's own graph."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping
from html import escape
from typing import Any

from ...backends.events import PeerEvent, PreviewFrame
from ...backends.wire import renamed
from ...core.models.job import AttemptResult, Job, JobState
from ...dispatch.queue.registry import JobUpdate
from ..page.pack_events import PackEvents
from ..page.previews import picture_message, takes_metadata
from ..sanitise import sanitise
from .fan import BoxState, Fan

log = logging.getLogger(__name__)


def box_states(nodes: object) -> dict[str, BoxState]:
    """The boxes that a peer's progress_state speaks of; what is no such thing is left out."""
    states: dict[str, BoxState] = {}
    for state in nodes.values() if isinstance(nodes, Mapping) else ():
        if not isinstance(state, Mapping):
            continue
        box, kind = str(state.get("display_node_id") or state.get("node_id")), state.get("state")
        # Several inner nodes may share one box: it runs as long as one of them runs.
        is_shared = box in states and states[box].kind == "running"
        if kind in ("running", "finished") and not is_shared:
            states[box] = BoxState(str(kind), _number(state.get("value")), _number(state.get("max")))
    return states


class NodeProgress:
    """Listens to one job, on the server's loop.

    `registry` is the host's progress registry of the running prompt. It is not safe to use from two threads,
    so it is only touched on `node_loop`, the loop that runs the nodes. `node_ids` are the boxes that exist in
    the user's graph. `packs` says which events of node packs reach the page.
    """

    def __init__(
        self,
        *,
        server: Any,
        registry: Any,
        node_loop: asyncio.AbstractEventLoop,
        node_id: str,
        node_ids: frozenset[str],
        fan: Fan | None = None,
        peer_name: Callable[[str], str],
        packs: PackEvents | None = None,
    ) -> None:
        self._server = server
        self._client_id = server.client_id if isinstance(server.client_id, str) else None
        self._registry = registry
        self._node_loop = node_loop
        self._node_id = node_id
        self._node_ids = node_ids
        self._fan = fan or Fan()
        self.piece = self._fan.join()
        self._peer_name = peer_name
        self._packs = packs
        self._job: Job | None = None
        self._at = ""  #: the box at work
        self._shown: dict[str, BoxState] = {}
        self._unwritten: deque[Mapping[str, BoxState]] = deque()  #: for the loop that runs the nodes
        self._is_woken = False
        self._sending: asyncio.Task[None] | None = None

    @property
    def prompt_id(self) -> str:
        """The running prompt."""
        return str(self._registry.prompt_id)

    def __call__(self, update: JobUpdate) -> None:
        if isinstance(update, Job):
            self._job = self.piece.job = update
            self._show_status(update)
        elif isinstance(update, PreviewFrame):
            self._show_preview(update)
        elif isinstance(update, PeerEvent) and update.type == "progress_state":
            self._show_nodes(update.data.get("nodes"))
        elif isinstance(update, PeerEvent) and update.type == "executing":
            self._at = str(update.data.get("display_node") or update.data.get("node") or "")
        elif isinstance(update, PeerEvent):
            self._tell_of_pack(update)

    def _tell_of_pack(self, event: PeerEvent) -> None:
        """What a node pack tells its own code on the page."""
        job = self._job
        if job is None or self._packs is None or not job.attempts:
            return
        data = self._packs.data_of(job, event, self._at)
        if data is not None:
            own = renamed(data, job.attempts[-1].prompt_id, self.prompt_id)
            self._server.send_sync(event.type, own, self._client_id)

    def _show_status(self, job: Job) -> None:
        if job.state is JobState.RUNNING:
            text = f"on {self._peer_name(job.backend_id)}: {job.progress_text}"
        elif job.state is JobState.WAITING:
            text = job.explanation or "waiting for a peer"
            text = text if text.startswith("waiting") else f"waiting: {text}"
        elif job.state is JobState.DONE:
            text = job.explanation
        else:
            text = job.state.value
        self._say(text, is_urgent=job.state is not JobState.RUNNING)

    def _say(self, text: str, *, is_urgent: bool) -> None:
        """In the node's own line; of several pieces how far they all are."""
        text = self._fan.text(self._peer_name) or text
        now = asyncio.get_running_loop().time()
        if self._client_id is not None and self._fan.says(text, now, is_urgent=is_urgent):
            # The page takes it as HTML.
            self._server.send_progress_text(escape(text, quote=False), self._node_id, self._client_id)

    def _show_nodes(self, nodes: object) -> None:
        states = {i: state for i, state in box_states(nodes).items() if i in self._node_ids}
        changed = {i: state for i, state in states.items() if self._shown.get(i) != state}
        if changed:
            self._shown.update(changed)
            self.piece.boxes.update(changed)
            self._write_soon(self._fan.merged(changed))

    def _write_soon(self, states: Mapping[str, BoxState]) -> None:
        """To wake another loop costs more than to write: what comes until it is awake is written at once."""
        self._unwritten.append(states)
        if self._is_woken:
            return
        self._is_woken = True
        try:
            self._node_loop.call_soon_threadsafe(self._write)
        except RuntimeError:
            log.debug("The prompt ended before its last progress")

    def _write(self) -> None:
        """On the loop that runs the nodes."""
        self._is_woken = False  # before the rest is taken: what is added from now on wakes it again
        newest: dict[str, BoxState] = {}
        while self._unwritten:
            newest.update(self._unwritten.popleft())
        for node_id, state in newest.items():
            if state.kind == "finished":
                self._registry.finish_progress(node_id)
            else:
                self._registry.update_progress(node_id, state.value, max(state.top, 1.0), None)

    def show_kept(self, result: AttemptResult) -> None:
        """Nothing has to run: this is what came of it before."""
        self.piece.is_kept = True
        self.show_outputs(result.shown)
        self._say("its result was kept, nothing had to run", is_urgent=True)

    def show_outputs(self, outputs: Mapping[str, Any]) -> None:
        """What the nodes that were sent away made and show, by node id as the host's history has it: the page
        gets it on their own boxes, as if they had run here."""
        if self._client_id is None:
            return
        for node_id, output in outputs.items():
            # An inner node's results are shown on the box that it came from.
            box = node_id if node_id in self._node_ids else node_id.partition(".")[0]
            if box in self._node_ids and isinstance(output, Mapping):
                told = {"node": node_id, "display_node": box, "output": sanitise(output)}
                data = {**told, "prompt_id": self.prompt_id}
                self._server.send_sync("executed", data, self._client_id)

    def finish(self) -> None:
        """No box stays lit after the job ended."""
        lit = [box for box, state in self._shown.items() if state.kind == "running"]
        ended = dict.fromkeys(lit, BoxState("finished", 1.0, 1.0))
        self._shown.update(ended)
        self.piece.boxes.update(ended)
        if ended:
            self._write_soon(self._fan.merged(ended))

    def _show_preview(self, frame: PreviewFrame) -> None:
        shown_at = frame.display_node_id or frame.node_id
        # A browser that is slower than the peer gets the next picture instead of a queue of them.
        busy = self._sending is not None and not self._sending.done()
        if busy or shown_at not in self._node_ids:
            return
        # Like the host: a client says whether it knows event 4, and without a client id all get event 1.
        knows = self._client_id is not None and takes_metadata(self._server, self._client_id)
        message = picture_message(frame, self._registry.prompt_id, with_metadata=knows, at=shown_at)
        self._sending = asyncio.create_task(
            self._server.send_bytes(int.from_bytes(message[:4], "big"), message[4:], self._client_id),
            name="remote-dispatch preview",
        )


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) and 0 <= value < 1e12 else 0.0
