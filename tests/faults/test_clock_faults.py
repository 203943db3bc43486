"""F22 of the fault list: a wall clock that jumps times nothing out."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from orchestrator.core.models.job import JobState

ROOT = Path(__file__).parents[2]


async def test_f22_a_wall_clock_that_jumps_an_hour_either_way_changes_nothing(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.faults.clock", str(home)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, errors = await asyncio.wait_for(process.communicate(), 60.0)
    assert process.returncode == 0, errors.decode()
    told = json.loads(out.splitlines()[-1])
    assert told["seen"] == [["up", "up", JobState.RUNNING.value]] * 3
    assert told["attempts"] == [["done"]] * 5
