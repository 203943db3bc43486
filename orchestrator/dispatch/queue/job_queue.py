"""Jobs that wait for a peer. They stay here, not in a peer's queue, until that peer can start them soon."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import replace

from ...backends.manager import BackendManager
from ...background import BackgroundTasks
from ...core.engine.placement.eligibility import check_eligibility
from ...core.engine.placement.explain import Outlook
from ...core.engine.placement.need import Need
from ...core.engine.placement.pending_jobs import WaitingJob
from ...core.engine.placement.plan import Placement, SecondCopy, Start
from ...core.engine.scheduler import Scheduler
from ...core.models.job import JobRequest, Rank
from ...core.prompts.preparation import Prepared
from ...core.workflow.object_info import ObjectInfo
from ...errors import OrchestratorError
from ...signals import Signal
from ..sent_prompts import SentPrompts
from .first_look import FirstLook, fault_of, first_look
from .fleet_eligibility import FleetEligibility, fleet_eligibility
from .fleet_view import FleetView
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
    """Gives each waiting job a peer, as the scheduler plans it for the whole queue."""

    def __init__(
        self,
        manager: BackendManager,
        scheduler: Scheduler,
        variants: PromptVariants,
        sent: SentPrompts,
        local: LocalPeer,
    ) -> None:
        self._local = local
        self.copy_wanted = Signal[[SecondCopy]]("second copies")
        self._manager = manager
        self._scheduler = scheduler
        self.variants = variants
        self.same = SameMachines(manager, sent)
        self.fleet = FleetView(manager, scheduler, variants, sent.__contains__, self.same)
        self._line = QueueOrder()
        self._waiting: dict[str, QueuedJob] = {}
        self._new: list[QueuedJob] = []
        self._dirty = asyncio.Event()
        self._recheck_all = False
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
    def waiting(self) -> int:
        """How many wait that nobody holds."""
        return sum(not one.request.held for one in self._line)

    @property
    def paused(self) -> bool:
        return self._paused

    @paused.setter
    def paused(self, paused: bool) -> None:
        """While it is, jobs on peers go on and no other is started."""
        self._paused = paused
        self._recheck_all_jobs()

    def use_second_copies(self, wanted: bool) -> None:
        self._scheduler.use_second_copies(wanted)

    def hold(self, reason: str) -> None:
        """Place no job while there is a reason not to."""
        self.held = reason
        self._recheck_all_jobs()

    def look_again(self) -> None:
        """Something outside changed: this computer may have come free, or helps no more."""
        if self._helped is not self._is_helping():
            self._recheck_all_jobs()
        if self._line or any(True for _ in self.fleet.queued_jobs()):
            self._dirty.set()

    def enter(self, queued: QueuedJob, *, front: bool = False, rank: Rank | None = None) -> Rank:
        """Give a job its place in the queue: behind its equals, before all of its priority, or this one."""
        return self._line.give(queued, asyncio.get_running_loop().time(), front=front, rank=rank)

    async def place(self, queued: QueuedJob) -> Placement:
        """Wait for a peer; its slot is taken when this returns and must be given back by ``release``.

        Raises:
            NoEligiblePeerError: waiting cannot help, or the request does not want to wait.
            OrchestratorError: the job itself is wrong.
        """
        loop = asyncio.get_running_loop()
        queued.future = loop.create_future()
        if queued.rank is None:
            self.enter(queued)
        queued.settled = queued.taking_back = queued.is_copied = False
        queued.begun_at_s, queued.group, queued.cold = None, None, ()
        queued.outranked = frozenset()
        self._line.add(queued)
        self._waiting[queued.id] = queued
        self._new.append(queued)
        self._dirty.set()
        timer = loop.call_later(SETTLE_S, self._end_settling, queued)
        try:
            placement = await queued.future
        except asyncio.CancelledError:
            if queued.future.done() and not queued.future.cancelled() and not queued.future.exception():
                self.release(queued)
            raise
        finally:
            timer.cancel()
            self._leave(queued)
        return placement

    async def go_on(
        self, queued: QueuedJob, backend_id: str, has_begun: bool
    ) -> tuple[ObjectInfo, Prepared] | None:
        """Give a job its slot on the peer that has it already, and what that peer got; None while its
        definitions are not known. ``release`` is due in any case."""
        await self.variants.prepare(queued)
        if not self.fleet.has(queued):
            queued.begun_at_s = asyncio.get_running_loop().time() if has_begun else None
            self.fleet.put(queued, backend_id)
        return self.prepared(queued, backend_id)

    def begun(self, queued: QueuedJob) -> None:
        """Its peer has started it."""
        if queued.begun_at_s is None and self.fleet.has(queued):
            queued.begun_at_s = asyncio.get_running_loop().time()
            queued.cold = self.fleet.knowledge.note_begun(queued.backend_id, queued.kind)
            self.fleet.show(queued.backend_id)

    def release(self, queued: QueuedJob) -> None:
        """A job left its peer."""
        if self.fleet.take(queued):
            self._dirty.set()

    def move(self, some: Sequence[QueuedJob], before: QueuedJob | None) -> None:
        """Put waiting jobs, in this order, before another one, or at the end of the queue."""
        for one in self._line.move(some, before):
            if one.id in self._scheduler.line:
                self._enlist(one, self.variants.need(one))
        self._dirty.set()

    def line(self) -> tuple[QueuedJob, ...]:
        return tuple(self._line)

    def reconsider(self, queued: QueuedJob) -> None:
        """The request of a job was changed; until it is looked at, it goes nowhere."""
        if self.fleet.has(queued):
            queued.edition = 0  # it stays in its group until it is prepared again
        else:
            queued.group = None
            self._scheduler.leave(queued.id)
        self._recheck_all_jobs()

    async def objection(self, queued: QueuedJob, backend_id: str) -> str:
        """Why the job would fail if this peer alone might run it; "" when it would run there, or wait."""
        self.variants.look()
        if queued.begun_at_s is None and self.variants.is_due(queued):
            await self._try_to_prepare(queued)
        need = replace(self.variants.need(queued), peer=backend_id)
        found = check_eligibility(need, self.fleet.snapshot(backend_id))
        may_wait = queued.request.wait_for_peer and not found.permanent
        return "" if found.eligible or may_wait else found.reason

    def prepared(self, queued: QueuedJob, backend_id: str) -> tuple[ObjectInfo, Prepared] | None:
        """What the peer would get, and the definitions it was made with."""
        return self.variants.prepared(queued, backend_id)

    async def outlook(self, request: JobRequest) -> Outlook:
        """What would become of the request if it were sent now."""
        queued = QueuedJob(request)
        await self.variants.prepare(queued)
        self._show_here()
        self._look_at_hours()
        now_s = asyncio.get_running_loop().time()
        need = fleet_eligibility(self.variants.need(queued), self.fleet.snapshots(), None).need
        peers = self._scheduler.forecasts(queued.kind, need, now_s, request.priority)
        return Outlook(peers, self._paused, self.held, self.waiting)

    async def first_look(self, request: JobRequest) -> FirstLook:
        """Whether the request would be refused, wait or run, were it sent now."""
        queued = QueuedJob(request)
        await self.variants.prepare(queued)
        self._look_at_hours()
        here = self.fleet.here(True, self._local.vitals()) if self._is_helping() else None
        found = fleet_eligibility(self.variants.need(queued), self.fleet.snapshots(), here)
        return first_look(queued, found, self.variants, self._manager)

    def _leave(self, queued: QueuedJob) -> None:
        self._scheduler.leave(queued.id)
        self._waiting.pop(queued.id, None)
        self._line.remove(queued)

    def _peer_changed(self, backend_id: str) -> None:
        self.fleet.show(backend_id)
        self._recheck_all_jobs()

    def _look_at_hours(self) -> None:
        if self.fleet.look_at_hours():
            self._recheck_all_jobs()

    def _recheck_all_jobs(self) -> None:
        self._recheck_all = True
        self._dirty.set()

    def _end_settling(self, queued: QueuedJob) -> None:
        queued.settled = True
        self._new.append(queued)
        self._dirty.set()

    async def _run(self) -> None:
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            try:
                await self._pass()
            except Exception:
                log.exception("Placing jobs failed; it is tried again")
                self._recheck_all = True
                self._timer = asyncio.get_running_loop().call_later(LOOK_AGAIN_S, self._dirty.set)

    async def _pass(self) -> None:
        """Prepare what is not; then, in one go with one picture of the fleet, do what the plan says."""
        self._look_at_hours()
        changed, self._recheck_all = self._recheck_all, False
        new, self._new = self._new[:PREPARED_AT_ONCE], self._new[PREPARED_AT_ONCE:]
        if self._new:
            self._dirty.set()  # the first ones need not wait until all are prepared
        # A job that has not begun may be sooner done on a peer that is new.
        unstarted = (queued for queued in self.fleet.queued_jobs() if queued.begun_at_s is None)
        self.variants.look()
        due = filter(self.variants.is_due, (*self._line, *unstarted) if changed else new)
        for number, queued in enumerate(due, 1):
            await self._try_to_prepare(queued)
            if number % PREPARED_AT_ONCE == 0:
                await asyncio.sleep(0)  # small graphs are prepared without a pause, and the queue can be long
        self._consider_all(self._line if changed else new)
        if not self._paused:
            self._carry_out()

    async def _try_to_prepare(self, queued: QueuedJob) -> None:
        try:
            await self.variants.prepare(queued)
        except Exception as exc:
            log.exception("Preparing a job for its peers failed")
            self._refuse(queued, OrchestratorError(f"Placing the job failed: {exc}. Please report this."))
        else:
            if self.fleet.has(queued):
                self.fleet.show(queued.backend_id)

    def _consider_all(self, queued_jobs: Iterable[QueuedJob]) -> None:
        found_of: dict[Hashable, FleetEligibility] = {}
        queued_jobs = tuple(queued_jobs)
        snapshots = self.fleet.snapshots() if queued_jobs else ()
        here = self.fleet.here(True, self._local.vitals()) if queued_jobs and self._is_helping() else None
        for queued in queued_jobs:
            if queued.group is None or queued.future is None or queued.future.done():
                continue
            if queued.group not in found_of:
                found_of[queued.group] = fleet_eligibility(self.variants.need(queued), snapshots, here)
            self._consider(queued, found_of[queued.group])

    def _consider(self, queued: QueuedJob, found: FleetEligibility) -> None:
        """Enter the job into the plan, set why it waits, or refuse it."""
        refusal, may_wait = found.refusal, queued.request.wait_for_peer
        if queued.request.held:
            self._scheduler.leave(queued.id)
            queued.on_waiting("on hold until you resume it")
            return
        if self.held and (may_wait or queued.lost_in_outage):
            self._scheduler.leave(queued.id)
            queued.on_waiting(self.held)
            return
        if queued.outranked != found.need.outranked:
            queued.outranked = found.need.outranked
            queued.group = self.variants.group_of(queued)
        if found.may_do_better and not queued.settled:
            self._scheduler.leave(queued.id)
            queued.on_waiting("waiting for peers that have not yet said which nodes and files they have")
            return
        known = self._scheduler.line.find(queued.id)
        if known is None or known.group != queued.group:
            self._enlist(queued, found.need)
        if refusal is None or (found.fits_here and self._local.is_free() and not self._paused):
            queued.on_waiting("")  # what it waited for before has passed
            return
        # Peers that failed it may get it again sooner.
        if found.fits_here and not queued.tried:
            queued.on_waiting(f"waiting for this computer, the only one that can run it now. {refusal}")
            return
        if (fault := fault_of(queued, found)) is not None:
            self._refuse(queued, fault)
        elif not queued.settled and any(verdict.settling for verdict in found.verdicts):
            queued.on_waiting("waiting for peers whose answer is still due")
        elif queued.tried or refusal.permanent or not may_wait:
            self._refuse(queued, refusal)
        else:
            queued.on_waiting(found.waiting_reason)

    def _is_helping(self) -> bool:
        self._helped = self._local.is_wanted()
        return self._helped

    def _refuse(self, queued: QueuedJob, exc: OrchestratorError) -> None:
        self._scheduler.leave(queued.id)
        if queued.future is not None and not queued.future.done():
            queued.future.set_exception(exc)

    def _enlist(self, queued: QueuedJob, need: Need) -> None:
        """Give the scheduler the job's current data."""
        request, priority = queued.request, -rank_of(queued)[0]
        client, since_s = request.client_id or request.source.value, self._line.since_s(queued)
        self._scheduler.enter(
            WaitingJob(queued.id, queued.group, need, queued.kind, priority, client, since_s)
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
        placed = {queued.id: queued for queued in self.fleet.queued_jobs()} if take_backs else {}
        for wanted in take_backs:
            queued = placed.get(wanted.job_id)
            if queued is not None and not queued.taking_back:
                queued.taking_back = True
                self.fleet.show(queued.backend_id)
                self._take_backs.start(self._get_back(queued), f"take back {queued.id}")
        if self._timer:
            self._timer.cancel()
        if self._line or any(queued.begun_at_s is None for queued in self.fleet.queued_jobs()):
            # What was expected to end may not have: a job behind it may be better off elsewhere by then.
            pause_s = LOOK_AGAIN_S if plan.look_again_s is None else plan.look_again_s
            if pause_s:  # else there is more to start at once, after whatever else the loop has to do
                pause_s = min(max(pause_s, LOOK_AGAIN_MIN_S), LOOK_AGAIN_S)
            self._timer = loop.call_later(pause_s, self._dirty.set)

    def _seat(self, queued: QueuedJob, start: Start, why: str) -> None:
        self.fleet.put(queued, start.backend_id)
        if queued.future is not None and not queued.future.done():
            queued.future.set_result(Placement(start.backend_id, why, start.takes_s))
        else:
            self.release(queued)

    async def _get_back(self, queued: QueuedJob) -> None:
        with contextlib.suppress(OrchestratorError):
            if await queued.hold.take_back():
                return
        await asyncio.sleep(TAKE_BACK_PAUSE_S)  # it is still on its way there, or its beginning is told soon
        queued.taking_back = False
        if self.fleet.has(queued):
            self.fleet.show(queued.backend_id)
            self._dirty.set()
