"""When a running job has been silent for so long that a second copy of it is worth its cost: pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..models.job import Job, JobState


@dataclass(frozen=True)
class StallPolicy:
    """A job is stalled after `silent_s` seconds without any sign, or `runs` times the longest run seen, if
    that is longer. Looked for every `look_s`."""

    silent_s: float = 600.0
    runs: float = 5.0
    look_s: float = 10.0


def is_stalled(policy: StallPolicy, *, silent_s: float, longest_run_s: float) -> bool:
    return silent_s > max(policy.silent_s, policy.runs * longest_run_s)


def longest_run_s(jobs: Iterable[Job]) -> float:
    """Of those that were done: from the first word of their peer to the end, in seconds; 0 without any."""
    runs = (
        (attempt.ended_at - attempt.begun_at).total_seconds()
        for job in jobs
        if job.state is JobState.DONE
        for attempt in job.attempts[-1:]
        if attempt.begun_at and attempt.ended_at
    )
    return max(runs, default=0.0)
