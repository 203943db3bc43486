"""Jobs that wait for a peer. They stay here, not in a peer's queue, until that peer can start them soon."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Hashable, Iterable
from dataclasses import replace

from ...backends.manager import BackendManager
from ...background import BackgroundTasks
from ...core.engine.eligibility import judge
from ...core.engine.explain import Outlook
from ...core.engine.need import Need
from ...core.engine.pending_jobs import WaitingJob
from ...core.engine.plan import Placement, SecondCopy, Start
from ...core.engine.preparation import Prepared
from ...core.engine.scheduler import Scheduler
from ...core.models.job import JobRequest, Rank
from ...core.workflow.object_info import ObjectInfo
from ...errors import OrchestratorError
from ...signals import Signal
from ..sent_prompts import SentPrompts
from .fleet_view import FleetView
from .judgement import Judgement, judgement
from .local_peer import LocalPeer
from .prompt_variants import PromptVariants
from .queue_order import QueueOrder
from .queued_job import QueuedJob, rank_of
from .same_machine import SameMachines

log = logging.getLogger(__name__)

PREPARED_AT_ONCE = 20
TAKE_BACK_PAUSE_S = 1.0
SETTLE_S = 15.0  #: how long a job waits for a peer that is just being asked for the first time
LOOK_AGAIN_S, LOOK_AGAIN_MIN_S = 2.0, 0.05


class JobQueue:
    """Gives each waiting job a peer, as the scheduler plans it for the whole line."""

    def __init__(
        self,
        manager: BackendManager,
        scheduler: Scheduler,
        preparing: PromptVariants,
        sent: SentPrompts,
        local: LocalPeer,
    ) -> None:
        self._local = local
        self.copy_wanted = Signal[[SecondCopy]]("second copies")
        self._manager = manager
        self._scheduler = scheduler
        self.preparing = preparing
        self.same = SameMachines(manager, sent)
        self.fleet = FleetView(manager, scheduler, preparing, sent.__contains__, self.same)
        self._line = QueueOrder()
        self._waiting: dict[str, QueuedJob] = {}
        self._new: list[QueuedJob] = []
        self._dirty = asyncio.Event()
        self._all_anew = False
        self._helped = False  #: whether the master did, when that was looked at last
        self._paused = False
        self.held = ""  #: why no job is placed now, in a sentence; "" when they are
        self._pump: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._take_backs = BackgroundTasks()
        self._unsubscribe: Callable[[], None] | None = None

    def start(self) -> None:
        self._unsubscribe = self._manager.subscribe(self._peer_changed)
        self.fleet.show_all()
        self._pump = asyncio.create_task(self._run(), name="remote-dispatch placement")

    async def aclose(self) -> None:
        if self._unsubscribe:
            self._unsubscribe()
        if self._timer:
            self._timer.cancel()
        if self._pump:
            self._pump.cancel()
            await asyncio.gather(self._pump, return_exceptions=True)
        await self._take_backs.aclose()

    @property
    def paused(self) -> bool:
        return self._paused

    @paused.setter
    def paused(self, paused: bool) -> None:
        """While it is, jobs on peers go on and no other is started."""
        self._paused = paused
        self._think_anew()

    def use_second_copies(self, wanted: bool) -> None:
        self._scheduler.use_second_copies(wanted)

    def hold(self, reason: str) -> None:
        """Place no job while there is a reason not to."""
        self.held = reason
        self._think_anew()

    def look_again(self) -> None:
        """Something outside changed: this machine may have come free, or helps no more."""
        if self._helped is not self._is_helping():
            self._think_anew()
        if self._line or any(True for _ in self.fleet.tickets()):
            self._dirty.set()

    def ours_on(self, backend_id: str) -> int:
        return self.fleet.ours_on(backend_id)

    def enter(self, ticket: QueuedJob, *, front: bool = False, rank: Rank | None = None) -> Rank:
        """Give a job its place in the line: behind its equals, before all of its priority, or this one."""
        return self._line.give(ticket, asyncio.get_running_loop().time(), front=front, rank=rank)

    async def place(self, ticket: QueuedJob) -> Placement:
        """Wait for a peer; its slot is taken when this returns and must be given back by ``release``.

        Raises:
            NoEligiblePeerError: waiting cannot help, or the request does not want to wait.
            OrchestratorError: the job itself is wrong.
        """
        loop = asyncio.get_running_loop()
        ticket.future = loop.create_future()
        if ticket.rank is None:
            self.enter(ticket)
        ticket.settled = ticket.taking_back = ticket.is_copied = False
        ticket.begun_at_s, ticket.group, ticket.cold = None, None, ()
        ticket.outranked = frozenset()
        self._line.add(ticket)
        self._waiting[ticket.id] = ticket
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

    async def go_on(
        self, ticket: QueuedJob, backend_id: str, has_begun: bool
    ) -> tuple[ObjectInfo, Prepared] | None:
        """Give a job its slot on the peer that has it already, and what that peer got; None while its
        definitions are not known. ``release`` is due in any case."""
        await self.preparing.prepare(ticket)
        if not self.fleet.has(ticket):
            ticket.begun_at_s = asyncio.get_running_loop().time() if has_begun else None
            self.fleet.put(ticket, backend_id)
        return self.prepared(ticket, backend_id)

    def begun(self, ticket: QueuedJob) -> None:
        """Its peer has started it."""
        if ticket.begun_at_s is None and self.fleet.has(ticket):
            ticket.begun_at_s = asyncio.get_running_loop().time()
            ticket.cold = self.fleet.knowledge.note_begun(ticket.backend_id, ticket.kind)
            self.fleet.show(ticket.backend_id)

    def release(self, ticket: QueuedJob) -> None:
        """A job left its peer."""
        if self.fleet.take(ticket):
            self._dirty.set()

    def move(self, ticket: QueuedJob, before: QueuedJob | None) -> None:
        """Put a waiting job before another one, or at the end of the line."""
        for one in self._line.move(ticket, before):
            if one.id in self._scheduler.line:
                self._enlist(one, self.preparing.need(one))
        self._dirty.set()

    def line(self) -> tuple[QueuedJob, ...]:
        return tuple(self._line)

    def reconsider(self, ticket: QueuedJob) -> None:
        """The request of a job was changed; until it is looked at, it goes nowhere."""
        if self.fleet.has(ticket):
            ticket.edition = 0  # it stays in its group until it is prepared anew
        else:
            ticket.group = None
            self._scheduler.leave(ticket.id)
        self._think_anew()

    async def objection(self, ticket: QueuedJob, backend_id: str) -> str:
        """Why the job would fail if this peer alone might run it; "" when it would run there, or wait."""
        self.preparing.look()
        if ticket.begun_at_s is None and self.preparing.is_due(ticket):
            await self._try_to_prepare(ticket)
        need = replace(self.preparing.need(ticket), peer=backend_id)
        found = judge(need, self.fleet.snapshot(backend_id))
        may_wait = ticket.request.wait_for_peer and not found.permanent
        return "" if found.eligible or may_wait else found.reason

    def prepared(self, ticket: QueuedJob, backend_id: str) -> tuple[ObjectInfo, Prepared] | None:
        """What the peer would get, and the definitions it was made with."""
        return self.preparing.prepared(ticket, backend_id)

    async def outlook(self, request: JobRequest) -> Outlook:
        """What would become of the request if it were sent now."""
        ticket = QueuedJob(request)
        await self.preparing.prepare(ticket)
        self._show_here()
        self._look_at_hours()
        now_s = asyncio.get_running_loop().time()
        need = self.preparing.need(ticket)
        need = judgement(self.preparing.need(ticket), self.fleet.snapshots(), None).need
        peers = self._scheduler.reckon(ticket.kind, need, now_s, request.priority)
        return Outlook(peers, self._paused, self.held, len(self._line))

    def _leave(self, ticket: QueuedJob) -> None:
        self._scheduler.leave(ticket.id)
        self._waiting.pop(ticket.id, None)
        self._line.remove(ticket)

    def _peer_changed(self, backend_id: str) -> None:
        self.fleet.show(backend_id)
        self._think_anew()

    def _look_at_hours(self) -> None:
        if self.fleet.look_at_hours():
            self._think_anew()

    def _think_anew(self) -> None:
        self._all_anew = True
        self._dirty.set()

    def _end_settling(self, ticket: QueuedJob) -> None:
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
                log.exception("Placing jobs failed; it is tried again")
                self._all_anew = True
                self._timer = asyncio.get_running_loop().call_later(LOOK_AGAIN_S, self._dirty.set)

    async def _pass(self) -> None:
        """Prepare what is not; then, in one go with one picture of the fleet, do what the plan says."""
        self._look_at_hours()
        changed, self._all_anew = self._all_anew, False
        new, self._new = self._new[:PREPARED_AT_ONCE], self._new[PREPARED_AT_ONCE:]
        if self._new:
            self._dirty.set()  # the first ones need not wait until all are prepared
        # A job that has not begun may be sooner done on a peer that is new.
        unstarted = (ticket for ticket in self.fleet.tickets() if ticket.begun_at_s is None)
        self.preparing.look()
        due = filter(self.preparing.is_due, (*self._line, *unstarted) if changed else new)
        for number, ticket in enumerate(due, 1):
            await self._try_to_prepare(ticket)
            if number % PREPARED_AT_ONCE == 0:
                await asyncio.sleep(0)  # small graphs are prepared without a pause, and the line can be long
        self._consider_all(self._line if changed else new)
        if not self._paused:
            self._carry_out()

    async def _try_to_prepare(self, ticket: QueuedJob) -> None:
        try:
            await self.preparing.prepare(ticket)
        except Exception as exc:
            log.exception("PromptVariants a job failed")
            self._refuse(ticket, OrchestratorError(f"Placing the job failed: {exc}. Please report this."))
        else:
            if self.fleet.has(ticket):
                self.fleet.show(ticket.backend_id)

    def _consider_all(self, tickets: Iterable[QueuedJob]) -> None:
        judged: dict[Hashable, Judgement] = {}
        tickets = tuple(tickets)
        snapshots = self.fleet.snapshots() if tickets else ()
        here = self.fleet.here(True, self._local.vitals()) if tickets and self._is_helping() else None
        for ticket in tickets:
            if ticket.group is None or ticket.future is None or ticket.future.done():
                continue
            if ticket.group not in judged:
                judged[ticket.group] = judgement(self.preparing.need(ticket), snapshots, here)
            self._consider(ticket, judged[ticket.group])

    def _consider(self, ticket: QueuedJob, found: Judgement) -> None:
        """Let the ticket take part in the plan; or tell it why it waits, or need not."""
        refusal, waits = found.refusal, ticket.request.wait_for_peer
        if self.held and (waits or ticket.lost_in_outage):
            self._scheduler.leave(ticket.id)
            ticket.on_waiting(self.held)
            return
        if ticket.outranked != found.need.outranked:
            ticket.outranked = found.need.outranked
            ticket.group = self.preparing.group_of(ticket)
        if found.may_do_better and not ticket.settled:
            self._scheduler.leave(ticket.id)
            ticket.on_waiting("waiting for the answers of peers that may have all that it names")
            return
        known = self._scheduler.line.find(ticket.id)
        if known is None or known.group != ticket.group:
            self._enlist(ticket, found.need)
        if refusal is None or (found.fits_here and self._local.is_free() and not self._paused):
            return
        # Peers that failed it may get it again sooner.
        if found.fits_here and not ticket.tried:
            ticket.on_waiting(f"waiting for this machine, the only one that can run it now. {refusal}")
            return
        broken = next((p.error for p in ticket.prepared.values() if p.error), None)
        if broken is not None:
            self._refuse(ticket, broken)
        elif not ticket.settled and any(verdict.settling for verdict in found.verdicts):
            ticket.on_waiting("waiting for peers that are just being asked")
        elif ticket.tried or refusal.permanent or not waits:
            self._refuse(ticket, refusal)
        else:
            ticket.on_waiting(found.waits)

    def _is_helping(self) -> bool:
        self._helped = self._local.is_wanted()
        return self._helped

    def _refuse(self, ticket: QueuedJob, exc: OrchestratorError) -> None:
        self._scheduler.leave(ticket.id)
        if ticket.future is not None and not ticket.future.done():
            ticket.future.set_exception(exc)

    def _enlist(self, ticket: QueuedJob, need: Need) -> None:
        """What the scheduler knows of it is what is so."""
        request, priority = ticket.request, -rank_of(ticket)[0]
        client, since_s = request.client_id or request.source.value, self._line.since_s(ticket)
        self._scheduler.enter(
            WaitingJob(ticket.id, ticket.group, need, ticket.kind, priority, client, since_s)
        )

    def _show_here(self) -> None:
        self.fleet.show_here(self._local.is_wanted(), self._local.is_free(), self._local.vitals())

    def _carry_out(self) -> None:
        loop = asyncio.get_running_loop()
        self._show_here()
        plan = self._scheduler.plan(loop.time())
        reasons = [start.explain() for start in plan.starts]  # before anything changes
        for start, why in zip(plan.starts, reasons, strict=True):
            self._seat(self._waiting[start.job_id], start, why)
        for copy in plan.copies:
            self.copy_wanted.tell(copy)
        take_backs = () if self.held else plan.take_backs
        placed = {ticket.id: ticket for ticket in self.fleet.tickets()} if take_backs else {}
        for wanted in take_backs:
            ticket = placed.get(wanted.job_id)
            if ticket is not None and not ticket.taking_back:
                ticket.taking_back = True
                self.fleet.show(ticket.backend_id)
                self._take_backs.start(self._get_back(ticket), f"take back {ticket.id}")
        if self._timer:
            self._timer.cancel()
        if self._line or any(ticket.begun_at_s is None for ticket in self.fleet.tickets()):
            # What was expected to end may not have: whoever is behind it may be better off elsewhere by then.
            pause_s = LOOK_AGAIN_S if plan.look_again_s is None else plan.look_again_s
            if pause_s:  # else there is more to start at once, after whatever else the loop has to do
                pause_s = min(max(pause_s, LOOK_AGAIN_MIN_S), LOOK_AGAIN_S)
            self._timer = loop.call_later(pause_s, self._dirty.set)

    def _seat(self, ticket: QueuedJob, start: Start, why: str) -> None:
        self.fleet.put(ticket, start.backend_id)
        if ticket.future is not None and not ticket.future.done():
            ticket.future.set_result(Placement(start.backend_id, why, start.takes_s))
        else:
            self.release(ticket)

    async def _get_back(self, ticket: QueuedJob) -> None:
        with contextlib.suppress(OrchestratorError):
            if await ticket.take_back():
                return
        await asyncio.sleep(TAKE_BACK_PAUSE_S)  # it is still on its way there, or its beginning is told soon
        ticket.taking_back = False
        if self.fleet.has(ticket):
            self.fleet.show(ticket.backend_id)
            self._dirty.set()
