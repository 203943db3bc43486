"""What runs teach: how long each kind of work takes on each peer, and what is in its memory afterwards."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Any

from ...backends.manager import BackendManager
from ...background import BackgroundTasks
from ...core.engine.placement.peers import used_memory_of
from ...core.models.backend import LOCAL_PEER_ID, BackendStatus
from ...core.prompts.kinds import kind_of
from ...core.workflow.prompt import links_of, seeded_nodes
from ...errors import NotFoundError, OrchestratorError, PeerError
from ..attempts.reporting import Measured, Reporter
from ..interfaces import Journal, Peers
from ..queue.job_queue import JobQueue
from ..queue.queued_job import QueuedJob
from ..queue.registry import LiveJob

log = logging.getLogger(__name__)

KEEP_EVERY_S = 20.0
_MOMENT_MAX_MS = 1e15  #: JSON has numbers that no clock shows, and no float holds
POLLS_MIN = 3  #: a run that fewer polls met may have used more than they saw
UNSEEN_S = 5.0  #: how long before and after two polls a foreign prompt may have run unseen
PEAKS_MAX = 2_000  #: of prompts that run, or ran and nobody asked for
_BEGIN, _END = "execution_start", "execution_success"


@dataclass
class _Peak:
    """The most memory that was in use at a poll while a prompt ran, and how many polls there were."""

    used_bytes: int = 0
    polls: int = 0


class RunObserver:
    def __init__(self, queue: JobQueue, manager: BackendManager, peers: Peers, journal: Journal) -> None:
        self._fleet = queue.fleet
        self._manager = manager
        self._peers = peers
        self._journal = journal
        self._tasks = BackgroundTasks()
        self._peaks: dict[str, _Peak] = {}
        manager.polled.subscribe(self._polled)
        queue.fleet.foreign_ended.subscribe(self._foreign_ended)

    async def recall(self) -> None:
        """Take up what earlier processes learned of peers that are still there, and keep from now on what
        this one does.

        Raises:
            StoreError: the journal cannot be read or written.
        """
        knowledge = self._fleet.knowledge
        there = {"", LOCAL_PEER_ID, *(config.id for config in self._manager.all())}
        knowledge.read(row for row in await self._journal.load_learned() if row.peer in there)
        await self._journal.save_learned(knowledge.rows(), only=True)
        self._tasks.start(self._keep(), "lessons")

    def note_run(self, live: LiveJob, report: Reporter) -> None:
        """The present attempt of a job was done."""
        queued, found, attempt = live.queued, report.measured(), live.job.attempts[-1]
        peak = self._peaks.pop(attempt.prompt_id, None)
        # Where a second copy was done first, `queued` is of the other one.
        if found is not None and attempt.backend_id == queued.backend_id:
            self._learn(queued, found, peak)

    def note_too_little(self, queued: QueuedJob, backend_id: str) -> None:
        """A job ran out of memory there."""
        self._fleet.knowledge.note_too_little(backend_id, queued.kind)

    def note_here(self, queued: QueuedJob, cached: Set[str]) -> None:
        """The master itself has done a job; these nodes were in its cache."""
        prompt = queued.request.prompt
        used = {source for node in prompt.values() for _, source, _ in links_of(node)}
        if queued.begun_at_s is not None and used - cached:  # else nothing was computed, only shown or stored
            total_s = asyncio.get_running_loop().time() - queued.begun_at_s
            self._learn(queued, Measured(total_s, None, not cached.isdisjoint(seeded_nodes(prompt))))

    async def aclose(self) -> None:
        await self._tasks.aclose()
        await self._save()

    def _learn(self, queued: QueuedJob, found: Measured, peak: _Peak | None = None) -> None:
        knowledge, where, kind = self._fleet.knowledge, queued.backend_id, queued.kind
        try:
            if found.is_part:
                knowledge.note_part(where, kind, found.total_s)
                return
            knowledge.note_run(where, kind, found.total_s, found.head_s, queued.cold)
            knowledge.node_times.note(kind, found.node_s)
            if peak is not None and peak.polls >= POLLS_MIN:
                knowledge.note_peak(where, kind, peak.used_bytes / 2**30)
        except Exception:  # what a run teaches must not decide the fate of a job that is done
            log.exception("Nothing was learned of a run of %.3f s on %s.", found.total_s, where)

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(KEEP_EVERY_S)
            await self._save()

    async def _save(self) -> None:
        try:
            await self._journal.save_learned(self._fleet.knowledge.take_changes())
        except OrchestratorError as exc:
            log.warning("What was learned of the peers could not be written down: %s", exc)

    def _polled(self, backend_id: str, status: BackendStatus) -> None:
        """A prompt that runs there, anybody's, is at the peer's memory alone: a peer runs one at a time."""
        running = status.vitals.queue.running if status.vitals else ()
        used_bytes = used_memory_of(status)
        if len(running) != 1 or not used_bytes:
            return
        peak = self._peaks.setdefault(running[0], _Peak())
        peak.used_bytes, peak.polls = max(peak.used_bytes, used_bytes), peak.polls + 1
        if len(self._peaks) > PEAKS_MAX:
            del self._peaks[next(iter(self._peaks))]

    def _foreign_ended(self, backend_id: str, prompt_id: str, seconds: float) -> None:
        self._tasks.start(self._ask_about(backend_id, prompt_id, seconds), f"foreign prompt {prompt_id}")

    async def _ask_about(self, backend_id: str, prompt_id: str, seconds: float) -> None:
        """Its history tells how long it took, and what it left in memory."""
        try:
            record = await self._peers(self._manager.get(backend_id)).history(prompt_id, with_prompt=True)
            info, prompt = self._manager.get_object_info(backend_id), _prompt_of(record)
            kind = await asyncio.to_thread(kind_of, prompt, info) if prompt is not None else None
            self._manager.get(backend_id)  # may have been removed meanwhile
        except (PeerError, NotFoundError) as exc:
            log.debug("Nothing is known of a foreign prompt: %s", exc)
            return
        took_s = _duration_s(record) if record else None
        knowledge = self._fleet.knowledge
        # Its own clock is believed only as far as ours could have missed something.
        knowledge.note_foreign(backend_id, min(took_s or seconds, seconds + UNSEEN_S))
        if kind is not None:
            knowledge.note_begun(backend_id, kind)
        self._fleet.show(backend_id)


def _prompt_of(record: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """The graph of a history entry. None of it is trusted."""
    known = record.get("prompt") if record else None
    graph = known[2] if isinstance(known, list) and len(known) > 2 else None
    is_graph = isinstance(graph, dict) and all(isinstance(node, dict) for node in graph.values())
    return graph if is_graph else None


def _duration_s(record: Mapping[str, Any]) -> float | None:
    """From the times of its messages, in milliseconds of the peer's clock."""
    status = record.get("status")
    messages = status.get("messages") if isinstance(status, dict) else None
    moments: dict[str, float] = {}
    for message in messages if isinstance(messages, list) else ():
        if isinstance(message, list) and len(message) == 2 and isinstance(message[1], dict):
            moment = message[1].get("timestamp")
            if isinstance(moment, (int, float)) and abs(moment) < _MOMENT_MAX_MS:
                moments[str(message[0])] = float(moment)
    if _BEGIN not in moments or _END not in moments:
        return None
    seconds = (moments[_END] - moments[_BEGIN]) / 1000
    return seconds if seconds > 0 else None
