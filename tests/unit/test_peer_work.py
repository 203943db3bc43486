"""What each peer did over a while."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest

from orchestrator.core.models.peer_work import PARTS, PeerWork, Turn, work_of
from orchestrator.errors import JobCancelledError, JobLostError, OvertakenError, TakenBackError

NOON = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
NOW = NOON + timedelta(minutes=PARTS)  # a part is a minute


def turn(begun: float | None, ended: float | None, outcome: str = "done", peer: str = "p1") -> Turn:
    """In minutes after noon."""
    moments = (None if minute is None else NOON + timedelta(minutes=minute) for minute in (begun, ended))
    return Turn(peer, outcome, *moments)


def work(*turns: Turn) -> PeerWork:
    (found,) = work_of(turns, NOON, NOW).values()
    return found


def test_jobs_and_failures_are_counted_by_peer() -> None:
    turns = [turn(1, 2), turn(2, 3, JobLostError.code), turn(3, 4, peer="p2"), turn(4, 5)]
    found = work_of(turns, NOON, NOW)
    assert {peer: (each.done, each.failed) for peer, each in found.items()} == {"p1": (2, 1), "p2": (1, 0)}


@pytest.mark.parametrize("spared", [JobCancelledError, OvertakenError, TakenBackError])
def test_what_ended_by_nobodys_fault_is_no_failure(spared: type[Exception]) -> None:
    assert work(turn(1, 2, spared.code)).failed == 0  # type: ignore[attr-defined]


def test_time_at_work_fills_the_parts_it_lies_in() -> None:
    found = work(turn(1.5, 3.25))
    assert found.busy_s == pytest.approx(105)
    assert found.busy[:5] == pytest.approx([0, 0.5, 1, 0.25, 0])
    assert len(found.busy) == len(found.failures) == PARTS


def test_only_what_lies_within_the_while_counts_as_work() -> None:
    found = work(turn(-10, 2))
    assert (found.done, found.busy_s) == (1, pytest.approx(120))
    assert found.busy[:3] == pytest.approx([1, 1, 0])


def test_what_runs_is_at_work_until_now_and_counts_as_no_job_yet() -> None:
    found = work(turn(PARTS - 2, None, ""))
    assert (found.done, found.failed, found.busy_s) == (0, 0, pytest.approx(120))
    assert found.busy[-3:] == pytest.approx([0, 1, 1])


def test_a_peer_that_refused_a_job_failed_without_having_been_at_work() -> None:
    found = work(turn(None, 5.5, "prompt_refused"))
    assert (found.failed, found.busy_s, found.failures[5]) == (1, 0.0, 1)


def test_what_ended_before_is_left_out_and_the_last_moment_is_in_the_last_part() -> None:
    assert work_of([turn(-9, -1)], NOON, NOW) == {}
    assert work(turn(None, PARTS, "x")).failures[-1] == 1


def test_two_attempts_at_once_make_no_part_more_than_full() -> None:
    found = work(turn(0, 2), turn(0, 2))
    assert max(found.busy) == 1.0


def test_a_while_without_length_divides_by_nothing() -> None:
    assert work_of([turn(0, 0)], NOON, NOON)["p1"].done == 1
