"""F60 of the fault list: a peer that runs a job and says nothing of it, slow or dead. And second copies."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from orchestrator.core.engine.faults.health import HealthPolicy
from orchestrator.core.engine.faults.silence import SilencePolicy
from orchestrator.core.models.job import Job, JobState
from orchestrator.errors import IllegalTransitionError
from tests.fakes.comfyui import FakeComfyUI
from tests.fakes.graphs import picture
from tests.fakes.master import outcomes, started
from tests.fakes.waiting import until
from tests.faults.rig import Rig, standing

SOON = SilencePolicy(silent_s=0.2, look_s=0.02)
HEALTH = HealthPolicy(poll_s=0.05, silent_after_s=0.5)


@asynccontextmanager
async def silent(home: Path) -> AsyncIterator[tuple[Rig, Job]]:
    """A job that runs on a, which says nothing of it any more."""
    async with standing(home, silence=SOON, health=HEALTH) as rig:
        graph = picture()
        graph["1"]["_meta"] = {"title": "Think long"}
        job = await rig.submit_to(rig.a, graph)
        await rig.a.send(rig.a.running or "", "executing", node="1", display_node="1")
        await until(lambda: rig.master.job(job).is_silent, "it is told")
        yield rig, job


@asynccontextmanager
async def copied(home: Path) -> AsyncIterator[tuple[Rig, Job]]:
    """A silent job that runs on both peers, because somebody asked for that."""
    async with silent(home) as (rig, job):
        rig.b.on_prompt = "hold"
        rig.master.runtime.copies.begin(rig.master.job(job))
        await until(lambda: rig.b.running, "a second copy runs")
        yield rig, job


async def test_f60_long_silent_work_is_done_once_and_what_waits_behind_it_goes_elsewhere(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with standing(tmp_path, silence=SOON, health=HEALTH) as rig:
        rig.b.on_prompt = "hold"
        job = await rig.submit_to(rig.a)
        busy = await rig.submit()
        await rig.master.running_on(rig.b, busy)
        behind = await rig.submit()
        await until(lambda: rig.a.pending or rig.b.pending, "one more waits behind them")
        await until(lambda: rig.health("a") == rig.health("b") == "zombie", "nothing moves")
        reason = rig.master.runtime.manager.get_status(rig.ids["a"]).reason
        assert reason == "No sign of work for 0 s. If none of its nodes is slow, restart ComfyUI there."
        rig.b.on_prompt = "run"
        await rig.b.finish(rig.b.running or "")
        assert (await rig.end_of(busy)).state is JobState.DONE
        end = await rig.end_of(behind)
        assert (end.state, end.backend_id) == (JobState.DONE, rig.ids["b"])
        new = await rig.run()
        assert (new.state, new.backend_id) == (JobState.DONE, rig.ids["b"])
        assert rig.master.job(job).is_silent
        await rig.a.finish(rig.a.running or "")
        assert outcomes(await rig.end_of(job)) == ["done"]
        assert len([prompt for prompt in rig.a.prompts if prompt.id == rig.master.prompt_id(job)]) == 1
        await until(lambda: rig.health("a") == "up", "it is used again")
        status = rig.master.runtime.manager.get_status(rig.ids["a"])
        assert (status.conduct.failures, status.conduct.ejections) == (0, 0)
    await rig.check_afterwards(caplog.text)


async def test_a_job_that_waits_on_its_peer_when_the_master_restarts_is_not_silent(
    tmp_path: Path,
) -> None:
    async with FakeComfyUI() as fake:
        fake.on_prompt = "hold"
        async with started(tmp_path) as master:
            await master.add("gpu", fake)
            job, behind = await master.submit(picture()), await master.submit(picture())
            await until(lambda: fake.running and fake.pending, "one runs, one waits")
        async with started(tmp_path, silence=SOON) as master:
            await until(lambda: master.job(job).is_silent, "nothing is heard of the one that runs")
            assert not master.job(behind).is_silent


async def test_f60_a_silent_job_names_the_node_it_is_at_until_it_is_heard_again(tmp_path: Path) -> None:
    async with silent(tmp_path) as (rig, job):
        told = rig.master.job(job).progress_text
        assert told.startswith('"Think long" (EmptyImage, node 1) has shown no sign of work on a for')
        assert rig.posts() == [1, 0]
        await rig.a.send(rig.a.running or "", "executing", node="2", display_node="2")
        await until(lambda: not rig.master.job(job).is_silent, "it is heard")
        assert rig.master.job(job).progress_text == "at work on a"
        await until(lambda: rig.master.job(job).is_silent, "it is silent again")
        assert "node 2" in rig.master.job(job).progress_text
        await rig.a.finish(rig.a.running or "")
        assert outcomes(await rig.end_of(job)) == ["done"]


async def test_f60_a_silent_job_that_its_peer_no_longer_knows_is_lost_as_ever(tmp_path: Path) -> None:
    async with silent(tmp_path) as (rig, job):
        rig.a.forget()
        end = await rig.end_of(job)
        assert (end.state, outcomes(end), end.backend_id) == (JobState.DONE, ["lost", "done"], rig.ids["b"])


async def test_the_second_copy_that_somebody_asked_for_is_delivered_and_the_first_one_cancelled(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with copied(tmp_path) as (rig, job):
        assert "second copy on b" in rig.master.job(job).progress_text
        await rig.b.finish(rig.b.running or "")
        end = await rig.end_of(job)
        assert (end.state, end.backend_id) == (JobState.DONE, rig.ids["b"])
        assert outcomes(end) == ["overtaken", "done"]
        assert "because a second copy was asked for" in end.explanation
        await until(lambda: rig.a.running is None, "the first copy is cancelled")
        assert rig.posts() == [1, 1]
    await rig.check_afterwards(caplog.text)


async def test_a_first_copy_that_was_only_slow_is_delivered_and_the_second_one_cancelled(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with copied(tmp_path) as (rig, job):
        await rig.a.finish(rig.a.running or "")
        end = await rig.end_of(job)
        assert (end.state, end.backend_id) == (JobState.DONE, rig.ids["a"])
        assert outcomes(end) == ["overtaken", "done"]
        await until(lambda: rig.b.running is None, "the second copy is cancelled")
    await rig.check_afterwards(caplog.text)


async def test_copies_that_are_done_at_the_same_time_are_delivered_once(tmp_path: Path) -> None:
    async with copied(tmp_path) as (rig, job):
        await asyncio.gather(*(peer.finish(peer.running or "") for peer in (rig.a, rig.b)))
        end = await rig.end_of(job)
        assert (end.state, sorted(outcomes(end))) == (JobState.DONE, ["done", "overtaken"])


async def test_when_one_copy_fails_the_other_goes_on(tmp_path: Path) -> None:
    for failing in "ab":
        home = tmp_path / failing
        home.mkdir()
        async with copied(home) as (rig, job):
            broken, good = (rig.a, rig.b) if failing == "a" else (rig.b, rig.a)
            there = good.running
            await broken.go_down()
            await until(lambda: rig.health(failing) == "down", "it is down")  # noqa: B023
            assert good.running == there
            await good.finish(there or "")
            assert (await rig.end_of(job)).state is JobState.DONE
            assert len(good.prompts) == 1


async def test_a_job_that_is_ended_by_its_user_ends_on_both_peers(tmp_path: Path) -> None:
    async with copied(tmp_path) as (rig, job):
        await rig.master.runtime.jobs.cancel(job.id)
        assert rig.master.job(job).state is JobState.CANCELLED
        assert outcomes(rig.master.job(job)) == ["cancelled", "cancelled"]
        await until(lambda: not rig.a.running and not rig.b.running, "nothing runs on")


async def test_without_another_peer_the_copy_is_not_made_and_can_be_asked_for_again(tmp_path: Path) -> None:
    async with silent(tmp_path) as (rig, job):
        await rig.b.go_down()
        await until(lambda: rig.health("b") == "down", "b is down")
        rig.master.runtime.copies.begin(rig.master.job(job))
        with pytest.raises(IllegalTransitionError, match="has a second copy already"):
            rig.master.runtime.copies.begin(rig.master.job(job))
        await rig.a.finish(rig.a.running or "")
        assert outcomes(await rig.end_of(job)) == ["done"]
        with pytest.raises(IllegalTransitionError, match="not at work on a peer"):
            rig.master.runtime.copies.begin(rig.master.job(job))


async def test_a_pinned_job_gets_its_second_copy_elsewhere(tmp_path: Path) -> None:
    async with standing(tmp_path, silence=SOON) as rig:
        rig.a.on_prompt = "hold"
        job = await rig.submit(peer="a")
        await rig.master.running_on(rig.a, job)
        rig.master.runtime.copies.begin(rig.master.job(job))
        end = await rig.end_of(job)
        assert (end.state, end.backend_id) == (JobState.DONE, rig.ids["b"])


async def test_after_a_sudden_death_the_first_copy_is_followed_and_the_second_one_cancelled(
    tmp_path: Path,
) -> None:
    async with copied(tmp_path) as (rig, job):
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
