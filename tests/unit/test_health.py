"""From answers and silences to the health of a peer."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.engine.faults.health import (
    HealthPolicy,
    JobEnd,
    Work,
    after_answer,
    after_failure,
    after_job,
)
from orchestrator.core.engine.faults.silence import in_words
from orchestrator.core.models.backend import BackendStatus, Conduct, Health, QueueState, Vitals
from orchestrator.errors import PeerAuthError, PeerError, PeerProtocolError, PeerUnreachableError

NOW = datetime(2026, 11, 1, tzinfo=timezone.utc)
POLICY = HealthPolicy()
GOOD = Vitals(comfyui_version="0.3.75")
GONE = PeerUnreachableError("nobody answers there")
KEY = PeerAuthError("it needs a key")


def after(*outcomes: Vitals | PeerError | None, start: BackendStatus | None = None) -> BackendStatus:
    status = start or BackendStatus()
    for outcome in outcomes:
        if isinstance(outcome, PeerError):
            status = after_failure(status, outcome, NOW, POLICY)
        else:
            status = after_answer(status, outcome, NOW, POLICY)
    return status


@pytest.mark.parametrize(
    ("outcomes", "health"),
    [
        ([], Health.UNKNOWN),
        ([GOOD], Health.UP),
        ([GONE], Health.DOWN),
        ([KEY], Health.NEEDS_KEY),
        ([GOOD, GONE], Health.SUSPECT),
        ([GOOD, GONE, GONE], Health.SUSPECT),
        ([GOOD, GONE, GONE, GONE], Health.DOWN),
        ([GOOD, GONE, GOOD], Health.UP),
        ([GOOD, GONE, GONE, GOOD, GONE, GONE], Health.SUSPECT),
        ([GONE, GOOD], Health.DOWN),
        ([GONE, GOOD, GOOD], Health.UP),
        ([GONE, GOOD, GONE, GOOD], Health.DOWN),
        ([GOOD, KEY], Health.NEEDS_KEY),
        ([GOOD, GONE, KEY], Health.NEEDS_KEY),
        ([KEY, GOOD], Health.UP),
        ([KEY, GONE], Health.DOWN),
    ],
)
def test_a_peers_health_follows_from_what_its_polls_said(
    outcomes: list[Vitals | PeerError], health: Health
) -> None:
    assert after(*outcomes).health is health


def test_of_a_peer_that_refuses_connections_is_known_that_nothing_listens_until_it_answers() -> None:
    closed = PeerUnreachableError("it refuses the connection", is_closed=True)
    assert [after(GOOD, *outcomes).is_closed for outcomes in ([closed], [GONE], [closed, GONE])] == [
        True,
        False,
        False,
    ]
    assert not after(GOOD, closed, GOOD).is_closed


def test_a_check_that_tells_no_details_is_as_good_as_any() -> None:
    status = after(None)
    assert (status.health, status.vitals) == (Health.UP, None)
    assert after(GOOD, None).vitals == GOOD


def test_whoever_is_not_up_has_a_reason_and_whoever_is_has_none() -> None:
    assert after(GOOD, GONE).reason == after(GONE).reason == str(GONE)
    assert after(KEY).reason == str(KEY)
    assert after(GONE, GOOD).reason == "it answers again; one more answer and it is used"
    assert after(GONE, GOOD, GOOD).reason == ""


def test_what_was_cached_is_stale_after_an_outage_or_an_update_and_only_then() -> None:
    first = after(GOOD)
    assert after(GOOD, start=first).generation == first.generation
    assert after(GONE, GOOD, start=first).generation == first.generation + 1
    assert after(GONE, GONE, GONE, GOOD, GOOD, start=first).generation == first.generation + 1
    assert after(Vitals(comfyui_version="0.4.0"), start=first).generation == first.generation + 1


def test_the_moment_of_the_last_poll_is_kept() -> None:
    assert after().checked_at is None
    assert after(GOOD).checked_at == after(GONE).checked_at == NOW


outcomes = st.lists(st.sampled_from([GOOD, GONE, KEY, PeerProtocolError("it is a printer"), None]))


@given(outcomes)
def test_after_any_story_enough_good_answers_bring_a_peer_up(story: list[Vitals | PeerError | None]) -> None:
    assert after(*story, *[GOOD] * POLICY.up_after).health is Health.UP


@given(outcomes)
def test_after_any_story_enough_misses_take_a_peer_down(story: list[Vitals | PeerError | None]) -> None:
    status = after(*story, *[GONE] * POLICY.down_after)
    assert status.health is Health.DOWN
    assert status.reason


@given(outcomes)
def test_a_generation_never_comes_again(story: list[Vitals | PeerError | None]) -> None:
    numbers = [after(*story[:length]).generation for length in range(len(story) + 1)]
    assert numbers == sorted(numbers)


# Conduct: how it did with jobs


def up(**details: Any) -> BackendStatus:
    return BackendStatus(health=Health.UP, vitals=GOOD, **details)


def after_jobs(*went_well: bool, at_s: float = 0.0, start: BackendStatus | None = None) -> BackendStatus:
    status = start or up()
    for ok in went_well:
        status = after_job(status, JobEnd.WELL if ok else JobEnd.FAILED, at_s, POLICY)
    return status


@pytest.mark.parametrize(
    ("went_well", "health"),
    [
        ([False, False], Health.UP),
        ([False, False, False], Health.EJECTED),
        ([False, False, True, False], Health.UP),
        ([True], Health.UP),
    ],
)
def test_three_failures_in_a_row_have_a_peer_rest(went_well: list[bool], health: Health) -> None:
    assert after_jobs(*went_well).health is health


@pytest.mark.parametrize(("time", "rest_s"), [(1, 30), (2, 60), (5, 150), (25, 600)])
def test_each_rest_is_longer_than_the_one_before_up_to_ten_minutes(time: int, rest_s: int) -> None:
    status = up(conduct=Conduct(ejections=time - 1))
    ejected = after_jobs(False, False, False, start=status)
    assert (ejected.health, ejected.conduct.ejected_until_s) == (Health.EJECTED, rest_s)
    assert f"rests for {in_words(rest_s)}" in ejected.reason
    resting = after_answer(ejected, GOOD, NOW, POLICY, at_s=rest_s - 1)
    assert (resting.health, resting.reason) == (Health.EJECTED, ejected.reason)
    back = after_answer(resting, GOOD, NOW, POLICY, at_s=rest_s)
    assert (back.health, back.reason, back.conduct.slow_start) == (Health.UP, "", True)


def test_after_an_outage_or_a_rest_a_peer_gets_one_job_at_a_time_until_one_ends_well() -> None:
    back = after(GOOD, GONE, GONE, GONE, GOOD, GOOD)
    assert back.conduct.slow_start
    assert after_jobs(True, start=back).conduct == Conduct()
    assert not after(GOOD, GONE, GOOD).conduct.slow_start


def test_a_peer_that_went_down_meanwhile_is_down_and_not_resting() -> None:
    assert after(GONE, GONE, GONE, start=after_jobs(False, False, False)).health is Health.DOWN


RAISED, ACQUITTED = JobEnd.RAISED, JobEnd.ACQUITTED


def after_ends(*ends: JobEnd, start: BackendStatus | None = None) -> BackendStatus:
    status = start or up()
    for end in ends:
        status = after_job(status, end, 0.0, POLICY, why="No module named 'x'.")
    return status


def test_a_machine_where_three_jobs_in_a_row_raised_rests_for_long_and_says_what_they_said() -> None:
    assert after_ends(RAISED, RAISED).health is Health.UP
    broken = after_ends(RAISED, RAISED, RAISED)
    assert (broken.health, broken.conduct.ejected_until_s) == (Health.EJECTED, 300.0)
    assert "3 jobs in a row failed there" in broken.reason
    assert "rests for 5 min" in broken.reason and broken.reason.endswith("No module named 'x'.")


def test_what_no_other_peer_can_do_either_speaks_for_the_peer_that_raised() -> None:
    assert after_ends(RAISED, ACQUITTED) == up()
    assert after_ends(RAISED, RAISED, ACQUITTED, RAISED).health is Health.UP
    acquitted = after_ends(RAISED, RAISED, RAISED, ACQUITTED)
    assert (acquitted.health, acquitted.reason) == (Health.UP, "")
    assert acquitted.conduct.ejected_until_s == 0.0


def test_after_its_rest_one_more_failure_is_enough_and_one_success_is_too() -> None:
    back = after_answer(after_ends(RAISED, RAISED, RAISED), GOOD, NOW, POLICY, at_s=301.0)
    assert (back.health, back.conduct.slow_start) == (Health.UP, True)
    again = after_job(back, RAISED, 301.0, POLICY, why="again")
    assert (again.health, again.conduct.ejected_until_s) == (Health.EJECTED, 901.0)
    assert after_jobs(True, start=back).conduct == Conduct()


def test_a_broken_machine_that_is_started_again_is_tried_with_one_job() -> None:
    back = after(GONE, GONE, GONE, GOOD, GOOD, start=after_ends(RAISED, RAISED, RAISED))
    assert (back.health, back.conduct.slow_start) == (Health.UP, True)
    assert after_ends(RAISED, start=back).health is Health.EJECTED


# No sign of work


def queue(*running: str, pending: tuple[str, ...] = ()) -> Vitals:
    return Vitals(queue=QueueState(running, pending))


@pytest.mark.parametrize(
    ("vitals", "work", "health"),
    [
        (queue("ours"), Work(True, heard_at_s=0.0), Health.ZOMBIE),
        (queue("ours"), Work(True, heard_at_s=50.0), Health.UP),
        (queue("ours"), Work(True, heard_at_s=None), Health.UP),
        (queue("theirs"), Work(False), Health.UP),
        (queue(pending=("ours",)), Work(True, heard_at_s=None), Health.ZOMBIE),
        (queue(pending=("theirs",)), Work(False), Health.UP),
        (queue(), Work(True, heard_at_s=0.0), Health.UP),
    ],
)
def test_a_peer_whose_work_of_ours_shows_no_sign_for_three_minutes_is_silent(
    vitals: Vitals, work: Work, health: Health
) -> None:
    status = after_answer(BackendStatus(), vitals, NOW, POLICY, at_s=0.0, work=work)
    for at_s in (60.0, 179.0):
        status = after_answer(status, vitals, NOW, POLICY, at_s=at_s, work=work)
        assert status.health is Health.UP
    status = after_answer(status, vitals, NOW, POLICY, at_s=180.0, work=work)
    assert status.health is health
    assert ("restart ComfyUI there" in status.reason) is (health is Health.ZOMBIE)
    assert status.conduct == Conduct()


@pytest.mark.parametrize("sign", [queue("next"), queue(), queue("ours", pending=())])
def test_a_sign_of_work_makes_a_silent_peer_one_like_any(sign: Vitals) -> None:
    silent = Work(True, heard_at_s=0.0)
    status = after_answer(BackendStatus(), queue("ours"), NOW, POLICY, at_s=0.0, work=silent)
    status = after_answer(status, queue("ours"), NOW, POLICY, at_s=190.0, work=silent)
    heard = Work(True, heard_at_s=191.0)
    assert after_answer(status, sign, NOW, POLICY, at_s=192.0, work=heard).health is Health.UP


def test_a_silent_peer_stays_silent_while_it_cannot_be_heard() -> None:
    def at(at_s: float, heard_at_s: float | None, status: BackendStatus) -> BackendStatus:
        work = Work(True, heard_at_s)
        return after_answer(status, queue("ours"), NOW, POLICY, at_s=at_s, work=work)

    silent = at(180.0, 0.0, at(0.0, 0.0, BackendStatus()))
    assert at(182.0, None, silent).health is Health.ZOMBIE
    assert at(182.0, None, at(0.0, None, BackendStatus())).health is Health.UP
