"""An ended job once more: the request of its successor."""

from __future__ import annotations

from dataclasses import replace

from ...errors import IllegalTransitionError
from ..models.job import Job, JobRequest, Source


def repeated(
    job: Job, *, peer: str | None = None, priority: float | None = None, client_id: str | None = None
) -> JobRequest:
    """The request of a new job that does what `job` was to do. None leaves pin, priority or who hears of it
    as they were.

    A node that waited for a value is gone by now: its job is repeated as one of its own, and the value is
    among that one's files.

    Raises:
        IllegalTransitionError: it has not ended, or its graph is no longer kept.
    """
    if not job.state.is_final:
        raise IllegalTransitionError(f"Job {job.id} is {job.state.value}. Only an ended one can be retried.")
    request = job.request
    if not request.prompt and not request.workflow:
        raise IllegalTransitionError(f"The graph of job {job.id} is no longer kept. Queue it again.")
    return replace(
        request,
        peer=request.peer if peer is None else peer,
        priority=request.priority if priority is None else priority,
        source=Source.HTTP if request.source is Source.NODE else request.source,
        client_id=request.client_id if client_id is None else client_id,
        wait_for_peer=True,
        retry_of=job.id,
        request_id="",
        prompt_id="",
        held=False,
        outdated_attempts=0,
    )
