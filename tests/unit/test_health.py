from __future__ import annotations

from datetime import datetime, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.core.engine.health import HealthPolicy, after_answer, after_failure
from orchestrator.core.models.backend import BackendStatus, Health, Vitals
from orchestrator.errors import PeerAuthError, PeerError, PeerProtocolError, PeerUnreachableError

NOW = datetime(2026, 11, 1, tzinfo=timezone.utc)
POLICY = HealthPolicy()
GOOD = Vitals(comfyui_version="0.3.75")
GONE = PeerUnreachableError("nobody answers there")
KEY = PeerAuthError("it wants a key")


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
