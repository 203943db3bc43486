"""When most of the fleet is lost at once."""

from __future__ import annotations

import pytest

from orchestrator.core.engine.faults.outage import FleetHistory, OutagePolicy, after_health, outage_ends_at_s
from orchestrator.core.models.backend import Health

POLICY = OutagePolicy()
UP, SUSPECT, DOWN = Health.UP, Health.SUSPECT, Health.DOWN
Event = tuple[str, Health | None, float]


def history(*events: Event) -> FleetHistory:
    story = FleetHistory()
    for backend_id, health, at_s in events:
        story = after_health(story, backend_id, health, at_s)
    return story


ALL_UP: list[Event] = [(name, UP, 0.0) for name in "abcd"]


@pytest.mark.parametrize(
    ("events", "at_s", "ends_at_s"),
    [
        ([("a", DOWN, 10.0)], 10.0, None),
        ([("a", DOWN, 10.0), ("b", DOWN, 11.0)], 11.0, None),
        ([("a", DOWN, 10.0), ("b", SUSPECT, 11.0), ("c", DOWN, 12.0)], 12.0, 132.0),
        ([("a", DOWN, 10.0), ("b", SUSPECT, 11.0), ("b", DOWN, 15.0), ("c", DOWN, 12.0)], 15.0, 132.0),
        ([("a", DOWN, 10.0), ("b", DOWN, 20.0), ("c", DOWN, 85.0)], 85.0, None),
        ([("a", DOWN, 10.0), ("b", DOWN, 11.0), ("c", DOWN, 12.0)], 132.0, None),
        ([("a", DOWN, 10.0), ("b", DOWN, 11.0), ("c", DOWN, 12.0), ("a", UP, 20.0)], 20.0, None),
        ([("a", None, 10.0), ("b", None, 11.0), ("c", None, 12.0)], 12.0, None),
    ],
)
def test_more_than_half_lost_within_a_minute_is_an_outage_until_they_are_back_or_it_lasts(
    events: list[Event], at_s: float, ends_at_s: float | None
) -> None:
    assert outage_ends_at_s(history(*ALL_UP, *events), at_s, POLICY) == ends_at_s


def test_peers_that_are_simply_off_hold_nothing() -> None:
    assert outage_ends_at_s(history(("a", DOWN, 1.0), ("b", DOWN, 1.0)), 1.0, POLICY) is None


def test_one_peer_alone_is_no_outage() -> None:
    assert outage_ends_at_s(history(("a", UP, 0.0), ("a", DOWN, 1.0)), 1.0, POLICY) is None
