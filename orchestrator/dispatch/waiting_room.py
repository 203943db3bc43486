"""Jobs that wait for a peer. They stay here, not in a peer's queue, until that peer can start them soon."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from ..backends.manager import BackendManager
from ..core.engine.preparation import Prepared, prepare
from ..core.engine.scheduler import (
    SLOTS_PER_PEER,
    Need,
    PeerSnapshot,
    PeerVerdict,
    Placement,
    Scheduler,
    judge,
)
from ..core.models.job import JobRequest
from ..core.workflow.object_info import ObjectInfo
from ..errors import NoEligiblePeerError, OrchestratorError

log = logging.getLogger(__name__)

SETTLE_S = 15.0  #: how long a job waits for a peer that is just being asked for the first time


@dataclass
class Ticket:
    """One waiting job. ``tried``: peers that failed it, with the reason."""

    request: JobRequest
    tried: dict[str, str] = field(default_factory=dict)
    on_waiting: Callable[[str], None] = lambda reason: None
    prepared: dict[str, tuple[ObjectInfo, Prepared]] = field(default_factory=dict)
    number: int = 0
    fresh: bool = True
    settled: bool = False
    future: asyncio.Future[Placement] | None = None


class WaitingRoom:
    """Gives each waiting job a peer, in the order of arrival, as soon as one has a free slot."""

    def __init__(self, manager: BackendManager, scheduler: Scheduler, is_ours: Callable[[str], bool]) -> None:
        self._manager = manager
        self._scheduler = scheduler
        self._is_ours = is_ours
        self._tickets: dict[int, Ticket] = {}
        self._occupied: Counter[str] = Counter()
        self._numbers = itertools.count(1)
        self._dirty = asyncio.Event()
        self._pump: asyncio.Task[None] | None = None
        self._unsubscribe: Callable[[], None] | None = None

    def start(self) -> None:
        self._unsubscribe = self._manager.subscribe(lambda _: self._peers_changed())
        self._pump = asyncio.create_task(self._run(), name="remote-dispatch placement")

    async def aclose(self) -> None:
        if self._unsubscribe:
            self._unsubscribe()
        if self._pump:
            self._pump.cancel()
            await asyncio.gather(self._pump, return_exceptions=True)

    def ours_on(self, backend_id: str) -> int:
        return self._occupied[backend_id]

    async def place(self, ticket: Ticket) -> Placement:
        """Wait for a peer; its slot is taken when this returns and must be given back by ``release``.

        Raises:
            NoEligiblePeerError: waiting cannot help, or the request does not want to wait.
            OrchestratorError: the job itself is wrong.
        """
        loop = asyncio.get_running_loop()
        ticket.future = loop.create_future()
        ticket.number = ticket.number or next(self._numbers)
        ticket.fresh, ticket.settled = True, False
        self._tickets[ticket.number] = ticket
        self._dirty.set()
        timer = loop.call_later(SETTLE_S, self._end_settling, ticket)
        try:
            return await ticket.future
        except asyncio.CancelledError:
            if ticket.future.done() and not ticket.future.cancelled() and not ticket.future.exception():
                self.release(ticket.future.result().backend_id)
            raise
        finally:
            timer.cancel()
            self._tickets.pop(ticket.number, None)

    def release(self, backend_id: str) -> None:
        """A job left its peer."""
        self._occupied[backend_id] -= 1
        self._dirty.set()

    def lacking(self, ticket: Ticket) -> tuple[str, ...]:
        """Peers whose node list says that they cannot run it."""
        return tuple(backend_id for backend_id, lacks in self._need(ticket).unmet.items() if lacks)

    async def verdicts(self, request: JobRequest) -> tuple[PeerVerdict, ...]:
        """Why each peer may or may not take the request now."""
        ticket = Ticket(request)
        await self._prepare(ticket)
        need = self._need(ticket)
        return tuple(judge(need, snapshot) for snapshot in self._snapshots())

    def _peers_changed(self) -> None:
        for ticket in self._tickets.values():
            ticket.fresh = True
        self._dirty.set()

    def _end_settling(self, ticket: Ticket) -> None:
        ticket.settled = ticket.fresh = True
        self._dirty.set()

    async def _run(self) -> None:
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            for number in sorted(self._tickets):
                ticket = self._tickets.get(number)
                if ticket is None or (not ticket.fresh and self._is_full()):
                    continue
                try:
                    ticket.fresh = False
                    await self._prepare(ticket)
                    self._consider(ticket)
                except Exception as exc:
                    log.exception("Placing a job failed")
                    _fail(ticket, OrchestratorError(f"Placing the job failed: {exc}. Please report this."))

    def _is_full(self) -> bool:
        return all(self._occupied[config.id] >= SLOTS_PER_PEER for config in self._manager.all())

    async def _prepare(self, ticket: Ticket) -> None:
        """Make the prompt for every peer whose node list is known and new to this job."""
        todo: dict[str, ObjectInfo] = {}
        for config in self._manager.all():
            info = self._manager.get_object_info(config.id)
            known = ticket.prepared.get(config.id)
            if info is not None and (known is None or known[0] is not info):
                todo[config.id] = info
        if todo:
            made = await asyncio.to_thread(
                lambda: {i: (n, prepare(ticket.request, n)) for i, n in todo.items()}
            )
            ticket.prepared.update(made)

    def _consider(self, ticket: Ticket) -> None:
        future = ticket.future
        if future is None or future.done():
            return
        snapshots = self._snapshots()
        need = self._need(ticket)
        try:
            placement = self._scheduler.select_backend(need, snapshots)
        except NoEligiblePeerError as exc:
            broken = next((p.error for _, p in ticket.prepared.values() if p.error), None)
            settling = not ticket.settled and any(judge(need, snapshot).settling for snapshot in snapshots)
            if broken is not None:
                future.set_exception(broken)
            elif settling:
                ticket.on_waiting("waiting for the peers' first answers")
            elif ticket.tried or exc.permanent or not ticket.request.wait_for_peer:
                future.set_exception(exc)
            else:
                ticket.on_waiting(str(exc))
            return
        if placement is not None:
            self._occupied[placement.backend_id] += 1
            future.set_result(placement)

    def _need(self, ticket: Ticket) -> Need:
        unmet: dict[str, tuple[str, ...]] = {}
        for config in self._manager.all():
            info, prepared = ticket.prepared.get(config.id, (None, None))
            if prepared is not None and info is self._manager.get_object_info(config.id):
                unmet[config.id] = (str(prepared.error),) if prepared.error else prepared.unmet
        return Need(ticket.request.peer, ticket.request.tags, unmet, ticket.tried)

    def _snapshots(self) -> tuple[PeerSnapshot, ...]:
        return tuple(self._snapshot(config.id) for config in self._manager.all())

    def _snapshot(self, backend_id: str) -> PeerSnapshot:
        status = self._manager.get_status(backend_id)
        queue = status.vitals.queue if status.vitals else None
        seen = (*queue.running, *queue.pending) if queue else ()
        foreign = sum(not self._is_ours(prompt_id) for prompt_id in seen)
        return PeerSnapshot(self._manager.get(backend_id), status, self._occupied[backend_id], foreign)


def _fail(ticket: Ticket, exc: OrchestratorError) -> None:
    if ticket.future is not None and not ticket.future.done():
        ticket.future.set_exception(exc)
