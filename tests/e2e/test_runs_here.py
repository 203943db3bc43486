"""Nodes that run on the master alone, and nodes that say themselves that they changed, on real ComfyUI."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from .graphs import Graph, dispatched, node, sampled, stamp
from .session import Finished, PromptRejected, Session, until

pytestmark = pytest.mark.e2e

NOTE = "X-Remote-Dispatch-Note"
KEY = {"api_key_comfy_org": "secret-key", "auth_token_comfy_org": "secret-token"}


@pytest.fixture
async def fleet_mode(master: Session) -> AsyncIterator[Session]:
    """The master with the toggle on, and the chooser on the user's list."""
    await master.patch("/orchestrator/settings", {"fleet_mode": True, "runs_here": ["ReportChooser"]})
    yield master
    settings = {"fleet_mode": False, "runs_here": [], "runs_on_peers": [], "this_machine": False}
    await master.patch("/orchestrator/settings", settings)


def chosen(after: Graph | None = None) -> Graph:
    """Three pictures, of which a person takes one."""
    return {
        "1": node("EmptyImage", width=64, height=64, batch_size=3, color=65280),
        "2": node("ReportChooser", images=["1", 0]),
        **(after or {"3": node("SaveImage", images=["2", 0], filename_prefix="reports")}),
    }


def partner(prompt: str) -> Graph:
    return {
        "1": node("ReportPartner", prompt=prompt),
        "2": node("SaveImage", images=["1", 0], filename_prefix="partner"),
        "3": node("PreviewAny", source=["1", 1]),
    }


async def histories(peers: list[Session]) -> str:
    return json.dumps([await peer.get("/history") for peer in peers])


async def choose(session: Session, heard: list[dict[str, Any]], index: int) -> None:
    async def asked() -> Any:
        return next((event for event in heard if event["type"] == "reports-choose"), None)

    event = await until(asked, "the page is asked")
    assert event["data"]["count"] == 3
    await session.post("/reports/choose", {"index": index})


async def text_of(done: Finished, node_id: str) -> str:
    assert done.succeeded, done.entry["status"]
    return str(done.entry["outputs"][node_id]["text"][0])


async def test_a_chooser_on_the_list_runs_here_and_its_page_is_asked(
    fleet_mode: Session, peers: list[Session]
) -> None:
    before = await histories(peers)
    async with fleet_mode.listening(**{"User-Agent": "Mozilla/5.0"}) as (client_id, heard):
        prompt_id = await fleet_mode.queue(chosen(), client_id=client_id)
        await choose(fleet_mode, heard, 1)
        done = await fleet_mode.finished(prompt_id)
        told = [event["data"] for event in heard if event["type"] == "orchestrator.runs_here"]
    assert done.succeeded and len(done.images("3")) == 1
    assert await histories(peers) == before
    assert told[0]["runs"] and told[0]["nodes"] == [
        {"node_id": "2", "class_type": "ReportChooser", "why": "listed"}
    ]
    assert "put a Remote Dispatch node behind it" in told[0]["message"]


async def test_a_partner_node_runs_here_with_its_key_and_reaches_no_peer(
    fleet_mode: Session, peers: list[Session]
) -> None:
    before = await histories(peers)
    done = await fleet_mode.run(partner("a lighthouse"), extra_data=KEY)
    assert await text_of(done, "3") == "a lighthouse secret-token secret-key"
    assert await histories(peers) == before


async def test_a_request_that_comes_twice_with_one_id_is_paid_for_once(fleet_mode: Session) -> None:
    body = {"prompt": partner("twice"), "extra_data": {"orchestrator": {"request_id": "pay-once"}}}
    first, second = [await fleet_mode.post("/prompt", body, status=200) for _ in range(2)]
    assert first == second
    await fleet_mode.finished(first["prompt_id"])
    queue = await fleet_mode.get("/queue")
    assert queue["queue_running"] == queue["queue_pending"] == []


async def test_a_script_is_told_in_a_header_and_gets_comfyuis_own_answer(fleet_mode: Session) -> None:
    async with fleet_mode.http.post(
        f"{fleet_mode.url}/prompt", json={"prompt": partner("a header")}
    ) as answer:
        assert "ReportPartner (node 1) runs on this computer only" in answer.headers[NOTE]
        body = await answer.json()
    assert set(body) == {"prompt_id", "number", "node_errors"}
    await fleet_mode.finished(body["prompt_id"])


async def test_a_partner_node_that_nothing_shown_depends_on_keeps_no_prompt_here(
    fleet_mode: Session, peers: list[Session]
) -> None:
    done = await fleet_mode.run(
        {**partner("unused"), "9": node("PreviewImage", images=["8", 0]), "8": stamp(seed=811)["1"]},
        partial_execution_targets=["9"],
    )
    assert done.succeeded, done.entry["status"]
    assert done.prompt_id in [job["job_id"] for job in (await fleet_mode.get("/orchestrator/jobs"))["jobs"]]


async def test_what_only_peers_have_beside_a_node_that_runs_here_is_refused_with_what_helps(
    fleet_mode: Session,
) -> None:
    graph = chosen({"3": node("TestSleep", value=["2", 0], seconds=0.0)})
    with pytest.raises(PromptRejected) as refused:
        await fleet_mode.queue({**graph, "4": node("SaveImage", images=["3", 0], filename_prefix="x")})
    said = json.dumps(refused.value.body["error"])
    assert "Put a Remote Dispatch node behind the part that needs it" in said and "TestSleep" in said


async def test_a_model_that_only_peers_have_is_named_in_the_same_way(fleet_mode: Session) -> None:
    graph = {
        **sampled(seed=5),
        "20": node("ReportPartner", prompt="x"),
        "21": node("ImageBatch", image1=["5", 0], image2=["20", 0]),
        "22": node("SaveImage", images=["21", 0], filename_prefix="x"),
    }
    with pytest.raises(PromptRejected) as refused:
        await fleet_mode.queue(graph)
    said = json.dumps(refused.value.body["error"])
    assert "Put a Remote Dispatch node behind" in said and "tiny-random-unet.safetensors" in said


async def test_a_prompt_that_runs_here_cannot_be_pinned_to_a_peer(fleet_mode: Session) -> None:
    with pytest.raises(PromptRejected) as refused:
        await fleet_mode.queue(partner("x"), extra_data={"orchestrator": {"run": "fleet", "peer": "peer-1"}})
    assert "Remote Dispatch node" in refused.value.body["error"]["message"]


async def test_a_job_of_the_api_never_takes_a_partner_node_to_a_peer(
    fleet_mode: Session, peers: list[Session]
) -> None:
    before = await histories(peers)
    body = {"prompt": {"1": partner("a job")["1"], "2": partner("a job")["2"]}}
    refused = await fleet_mode.post("/orchestrator/jobs", body, status=409)
    assert "runs on this computer only" in refused["message"]
    assert await histories(peers) == before


async def test_before_run_the_outlook_says_what_runs_here(fleet_mode: Session) -> None:
    whole = await fleet_mode.post("/orchestrator/explain", {"prompt": chosen()}, status=200)
    assert "ReportChooser (node 2) runs on this computer only" in whole["here"]
    part = chosen({"3": node("TestSleep", value=["2", 0], seconds=0.0)})
    told = await fleet_mode.post("/orchestrator/explain", {"prompt": part, "result": ["3", 0]}, status=200)
    assert "ReportChooser (node 2)" in told["here"]
    assert any(peer["eligible"] for peer in told["peers"])
    free = await fleet_mode.post(
        "/orchestrator/explain", {"prompt": stamp(1), "result": ["1", 0]}, status=200
    )
    assert free["here"] == ""


async def test_behind_a_dispatch_node_a_chooser_stays_here_and_its_value_travels(
    fleet_mode: Session, peers: list[Session]
) -> None:
    graph = dispatched(chosen({"3": node("TestSleep", value=["2", 0], seconds=0.0)}), ["3", 0])
    async with fleet_mode.listening() as (client_id, heard):
        prompt_id = await fleet_mode.queue(graph, client_id=client_id)
        await choose(fleet_mode, heard, 2)
        done = await fleet_mode.finished(prompt_id)
    assert done.succeeded, done.entry["status"]
    assert len(done.images("91")) == 1
    assert "ReportChooser" not in await histories(peers)


async def test_a_chain_of_dispatch_nodes_goes_through_a_node_that_runs_here(
    fleet_mode: Session, peers: list[Session]
) -> None:
    graph = {
        "1": node("TestStamp", width=32, height=32, batch=3, seed=77),
        "80": node("RemoteDispatch", value=["1", 0]),
        "2": node("ReportChooser", images=["80", 0]),
        "3": node("TestSleep", value=["2", 0], seconds=0.0),
    }
    async with fleet_mode.listening() as (client_id, heard):
        prompt_id = await fleet_mode.queue(dispatched(graph, ["3", 0]), client_id=client_id)
        await choose(fleet_mode, heard, 0)
        done = await fleet_mode.finished(prompt_id)
    assert done.succeeded, done.entry["status"]
    assert len(done.images("91")) == 1


async def test_a_whole_graph_dispatch_takes_the_value_of_what_runs_here_along(fleet_mode: Session) -> None:
    graph = {
        **partner("whole"),
        "2": node("TestSleep", value=["1", 0], seconds=0.0),
        "4": node("SaveImage", images=["2", 0], filename_prefix="whole"),
        "90": node("RemoteDispatch"),
    }
    done = await fleet_mode.run(graph, extra_data=KEY)
    assert done.succeeded, done.entry["status"]
    assert len(done.images("90")) == 1


async def test_a_value_that_cannot_travel_is_refused_before_anything_runs(fleet_mode: Session) -> None:
    graph = {**partner("x"), "5": node("ReportUseSession", session=["1", 2])}
    with pytest.raises(PromptRejected) as refused:
        await fleet_mode.queue(dispatched({"1": graph["1"], "5": graph["5"]}, ["5", 0]))
    assert "REPORT_SESSION" in json.dumps(refused.value.body) and "cannot travel" in json.dumps(
        refused.value.body
    )


async def test_a_loop_in_the_stash_is_not_run_from_inside_the_node(fleet_mode: Session) -> None:
    loop = {
        "1": node("EmptyImage", width=16, height=16, batch_size=1, color=3),
        "2": node("StartLoop", value=["1", 0]),
        "3": node("EndLoop", value=["2", 0]),
    }
    graph = dispatched(loop, ["3", 0], peer="no such peer", if_no_peer="run here")
    done = await fleet_mode.run(graph)
    assert not done.succeeded and "a loop" in done.error["exception_message"]


def drawn(class_type: str, **options: str) -> Graph:
    return {
        "1": node(class_type, low=0, high=1 << 30),
        "2": node("RemoteDispatch", value=["1", 0], overrides="", **options),
        "3": node("PreviewAny", source=["2", 0]),
    }


@pytest.mark.parametrize("class_type", ["ReportRandom", "ReportBrokenCheck"])
async def test_a_class_that_is_never_the_same_gives_two_values_in_two_runs(
    master: Session, class_type: str
) -> None:
    graph = drawn(class_type)
    values = [await text_of(await master.run(graph), "3") for _ in range(2)]
    assert len(set(values)) == 2


async def test_an_unchanged_class_is_not_sent_again(master: Session) -> None:
    graph = drawn("ReportSteadyCheck")
    first, second = await master.run(graph), await master.run(graph)
    assert first.entry["outputs"] == second.entry["outputs"] or not second.entry["outputs"]
    cached = dict(second.entry["status"]["messages"])["execution_cached"]["nodes"]
    assert "2" in cached


async def test_the_switch_on_the_node_asks_the_peer_every_time(master: Session) -> None:
    graph = drawn("ReportSteadyCheck", run_again="always")
    await master.run(graph)
    second = await master.run(graph)
    assert "2" not in dict(second.entry["status"]["messages"])["execution_cached"]["nodes"]


async def test_four_waiting_runs_of_one_draw_give_four_values(master: Session) -> None:
    ids = [await master.queue(drawn("ReportRandom")) for _ in range(4)]
    ended = await asyncio.gather(*map(master.finished, ids))
    assert len({await text_of(done, "3") for done in ended}) == 4
