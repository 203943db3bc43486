"""A peer that runs a job and says nothing of it any more: a second copy, one delivery."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from orchestrator.core.engine.stall import StallPolicy
from orchestrator.core.models.job import Job, JobState
from tests.fakes.master import outcomes, started
from tests.fakes.waiting import until
from tests.faults.rig import Rig, standing

SOON = StallPolicy(silent_s=0.2, runs=0.0, look_s=0.02)


@asynccontextmanager
async def stalled(home: Path) -> AsyncIterator[tuple[Rig, Job]]:
    """A job that runs on both peers: first on a, which says nothing."""
    async with standing(home, stall=SOON) as rig:
        job = await rig.submit_to(rig.a)
        rig.b.on_prompt = "hold"
        await until(lambda: rig.b.running, "a second copy runs")
        yield rig, job


async def test_the_second_copy_of_a_silent_job_is_delivered_and_the_first_one_cancelled(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with stalled(tmp_path) as (rig, job):
        assert "second copy on b" in rig.master.job(job).progress_text
        await rig.b.finish(rig.b.running or "")
        end = await rig.end_of(job)
        assert (end.state, end.backend_id) == (JobState.DONE, rig.ids["b"])
        assert outcomes(end) == ["overtaken", "done"]
        assert "because no sign from a" in end.explanation
        await until(lambda: rig.a.running is None, "the first copy is cancelled")
        assert rig.posts() == [1, 1]
    await rig.check_afterwards(caplog.text)


async def test_a_first_copy_that_was_only_slow_is_delivered_and_the_second_one_cancelled(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with stalled(tmp_path) as (rig, job):
        await rig.a.finish(rig.a.running or "")
        end = await rig.end_of(job)
        assert (end.state, end.backend_id) == (JobState.DONE, rig.ids["a"])
        assert outcomes(end) == ["overtaken", "done"]
        await until(lambda: rig.b.running is None, "the second copy is cancelled")
    await rig.check_afterwards(caplog.text)


async def test_copies_that_are_through_at_the_same_time_are_delivered_once(tmp_path: Path) -> None:
    async with stalled(tmp_path) as (rig, job):
        await asyncio.gather(*(peer.finish(peer.running or "") for peer in (rig.a, rig.b)))
        end = await rig.end_of(job)
        assert (end.state, sorted(outcomes(end))) == (JobState.DONE, ["done", "overtaken"])


async def test_when_one_copy_fails_the_other_goes_on(tmp_path: Path) -> None:
    for failing in "ab":
        home = tmp_path / failing
        home.mkdir()
        async with stalled(home) as (rig, job):
            broken, good = (rig.a, rig.b) if failing == "a" else (rig.b, rig.a)
            there = good.running
            await broken.go_down()
            await until(lambda: rig.health(failing) == "down", "it is down")  # noqa: B023
            assert good.running == there
            await good.finish(there or "")
            assert (await rig.end_of(job)).state is JobState.DONE
            assert len(good.prompts) == 1


async def test_a_job_that_is_ended_by_its_user_ends_on_both_peers(tmp_path: Path) -> None:
    async with stalled(tmp_path) as (rig, job):
        await rig.master.runtime.cancel(job.id)
        assert rig.master.job(job).state is JobState.CANCELLED
        assert outcomes(rig.master.job(job)) == ["cancelled", "cancelled"]
        await until(lambda: not rig.a.running and not rig.b.running, "nothing runs on")


async def test_without_another_peer_a_silent_job_goes_on_and_says_so(tmp_path: Path) -> None:
    async with standing(tmp_path, stall=SOON) as rig:
        await rig.b.go_down()
        await until(lambda: rig.health("b") == "down", "b is down")
        job = await rig.submit_to(rig.a)
        await until(lambda: "no sign from a" in rig.master.job(job).progress_text, "it is told")
        await rig.a.finish(rig.a.running or "")
        assert outcomes(await rig.end_of(job)) == ["done"]


async def test_after_a_sudden_death_the_first_copy_is_followed_and_the_second_one_cancelled(
    tmp_path: Path,
) -> None:
    async with stalled(tmp_path) as (rig, job):
        saved = await rig.master.runtime.store.load_job(job.id)
        assert saved and len(saved.attempts) == 2
        second = rig.b.running
        after = tmp_path / "after"
        shutil.copytree(rig.home / "data", after / "data")  # as the journal is at this moment
        async with started(after) as again:
            await until(lambda: rig.b.running is None, "the second copy is cancelled")
            assert again.prompt_id(job) == rig.a.running != second
            await rig.a.finish(rig.a.running or "")
            assert (await again.end_of(job)).state is JobState.DONE
            assert len([path for path in again.output.rglob("*") if path.is_file()]) == 1
        await rig.end_of(job)
        shutil.rmtree(after)
