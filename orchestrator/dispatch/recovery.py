"""After a failed attempt: it is written into the job's record and judged, and the next one is prepared."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timezone

from ..backends.manager import BackendManager
from ..core.engine.health import JobEnd
from ..core.engine.peers import memory_of
from ..core.engine.requirements import Doubt
from ..core.engine.retry import (
    OUTAGE,
    RetryPolicy,
    Verdict,
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
from ..core.models.backend import LOCAL_PEER_ID, BackendConfig
from ..core.models.job import Attempt, Job, JobState
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
from .interfaces import NoteJob, Peers
from .queue.queued_job import QueuedJob
from .queue.registry import JobRegistry, LiveJob
from .queue.retry_budget import RetryBudget

log = logging.getLogger(__name__)

_NO_FAILURES = (TakenBackError.code, OvertakenError.code, OUTAGE)
SecondLook = Callable[[Mapping[str, Doubt]], Awaitable[frozenset[str]]]

ASK_AGAIN_S = 5.0
LOOKED_S = 0.5  #: what a peer said it lacks is believed for so long, where nothing is refused for it
FREED_PAUSE_S = 0.5  #: a peer frees its memory between two prompts, not in the request for it
WHY_MAX = 300  #: characters of an error that a peer's row can hold


async def no_second_look(doubts: Mapping[str, Doubt]) -> frozenset[str]:
    return frozenset()


class Recovery:
    """`report_trouble`, `second_look`, `note_job`: see Dispatcher. `note_too_little` is told of each
    job that ran out of memory, and where. `lost_together`: the peers that are lost, while most of them are.
    """

    def __init__(
        self,
        manager: BackendManager,
        peers: Peers,
        transport: Transport,
        register: JobRegistry,
        report_trouble: Callable[[str, bool], None],
        second_look: SecondLook,
        note_job: NoteJob,
        note_too_little: Callable[[QueuedJob, str], None],
        lost_together: Callable[[], frozenset[str]],
        withdrawals: Withdrawals,
        policy: RetryPolicy,
    ) -> None:
        self._manager = manager
        self._peers = peers
        self._transport = transport
        self._register = register
        self._report_trouble = report_trouble
        self._second_look = second_look
        self._note_job = note_job
        self._note_too_little = note_too_little
        self._lost_together = lost_together
        self._withdrawals = withdrawals
        self._looked_at: dict[tuple[str, Doubt], float] = {}
        self.policy = policy
        self.purse = RetryBudget(policy.budget)

    async def ask_again(self, entry: LiveJob, doubts: Mapping[str, Doubt]) -> bool:
        """Ask the peers for what their "no" rests on: once per job, and again as long as one that is up does
        not answer and the job may wait. Whether it is worth placing the job again. Not for a job whose graph
        is most likely wrong, as its last error says."""
        is_waiting = bool(entry.unanswered) and entry.job.request.wait_for_peer
        is_wrong = entry.last_error is not None and is_unconfirmed(entry.last_error)
        if not doubts or is_wrong or (entry.asked_again and not is_waiting):
            return False
        if entry.asked_again:
            silent = [peer.name for peer in map(self._manager.find, entry.unanswered) if peer]
            text = f"waiting for {', '.join(silent)} to say what it has"
            self._register.update(entry, explanation=text)
            await asyncio.sleep(ASK_AGAIN_S)
        entry.asked_again = True
        self._register.update(entry, explanation="asking the peers again for their nodes and files")
        entry.unanswered = await self._second_look(doubts)
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
        await self._second_look(todo)
        return self._manager.node_lists() != before

    def back_to_the_line(self, entry: LiveJob, exc: OrchestratorError) -> None:
        """Its attempt is over, and another one is to come."""
        _end_attempt(entry, exc)
        self._wait_again(entry)

    async def after_failure(self, entry: LiveJob, config: BackendConfig, exc: OrchestratorError) -> None:
        """Let it be tried again, or raise what ends the job."""
        ran_s = _worked_s(entry)
        self._record(entry, config, exc)
        outcomes = _outcomes(entry.job)
        if entry.job.attempts[-1].outcome == OUTAGE:
            self._wait_again(entry)
            return
        victims = len(_victims(entry.job))
        verdict = decide(exc, outcomes, self.policy, freed=entry.freed, ran_s=ran_s, victims=victims)
        if verdict is Verdict.SET_ASIDE:
            self._wait_again(entry)  # it may be found innocent, see ``judge``
            return
        if verdict is Verdict.GIVE_UP:
            raise exc
        log.info("Job %s failed on %s and is tried again: %s", entry.job.id, config.name, exc)
        entry.owes_retry = True
        self._wait_again(entry)
        if verdict is Verdict.FREE:
            await self._free_roomiest(entry)

    async def judge(self, entry: LiveJob) -> None:
        """Before the next attempt: a job that may have killed peers goes to no other one until they answer.

        Raises:
            JobSetAsideError: it did, as far as can be told by then.
        """
        victims = _victims(entry.job)
        if len(victims) < self.policy.deaths_max:
            return
        known = [self._manager.find(attempt.backend_id) for attempt in victims]
        names = [peer.name for peer in known if peer] or ["A peer that was removed"]
        listed = " and ".join(dict.fromkeys(names))
        text = f"{listed} went away while running this job: it waits until they tell whether it is the cause"
        self._register.update(entry, explanation=text)
        prompt_ids = [attempt.prompt_id for attempt in victims]
        await self._withdrawals.settled(prompt_ids, self.policy.judge_for_s)
        raise set_aside(names)

    def after_failure_here(
        self, entry: LiveJob, exc: PromptRefusedError | PeerExecutionError
    ) -> OrchestratorError | None:
        """This machine refused the job, or a node raised here: a peer may do better. Returns what may become
        the job's end, or raises it."""
        entry.ticket.may_run_here = False
        _end_attempt(entry, exc)
        if isinstance(exc, PromptRefusedError):
            self._wait_again(entry)
            return None
        entry.ticket.tried[LOCAL_PEER_ID] = f"it failed this job: {exc}"
        ran_s = _worked_s(entry)
        if decide(exc, _outcomes(entry.job), self.policy, ran_s=ran_s) is not Verdict.ELSEWHERE:
            raise exc
        entry.owes_retry = True
        self._wait_again(entry)
        return exc

    def acquit(self, entry: LiveJob) -> None:
        """The job was not done: what its nodes raised says nothing of the peers."""
        for backend_id in entry.raised_on:
            self._note_job(backend_id, JobEnd.ACQUITTED)
        entry.raised_on.clear()

    async def pay_for_retry(self, entry: LiveJob) -> None:
        """Before the next attempt: wait until the fleet can afford it, when it is a retry."""
        if entry.owes_retry:
            text = "waiting to be tried again: many jobs fail, so retries are slowed down"
            await self.purse.pay(lambda: self._register.update(entry, explanation=text))
            entry.owes_retry = False

    async def when_nobody_is_left(self, entry: LiveJob, last: OrchestratorError) -> None:
        """All peers that could take it have failed it: give them another chance, or raise `last`."""
        outcomes = _outcomes(entry.job)
        verdict = when_all_failed(last, outcomes, self.policy, freed=entry.freed)
        chances = entry.ticket.tried.keys() - entry.final_on
        if verdict is Verdict.GIVE_UP or not chances:
            raise last
        if verdict is Verdict.FREE:
            await self._free_roomiest(entry)
            return
        for backend_id in chances:
            del entry.ticket.tried[backend_id]
        longest_s = self.policy.longest_pause_s(len(outcomes))
        await asyncio.sleep(random.uniform(0, longest_s))  # noqa: S311  a pause # nosec B311

    def _wait_again(self, entry: LiveJob) -> None:
        """What was told of the attempt that ended is no longer so."""
        self._register.update(entry, progress=0.0, progress_text="", explanation="")

    def _record(self, entry: LiveJob, config: BackendConfig, exc: OrchestratorError) -> None:
        attempts = entry.job.attempts
        been_on = {attempt.backend_id for attempt in attempts if attempt.prompt_id}
        ended = [attempt.outcome for attempt in attempts]
        if type(exc) is JobLostError and is_pardoned(self._lost_together(), been_on, ended):
            _end_attempt(entry, exc, OUTAGE)
            entry.ticket.lost_in_outage = True
            return
        if entry.job.state is JobState.RUNNING:
            had_begun = attempts[-1].begun_at is not None
            _end_attempt(entry, exc, is_victim=is_victim(exc, had_begun))
        else:
            # It failed before the POST (an upload, say): count it all the same, or it could go on for ever.
            failed = Attempt("", config.id, _now(), _now(), exc.code, str(exc))
            entry.job = entry.job.evolve(attempts=(*entry.job.attempts, failed))
        entry.ticket.tried[config.id] = f"it failed this job: {exc}"
        if isinstance(exc, PeerOutOfMemoryError):
            if not exc.is_system:
                is_there = self._manager.find(config.id) is not None
                memory = memory_of(self._manager.get_status(config.id)) if is_there else 0
                entry.ticket.memory_bytes = max(entry.ticket.memory_bytes, memory)
            self._note_too_little(entry.ticket, config.id)
        if may_be_the_machines(exc):
            entry.raised_on.append(config.id)
            self._note_job(config.id, JobEnd.RAISED, str(exc)[:WHY_MAX])
        if isinstance(exc, BodyTooLargeError):
            self._manager.learn_body_limit(config.id, exc.size_bytes)
        if is_final_there(exc):
            entry.final_on.add(config.id)
        stale = is_placement_surprise(exc)
        if stale:
            self._transport.forget(config.url)
        if isinstance(exc, PeerUnfitError):
            self._note_job(config.id, JobEnd.UNFIT, str(exc))
        elif is_peers_fault(exc):
            self._note_job(config.id, JobEnd.FAILED)
        if stale or is_peers_fault(exc):
            self._report_trouble(config.id, stale)

    async def _free_roomiest(self, entry: LiveJob) -> None:
        """One more try, on the peer with the most memory of those where it did not fit."""
        entry.freed = True
        failed = {a.backend_id for a in entry.job.attempts if a.outcome == PeerOutOfMemoryError.code}
        there = [config for config in self._manager.all() if config.id in failed]
        if not there:
            return
        roomiest = max(there, key=lambda config: memory_of(self._manager.get_status(config.id)))
        try:
            await self._peers(roomiest).free()
        except PeerError as exc:
            log.info("%s could not be asked to free its memory: %s", roomiest.name, exc)
        reason = f"the job is tried once more on {roomiest.name}, whose memory was freed for it"
        entry.ticket.tried = {c.id: reason for c in self._manager.all() if c.id != roomiest.id}
        await asyncio.sleep(FREED_PAUSE_S)


def _end_attempt(
    entry: LiveJob, exc: OrchestratorError, outcome: str = "", *, is_victim: bool = False
) -> None:
    entry.preview = None
    if entry.job.state is JobState.RUNNING:
        how = {"outcome": outcome or exc.code, "reason": str(exc), "is_victim": is_victim}
        attempts = with_last(entry.job, ended_at=_now(), **how)
        entry.job = entry.job.to(JobState.WAITING, attempts=attempts, backend_id="")


def _worked_s(entry: LiveJob) -> float:
    """How long its peer has worked on it; 0 where nobody heard it begin."""
    begun_at_s = entry.ticket.begun_at_s
    return 0.0 if begun_at_s is None else asyncio.get_running_loop().time() - begun_at_s


def _victims(job: Job) -> list[Attempt]:
    return [attempt for attempt in job.attempts if attempt.is_victim]


def _outcomes(job: Job) -> list[str]:
    """How the attempts ended that count as failed."""
    refused_here = (LOCAL_PEER_ID, PromptRefusedError.code)
    counted = (a for a in job.attempts if (a.backend_id, a.outcome) != refused_here)
    return [a.outcome for a in counted if a.outcome not in _NO_FAILURES]


def _now() -> datetime:
    return datetime.now(timezone.utc)
