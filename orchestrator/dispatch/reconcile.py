"""What an earlier process left in the journal is settled at the start: nothing lost, nothing done twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone

from ..core.models.job import HERE, Attempt, Job, JobState, Rank, Source
from ..store import Store
from .dispatcher import Dispatcher

OPEN_MAX = 100_000
_FINISHED = frozenset(state for state in JobState if state.is_final)


async def reconcile(store: Store, dispatcher: Dispatcher, peer_name: Callable[[str], str]) -> None:
    """Jobs of nodes died with their prompt, so their peers are told. All others go on.

    Raises:
        StoreError: the journal cannot be read or written.
    """
    places = await _places(store)
    dispatcher.restore(tuple(reversed(await store.load_jobs(states=_FINISHED))))
    for job in reversed(await store.load_jobs(states=frozenset(JobState) - _FINISHED, limit=OPEN_MAX)):
        for copy in _second_copies(job):
            dispatcher.adoption.withdraw(copy)
        if job.request.source is Source.NODE:
            if job.state is JobState.RUNNING:
                dispatcher.adoption.withdraw(job.attempts[-1])
            ended = _ended_with_its_prompt(job)
            await store.save_job(ended)
            dispatcher.restore((ended,))
        elif job.state is JobState.RUNNING and job.backend_id != HERE and job.attempts:
            text = f"asking {peer_name(job.backend_id)} how far it is"
            await dispatcher.accept(job.evolve(progress=0.0, progress_text=text), rank=places.get(job.id))
        else:
            closed = _close_open_attempt(job)
            waiting = closed.to(JobState.WAITING) if closed.state is JobState.RUNNING else closed
            waiting = waiting.evolve(backend_id="", progress=0.0, progress_text="")
            await dispatcher.accept(waiting, rank=places.get(job.id))


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
    return _close_open_attempt(job).to(JobState.CANCELLED, ended_at=_now(), error=error)


def _close_open_attempt(job: Job) -> Job:
    if not job.attempts or job.attempts[-1].ended_at is not None:
        return job
    last = replace(job.attempts[-1], ended_at=_now(), outcome="lost", reason="the master was restarted")
    return job.evolve(attempts=(*job.attempts[:-1], last))


def _now() -> datetime:
    return datetime.now(timezone.utc)
