"""F17 of the fault list, its quick part: an engine that is killed in the middle of its work."""

from __future__ import annotations

from pathlib import Path

from tests.faults.kills import kill_and_count


async def test_f17_an_engine_that_is_killed_loses_no_job_and_delivers_none_twice(tmp_path: Path) -> None:
    toll = await kill_and_count(tmp_path / "home", kills=2, seed=7, jobs=12)
    assert (toll.lost, toll.delivered_twice) == (0, 0)
    assert toll.most_extra_of_one <= toll.kills
