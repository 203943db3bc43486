"""Several jobs at once, jobs on hold, and waiting jobs that get another graph, behind a real socket."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.api import Host
from tests.fakes.comfyui import FakeComfyUI
from tests.fakes.graphs import picture
from tests.fakes.master import started
from tests.fakes.waiting import until, until_told

ACTIONS = "/orchestrator/jobs/actions"


@pytest.fixture
async def peer(host: Host, peer: FakeComfyUI) -> FakeComfyUI:
    """It runs one job, has one more, and ends none."""
    peer.on_prompt = "hold"
    await host.ask("POST", "/orchestrator/peers", {"name": "gpu", "url": peer.url})
    return peer


async def submitted(host: Host, count: int, **body: Any) -> list[str]:
    request = {"prompt": picture(), "count": count, **body}
    status, answer = await host.ask("POST", "/orchestrator/jobs", request)
    assert status == 202, answer
    return list(answer["job_ids"])


async def act(host: Host, action: str, job_ids: list[str] = [], **body: Any) -> dict[str, Any]:  # noqa: B006
    status, answer = await host.ask("POST", ACTIONS, {"action": action, "job_ids": job_ids, **body})
    assert status == 200, answer
    return dict(answer)


async def job(host: Host, job_id: str) -> dict[str, Any]:
    return dict((await host.ask("GET", f"/orchestrator/jobs/{job_id}"))[1])


async def line(host: Host) -> list[str]:
    return list((await host.ask("GET", "/orchestrator/jobs?only=line"))[1]["line"])


async def reaches(host: Host, job_id: str, state: str) -> None:
    async def is_there() -> bool:
        return bool((await job(host, job_id))["state"] == state)

    await until_told(is_there, f"{job_id} is {state}")


async def on_hold(host: Host, count: int = 4) -> list[str]:
    """Jobs that wait, all on hold."""
    await host.ask("PATCH", "/orchestrator/settings", {"paused": True})
    ids = await submitted(host, count)
    await act(host, "hold", ids)
    await host.ask("PATCH", "/orchestrator/settings", {"paused": False})
    return ids


async def failed_batch(host: Host, peer: FakeComfyUI) -> str:
    """The id of a batch of two that failed; what is repeated of it runs."""
    peer.on_prompt = "fail"
    ids = await submitted(host, 2)
    for each in ids:
        await reaches(host, each, "failed")
    peer.on_prompt = "hold"
    return str((await job(host, ids[0]))["batch"]["id"])


def graphs(peer: FakeComfyUI) -> list[Any]:
    return [prompt.graph["1"]["inputs"]["color"] for prompt in peer.prompts]


async def test_a_job_on_hold_is_not_started_and_keeps_its_place(host: Host, peer: FakeComfyUI) -> None:
    ids = await on_hold(host, 3)
    later = await submitted(host, 1)
    await until(lambda: len(peer.prompts) == 1, "the one behind them runs")
    assert await line(host) == ids
    held = await job(host, ids[0])
    assert held["held"] and held["explanation"] == "on hold until you resume it"
    await act(host, "cancel", later)
    assert set((await act(host, "release", ids))["done"]) == set(ids)
    await until(lambda: len(peer.prompts) > 1, "they go on")
    assert not (await job(host, ids[0]))["held"]


async def test_a_hold_outlives_a_restart(tmp_path: Path) -> None:
    async with started(tmp_path) as master:
        kept = await master.submit(picture())
        await master.runtime.queue.hold(kept.id, True)
    async with started(tmp_path) as master:
        assert (await master.runtime.jobs.get(kept.id)).request.held


async def test_a_job_that_its_peer_has_not_begun_comes_back_to_be_held(host: Host, peer: FakeComfyUI) -> None:
    ids = await submitted(host, 2)
    await until(lambda: len(peer.prompts) == 2, "the second one waits on the peer")
    answer = await act(host, "hold", [ids[1]])
    assert answer["done"] == [ids[1]]
    await until(lambda: not peer.pending, "the peer has it no more")
    assert await line(host) == [ids[1]]


async def test_what_came_too_late_is_told_for_each(host: Host, peer: FakeComfyUI) -> None:
    ids = await submitted(host, 1)
    await until(lambda: len(peer.prompts) == 1, "it runs")
    await reaches(host, ids[0], "running")
    assert await act(host, "hold", ids) == {"done": [], "new": [], "refused": []}
    status, answer = await host.ask("POST", ACTIONS, {"action": "hold", "job_ids": ["nobody"]})
    assert (status, answer["message"]) == (404, "There is no job nobody.")
    status, answer = await host.ask("POST", ACTIONS, {"action": "hold"})
    assert (status, answer["message"]) == (400, 'Give "job_ids" or "batch".')


async def test_several_go_to_the_front_and_to_the_end_in_their_order(host: Host, peer: FakeComfyUI) -> None:
    ids = await on_hold(host)
    await act(host, "first", [ids[2], ids[3]])
    assert await line(host) == [ids[2], ids[3], ids[0], ids[1]]
    await act(host, "last", [ids[3], ids[2]])
    assert await line(host) == [ids[0], ids[1], ids[3], ids[2]]


async def test_a_batch_is_pinned_and_cancelled_as_one(host: Host, peer: FakeComfyUI) -> None:
    ids = await on_hold(host)
    other = await submitted(host, 1)
    batch = (await job(host, ids[0]))["batch"]["id"]
    await act(host, "pin", batch=batch, peer="gpu")
    assert {(await job(host, each))["pinned_to"] for each in ids} == {"gpu"}
    assert set((await act(host, "cancel", batch=batch))["done"]) == set(ids)
    assert {(await job(host, each))["state"] for each in ids} == {"cancelled"}
    assert (await job(host, other[0]))["state"] in ("waiting", "running")


async def test_what_failed_of_a_batch_is_tried_once_more(host: Host, peer: FakeComfyUI) -> None:
    batch = await failed_batch(host, peer)
    new = (await act(host, "retry", batch=batch))["new"]
    assert len(new) == 2
    assert (await job(host, new[0]))["batch"]["id"] == batch
    assert (await act(host, "retry", batch=batch))["new"] == []


async def test_a_waiting_job_runs_the_graph_it_was_given_later_in_its_place(
    host: Host, peer: FakeComfyUI
) -> None:
    ids = await on_hold(host, 2)
    workflow = {"nodes": [], "id": "edited"}
    body = {"prompt": picture(7), "workflow": workflow, "name": "portrait"}
    status, edited = await host.ask("POST", f"/orchestrator/jobs/{ids[0]}/edit", body)
    assert (status, edited["job_id"], edited["held"], edited["title"]) == (200, ids[0], False, "portrait")
    await until(lambda: len(peer.prompts) == 1, "it runs")
    assert graphs(peer) == [picture(7)["1"]["inputs"]["color"]]
    assert (await host.ask("GET", f"/orchestrator/jobs/{ids[0]}/graph"))[1]["workflow"] == workflow


async def test_a_batch_is_edited_as_one_and_each_job_keeps_its_own_value(
    host: Host, peer: FakeComfyUI
) -> None:
    await host.ask("PATCH", "/orchestrator/settings", {"paused": True})
    body = {"prompt": picture(1), "variations": [{"1.color": color} for color in (1, 2, 3)]}
    ids = (await host.ask("POST", "/orchestrator/jobs", body))[1]["job_ids"]
    await act(host, "hold", ids)
    await host.ask("PATCH", "/orchestrator/settings", {"paused": False})
    shown = (await host.ask("GET", f"/orchestrator/jobs/{ids[1]}/graph"))[1]["prompt"]
    assert shown["1"]["inputs"]["color"] == 2, "what is opened is what the job would have run"
    shown["1"]["inputs"]["width"] = 24
    edit = {"prompt": shown, "name": "portrait", "also": [ids[0], ids[2]]}
    assert (await host.ask("POST", f"/orchestrator/jobs/{ids[1]}/edit", edit))[0] == 200
    assert [(await job(host, each))["held"] for each in ids] == [False] * 3
    for place in range(3):
        await until(lambda place=place: len(peer.prompts) > place, "the next one is there")
        await until(lambda: peer.running, "it runs")
        await peer.finish(peer.running)
    sent = [prompt.graph["1"]["inputs"] for prompt in peer.prompts]
    assert [(each["color"], each["width"]) for each in sent] == [(1, 24), (2, 24), (3, 24)]


async def test_those_of_a_batch_that_cannot_be_edited_are_told_and_the_others_are(
    host: Host, peer: FakeComfyUI
) -> None:
    ids = await on_hold(host, 2)
    await host.ask("PATCH", "/orchestrator/settings", {"paused": True})
    other = await submitted(host, 1, prompt={**picture(), "9": picture()["1"]})
    await act(host, "hold", other)
    await host.ask("PATCH", "/orchestrator/settings", {"paused": False})
    body = {"prompt": picture(7), "also": [*ids[1:], *other, "unknown"]}
    status, answer = await host.ask("POST", f"/orchestrator/jobs/{ids[0]}/edit", body)
    assert status == 200, answer
    assert [each["job_id"] for each in answer["refused"]] == other
    assert "has another workflow" in answer["refused"][0]["message"]
    assert (await job(host, other[0]))["held"]
    for each in ids:
        shown = await host.ask("GET", f"/orchestrator/jobs/{each}/graph")
        assert shown[1]["prompt"]["1"]["inputs"]["color"] == 7


async def test_what_a_job_was_to_run_is_told_whole_and_edited_whole(host: Host, peer: FakeComfyUI) -> None:
    """A picture in a text, as some packs have it: cut off, it would be sent like that after an edit."""
    long, number = "A" * 150_000, 2**70
    graph = picture()
    graph["1"]["inputs"].update(picture=long, large=number)
    workflow = {"nodes": [{"id": 1, "type": "EmptyImage", "widgets_values": [long]}]}
    await host.ask("PATCH", "/orchestrator/settings", {"paused": True})
    ids = await submitted(host, 1, prompt=graph, metadata={"workflow": workflow})
    told = (await host.ask("GET", f"/orchestrator/jobs/{ids[0]}/graph"))[1]
    inputs = told["prompt"]["1"]["inputs"]
    assert (inputs["picture"], inputs["large"]) == (long, number)
    assert told["workflow"] == workflow
    assert (await host.ask("POST", f"/orchestrator/jobs/{ids[0]}/edit", told))[0] == 200
    await host.ask("PATCH", "/orchestrator/settings", {"paused": False})
    await until(lambda: peer.prompts, "it runs")
    assert peer.prompts[0].graph["1"]["inputs"]["picture"] == long


async def test_a_graph_of_many_long_lists_is_told_with_all_its_parameters(
    host: Host, peer: FakeComfyUI
) -> None:
    names = [f"{number}.safetensors" for number in range(3000)]
    loader = {"input": {"required": {"ckpt_name": [names]}}, "output": ["MODEL", "CLIP", "VAE"]}
    peer.object_info["CheckpointLoaderSimple"] = {**loader, "python_module": "nodes"}
    [config] = host.runtime.manager.all()
    host.runtime.manager.forget_object_info(config.id)
    await host.ask("POST", f"/orchestrator/peers/{config.id}/check", {})
    node = {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": names[0]}}
    prompt = {str(number): node for number in range(80)}
    told = (await host.ask("POST", "/orchestrator/inspect", {"prompt": prompt}))[1]["parameters"]
    assert [len(parameter["choices"]) for parameter in told] == [3000] * 80


async def test_a_node_without_inputs_is_judged_like_any_other(host: Host, peer: FakeComfyUI) -> None:
    ids = await on_hold(host, 1)
    bare = {**picture(), "1": {"class_type": "EmptyImage"}}
    status, answer = await host.ask("POST", f"/orchestrator/jobs/{ids[0]}/edit", {"prompt": bare})
    assert status == 400 and "Required input is missing: width" in answer["message"]
    assert (await job(host, ids[0]))["held"]


async def test_two_pages_that_repeat_a_batch_at_once_repeat_it_once(host: Host, peer: FakeComfyUI) -> None:
    batch = await failed_batch(host, peer)
    found = await asyncio.gather(*(act(host, "retry", batch=batch) for _ in range(2)))
    assert sorted(len(answer["new"]) for answer in found) == [0, 2]


async def test_an_output_of_endless_digits_is_not_there(host: Host, peer: FakeComfyUI) -> None:
    ids = await on_hold(host, 1)
    status, answer = await host.ask("GET", f"/orchestrator/jobs/{ids[0]}/outputs/{'9' * 5000}")
    assert (status, answer["error"]) == (404, "not_found")


async def test_what_no_peer_could_run_is_refused_and_the_job_stays_as_it_was(
    host: Host, peer: FakeComfyUI
) -> None:
    ids = await on_hold(host, 1)
    odd = {"1": {"class_type": "NobodyHasIt", "inputs": {}}}
    status, answer = await host.ask("POST", f"/orchestrator/jobs/{ids[0]}/edit", {"prompt": odd})
    assert status == 400 and "NobodyHasIt" in answer["message"]
    assert (await job(host, ids[0]))["held"]
    assert (await host.ask("GET", f"/orchestrator/jobs/{ids[0]}/graph"))[1]["prompt"] == picture()


async def test_a_move_that_is_refused_pins_nothing(host: Host, peer: FakeComfyUI) -> None:
    ids = await on_hold(host, 1)
    body = {"peer": "gpu", "before": "nothing"}
    assert (await host.ask("POST", f"/orchestrator/jobs/{ids[0]}/move", body))[0] == 404
    assert not (await job(host, ids[0]))["pinned_to"]


async def test_what_runs_cannot_be_edited(host: Host, peer: FakeComfyUI) -> None:
    ids = await submitted(host, 1)
    await reaches(host, ids[0], "running")
    await until(lambda: len(peer.prompts) == 1, "it runs")
    status, answer = await host.ask("POST", f"/orchestrator/jobs/{ids[0]}/edit", {"prompt": picture(3)})
    assert status == 404 and "has begun it" in answer["message"]
