"""Which jobs their peers have begun, for what acts on "the running one" and on "those that wait"."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from ...core.models.backend import LOCAL_PEER_ID
from ...core.models.job import Job, JobState
from ...errors import NotFoundError, PeerError
from ...runtime import Runtime

ANSWER_S = 2.0  #: who presses Stop waits for it


async def begun_ids(runtime: Runtime, jobs: Iterable[Job]) -> frozenset[str]:
    """The ids of those that run. Of one that is on a peer and of which no word came, as without a websocket,
    the peer's queue says it."""
    jobs = tuple(jobs)
    begun = {job.id for job in jobs if job.begun_at is not None}
    unheard = [job for job in jobs if job.state is JobState.RUNNING and job.id not in begun and job.attempts]
    peers = {job.backend_id for job in unheard} - {LOCAL_PEER_ID}
    running = frozenset().union(*await asyncio.gather(*(_running_on(runtime, peer) for peer in peers)))
    return frozenset(begun | {job.id for job in unheard if job.attempts[-1].prompt_id in running})


async def _running_on(runtime: Runtime, backend_id: str) -> frozenset[str]:
    try:
        queue = await asyncio.wait_for(runtime.client(backend_id).queue(), ANSWER_S)
    except (PeerError, NotFoundError, asyncio.TimeoutError):
        return frozenset()
    return frozenset(queue.running)
