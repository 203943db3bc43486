"""Near the end of the line the order of starts decides by when all are done."""

from __future__ import annotations

import numpy as np

from orchestrator.core.engine.endgame import Batch, better_start


def batch(key: str, count: int, *run: float, load: tuple[float, ...] = ()) -> Batch:
    return Batch(key, count, np.array(run), np.array(load or (0.0,) * len(run)))


def test_a_short_job_does_not_go_first_where_a_long_one_would_then_end_too_late() -> None:
    """Peers free at 12.5 and 7.5; three short and two long ones: the long ones belong on the second."""
    ready = np.array([12.5, 7.5])
    left = [batch("short", 3, 1.0, 1.0), batch("long", 2, 4.0, 4.0)]
    assert better_start(ready, left, 1, "short", 6.5) == "long"
    assert better_start(ready, left, 0, "short", 6.5) == "short"


def test_the_order_of_the_line_stands_where_nothing_ends_later_for_it() -> None:
    left = [batch("short", 2, 1.0, 1.0), batch("long", 1, 4.0, 4.0)]
    assert better_start(np.array([0.0, 0.0]), left, 0, "short", 0.0) == "short"


def test_what_has_to_be_loaded_counts_once_on_each_peer() -> None:
    left = [batch("cold", 2, 1.0, 1.0, load=(10.0, 10.0)), batch("warm", 1, 5.0, 5.0)]
    assert better_start(np.array([0.0, 0.0]), left, 0, "cold", 0.0) == "cold"


def test_what_only_one_peer_may_run_is_not_left_to_the_end() -> None:
    left = [batch("any", 2, 2.0, 2.0), batch("here", 1, 4.0, np.inf)]
    assert better_start(np.array([0.0, 0.0]), left, 0, "any", 0.0) == "here"
