"""POST /prompt of a ComfyUI with the plugin in it: what becomes a job of the fleet, and what stays there."""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
import uuid
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from orchestrator.core.models.job import Job, JobState, Source
from orchestrator.core.workflow.cut import DISPATCH_CLASS, Stash
from tests.fakes.comfyui import FakeComfyUI
from tests.fakes.graphs import picture
from tests.fakes.host import FakeHost
from tests.fakes.prompt_queue import PromptQueue
from tests.fakes.waiting import until

HOP = "X-Orchestrator-Hop"
DISPATCHED = {
    "1": picture()["1"],
    "8": {"class_type": DISPATCH_CLASS, "inputs": {"value": ["1", 0]}},
    "9": {"class_type": "PreviewImage", "inputs": {"images": ["8", 0]}},
}


def jobs(host: FakeHost) -> list[Job]:
    return list(host.runtime.jobs.all())


def wishing(**options: Any) -> dict[str, Any]:
    """Of a prompt's body: what its sender wishes of the fleet."""
    return {"extra_data": {"orchestrator": options}}


async def ended(host: FakeHost, prompt_id: str) -> Any:
    """The prompt's entry in the host's own history."""
    await until(lambda: prompt_id in host.prompt_queue.history, "it is in the history")
    return (await host.get(f"/history/{prompt_id}"))[prompt_id]


# What becomes a job


@pytest.mark.parametrize("prefix", ["", "/api"])
async def test_a_prompt_in_fleet_mode_is_accepted_as_by_comfyui_and_runs_on_a_peer(
    fleet_mode: FakeHost, a: FakeComfyUI, prefix: str
) -> None:
    status, answer = await fleet_mode.post(f"{prefix}/prompt", {"prompt": picture(), "client_id": "page"})
    assert (status, answer["number"], answer["node_errors"]) == (200, 0, {})
    entry = await ended(fleet_mode, answer["prompt_id"])
    assert (entry["status"]["status_str"], entry["status"]["completed"]) == ("success", True)
    assert [file["type"] for file in entry["outputs"]["2"]["images"]] == ["output"]
    assert [prompt.graph["1"] for prompt in a.prompts] == [picture()["1"]]
    assert not fleet_mode.reached


async def test_a_sender_keeps_the_id_that_it_chose(fleet_mode: FakeHost) -> None:
    mine = str(uuid.uuid4())
    assert (await fleet_mode.run(picture(), prompt_id=mine))["prompt_id"] == mine
    await ended(fleet_mode, mine)
    assert [job.id for job in jobs(fleet_mode)] == [mine]


async def test_an_id_that_was_used_before_makes_a_second_job_with_an_id_of_its_own(
    fleet_mode: FakeHost, a: FakeComfyUI
) -> None:
    a.on_prompt = "hold"
    mine = str(uuid.uuid4())
    answers = [await fleet_mode.run(picture(seed), prompt_id=mine) for seed in (1, 2)]
    assert [answer["prompt_id"] for answer in answers] == [mine, mine]
    assert [job.prompt_id for job in jobs(fleet_mode)] == [mine, mine]
    assert len({job.id for job in jobs(fleet_mode)}) == 2


async def test_prompts_that_come_together_under_one_id_are_a_job_each(
    fleet_mode: FakeHost, a: FakeComfyUI
) -> None:
    came: list[Any] = []
    fleet_mode.add_on_prompt_handler(lambda body: came.append(body) or body)
    journal = sqlite3.connect(fleet_mode.home / "user" / "__remote_dispatch" / "journal.sqlite3")
    with closing(journal):
        journal.execute("BEGIN IMMEDIATE")  # what asks the journal now waits, and goes on together
        first = asyncio.create_task(fleet_mode.run(picture(99)))
        await until(lambda: len(came) == 1, "a prompt waits to be written")
        mine = str(uuid.uuid4())
        others = [asyncio.create_task(fleet_mode.run(picture(seed), prompt_id=mine)) for seed in range(10)]
        await until(lambda: len(came) == 11, "the others are behind it")
        await fleet_mode.get("/orchestrator/peers")
        journal.rollback()
    answers = await asyncio.gather(*others)
    await first
    assert [answer["prompt_id"] for answer in answers] == [mine] * 10
    await until(lambda: len(a.prompts) == 11, "the peer had them all")
    assert len({job.id for job in jobs(fleet_mode)}) == 11
    assert [job.prompt_id for job in jobs(fleet_mode)].count(mine) == 10


async def test_an_id_that_no_peer_would_take_is_kept_here_alone(fleet_mode: FakeHost, a: FakeComfyUI) -> None:
    assert (await fleet_mode.run(picture(), prompt_id="mine"))["prompt_id"] == "mine"
    await ended(fleet_mode, "mine")
    assert str(uuid.UUID(jobs(fleet_mode)[0].id)) == jobs(fleet_mode)[0].id


async def test_an_id_that_the_host_refuses_is_refused_by_the_host(tmp_path: Path, a: FakeComfyUI) -> None:
    newer = FakeHost(tmp_path)
    newer.checks_ids = True
    async with newer as host:
        await host.add("a", a)
        await host.prefer(fleet_mode=True)
        await host.post("/prompt", {"prompt": picture(), "prompt_id": "mine"})
        assert len(host.asked("/prompt")) == 1 and not jobs(host)


async def test_prompts_are_numbered_by_the_hosts_own_counter(fleet_mode: FakeHost, a: FakeComfyUI) -> None:
    a.on_prompt = "hold"
    fleet_mode.number = 5
    told = [await fleet_mode.run(picture(seed)) for seed in (1, 2)]
    told.append(await fleet_mode.run(picture(3), front=True))
    told.append(await fleet_mode.run(picture(4), number=2.5))
    assert [answer["number"] for answer in told] == [5, 6, -7, 2.5]
    assert fleet_mode.number == 8


@pytest.mark.parametrize("first", [{"front": True}, {"number": -1}])
async def test_a_prompt_for_the_front_overtakes_those_that_wait(
    fleet_mode: FakeHost, first: dict[str, Any]
) -> None:
    await fleet_mode.prefer(paused=True)
    late = (await fleet_mode.run(picture(1)))["prompt_id"]
    early = (await fleet_mode.run(picture(2), **first))["prompt_id"]
    assert [job.id for job in fleet_mode.runtime.queue.jobs()] == [early, late]


async def test_a_request_that_comes_twice_under_one_id_is_one_job_with_one_answer(
    fleet_mode: FakeHost, a: FakeComfyUI
) -> None:
    a.on_prompt = "hold"
    wish = wishing(request_id="only-once")
    at_once = await asyncio.gather(*(fleet_mode.run(picture(), **wish) for _ in range(3)))
    later = await fleet_mode.run(picture(), **wish)
    assert at_once == [later] * 3
    assert [job.id for job in jobs(fleet_mode)] == [later["prompt_id"]]


async def test_a_sender_may_name_the_peer_its_tags_and_a_priority(
    fleet_mode: FakeHost, a: FakeComfyUI, b: FakeComfyUI
) -> None:
    await fleet_mode.add("b", b)
    prompt_id = (await fleet_mode.run(picture(), **wishing(peer="b", priority=3)))["prompt_id"]
    await ended(fleet_mode, prompt_id)
    assert (len(a.prompts), len(b.prompts)) == (0, 1)
    assert jobs(fleet_mode)[0].request.priority == 3
    status, answer = await fleet_mode.post("/prompt", {"prompt": picture(), **wishing(tags=["fast"])})
    assert status == 400 and "it has no tag fast" in answer["error"]["details"]


@pytest.mark.parametrize("wish", [{"peer": 5}, {"tags": "fast"}, {"priority": "high"}, {"request_id": 5}])
async def test_a_wish_of_the_wrong_type_is_refused_in_words(
    fleet_mode: FakeHost, wish: dict[str, Any]
) -> None:
    status, answer = await fleet_mode.post("/prompt", {"prompt": picture(), **wishing(**wish)})
    assert status == 400 and next(iter(wish)).replace("_", " ") in answer["error"]["message"]
    assert not jobs(fleet_mode) and not fleet_mode.reached


async def test_only_the_outputs_that_were_asked_for_are_sent(fleet_mode: FakeHost, a: FakeComfyUI) -> None:
    both = {**picture(), "3": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}}}
    answer = await fleet_mode.run(both, partial_execution_targets=["3"])
    await ended(fleet_mode, answer["prompt_id"])
    assert a.asked("/prompt")[0].json["partial_execution_targets"] == ["3"]


async def test_a_prompt_of_which_no_output_is_wanted_is_left_to_the_host(
    fleet_mode: FakeHost, a: FakeComfyUI
) -> None:
    await fleet_mode.post("/prompt", {"prompt": picture(), "partial_execution_targets": []})
    assert len(fleet_mode.asked("/prompt")) == 1
    assert not jobs(fleet_mode) and not a.prompts


async def test_a_model_that_only_an_unwanted_part_names_keeps_no_prompt_from_its_peer(
    fleet_mode: FakeHost, a: FakeComfyUI
) -> None:
    """As a plain ComfyUI, which looks at what the wanted outputs need."""
    gone = {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "gone.safetensors"}}
    unlinked = await fleet_mode.run({**picture(1), "8": gone})
    other = {"8": gone, "9": {"class_type": "PreviewImage", "inputs": {"images": ["8", 0]}}}
    unwanted = await fleet_mode.run({**picture(2), **other}, partial_execution_targets=["2"])
    for answer in (unlinked, unwanted):
        entry = await ended(fleet_mode, answer["prompt_id"])
        assert entry["status"]["status_str"] == "success", entry["status"]
    assert len(a.prompts) == 2


async def test_what_pays_for_partner_nodes_is_neither_kept_nor_sent(
    fleet_mode: FakeHost, a: FakeComfyUI
) -> None:
    keys = {"auth_token_comfy_org": "s3cr3t-token", "api_key_comfy_org": "s3cr3t-key"}
    answer = await fleet_mode.run(picture(), extra_data={**keys, "mine": 1})
    entry = await ended(fleet_mode, answer["prompt_id"])
    assert entry["prompt"][3]["mine"] == 1
    assert "s3cr3t" not in json.dumps([entry, [seen.json for seen in a.requests]])
    assert jobs(fleet_mode)[0].request.extra_data == {"mine": 1}
    written = [path.read_bytes() for path in fleet_mode.home.rglob("*") if path.is_file()]
    assert written and not any(b"s3cr3t" in content for content in written)


# What is refused


async def test_a_prompt_that_no_peer_can_run_is_refused_as_by_comfyui(fleet_mode: FakeHost) -> None:
    status, answer = await fleet_mode.post("/prompt", {"prompt": picture(made_by="Nobody'sNode")})
    assert status == 400
    assert set(answer) == {"error", "node_errors"}
    assert set(answer["error"]) >= {"type", "message", "details", "extra_info"}
    assert "Nobody'sNode" in json.dumps(answer)
    assert not jobs(fleet_mode) and not fleet_mode.reached


async def test_where_this_machine_helps_the_host_says_whether_it_can(fleet_mode: FakeHost) -> None:
    await fleet_mode.prefer(this_machine=True)
    status, _ = await fleet_mode.post("/prompt", {"prompt": picture(made_by="Nobody'sNode")})
    assert status == 400 and len(fleet_mode.asked("/prompt")) == 1
    pinned = {"prompt": picture(made_by="Nobody'sNode"), **wishing(peer="a")}
    assert (await fleet_mode.post("/prompt", pinned))[0] == 400
    assert len(fleet_mode.asked("/prompt")) == 1


async def test_what_only_this_computer_can_run_is_offered_or_is_a_job_that_runs_here(
    fleet_mode: FakeHost,
) -> None:
    fleet_mode.classes["OnlyHere"] = fleet_mode.classes["EmptyImage"]
    prompt = picture(made_by="OnlyHere")
    for wish, peer in (({}, ""), (wishing(peer="a"), "a")):
        status, refused = await fleet_mode.post("/prompt", {"prompt": prompt, **wish})
        assert (status, refused["error"]["extra_info"]) == (400, {"runs_here": True, "peer": peer})
    _, refused = await fleet_mode.post("/prompt", {"prompt": picture(made_by="Nobody'sNode")})
    assert refused["error"]["extra_info"]["runs_here"] is False
    await fleet_mode.prefer(this_machine=True)
    prompt_id = (await fleet_mode.run(prompt))["prompt_id"]
    await until(lambda: fleet_mode.waiting == [prompt_id], "it is in this computer's own queue")
    (job,) = jobs(fleet_mode)
    assert (job.id, fleet_mode.runtime.peers.name(job.backend_id)) == (prompt_id, "this computer")
    fleet_mode.begin(prompt_id)
    fleet_mode.finish(prompt_id)
    await until(lambda: jobs(fleet_mode)[0].state.is_final, "it is done")


async def test_of_a_partly_invalid_prompt_the_rest_runs_and_the_errors_are_told(
    fleet_mode: FakeHost, a: FakeComfyUI
) -> None:
    broken = {"class_type": "SaveImage", "inputs": {"filename_prefix": "x"}}
    answer = await fleet_mode.run({**picture(), "7": broken})
    assert [error["type"] for error in answer["node_errors"]["7"]["errors"]] == ["required_input_missing"]
    entry = await ended(fleet_mode, answer["prompt_id"])
    assert entry["prompt"][4] == ["2"]
    assert a.asked("/prompt")[0].json["partial_execution_targets"] == ["2"]


@pytest.mark.parametrize(
    "body", [{}, {"prompt": None}, {"prompt": {"1": {"inputs": {}}}}, {"prompt": []}, {"prompt": {"1": "x"}}]
)
async def test_what_is_no_prompt_is_left_to_the_host(fleet_mode: FakeHost, body: dict[str, Any]) -> None:
    await fleet_mode.post("/prompt", body)
    assert fleet_mode.asked("/prompt") == [body]
    assert not jobs(fleet_mode)


async def test_a_node_of_an_odd_shape_is_refused_by_its_name(fleet_mode: FakeHost) -> None:
    odd = {**picture(), "7": {"class_type": "SaveImage", "inputs": []}}
    status, answer = await fleet_mode.post("/prompt", {"prompt": odd})
    assert status == 400 and "'7'" in answer["error"]["message"]


# What runs here


async def test_while_fleet_mode_is_off_the_host_answers(comfyui: FakeHost, a: FakeComfyUI) -> None:
    await comfyui.add("a", a)
    answer = await comfyui.run(picture())
    assert comfyui.waiting == [answer["prompt_id"]]
    assert not jobs(comfyui) and not a.prompts


async def test_each_prompt_may_ask_for_the_fleet_or_for_this_machine(
    comfyui: FakeHost, a: FakeComfyUI
) -> None:
    await comfyui.add("a", a)
    away = await comfyui.run(picture(1), **wishing(run="fleet"))
    await comfyui.prefer(fleet_mode=True)
    here = await comfyui.run(picture(2), **wishing(run="local"))
    assert [job.id for job in jobs(comfyui)] == [away["prompt_id"]]
    assert comfyui.waiting == [here["prompt_id"]]


@pytest.mark.parametrize("is_on", [False, True])
async def test_a_prompt_with_a_dispatch_node_runs_here_and_its_node_is_started_ahead(
    fleet_mode: FakeHost, a: FakeComfyUI, is_on: bool
) -> None:
    await fleet_mode.prefer(fleet_mode=is_on)
    answer = await fleet_mode.run(DISPATCHED)
    assert fleet_mode.waiting == [answer["prompt_id"]]
    accepted = fleet_mode.prompt_queue.queue[0][2]
    stash = Stash.from_input(accepted["8"]["inputs"]["value"])
    assert stash is not None and stash.prompt == {"1": DISPATCHED["1"]}
    assert [job.request.source for job in jobs(fleet_mode)] == [Source.NODE]
    await until(lambda: a.prompts, "a peer has it before the prompt's turn has come")


async def test_a_class_that_runs_here_only_keeps_its_prompt_here_and_says_why(
    fleet_mode: FakeHost, a: FakeComfyUI
) -> None:
    await fleet_mode.prefer(runs_here=["EmptyImage"])
    body = {"prompt": picture(), "client_id": "page"}
    async with fleet_mode.session.post(f"{fleet_mode.url}/prompt", json=body) as answer:
        assert answer.status == 200
        assert "EmptyImage (node 1) runs on this computer only" in answer.headers["X-Remote-Dispatch-Note"]
    assert len(fleet_mode.waiting) == 1 and not jobs(fleet_mode)
    status, refused = await fleet_mode.post("/prompt", {**body, **wishing(peer="a")})
    assert status == 400 and "cannot run on a peer" in refused["error"]["message"]
    assert len(fleet_mode.waiting) == 1 and not a.prompts


async def test_what_runs_here_only_is_queued_once_for_each_request_id(fleet_mode: FakeHost) -> None:
    await fleet_mode.prefer(runs_here=["EmptyImage"])
    body = wishing(request_id="paid-once")
    first, second = await asyncio.gather(*(fleet_mode.run(picture(), **body) for _ in range(2)))
    assert first == second and fleet_mode.waiting == [first["prompt_id"]]


# Other masters


async def test_a_prompt_of_another_master_runs_here_and_travels_no_further(fleet_mode: FakeHost) -> None:
    sent = {"prompt": picture(), **wishing(run="fleet")}
    status, answer = await fleet_mode.post("/prompt", sent, **{HOP: "another"})
    assert status == 200 and fleet_mode.waiting == [answer["prompt_id"]]
    status, answer = await fleet_mode.post("/prompt", {"prompt": DISPATCHED}, **{HOP: "another"})
    assert status == 400 and "came from another master" in answer["error"]["message"]
    assert len(fleet_mode.waiting) == 1 and not jobs(fleet_mode)


async def test_a_prompt_that_came_back_to_its_sender_is_refused(fleet_mode: FakeHost, a: FakeComfyUI) -> None:
    await ended(fleet_mode, (await fleet_mode.run(picture()))["prompt_id"])
    sender = a.asked("/prompt")[0].headers[HOP]
    status, said = await fleet_mode.post("/prompt", {"prompt": picture()}, **{HOP: sender})
    assert status == 421 and "leads back to the master" in said
    assert len(jobs(fleet_mode)) == 1 and not fleet_mode.reached


# Beside other packs


async def test_other_packs_see_and_change_each_prompt_once_wherever_it_runs(
    fleet_mode: FakeHost, a: FakeComfyUI
) -> None:
    seen: list[Any] = []

    def reseed(body: dict[str, Any]) -> dict[str, Any]:
        seen.append(body["prompt"])
        return {**body, "prompt": picture(seed=7)}

    fleet_mode.add_on_prompt_handler(reseed)
    await ended(fleet_mode, (await fleet_mode.run(picture()))["prompt_id"])
    assert a.prompts[0].graph["1"]["inputs"]["color"] == 7
    await fleet_mode.run(picture(), **wishing(run="local"))
    assert fleet_mode.prompt_queue.queue[0][2] == picture(seed=7)
    await fleet_mode.prefer(runs_here=["EmptyImage"])
    await fleet_mode.run(picture())
    assert seen == [picture()] * 3


class Replaced(PromptQueue):
    __module__ = "/comfy/custom_nodes/queue-painter.queue"


class Forgetful(Replaced):
    def get_history(self, prompt_id: str | None = None) -> dict[str, Any]:
        return {}


async def test_a_queue_that_another_pack_put_in_later_shows_the_fleet_all_the_same(
    fleet_mode: FakeHost, a: FakeComfyUI
) -> None:
    a.on_prompt = "hold"
    fleet_mode.prompt_queue = Replaced()
    prompt_id = (await fleet_mode.run(picture()))["prompt_id"]
    await until(lambda: jobs(fleet_mode)[0].begun_at is not None, "it runs")
    listed = await fleet_mode.get("/queue")
    assert [item[1] for item in listed["queue_running"]] == [prompt_id]
    await a.finish(a.running or "")
    await ended(fleet_mode, prompt_id)
    assert any("queue-painter" in said for said in fleet_mode.runtime.notices)


async def test_where_another_packs_queue_keeps_no_history_prompts_run_here(
    fleet_mode: FakeHost, a: FakeComfyUI
) -> None:
    fleet_mode.prompt_queue = Forgetful()
    await fleet_mode.run(picture())  # it is looked at now
    await fleet_mode.run(picture())
    assert len(fleet_mode.waiting) == 2 and not a.prompts


# When something is wrong


async def test_a_body_that_is_no_json_is_answered_by_the_host(fleet_mode: FakeHost) -> None:
    await fleet_mode.post("/prompt", b"{no json")
    assert fleet_mode.asked("/prompt") == [None]


async def test_an_error_of_ours_leaves_the_prompt_to_the_host_which_answers_once(
    tmp_path: Path, a: FakeComfyUI, caplog: pytest.LogCaptureFixture
) -> None:
    host = FakeHost(tmp_path)
    trigger, calls = host.trigger_on_prompt, list[Any]()

    def fail_first(body: dict[str, Any]) -> dict[str, Any]:
        calls.append(body)
        if len(calls) == 1:
            raise RuntimeError("a pack has broken this")
        return trigger(body)

    host.trigger_on_prompt = fail_first  # type: ignore[method-assign]  # a pack's
    async with host:
        await host.add("a", a)
        await host.prefer(fleet_mode=True)
        with caplog.at_level(logging.ERROR):
            answer = await host.run(picture())
        assert host.waiting == [answer["prompt_id"]] and len(host.asked("/prompt")) == 1
        assert not jobs(host)
    assert "ComfyUI itself answers" in caplog.text


async def test_without_an_engine_only_who_insists_on_the_fleet_is_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "user" / "__remote_dispatch" / "journal.sqlite3").mkdir(parents=True)
    async with FakeHost(tmp_path) as host:
        status, answer = await host.post("/prompt", {"prompt": picture(), **wishing(run="fleet")})
        assert status == 503 and "could not start" in answer["error"]["message"]
        await host.run(picture())
        assert len(host.waiting) == 1


async def test_jobs_that_waited_when_comfyui_was_closed_are_in_its_queue_again(
    tmp_path: Path, a: FakeComfyUI
) -> None:
    async with FakeHost(tmp_path) as host:
        await host.add("a", a)
        await host.prefer(fleet_mode=True, paused=True)
        prompt_id = (await host.run(picture()))["prompt_id"]
    async with FakeHost(tmp_path) as host:
        listed = await host.get("/queue")
        assert [item[1] for item in listed["queue_pending"]] == [prompt_id]
        await host.prefer(paused=False)
        await ended(host, prompt_id)
        assert jobs(host)[0].state is JobState.DONE
