"""What an earlier process left in the journal is settled at the start: nothing lost, nothing done twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ..clock import utc_now
from ..core.models.backend import LOCAL_PEER_ID
from ..core.models.job import Attempt, Job, JobState, Rank, Source
from ..journal.store import Store
from .dispatcher import Dispatcher

OPEN_MAX = 100_000
_FINISHED = frozenset(state for state in JobState if state.is_final)


async def reconcile(store: Store, dispatcher: Dispatcher, peer_name: Callable[[str], str]) -> None:
    """Jobs of nodes died with their prompt, so their peers are told; so are those that may still run a copy
    which nobody waits for. All other jobs go on.

    Raises:
        StoreError: the journal cannot be read or written.
    """
    left = await dispatcher.withdrawals.left()
    places = await _places(store)
    ended = await store.load_jobs(states=_FINISHED)
    dispatcher.restore(tuple(reversed(ended)))
    still_open = await store.load_jobs(states=frozenset(JobState) - _FINISHED, limit=OPEN_MAX)
    for job in (*ended, *still_open):
        for copy in _second_copies(job):
            await dispatcher.adoption.withdraw(copy)
    for job in filter(_goes_on, still_open):
        dispatcher.adoption.expect(job.attempts[-1])
    for job in reversed(still_open):
        if job.request.source is Source.NODE:
            if job.state is JobState.RUNNING:
                await dispatcher.adoption.withdraw(job.attempts[-1])
            cancelled = _ended_with_its_prompt(job)
            await store.save_job(cancelled)
            dispatcher.restore((cancelled,))
        elif _goes_on(job):
            text = f"asking {peer_name(job.backend_id)} how far it is"
            asked = job.evolve(progress=0.0, progress_text=text)
            await dispatcher.accept(asked, rank=places.get(job.id), is_kept=True)
        else:
            closed = _close_open_attempt(job)
            waiting = closed.to(JobState.WAITING) if closed.state is JobState.RUNNING else closed
            waiting = waiting.evolve(backend_id="", progress=0.0, progress_text="")
            await dispatcher.accept(waiting, rank=places.get(job.id), is_kept=True)
    await dispatcher.withdrawals.resume(left)


def _goes_on(job: Job) -> bool:
    """Whether a peer may still be at work on it, and somebody wants what it makes."""
    is_on_peer = job.state is JobState.RUNNING and job.backend_id != LOCAL_PEER_ID and bool(job.attempts)
    return is_on_peer and job.request.source is not Source.NODE


async def _places(store: Store) -> dict[str, Rank]:
    """Places that were given to jobs, in numbers below those that jobs get from now on; kept like that."""
    known = await store.load_places()
    in_order = sorted(known, key=known.__getitem__)
    places = {job_id: (known[job_id][0], float(at - len(known))) for at, job_id in enumerate(in_order)}
    await store.save_places(places)
    return places


def _second_copies(job: Job) -> list[Attempt]:
    """Copies that ran beside its last attempt: nobody follows them any more."""
    return [attempt for attempt in job.attempts[:-1] if attempt.ended_at is None]


def _ended_with_its_prompt(job: Job) -> Job:
    error = {"code": "cancelled", "message": "ComfyUI was restarted while this job ran."}
    return _close_open_attempt(job).to(JobState.CANCELLED, ended_at=utc_now(), error=error)


def _close_open_attempt(job: Job) -> Job:
    if not job.attempts or job.attempts[-1].ended_at is not None:
        return job
    last = replace(job.attempts[-1], ended_at=utc_now(), outcome="lost", reason="the master was restarted")
    return job.evolve(attempts=(*job.attempts[:-1], last))
