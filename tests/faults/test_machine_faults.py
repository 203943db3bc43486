"""F59 and F63 of the fault list: machines that fail what others can do, and jobs that fail everywhere."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.core.engine.faults.health import HealthPolicy
from orchestrator.core.engine.faults.retry import RetryPolicy
from orchestrator.core.models.job import Job, JobState, Source
from orchestrator.dispatch.interfaces import RanHere
from orchestrator.errors import GraphExecutionError, PeerExecutionError, PeerOutOfMemoryError
from tests.fakes.comfyui import FakeComfyUI
from tests.fakes.graphs import picture
from tests.fakes.master import RETRY, outcomes
from tests.fakes.waiting import until
from tests.faults.rig import Rig, standing

MISSING = {"exception_type": "ModuleNotFoundError", "exception_message": "No module named 'sageattention'"}
STRANGE = {"exception_type": "RuntimeError", "exception_message": "the moon is in the wrong house"}
MPS = {"exception_message": "MPS backend out of memory (MPS allocated: 18.1 GB, max allowed: 18.1 GB)."}


async def lost_on(rig: Rig, jobs: list[Job], name: str) -> int:
    """How many of the jobs lost an attempt on this peer, once all have ended."""
    ended = [await rig.end_of(job) for job in jobs]
    return sum(
        attempt.backend_id == rig.ids[name] and attempt.outcome != "done"
        for job in ended
        for attempt in job.attempts
    )


@pytest.mark.parametrize("words", [MISSING, STRANGE], ids=["known words", "unknown words"])
async def test_f59_a_machine_that_fails_what_the_other_can_do_rests_and_the_line_goes_elsewhere(
    rig: Rig, words: dict[str, Any]
) -> None:
    rig.a.on_prompt, rig.a.raises = "fail", words
    jobs = [await rig.submit() for _ in range(20)]
    assert await lost_on(rig, jobs, "a") <= 3
    assert {rig.master.job(job).state for job in jobs} == {JobState.DONE}
    status = rig.master.runtime.manager.get_status(rig.ids["a"])
    assert status.health.value == "ejected"
    assert "3 jobs in a row failed there" in status.reason
    assert words["exception_message"] in status.reason
    assert rig.health("b") == "up"


async def test_f59_a_machine_that_was_mended_is_used_again_after_its_rest(tmp_path: Path) -> None:
    health = HealthPolicy(poll_s=0.05, broken_s=0.3)
    async with standing(tmp_path, health=health) as rig:
        rig.a.on_prompt, rig.a.raises = "fail", MISSING
        for _ in range(3):
            await rig.run()
        assert rig.health("a") == "ejected"
        rig.a.on_prompt = "run"
        await until(lambda: rig.health("a") == "up", "its rest is over")
        assert (await rig.run()).attempts[0].backend_id == rig.ids["a"]
        assert rig.master.runtime.manager.get_status(rig.ids["a"]).conduct.failures == 0


async def test_f59_a_machine_that_is_still_broken_after_its_rest_loses_one_job_more_and_rests_longer(
    tmp_path: Path,
) -> None:
    health = HealthPolicy(poll_s=0.05, broken_s=0.3)
    async with standing(tmp_path, health=health) as rig:
        rig.a.on_prompt, rig.a.raises = "fail", MISSING
        for _ in range(3):
            await rig.run()
        await until(lambda: rig.health("a") == "up", "its rest is over")
        assert outcomes(await rig.run()) == ["peer_broken", "done"]
        status = rig.master.runtime.manager.get_status(rig.ids["a"])
        assert (status.health.value, status.conduct.ejections) == ("ejected", 2)


async def test_f59_jobs_that_fail_on_every_machine_make_none_of_them_rest(rig: Rig) -> None:
    rig.a.on_prompt = rig.b.on_prompt = "fail"
    jobs = [await rig.submit() for _ in range(10)]
    ended = [await rig.end_of(job) for job in jobs]
    assert {job.state for job in ended} == {JobState.FAILED}
    assert all(len(job.attempts) <= 2 for job in ended)
    await until(lambda: rig.health("a") == rig.health("b") == "up", "both are in use")


async def test_f59_a_broken_machine_without_another_one_fails_its_jobs_at_once_and_is_not_blamed(
    rig: Rig,
) -> None:
    await rig.master.runtime.peers.update(rig.ids["b"], {"enabled": False})
    rig.a.on_prompt, rig.a.raises = "fail", MISSING
    for _ in range(4):
        failed = await rig.run()
        assert (failed.state, outcomes(failed)) == (JobState.FAILED, ["peer_broken"])
        assert failed.error is not None and "No module named 'sageattention'" in failed.error["message"]
    assert rig.health("a") == "up"


async def test_f59_what_raised_after_long_work_is_not_run_again_to_see_whose_fault_it_was(
    tmp_path: Path,
) -> None:
    retry: RetryPolicy = replace(RETRY, confirm_within_s=0.0)
    async with standing(tmp_path, retry=retry) as rig:
        job = await rig.submit_to(rig.a)
        await until(lambda: rig.master.job(job).begun_at, "it has begun")
        await rig.a.fail(rig.a.running or "", **STRANGE)
        assert outcomes(await rig.end_of(job)) == ["execution_error"]
        assert rig.posts() == [1, 0]


async def test_f59_a_peer_that_misses_a_poll_is_waited_for_before_a_job_fails_for_good(
    tmp_path: Path,
) -> None:
    health = HealthPolicy(poll_s=0.05, timeout_s=0.2, down_after=1_000)
    async with standing(tmp_path, health=health) as rig:
        job = await rig.submit_to(rig.a)
        rig.b.freeze()
        await until(lambda: rig.health("b") == "suspect", "it missed a poll")
        await rig.a.fail(rig.master.prompt_id(job), **MISSING)
        await until(lambda: "answer is still due" in rig.master.job(job).explanation, "it is waited for")
        rig.b.thaw()
        assert outcomes(await rig.end_of(job)) == ["peer_broken", "done"]


async def test_f63_a_model_that_a_peer_may_not_load_is_loaded_elsewhere_and_the_peer_stays(rig: Rig) -> None:
    denied = {"exception_type": "gateway.ModelNotPermittedError", "exception_message": "not for this key"}
    rig.a.on_prompt, rig.a.raises = "fail", denied
    for _ in range(4):
        assert outcomes(await rig.run()) == ["not_permitted", "done"]
    assert rig.health("a") == "up"


async def out_of_memory(rig: Rig, peer: FakeComfyUI, job: Job) -> None:
    await peer.fail(await rig.master.running_on(peer, job), node_id="1", **MPS)


async def test_f03_memory_in_other_words_is_memory(rig: Rig) -> None:
    job = await rig.submit_to(rig.a, picture())
    await out_of_memory(rig, rig.a, job)
    assert outcomes(await rig.end_of(job)) == ["out_of_memory", "done"]
    assert rig.health("a") == "up"


async def test_f03_memory_of_the_machine_itself_says_nothing_of_graphics_cards(rig: Rig) -> None:
    rig.b.vram_total = 8 << 30
    await rig.master.runtime.peers.check(rig.ids["b"])
    job = await rig.submit_to(rig.a)
    paging = "The paging file is too small for this operation to complete. (os error 1455)"
    await rig.a.fail(rig.master.prompt_id(job), exception_type="OSError", exception_message=paging)
    assert outcomes(await rig.end_of(job)) == ["out_of_memory", "done"]


class OwnMachine:
    """The master as a place to run, which raises."""

    def __init__(self, error: PeerExecutionError) -> None:
        self.error, self.ran = error, 0

    def is_wanted(self) -> bool:
        return True

    def is_free(self) -> bool:
        return not self.ran

    def vitals(self) -> None:
        return None

    async def run(self, job: Job) -> RanHere:
        self.ran += 1
        raise self.error


@pytest.mark.parametrize(
    ("error", "attempts"),
    [
        (PeerOutOfMemoryError("too little"), ["out_of_memory", "done"]),
        (PeerExecutionError("it broke"), ["execution_error", "done"]),
        (GraphExecutionError("shapes"), ["graph_error"]),
    ],
)
async def test_what_raised_on_this_machine_is_tried_on_a_peer_too(
    rig: Rig, error: PeerExecutionError, attempts: list[str]
) -> None:
    rig.a.on_prompt = rig.b.on_prompt = "hold"
    busy = [await rig.submit() for _ in range(2)]
    await until(lambda: rig.a.running and rig.b.running, "both peers are at work")
    here = OwnMachine(error)
    rig.master.runtime.use_this_machine(here)
    rig.master.runtime.look_again()
    job = await rig.submit(source=Source.FLEET)
    await until(lambda: here.ran, "it is tried here")
    rig.a.on_prompt = rig.b.on_prompt = "run"
    for peer in (rig.a, rig.b):
        await peer.finish(peer.running or "")
    assert outcomes(await rig.end_of(job)) == attempts
    for one in busy:
        assert outcomes(await rig.end_of(one)) == ["done"]
