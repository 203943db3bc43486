"""F01-F11 of the fault list, on scripted peers: what a peer can do to a job, and what becomes of it."""

from __future__ import annotations

import asyncio

from orchestrator.core.models.job import Job, JobState
from tests.fakes.answers import value_not_in_list
from tests.fakes.comfyui import FakeComfyUI
from tests.fakes.graphs import picture, stock_classes
from tests.fakes.master import outcomes
from tests.fakes.waiting import until
from tests.faults.rig import Rig


async def test_f01_a_peer_that_crashes_with_the_job_is_replaced_and_comes_back(rig: Rig) -> None:
    job = await rig.submit_to(rig.a)
    await rig.a.go_down()
    done = await rig.end_of(job)
    assert (done.state, outcomes(done)) == (JobState.DONE, ["peer_died", "done"])
    rig.a.on_prompt = "run"
    await rig.a.come_back()
    await until(lambda: rig.health("a") == "up", "it is used again")


async def test_f01_a_peer_that_comes_back_gets_one_job_at_a_time_until_one_ended_well(rig: Rig) -> None:
    await rig.master.runtime.peers.update(rig.ids["b"], {"enabled": False})
    await rig.a.go_down()
    await until(lambda: rig.health("a") == "down", "it is down")
    rig.a.on_prompt = "hold"
    asked = len(rig.a.requests)
    await rig.a.come_back()
    jobs = [await rig.submit() for _ in range(4)]
    await until(lambda: rig.a.running, "the first one runs")
    before = [f"{seen.method} {seen.path}" for seen in rig.a.requests[asked:]]
    assert before[: before.index("POST /prompt")].count("GET /system_stats") >= 2
    polls = len(rig.a.asked("/system_stats"))
    await until(lambda: len(rig.a.asked("/system_stats")) > polls + 3, "it was asked again and again")
    assert (rig.posts()[0], rig.a.pending) == (1, [])
    await rig.a.finish(rig.a.running or "")
    await until(lambda: rig.a.pending, "now one more waits there")
    rig.a.on_prompt = "run"
    await rig.a.finish(rig.a.running or "")
    assert [(await rig.end_of(job)).state for job in jobs] == [JobState.DONE] * 4


async def test_f05_a_model_that_a_peer_no_longer_has_is_looked_for_elsewhere(rig: Rig) -> None:
    loader = {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "base.safetensors"}}
    graph = {**picture(), "3": loader}
    without = stock_classes()
    without["CheckpointLoaderSimple"]["input"]["required"]["ckpt_name"] = [["other.safetensors"]]
    rig.a.object_info = without  # its list was read before
    rig.a.on_prompt, rig.a.refusal = "refuse", value_not_in_list("3", graph)
    lists_read = len(rig.a.asked("/object_info"))
    done = await rig.run(graph)
    assert (done.state, outcomes(done), rig.posts()) == (JobState.DONE, ["prompt_refused", "done"], [1, 1])
    await until(lambda: len(rig.a.asked("/object_info")) > lists_read, "its list is read again")
    await until(lambda: rig.master.runtime.manager.get_object_info(rig.ids["a"]), "the new list is known")
    assert outcomes(await rig.run(graph)) == ["done"]
    assert rig.posts() == [1, 2]


async def set_aside(rig: Rig) -> Job:
    """A job that took both peers down."""
    job = await rig.submit_to(rig.a)
    rig.b.on_prompt = "hold"
    await rig.a.go_down()
    await rig.master.running_on(rig.b, job)
    await rig.b.go_down()
    return await rig.end_of(job)


async def test_f01_a_job_that_takes_a_second_peer_down_is_set_aside_and_names_both(rig: Rig) -> None:
    ended = await set_aside(rig)
    assert (ended.state, outcomes(ended)) == (JobState.SET_ASIDE, ["peer_died", "peer_died"])
    assert ended.error is not None and "a and b went away while running this job" in ended.error["message"]


async def test_f01_a_job_that_was_set_aside_can_be_run_again(rig: Rig) -> None:
    job = await set_aside(rig)
    rig.b.on_prompt = "run"
    await rig.b.come_back()
    again = await rig.master.runtime.jobs.retry(job.id)
    rig.accepted.append(again)
    assert (await rig.end_of(again)).state is JobState.DONE


async def out_of_memory(rig: Rig, peer: FakeComfyUI, prompt_id: str) -> None:
    await peer.fail(prompt_id, node_id="1", exception_type="torch.OutOfMemoryError")


async def test_f03_too_little_memory_everywhere_frees_the_roomiest_and_then_names_the_node(rig: Rig) -> None:
    rig.b.on_prompt = "hold"
    graph = picture()
    graph["1"]["_meta"] = {"title": "Upscale it"}
    job = await rig.submit_to(rig.a, graph)
    await out_of_memory(rig, rig.a, rig.master.prompt_id(job))
    await out_of_memory(rig, rig.b, await rig.master.running_on(rig.b, job))
    await until(lambda: len(rig.a.asked("/free")) + len(rig.b.asked("/free")) == 1, "one is asked to free it")
    freed = rig.a if rig.a.asked("/free") else rig.b
    await until(lambda: len(freed.prompts) == 2, "it is tried once more there")
    await out_of_memory(rig, freed, await rig.master.running_on(freed, job))
    failed = await rig.end_of(job)
    assert (failed.state, outcomes(failed)) == (JobState.FAILED, ["out_of_memory"] * 3)
    assert failed.error is not None and failed.error["node_id"] == "1"
    assert 'ran out of memory at "Upscale it" (EmptyImage, node 1)' in failed.error["message"]
    assert (rig.health("a"), rig.health("b")) == ("up", "up")


async def test_f03_a_peer_with_less_memory_is_not_tried(rig: Rig) -> None:
    rig.b.vram_total = 8 << 30
    await rig.master.runtime.peers.check(rig.ids["b"])
    job = await rig.submit_to(rig.a)
    await out_of_memory(rig, rig.a, rig.master.prompt_id(job))
    await until(lambda: len(rig.a.prompts) == 2, "it is tried once more on a")
    await rig.a.finish(await rig.master.running_on(rig.a, job))
    assert ((await rig.end_of(job)).state, rig.posts()) == (JobState.DONE, [2, 0])


async def test_f04_a_class_that_nobody_has_is_refused_by_name_without_a_post(rig: Rig) -> None:
    ended = await asyncio.wait_for(rig.run(picture(made_by="TheirNode")), 2.0)
    assert (ended.state, rig.posts()) == (JobState.FAILED, [0, 0])
    assert ended.error is not None and "TheirNode" in ended.error["message"]


async def test_f04_a_class_that_a_stale_list_promised_costs_one_post(rig: Rig) -> None:
    for peer in (rig.a, rig.b):
        peer.object_info, peer.version = stock_classes("TheirNode"), "0.4.0"
    await asyncio.gather(*(rig.master.runtime.peers.check(rig.ids[name]) for name in "ab"))
    rig.a.object_info = stock_classes()  # its list was read before
    done = await rig.run(picture(made_by="TheirNode"))
    assert (done.state, len(rig.a.asked("/prompt"))) == (JobState.DONE, 1)
    assert (outcomes(done), rig.health("a")) == (["prompt_refused", "done"], "up")


async def test_f04_a_class_that_one_peer_has_takes_the_job_there(rig: Rig) -> None:
    rig.b.object_info, rig.b.version = stock_classes("TheirNode"), "0.4.0"
    await rig.master.runtime.peers.check(rig.ids["b"])
    done = await rig.run(picture(made_by="TheirNode"))
    assert (done.state, rig.posts()) == (JobState.DONE, [0, 1])


async def test_f06_a_job_that_is_interrupted_there_goes_elsewhere_when_the_user_wants_that(rig: Rig) -> None:
    await rig.master.runtime.change_settings({"retry_interrupted": True})
    job = await rig.submit_to(rig.a)
    await rig.a.interrupt()
    done = await rig.end_of(job)
    assert (done.state, outcomes(done)) == (JobState.DONE, ["interrupted_on_peer", "done"])
    assert rig.health("a") == "up"


async def test_f06_and_ends_with_a_reason_when_not(rig: Rig) -> None:
    job = await rig.submit_to(rig.a)
    await rig.a.interrupt()
    ended = await rig.end_of(job)
    assert (ended.state, rig.posts()) == (JobState.FAILED, [1, 0])
    assert ended.error is not None and "interrupted on a" in ended.error["message"]


async def test_f07_a_cleared_queue_and_history_run_it_once_more(rig: Rig) -> None:
    job = await rig.submit_to(rig.a)
    rig.a.forget()
    done = await rig.end_of(job)
    assert (done.state, outcomes(done), rig.posts()) == (JobState.DONE, ["lost", "done"], [1, 1])


async def test_f11_a_draining_peer_ends_what_runs_and_what_waits_there_moves_once(rig: Rig) -> None:
    rig.a.on_prompt = rig.b.on_prompt = "hold"
    jobs = [await rig.submit() for _ in range(4)]
    await until(lambda: len(rig.a.pending) + len(rig.b.pending) == 2, "one waits behind the one that runs")
    await rig.master.runtime.peers.update(rig.ids["a"], {"draining": True})
    rig.a.on_prompt = rig.b.on_prompt = "run"
    posted = len(rig.a.asked("/prompt"))
    assert rig.a.running and rig.b.running
    await rig.b.finish(rig.b.running)
    await until(lambda: not rig.a.pending, "the waiting one was taken back")
    await rig.a.finish(rig.a.running)
    ended = [await rig.end_of(job) for job in jobs]
    assert [job.state for job in ended] == [JobState.DONE] * 4
    assert len(rig.a.asked("/prompt")) == posted
    assert sorted(len(job.attempts) for job in ended) == [1, 1, 1, 2]
