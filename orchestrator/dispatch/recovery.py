"""After a failed attempt: it is written into the job's record and judged, and the next one is prepared."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Mapping

from ..backends.manager import BackendManager
from ..backends.second_look import SecondLook
from ..clock import utc_now
from ..core.engine.faults.health import JobEnd
from ..core.engine.faults.retry import (
    OUTAGE,
    RetryDecision,
    RetryPolicy,
    decide,
    is_final_there,
    is_pardoned,
    is_peers_fault,
    is_placement_surprise,
    is_unconfirmed,
    is_victim,
    may_be_the_machines,
    set_aside,
    when_all_failed,
)
from ..core.engine.placement.peers import memory_of
from ..core.models.backend import LOCAL_PEER_ID, BackendConfig
from ..core.models.job import Attempt, Job, JobState
from ..core.prompts.requirements import Doubt
from ..errors import (
    BodyTooLargeError,
    JobLostError,
    OrchestratorError,
    OvertakenError,
    PeerError,
    PeerExecutionError,
    PeerOutOfMemoryError,
    PeerUnfitError,
    PromptRefusedError,
    TakenBackError,
)
from .attempts.reporting import with_last
from .attempts.transport import Transport
from .attempts.withdrawals import Withdrawals
from .interfaces import Monitor, Peers
from .learning.run_observer import RunObserver
from .queue.outage_hold import OutageHold
from .queue.registry import JobRegistry, LiveJob
from .queue.retry_budget import RetryBudget

log = logging.getLogger(__name__)

_NO_FAILURES = (TakenBackError.code, OvertakenError.code, OUTAGE)

ASK_AGAIN_S = 5.0
LOOKED_S = 0.5  #: how long a second look is good for, where what is missing is only a caution
FREED_PAUSE_S = 0.5  #: a peer frees its memory between two prompts, not in the request for it
WHY_MAX = 300  #: characters of an error that a peer's row can hold


class Recovery:
    def __init__(
        self,
        manager: BackendManager,
        peers: Peers,
        transport: Transport,
        registry: JobRegistry,
        monitor: Monitor,
        second_look: SecondLook,
        observer: RunObserver,
        hold: OutageHold,
        withdrawals: Withdrawals,
        policy: RetryPolicy,
    ) -> None:
        self._manager = manager
        self._peers = peers
        self._transport = transport
        self._registry = registry
        self._monitor = monitor
        self._second_look = second_look
        self._observer = observer
        self._hold = hold
        self._withdrawals = withdrawals
        self._looked_at: dict[tuple[str, Doubt], float] = {}
        self.policy = policy
        self.retry_budget = RetryBudget(policy.budget)

    async def ask_again(self, live: LiveJob, doubts: Mapping[str, Doubt]) -> bool:
        """Ask the peers for what their "no" rests on: once per job, and again as long as one that is up does
        not answer and the job may wait. Returns whether the job is worth placing again. Nobody is asked where
        its last error suggests that the graph itself is wrong."""
        is_waiting = bool(live.unanswered) and live.job.request.wait_for_peer
        is_wrong = live.last_error is not None and is_unconfirmed(live.last_error)
        if not doubts or is_wrong or (live.asked_again and not is_waiting):
            return False
        if live.asked_again:
            silent = [peer.name for peer in map(self._manager.find, live.unanswered) if peer]
            text = f"waiting for {', '.join(silent)} to say what it has"
            self._registry.update(live, explanation=text)
            await asyncio.sleep(ASK_AGAIN_S)
        live.asked_again = True
        self._registry.update(live, explanation="asking the peers again for their nodes and files")
        live.unanswered = await self._second_look.ask(doubts)
        return True

    async def look_twice(self, doubts: Mapping[str, Doubt]) -> bool:
        """Before a job goes where something may be missing: ask, unless that was done a moment ago. Whether a
        peer has other nodes or files than it told before."""
        now_s = asyncio.get_running_loop().time()
        known = {key: at_s for key, at_s in self._looked_at.items() if now_s - at_s < LOOKED_S}
        todo = {peer: doubt for peer, doubt in doubts.items() if (peer, doubt) not in known}
        self._looked_at = {**known, **dict.fromkeys(todo.items(), now_s)}
        if not todo:
            return False
        before = self._manager.node_lists()
        await self._second_look.ask(todo)
        return self._manager.node_lists() != before

    def back_to_the_queue(self, live: LiveJob, exc: OrchestratorError) -> None:
        """Its attempt is over, and another one is to come."""
        _end_attempt(live, exc)
        self._clear_shown_state(live)

    async def after_failure(self, live: LiveJob, config: BackendConfig, exc: OrchestratorError) -> None:
        """Let it be tried again, or raise what ends the job."""
        ran_s = _worked_s(live)
        self._record(live, config, exc)
        outcomes = _outcomes(live.job)
        if live.job.attempts[-1].outcome == OUTAGE:
            self._clear_shown_state(live)
            return
        victims = len(_victims(live.job))
        decision = decide(exc, outcomes, self.policy, freed=live.freed, ran_s=ran_s, victims=victims)
        if decision is RetryDecision.SUSPECTED:
            self._clear_shown_state(live)  # it may be found innocent, see ``clear_suspicion``
            return
        if decision is RetryDecision.GIVE_UP:
            raise exc
        log.info("Job %s failed on %s and is tried again: %s", live.job.id, config.name, exc)
        live.owes_retry = True
        self._clear_shown_state(live)
        if decision is RetryDecision.FREE:
            await self._free_roomiest(live)

    async def clear_suspicion(self, live: LiveJob) -> None:
        """Before the next attempt: a job that may have killed peers goes to no other one until they answer.

        Raises:
            JobSetAsideError: its peers did not clear it within ``clear_within_s``.
        """
        victims = _victims(live.job)
        if len(victims) < self.policy.deaths_max:
            return
        known = [self._manager.find(attempt.backend_id) for attempt in victims]
        names = [peer.name for peer in known if peer] or ["A peer that was removed"]
        listed = " and ".join(dict.fromkeys(names))
        why = "It waits until they answer, to see whether it is the cause"
        self._registry.update(live, explanation=f"{listed} went away while running this job. {why}")
        prompt_ids = [attempt.prompt_id for attempt in victims]
        await self._withdrawals.settled(prompt_ids, self.policy.clear_within_s)
        if len(_victims(live.job)) >= self.policy.deaths_max:  # else it was edited meanwhile
            raise set_aside(names)

    def after_failure_here(
        self, live: LiveJob, exc: PromptRefusedError | PeerExecutionError
    ) -> OrchestratorError | None:
        """This computer refused the job, or a node raised here: a peer may do better. Returns what may become
        the job's end (None where this computer refused it), or raises it."""
        live.queued.may_run_here = False
        _end_attempt(live, exc)
        if isinstance(exc, PromptRefusedError):
            self._clear_shown_state(live)
            return None
        live.queued.tried[LOCAL_PEER_ID] = f"it failed this job: {exc}"
        ran_s = _worked_s(live)
        if decide(exc, _outcomes(live.job), self.policy, ran_s=ran_s) is not RetryDecision.ELSEWHERE:
            raise exc
        live.owes_retry = True
        self._clear_shown_state(live)
        return exc

    def acquit(self, live: LiveJob) -> None:
        """The job was not done: what its nodes raised says nothing of the peers."""
        for backend_id in live.raised_on:
            self._monitor.note_job(backend_id, JobEnd.ACQUITTED)
        live.raised_on.clear()

    async def pay_for_retry(self, live: LiveJob) -> None:
        """Before the next attempt: wait until the fleet can afford it, when it is a retry."""
        if live.owes_retry:
            text = "waiting to be tried again: many jobs fail, so retries are slowed down"
            await self.retry_budget.pay(lambda: self._registry.update(live, explanation=text))
            live.owes_retry = False

    async def when_nobody_is_left(self, live: LiveJob, last: OrchestratorError) -> None:
        """All peers that could take it have failed it: give them another chance, or raise `last`."""
        outcomes = _outcomes(live.job)
        decision = when_all_failed(last, outcomes, self.policy, freed=live.freed)
        chances = live.queued.tried.keys() - live.final_on
        if decision is RetryDecision.GIVE_UP or not chances:
            raise last
        if decision is RetryDecision.FREE:
            await self._free_roomiest(live)
            return
        for backend_id in chances:
            del live.queued.tried[backend_id]
        longest_s = self.policy.longest_pause_s(len(outcomes))
        await asyncio.sleep(random.uniform(0, longest_s))  # noqa: S311  a pause # nosec B311

    def _clear_shown_state(self, live: LiveJob) -> None:
        """Clear the progress and the words of the attempt that ended."""
        self._registry.update(live, progress=0.0, progress_text="", explanation="")

    def _record(self, live: LiveJob, config: BackendConfig, exc: OrchestratorError) -> None:
        attempts = live.job.attempts
        been_on = {attempt.backend_id for attempt in attempts if attempt.prompt_id}
        ended = [attempt.outcome for attempt in attempts]
        if type(exc) is JobLostError and is_pardoned(self._hold.lost_together, been_on, ended):
            _end_attempt(live, exc, OUTAGE)
            live.queued.lost_in_outage = True
            return
        if live.job.state is JobState.RUNNING:
            had_begun = attempts[-1].begun_at is not None
            _end_attempt(live, exc, is_victim=is_victim(exc, had_begun))
        else:
            # It failed before the POST (an upload, say): count it all the same, or it could go on for ever.
            failed = Attempt("", config.id, utc_now(), utc_now(), exc.code, str(exc))
            live.job = live.job.evolve(attempts=(*live.job.attempts, failed))
        live.queued.tried[config.id] = f"it failed this job: {exc}"
        if isinstance(exc, PeerOutOfMemoryError):
            if not exc.is_system:
                is_there = self._manager.find(config.id) is not None
                memory = memory_of(self._manager.get_status(config.id)) if is_there else 0
                live.queued.memory_bytes = max(live.queued.memory_bytes, memory)
            self._observer.note_too_little(live.queued, config.id)
        if may_be_the_machines(exc):
            live.raised_on.append(config.id)
            self._monitor.note_job(config.id, JobEnd.RAISED, str(exc)[:WHY_MAX])
        if isinstance(exc, BodyTooLargeError):
            self._manager.learn_body_limit(config.id, exc.size_bytes)
        if is_final_there(exc):
            live.final_on.add(config.id)
        stale = is_placement_surprise(exc)
        if stale:
            self._transport.forget(config.url)
        if isinstance(exc, PeerUnfitError):
            self._monitor.note_job(config.id, JobEnd.UNFIT, str(exc))
        elif is_peers_fault(exc):
            self._monitor.note_job(config.id, JobEnd.FAILED)
        if stale or is_peers_fault(exc):
            self._monitor.look_at(config.id, is_stale=stale)

    async def _free_roomiest(self, live: LiveJob) -> None:
        """One more try, on the peer with the most memory of those where it did not fit."""
        live.freed = True
        failed = {a.backend_id for a in live.job.attempts if a.outcome == PeerOutOfMemoryError.code}
        there = [config for config in self._manager.all() if config.id in failed]
        if not there:
            return
        roomiest = max(there, key=lambda config: memory_of(self._manager.get_status(config.id)))
        try:
            await self._peers(roomiest).free()
        except PeerError as exc:
            log.info("%s could not be asked to free its memory: %s", roomiest.name, exc)
        reason = f"the job is tried once more on {roomiest.name}, whose memory was freed for it"
        live.queued.tried = {c.id: reason for c in self._manager.all() if c.id != roomiest.id}
        await asyncio.sleep(FREED_PAUSE_S)


def _end_attempt(
    live: LiveJob, exc: OrchestratorError, outcome: str = "", *, is_victim: bool = False
) -> None:
    live.preview = None
    if live.job.state is JobState.RUNNING:
        how = {"outcome": outcome or exc.code, "reason": str(exc), "is_victim": is_victim}
        attempts = with_last(live.job, ended_at=utc_now(), **how)
        live.job = live.job.to(JobState.WAITING, attempts=attempts, backend_id="")


def _worked_s(live: LiveJob) -> float:
    """How long its peer has worked on it; 0 where nobody heard it begin."""
    begun_at_s = live.queued.begun_at_s
    return 0.0 if begun_at_s is None else asyncio.get_running_loop().time() - begun_at_s


def _victims(job: Job) -> list[Attempt]:
    return [attempt for attempt in job.own_attempts if attempt.is_victim]


def _outcomes(job: Job) -> list[str]:
    """How the attempts ended that count as failed."""
    refused_here = (LOCAL_PEER_ID, PromptRefusedError.code)
    counted = (a for a in job.own_attempts if (a.backend_id, a.outcome) != refused_here)
    return [a.outcome for a in counted if a.outcome not in _NO_FAILURES]
