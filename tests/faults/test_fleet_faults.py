"""F02 and F15 of the fault list: a peer that answers and never works, a fleet that is cut off as a whole."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.core.engine.faults.health import HealthPolicy
from orchestrator.core.engine.faults.retry import RetryPolicy
from orchestrator.core.engine.faults.retry_tokens import BudgetPolicy
from orchestrator.core.models.job import JobState
from orchestrator.dispatch.attempts.remote_prompt import FollowPolicy
from tests.fakes.master import FOLLOW, outcomes
from tests.fakes.proxy import Proxy
from tests.fakes.waiting import until
from tests.faults.rig import KEY, standing


async def test_f02_a_peer_that_answers_and_never_works_gets_no_more_jobs_and_gives_back_what_waits(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    health = HealthPolicy(poll_s=0.05, silent_after_s=2.0)
    async with standing(tmp_path, health=health) as rig:
        rig.a.on_prompt = rig.b.on_prompt = "hold"
        stuck, good = await rig.submit(), await rig.submit()
        await until(lambda: rig.a.running and rig.b.running, "one runs on each")
        behind = await rig.submit(peer="")
        rig.b.on_prompt = "run"
        await rig.b.finish(rig.b.running or "")
        assert (await rig.end_of(good)).state is JobState.DONE
        assert (await rig.end_of(behind)).state is JobState.DONE
        await until(lambda: rig.health("a") == "zombie", "it is seen that nothing moves there")
        reason = rig.master.runtime.manager.get_status(rig.ids["a"]).reason
        assert "restart ComfyUI there" in reason
        assert (await rig.run()).attempts[0].backend_id == rig.ids["b"]
        await rig.a.go_down()
        assert (await rig.end_of(stuck)).state is JobState.DONE
    await rig.check_afterwards(caplog.text)


async def test_f15_a_fleet_that_is_cut_off_holds_the_line_and_no_job_fails(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    health, follow = HealthPolicy(poll_s=0.02, timeout_s=0.2), replace(FOLLOW, suspect_s=1.0)
    async with standing(tmp_path, health=health, follow=follow) as rig:
        rig.a.on_prompt = rig.b.on_prompt = "hold"
        there = [await rig.submit(wait_for_peer=turn % 2 == 0) for turn in range(4)]
        for job in there:
            await until(lambda: rig.master.prompt_id(job), "it is on its way")  # noqa: B023
            lookups = f"/history/{rig.master.prompt_id(job)}"
            await until(lambda: rig.a.asked(lookups) or rig.b.asked(lookups), "it is followed")  # noqa: B023
        waiting = await rig.submit()
        rig.a.freeze()
        rig.b.freeze()
        await until(lambda: "lost at once" in rig.master.job(waiting).explanation, "the line is held")
        await until(lambda: all(outcomes(rig.master.job(job))[:1] == ["outage"] for job in there), "lost")
        impatient = await rig.run(wait_for_peer=False)
        assert (impatient.state, impatient.attempts) == (JobState.FAILED, ())
        assert "No peer can run this" in (impatient.error or {})["message"]
        rig.a.on_prompt = rig.b.on_prompt = "run"
        rig.a.thaw()
        rig.b.thaw()
        for peer in (rig.a, rig.b):  # what runs there goes on
            await peer.finish(peer.running or "")
        ended = [await rig.end_of(job) for job in (*there, waiting)]
        assert [job.state for job in ended] == [JobState.DONE] * 5
        assert len(rig.a.prompts) + len(rig.b.prompts) <= 5 + 2
    await rig.check_afterwards(caplog.text)


@pytest.mark.long
async def test_f15_a_minute_without_any_peer_fails_no_job(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    policies = {"health": HealthPolicy(), "follow": FollowPolicy(), "retry": RetryPolicy()}
    async with standing(tmp_path, **policies) as rig, Proxy(rig.a.port) as to_a, Proxy(rig.b.port) as to_b:
        manager = rig.master.runtime.manager
        credentials = {"header": KEY[0], "value": KEY[1]}
        ways = [
            await rig.master.add(name, proxy.url, credentials=credentials)
            for name, proxy in (("far-a", to_a), ("far-b", to_b))
        ]
        for name in "ab":  # the direct ways, which nothing cuts
            await rig.master.runtime.peers.update(rig.ids[name], {"enabled": False})
        await until(lambda: all(manager.get_status(way).health.value == "up" for way in ways), "both are up")
        rig.a.on_prompt = rig.b.on_prompt = "hold"
        jobs = [await rig.submit() for _ in range(8)]
        await until(lambda: rig.a.pending and rig.b.pending, "both have their hands full")
        to_a.passing.clear()
        to_b.passing.clear()
        waiting = rig.master.job(jobs[-1])
        await until(lambda: "lost at once" in rig.master.job(waiting).explanation, "it is held", 45.0)
        await asyncio.sleep(60.0)  # how long it lasts is what is tried
        assert {rig.master.job(job).state for job in jobs} <= {JobState.WAITING, JobState.RUNNING}
        rig.a.on_prompt = rig.b.on_prompt = "run"
        to_a.passing.set()
        to_b.passing.set()
        for peer in (rig.a, rig.b):
            if peer.running:
                await peer.finish(peer.running)
        for job in jobs:
            await asyncio.wait_for(rig.master.runtime.jobs.wait(job.id), 120.0)
        assert {rig.master.job(job).state for job in jobs} == {JobState.DONE}
        extra = len(rig.a.prompts) + len(rig.b.prompts) - len(jobs)
        print(f"F15: {extra} executions beyond the first")
        assert extra <= len(jobs)
    await rig.check_afterwards(caplog.text)


async def test_a_peer_that_fails_job_after_job_rests_and_the_others_go_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    health = HealthPolicy(poll_s=0.05, broken_s=4.0)
    async with standing(tmp_path, health=health) as rig:
        rig.a.on_prompt = "error"
        ended = [await rig.run() for _ in range(3)]
        assert [outcomes(job) for job in ended] == [["refused", "done"]] * 3
        assert rig.health("a") == "ejected"
        assert outcomes(await rig.run()) == ["done"]
        rig.a.on_prompt = "run"
        await until(lambda: rig.health("a") == "up", "it is used again after its rest")
        assert (await rig.run()).attempts[0].backend_id == rig.ids["a"]
    await rig.check_afterwards(caplog.text)


async def test_when_many_jobs_fail_retries_wait_until_the_fleet_can_afford_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    budget = BudgetPolicy(per_job=0.25, reserve=1.0, per_s=1e-6)
    async with standing(tmp_path, retry=RetryPolicy(backoff_s=0.02, budget=budget)) as rig:
        rig.a.on_prompt = "error"
        first = await rig.run()
        assert (first.state, len(first.attempts)) == (JobState.DONE, 2)
        second = await rig.submit()
        await until(lambda: "slowed down" in rig.master.job(second).explanation, "it waits for its retry")
        assert (rig.master.job(second).state, rig.posts()) == (JobState.WAITING, [2, 1])
        for _ in range(2):  # what goes well pays for it
            assert (await rig.run(peer="b")).state is JobState.DONE
        assert (await rig.end_of(second)).state is JobState.DONE
    await rig.check_afterwards(caplog.text)
