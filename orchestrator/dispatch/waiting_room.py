"""Jobs that wait for a peer. They stay here, not in a peer's queue, until that peer can start them soon."""

from __future__ import annotations

import asyncio
import bisect
import contextlib
import itertools
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import partial

from ..backends.manager import BackendManager
from ..core.engine.preparation import Prepared, prepare_for_all
from ..core.engine.scheduler import (
    SLOTS_PER_PEER,
    Need,
    PeerSnapshot,
    PeerVerdict,
    Placement,
    Scheduler,
    is_idle,
    is_stuck,
    judge,
    load_of,
    no_peer_error,
)
from ..core.models.job import HERE, JobRequest, Rank
from ..core.workflow.object_info import ObjectInfo
from ..errors import NoEligiblePeerError, OrchestratorError
from .ticket import Ticket, rank_of

log = logging.getLogger(__name__)

PREPARED_AT_ONCE = 20
PREPARED_IN_PLACE = 100  #: up to so many nodes are prepared quicker than a thread is asked to
TAKE_BACK_PAUSE_S = 1.0
SETTLE_S = 15.0  #: how long a job waits for a peer that is just being asked for the first time


@dataclass(frozen=True)
class _Judgement:
    """What one pass finds for all tickets of a kind."""

    verdicts: tuple[PeerVerdict, ...]
    refusal: NoEligiblePeerError | None = None


class WaitingRoom:
    """Gives each waiting job a peer, in the order of the line, as soon as one has a free slot."""

    def __init__(self, manager: BackendManager, scheduler: Scheduler, is_ours: Callable[[str], bool]) -> None:
        self.is_free_here: Callable[[], bool] = lambda: False  #: whether the master takes a job itself now
        self._manager = manager
        self._scheduler = scheduler
        self._is_ours = is_ours
        self._line: list[Ticket] = []
        self._new: list[Ticket] = []
        self._placed: dict[Ticket, None] = {}
        self._occupied: Counter[str] = Counter()
        self._numbers = itertools.count(1)
        self._dirty = asyncio.Event()
        self._all_anew = False
        self._paused = False
        self.held = ""  #: why no job is placed now, in a sentence; "" when they are
        self._pump: asyncio.Task[None] | None = None
        self._errands: set[asyncio.Task[None]] = set()
        self._unsubscribe: Callable[[], None] | None = None

    def start(self) -> None:
        self._unsubscribe = self._manager.subscribe(lambda _: self._peers_changed())
        self._pump = asyncio.create_task(self._run(), name="remote-dispatch placement")

    async def aclose(self) -> None:
        if self._unsubscribe:
            self._unsubscribe()
        tasks = [task for task in (self._pump, *self._errands) if task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def paused(self) -> bool:
        return self._paused

    @paused.setter
    def paused(self, paused: bool) -> None:
        """While it is, jobs on peers go on and no other is started."""
        self._paused = paused
        self._peers_changed()

    def hold(self, reason: str) -> None:
        """Place no job while there is a reason not to."""
        self.held = reason
        self._peers_changed()

    def look_again(self) -> None:
        """Something outside changed: this machine may have come free."""
        if self._line or self._placed:
            self._dirty.set()

    def ours_on(self, backend_id: str) -> int:
        return self._occupied[backend_id]

    def enter(self, ticket: Ticket, *, front: bool = False, rank: Rank | None = None) -> Rank:
        """Give a job its place in the line: behind its equals, before all of its priority, or this one."""
        number = float(next(self._numbers))
        if front:  # a person's order has numbers below zero too
            number = min((rank_of(waiting)[1] for waiting in self._line), default=0.0) - number
        ticket.rank = rank or (-ticket.request.priority, number)
        return ticket.rank

    async def place(self, ticket: Ticket) -> Placement:
        """Wait for a peer; its slot is taken when this returns and must be given back by ``release``.

        Raises:
            NoEligiblePeerError: waiting cannot help, or the request does not want to wait.
            OrchestratorError: the job itself is wrong.
        """
        loop = asyncio.get_running_loop()
        ticket.future = loop.create_future()
        if ticket.rank is None:
            self.enter(ticket)
        ticket.settled = ticket.begun = ticket.taking_back = False
        ticket.kind = None
        bisect.insort(self._line, ticket, key=rank_of)
        self._new.append(ticket)
        self._dirty.set()
        timer = loop.call_later(SETTLE_S, self._end_settling, ticket)
        try:
            placement = await ticket.future
        except asyncio.CancelledError:
            if ticket.future.done() and not ticket.future.cancelled() and not ticket.future.exception():
                self.release(ticket)
            raise
        finally:
            timer.cancel()
            self._leave(ticket)
        return placement

    async def go_on(self, ticket: Ticket, backend_id: str) -> tuple[ObjectInfo, Prepared] | None:
        """Give a job its slot on the peer that has it already, and what that peer got; None while its
        definitions are not known. ``release`` is due in any case."""
        if ticket not in self._placed:
            ticket.backend_id, ticket.begun = backend_id, True
            self._occupied[backend_id] += 1
            self._placed[ticket] = None
        await self._prepare(ticket)
        return self.prepared(ticket, backend_id)

    def release(self, ticket: Ticket) -> None:
        """A job left its peer."""
        if ticket in self._placed:
            del self._placed[ticket]
            self._occupied[ticket.backend_id] -= 1
            self._dirty.set()

    def move(self, ticket: Ticket, before: Ticket | None) -> None:
        """Put a waiting job before another one, or at the end of the line."""
        if ticket not in self._line:
            return
        self._line.remove(ticket)
        at = self._line.index(before) if before in self._line else len(self._line)
        neighbour = self._line[at] if at < len(self._line) else self._line[-1] if self._line else ticket
        self._line.insert(at, ticket)
        ticket.rank = (rank_of(neighbour)[0], rank_of(neighbour)[1])
        # A person's order holds whatever the numbers were; new jobs still come behind.
        lowest = min(rank_of(waiting)[1] for waiting in self._line) - len(self._line)
        for place, waiting in enumerate(self._line):
            waiting.rank = (rank_of(waiting)[0], lowest + place)
        self._dirty.set()

    def line(self) -> tuple[Ticket, ...]:
        return tuple(self._line)

    def reconsider(self, ticket: Ticket) -> None:
        """The request of a waiting job was changed."""
        ticket.kind = None
        self._peers_changed()

    def prepared(self, ticket: Ticket, backend_id: str) -> tuple[ObjectInfo, Prepared] | None:
        """What the peer would get, and the definitions it was made with."""
        info = self._manager.get_object_info(backend_id)
        known = ticket.prepared.get(info) if info is not None else None
        return (info, known) if info is not None and known is not None else None

    def lacking(self, ticket: Ticket) -> tuple[str, ...]:
        """Peers whose node list says that they cannot run it."""
        return tuple(backend_id for backend_id, lacks in self._need(ticket).unmet.items() if lacks)

    async def verdicts(self, request: JobRequest) -> tuple[PeerVerdict, ...]:
        """Why each peer may or may not take the request now."""
        ticket = Ticket(request)
        await self._prepare(ticket)
        need = self._need(ticket)
        judged = ((judge(need, snapshot), snapshot) for snapshot in self._snapshots())
        return tuple(replace(v, reason=v.reason or load_of(snapshot)) for v, snapshot in judged)

    def _leave(self, ticket: Ticket) -> None:
        at = bisect.bisect_left(self._line, rank_of(ticket), key=rank_of)
        if at < len(self._line) and self._line[at] is ticket:
            del self._line[at]
        elif ticket in self._line:
            self._line.remove(ticket)

    def _peers_changed(self) -> None:
        self._all_anew = True
        self._dirty.set()

    def _end_settling(self, ticket: Ticket) -> None:
        ticket.settled = True
        self._new.append(ticket)
        self._dirty.set()

    async def _run(self) -> None:
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            try:
                await self._pass()
            except Exception:
                log.exception("Placing jobs failed; it is tried again with the next event")

    async def _pass(self) -> None:
        """Prepare what is not; then, in one go with one picture of the fleet, place what can be placed."""
        changed, self._all_anew = self._all_anew, False
        new, self._new = self._new[:PREPARED_AT_ONCE], self._new[PREPARED_AT_ONCE:]
        if self._new:
            self._dirty.set()  # the first ones need not wait until all are prepared
        present = self._infos()
        unstarted = [ticket for ticket in self._placed if not ticket.begun]  # a new peer may have them sooner
        for ticket in (*self._line, *unstarted) if changed else new:
            if ticket.kind is None or ticket.prepared.keys() != present:
                await self._try_to_prepare(ticket)
        snapshots = {snapshot.config.id: snapshot for snapshot in self._snapshots()}
        judged: dict[Hashable, _Judgement] = {}

        full: set[Hashable] = set()  # kinds whose peers have no slot left: a pass only takes slots
        # In the order of the line while there is room; what came just now hears at least why it waits.
        there_is_room = partial(self._is_room, snapshots.keys())
        while_room = itertools.takewhile(lambda _: there_is_room(), self._line)
        for ticket in self._line if changed else itertools.chain(while_room, new):
            kind, is_free_here = ticket.kind, self._is_free_here()
            if kind is None or ticket.future is None or ticket.future.done():
                continue
            if kind in full and not is_free_here:
                continue
            if kind not in judged:
                judged[kind] = self._judge(self._need(ticket), tuple(snapshots.values()))
            if not self._consider(ticket, judged[kind], snapshots):
                full.add(kind)
        if not (self._paused or self.held):
            self._take_back(tuple(snapshots.values()))

    def _is_room(self, peers: Iterable[str]) -> bool:
        if self._paused or self.held:
            return False
        return any(self._occupied[peer] < SLOTS_PER_PEER for peer in peers) or self._is_free_here()

    async def _try_to_prepare(self, ticket: Ticket) -> None:
        try:
            await self._prepare(ticket)
        except Exception as exc:
            log.exception("Preparing a job failed")
            _fail(ticket, OrchestratorError(f"Placing the job failed: {exc}. Please report this."))

    async def _prepare(self, ticket: Ticket) -> None:
        """Make the prompt once for all peers with the same definitions, where it is not made yet."""
        present = self._infos()
        ticket.prepared = {info: made for info, made in ticket.prepared.items() if info in present}
        todo = [info for info in present if info not in ticket.prepared]
        if todo:
            request = ticket.request
            small = not request.workflow and len(request.prompt) * len(todo) <= PREPARED_IN_PLACE
            work = partial(prepare_for_all, request, todo)
            made = work() if small else await asyncio.to_thread(work)
            ticket.prepared.update(zip(todo, made, strict=True))
        lacks = tuple((id(info), p.unmet, str(p.error or "")) for info, p in ticket.prepared.items())
        tried = tuple(ticket.tried.items())
        ticket.kind = (ticket.request.peer, ticket.request.tags, tried, ticket.memory_bytes, lacks)

    def _infos(self) -> Set[ObjectInfo]:
        infos = (self._manager.get_object_info(config.id) for config in self._manager.all())
        return dict.fromkeys(info for info in infos if info is not None).keys()

    def _judge(self, need: Need, snapshots: Sequence[PeerSnapshot]) -> _Judgement:
        verdicts = tuple(judge(need, snapshot) for snapshot in snapshots)
        any_eligible = any(verdict.eligible for verdict in verdicts)
        return _Judgement(verdicts, None if any_eligible else no_peer_error(verdicts))

    def _consider(self, ticket: Ticket, found: _Judgement, snapshots: dict[str, PeerSnapshot]) -> bool:
        """Place the ticket or tell why not. False: no peer that could take it has a free slot."""
        future = ticket.future
        if future is None:
            return True
        if self._goes_here(ticket, found, snapshots):
            self._seat(ticket, Placement(HERE, f"on {HERE} because its own queue is empty"))
        elif self.held and (ticket.request.wait_for_peer or ticket.lost_in_outage):
            ticket.on_waiting(self.held)
        elif found.refusal is not None:
            broken = next((p.error for p in ticket.prepared.values() if p.error), None)
            if broken is not None:
                future.set_exception(broken)
            elif not ticket.settled and any(verdict.settling for verdict in found.verdicts):
                ticket.on_waiting("waiting for the peers' first answers")
            elif ticket.tried or found.refusal.permanent or not ticket.request.wait_for_peer:
                future.set_exception(found.refusal)
            else:
                ticket.on_waiting(str(found.refusal))
        elif not self._paused:
            placement = self._scheduler.choose(tuple(snapshots.values()), found.verdicts)
            if placement is None:
                return False
            self._seat(ticket, placement)
            snapshots[placement.backend_id] = self._snapshot(placement.backend_id)
        return True

    def _seat(self, ticket: Ticket, placement: Placement) -> None:
        ticket.backend_id = placement.backend_id
        self._occupied[placement.backend_id] += 1
        self._placed[ticket] = None
        if ticket.future is not None:
            ticket.future.set_result(placement)

    def _goes_here(self, ticket: Ticket, found: _Judgement, snapshots: Mapping[str, PeerSnapshot]) -> bool:
        """The master takes what no peer could start at once."""
        if not ticket.fits_here or not self._is_free_here():
            return False
        return not any(v.eligible and is_idle(snapshots[v.backend_id]) for v in found.verdicts)

    def _is_free_here(self) -> bool:
        return not self._paused and not self._occupied[HERE] and self.is_free_here()

    def _take_back(self, snapshots: Sequence[PeerSnapshot]) -> None:
        """For each peer with nothing to do, get back a job that still waits behind another one elsewhere."""
        idle: list[PeerSnapshot | None] = [snapshot for snapshot in snapshots if is_idle(snapshot)]
        if self._is_free_here():
            idle.append(None)
        by_id = {snapshot.config.id: snapshot for snapshot in snapshots}
        for snapshot in idle:
            for ticket in self._placed:
                there = by_id.get(ticket.backend_id)
                is_behind = there is None or there.ours + there.foreign > 1 or is_stuck(there)
                waits = not ticket.begun and is_behind
                if waits and not ticket.taking_back and self._could_run(ticket, snapshot):
                    ticket.taking_back = True
                    self._errand(self._get_back(ticket))
                    break

    def _could_run(self, ticket: Ticket, snapshot: PeerSnapshot | None) -> bool:
        """On the peer of this snapshot, or here for None."""
        if snapshot is None:
            return ticket.fits_here
        return judge(self._need(ticket), snapshot).eligible

    async def _get_back(self, ticket: Ticket) -> None:
        with contextlib.suppress(OrchestratorError):
            if await ticket.take_back():
                return
        await asyncio.sleep(TAKE_BACK_PAUSE_S)  # it is still on its way there, or its beginning is told soon
        ticket.taking_back = False
        if ticket in self._placed and not ticket.begun:
            self._dirty.set()

    def _errand(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

    def _need(self, ticket: Ticket) -> Need:
        unmet: dict[str, tuple[str, ...]] = {}
        for config in self._manager.all():
            known = self.prepared(ticket, config.id)
            if known is not None:
                unmet[config.id] = (str(known[1].error),) if known[1].error else known[1].unmet
        return Need(ticket.request.peer, ticket.request.tags, unmet, ticket.tried, ticket.memory_bytes)

    def _snapshots(self) -> Iterable[PeerSnapshot]:
        return (self._snapshot(config.id) for config in self._manager.all())

    def _snapshot(self, backend_id: str) -> PeerSnapshot:
        status = self._manager.get_status(backend_id)
        queue = status.vitals.queue if status.vitals else None
        seen = (*queue.running, *queue.pending) if queue else ()
        foreign = sum(not self._is_ours(prompt_id) for prompt_id in seen)
        return PeerSnapshot(self._manager.get(backend_id), status, self._occupied[backend_id], foreign)


def _fail(ticket: Ticket, exc: OrchestratorError) -> None:
    if ticket.future is not None and not ticket.future.done():
        ticket.future.set_exception(exc)
