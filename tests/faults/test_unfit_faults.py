"""F62 of the fault list: servers that look like ComfyUI, and no job can be done there."""

from __future__ import annotations

import pytest

from orchestrator.core.models.job import JobState
from orchestrator.host.api.peer_actions import test_peer as try_peer
from tests.fakes.answers import redirect
from tests.fakes.comfyui import FakeComfyUI
from tests.fakes.waiting import until
from tests.faults.rig import Rig

SIGNED = "http://127.0.0.1:9/signed-view"


def reason(rig: Rig, name: str) -> str:
    return rig.master.runtime.manager.get_status(rig.ids[name]).reason


def nothing_is_left(peer: FakeComfyUI) -> bool:
    return peer.running is None and not peer.pending


async def restarted(rig: Rig, peer: FakeComfyUI, name: str) -> None:
    """So that it is looked at once more."""
    await peer.go_down()
    await until(lambda: rig.health(name) == "down", "it is down")
    await peer.come_back()


async def test_f62_a_server_with_ids_of_its_own_runs_each_job_once_at_most_and_it_is_ended(rig: Rig) -> None:
    rig.a.own_ids, rig.a.on_prompt = True, "hold"  # it would run for ever
    jobs = [await rig.submit() for _ in range(5)]
    assert {(await rig.end_of(job)).state for job in jobs} == {JobState.DONE}
    taken = [prompt.graph["1"]["inputs"]["color"] for prompt in rig.a.prompts]
    assert len(taken) == len(set(taken)) <= 2  # one that runs and one behind it, sent at once
    await until(lambda: nothing_is_left(rig.a), "what it took is ended there")
    assert rig.health("a") == "down"
    assert "gives prompts ids of its own" in reason(rig, "a")
    await rig.run()
    assert len(rig.a.prompts) == len(taken)


async def test_f62_a_stop_during_the_first_post_ends_what_a_server_took_under_its_own_id(rig: Rig) -> None:
    rig.b.answers["/prompt"] = rig.b.answers["/system_stats"] = redirect(SIGNED)
    await until(lambda: rig.health("b") != "up", "only the other one is left")
    rig.a.own_ids, rig.a.on_prompt = True, "hold"
    job = await rig.submit()
    await until(lambda: rig.a.prompts, "it arrived")
    await rig.master.runtime.jobs.cancel(job.id)
    assert (await rig.end_of(job)).state is JobState.CANCELLED
    await until(lambda: nothing_is_left(rig.a), "what it took is ended there")


async def test_f62_a_server_that_redirects_its_results_gets_no_prompt_at_all(rig: Rig) -> None:
    rig.a.answers["/view"] = redirect(SIGNED)
    await restarted(rig, rig.a, "a")
    await until(lambda: "sends us elsewhere for results" in reason(rig, "a"), "it is found out")
    assert (await rig.run()).state is JobState.DONE
    assert rig.health("a") == "down"
    assert not rig.a.prompts


@pytest.mark.parametrize("fault", ["own ids", "redirected view"])
async def test_f62_test_refuses_such_a_server_and_leaves_nothing_there(rig: Rig, fault: str) -> None:
    rig.a.own_ids = fault == "own ids"
    if fault == "redirected view":
        rig.a.answers["/view"] = redirect(SIGNED)
    found = await try_peer(rig.master.runtime, rig.ids["a"], tuple)
    assert not found["ok"]
    assert ("ids of its own" if rig.a.own_ids else "sends us elsewhere for results") in found["message"]
    await until(lambda: nothing_is_left(rig.a), "nothing runs there")
    assert len(rig.a.prompts) == 1


async def test_f62_a_server_that_was_mended_is_used_again_after_a_test(rig: Rig) -> None:
    rig.a.own_ids = True
    await rig.run()
    assert rig.health("a") == "down"
    rig.a.own_ids = False
    assert (await try_peer(rig.master.runtime, rig.ids["a"], tuple))["ok"]
    await until(lambda: rig.health("a") == "up", "it is used again")
