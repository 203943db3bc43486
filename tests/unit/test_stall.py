"""When a silent job is worth a second copy."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from orchestrator.core.engine.stall import StallPolicy, is_stalled, longest_run_s
from orchestrator.core.models.job import Attempt, Job, JobRequest, JobState

NOW = datetime(2026, 3, 1, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("silent_s", "longest_run_s", "stalled"),
    [(600, 0, False), (601, 0, True), (601, 120, True), (3000, 600, False), (3001, 600, True)],
)
def test_a_job_is_stalled_after_ten_minutes_or_five_of_the_longest_runs(
    silent_s: float, longest_run_s: float, stalled: bool
) -> None:
    assert is_stalled(StallPolicy(), silent_s=silent_s, longest_run_s=longest_run_s) is stalled


def test_the_longest_run_is_one_that_was_done() -> None:
    def ran(seconds: float, state: JobState, *, begun: bool = True) -> Job:
        end = NOW + timedelta(seconds=seconds)
        attempt = Attempt("p", "a", NOW, end, state.value, begun_at=NOW if begun else None)
        return Job("j", JobRequest(prompt={}), NOW, state=state, attempts=(attempt,))

    jobs = [ran(7, JobState.DONE), ran(9, JobState.FAILED), ran(8, JobState.DONE, begun=False)]
    assert longest_run_s([*jobs, Job("w", JobRequest(prompt={}), NOW)]) == 7
    assert longest_run_s([]) == 0
