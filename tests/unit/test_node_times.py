"""What a run's nodes took, and what that says of the next one."""

from __future__ import annotations

import pytest

from orchestrator.core.engine.estimates.node_times import KINDS_MAX, NODES_MAX, NodeTimes, whole_run_s
from orchestrator.core.prompts.kinds import UNKNOWN_KIND, Kind

PORTRAIT = Kind("portrait")


def test_the_last_runs_of_a_kind_count_and_no_other_kinds() -> None:
    times = NodeTimes()
    times.note(PORTRAIT, {"1": 2.0, "2": 8.0})
    times.note(PORTRAIT, {"1": 4.0, "2": 8.0, "3": 1.0})
    assert times.of(PORTRAIT) == {"1": 3.0, "2": 8.0, "3": 1.0}
    assert times.of(Kind("another")) == {}


def test_what_is_kept_is_bounded() -> None:
    times = NodeTimes()
    times.note(UNKNOWN_KIND, {"1": 1.0})
    times.note(PORTRAIT, {str(n): 1.0 for n in range(NODES_MAX + 1)})
    assert times.of(UNKNOWN_KIND) == times.of(PORTRAIT) == {}
    for n in range(KINDS_MAX + 1):
        times.note(Kind(f"kind {n}"), {"1": 1.0})
    assert times.of(Kind("kind 0")) == {}
    assert times.of(Kind("kind 1")) == {"1": 1.0}


@pytest.mark.parametrize(
    ("elapsed_s", "fraction", "least_s", "most_s"),
    [
        (0.0, 0.0, 10.0, 10.0),  # nothing is known but what was expected
        (5.0, 0.5, 10.0, 10.0),  # as expected
        (30.0, 0.0, 35.0, 45.0),  # late, and nothing told
        (26.0, 0.5, 38.0, 52.0),  # five times as slow: by its own pace 52 s
        (47.0, 0.9, 49.0, 56.0),
        (52.0, 1.0, 52.0, 52.0),
    ],
)
def test_an_expectation_follows_the_run(
    elapsed_s: float, fraction: float, least_s: float, most_s: float
) -> None:
    assert least_s <= whole_run_s(10.0, elapsed_s, fraction) <= most_s + 1e-9
