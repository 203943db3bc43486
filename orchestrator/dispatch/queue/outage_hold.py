"""Holds the queue while most of the fleet is lost: a cable, a switch or a power cut is no fault of a job. And
while the journal cannot be written: a job that was begun then could be begun again by the next process."""

from __future__ import annotations

import asyncio
import logging

from ...backends.manager import BackendManager
from ...core.engine.faults.outage import FleetHistory, OutagePolicy, after_health, outage_ends_at_s
from ...errors import NotFoundError
from .job_queue import JobQueue

log = logging.getLogger(__name__)


class OutageHold:
    def __init__(self, manager: BackendManager, queue: JobQueue, policy: OutagePolicy) -> None:
        self._manager = manager
        self._queue = queue
        self._policy = policy
        self._history = FleetHistory()
        self._outage = self._journal = ""  #: why the queue is held, in sentences
        self._timer: asyncio.TimerHandle | None = None
        self._unsubscribe = manager.subscribe(self._follow)

    @property
    def is_outage(self) -> bool:
        return bool(self._outage)

    @property
    def lost_together(self) -> frozenset[str]:
        """The peers that are lost, while most of the fleet is."""
        return frozenset(self._history.lost_at_s) if self.is_outage else frozenset()

    def for_journal(self, trouble: str) -> None:
        """Place no job as long as there is `trouble` with the journal."""
        self._journal = trouble
        self._queue.hold(self._outage or self._journal)

    def close(self) -> None:
        self._unsubscribe()
        if self._timer:
            self._timer.cancel()

    def _follow(self, backend_id: str) -> None:
        try:
            is_wanted = self._manager.get(backend_id).enabled
            health = self._manager.get_status(backend_id).health if is_wanted else None
        except NotFoundError:
            health = None
        now = asyncio.get_running_loop().time()
        before, self._history = self._history, after_health(self._history, backend_id, health, now)
        if self._history != before:
            self._judge()

    def _judge(self) -> None:
        loop = asyncio.get_running_loop()
        if self._timer:
            self._timer.cancel()
            self._timer = None
        ends_at_s = outage_ends_at_s(self._history, loop.time(), self._policy)
        if ends_at_s is not None:
            self._timer = loop.call_at(ends_at_s, self._judge)
        lost = len(self._history.lost_at_s)
        words = (
            f"{lost} of {lost + len(self._history.there)} peers were lost at once, so jobs are held until "
            "they answer again. Look at the network and at the power there."
        )
        if (ends_at_s is not None) != self.is_outage:
            if ends_at_s is not None:
                log.warning("%s", words)
            self._outage = words if ends_at_s is not None else ""
            self._queue.hold(self._outage or self._journal)
