"""Ordinary prompts with fleet mode on, on real ComfyUI processes: one master, two stock peers."""

from __future__ import annotations

import asyncio
import io
import json
import sqlite3
import uuid
import wave
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import numpy as np
import pytest
from PIL import Image

from tests.fakes.proxy import Proxy
from tests.rig.fleet import Fleet

from .graphs import Graph, node, sampled, sleep, stamp
from .session import Finished, PromptRejected, Session, until

pytestmark = pytest.mark.e2e


@pytest.fixture
async def fleet_mode(master: Session) -> AsyncIterator[Session]:
    """The master with the toggle on."""
    await master.patch("/orchestrator/settings", {"fleet_mode": True})
    yield master
    await master.patch("/orchestrator/settings", {"fleet_mode": False, "paused": False})


def saved(graph: Graph, source: str, prefix: str = "fleet/run") -> Graph:
    return {**graph, "9": node("SaveImage", images=[source, 0], filename_prefix=prefix)}


def working(seed: int, seconds: float = 1.0) -> Graph:
    return saved(sleep(seed=seed, seconds=seconds), "10")


async def peers_of(master: Session, *finished: Finished) -> list[str]:
    return [(await master.get(f"/orchestrator/jobs/{done.prompt_id}"))["peer"] for done in finished]


def is_end(event: dict[str, Any]) -> bool:
    """Whether a page takes it for the end of a prompt: nothing runs any more."""
    return event["type"] == "executing" and event["data"]["node"] is None


async def heard_end(heard: list[dict[str, Any]]) -> bool:
    return any(map(is_end, heard))


def local(seed: int) -> Graph:
    """Something the master can do itself."""
    empty = node("EmptyImage", width=16, height=16, batch_size=1, color=seed)
    return {"1": empty, "9": node("SaveImage", images=["1", 0], filename_prefix="fleet/local")}


async def test_an_ordinary_prompt_runs_on_a_peer_and_looks_as_if_it_had_run_here(
    fleet_mode: Session, peers: list[Session], fleet: Fleet
) -> None:
    workflow = {"id": "a-workflow", "nodes": [], "links": []}
    extra = {"extra_pnginfo": {"workflow": workflow}, "api_key_comfy_org": "secret"}
    done = await fleet_mode.run(saved(stamp(seed=101), "1"), extra_data=extra)
    assert done.succeeded, done.entry["status"]
    image = done.images("9")[0]
    assert image["subfolder"] == "fleet" and image["filename"].startswith("run_")
    path = Path(fleet.master.base, "output", "fleet", image["filename"])
    with Image.open(path) as picture:
        assert json.loads(picture.info["workflow"]) == workflow
    said = json.dumps([await peer.get("/history") for peer in peers])
    assert "a-workflow" in said and "secret" not in said
    kinds = [kind for kind, _ in done.entry["status"]["messages"]]
    assert kinds[0] == "execution_start" and kinds[-1] == "execution_success"
    job = await fleet_mode.get(f"/orchestrator/jobs/{done.prompt_id}")
    assert job["source"] == "fleet" and job["peer"] in ("peer-1", "peer-2")


async def test_its_pixels_are_those_of_a_direct_run(fleet_mode: Session, peers: list[Session]) -> None:
    graph = saved(sampled(seed=7), "5")
    direct = await peers[0].run(graph)
    done = await fleet_mode.run(graph)
    assert np.array_equal(
        await fleet_mode.picture(done.images("9")[0]), await peers[0].picture(direct.images("9")[0])
    )


async def test_one_id_for_several_prompts_at_once_makes_a_job_of_each(fleet_mode: Session) -> None:
    prompt_id = str(uuid.uuid4())
    before = {job["job_id"] for job in await fleet_mode.jobs()}
    await asyncio.gather(*(fleet_mode.queue(local(seed), prompt_id=prompt_id) for seed in range(10)))

    async def are_done() -> bool:
        states = [job["state"] for job in await fleet_mode.jobs() if job["job_id"] not in before]
        return states == ["done"] * 10

    await until(are_done, "all jobs are done")


async def test_several_prompts_run_on_both_peers_at_once(fleet_mode: Session, peers: list[Session]) -> None:
    ids = [await fleet_mode.queue(working(seed=seed)) for seed in range(110, 114)]

    async def both_busy() -> bool:
        queues = await asyncio.gather(*[peer.get("/queue") for peer in peers])
        return all(queue["queue_running"] for queue in queues)

    await until(both_busy, "both peers work")
    finished = [await fleet_mode.finished(prompt_id) for prompt_id in ids]
    assert all(done.succeeded for done in finished)
    assert set(await peers_of(fleet_mode, *finished)) == {"peer-1", "peer-2"}


async def test_running_and_waiting_prompts_are_in_the_native_queue_and_badge(fleet_mode: Session) -> None:
    ids = [await fleet_mode.queue(working(seed=seed)) for seed in range(120, 125)]

    async def two_run() -> Any:
        queue = await fleet_mode.get("/queue")
        return queue if len(queue["queue_running"]) == 2 else None

    queue = await until(two_run, "two of them run")
    listed = [item[1] for item in (*queue["queue_running"], *queue["queue_pending"])]
    assert sorted(listed) == sorted(ids)
    assert (await fleet_mode.get("/prompt"))["exec_info"]["queue_remaining"] == 5
    for prompt_id in ids:
        await fleet_mode.finished(prompt_id)
    assert await fleet_mode.is_idle()
    history = list(await fleet_mode.get("/history"))
    assert set(ids) <= set(history)


async def test_the_page_that_asked_hears_everything_under_its_own_prompt_id(fleet_mode: Session) -> None:
    graph = saved(sampled(seed=8, steps=6), "5")
    async with fleet_mode.listening() as (client_id, heard):
        prompt_id = await fleet_mode.queue(graph, client_id=client_id)
        await until(lambda: heard_end(heard), "the page hears the end")
    events = [event for event in heard if event["type"] not in ("binary", "status")]
    mine = [event for event in events if not event["type"].startswith("orchestrator.")]
    told = [event for event in mine if event["type"] != "feature_flags"]
    assert {event["data"]["prompt_id"] for event in told} == {prompt_id}
    kinds = [event["type"] for event in told]
    assert kinds[0] == "execution_start" and kinds[-2:] == ["execution_success", "executing"]
    assert "progress_state" in kinds
    executed = next(event["data"] for event in told if event["type"] == "executed")
    assert executed["node"] == "9"
    assert (await fleet_mode.picture(executed["output"]["images"][0])).shape == (64, 64, 3)


async def test_what_a_node_has_made_can_be_viewed_while_the_prompt_still_runs(
    fleet_mode: Session, fleet: Fleet
) -> None:
    graph = {
        **sleep(seed=82, seconds=3.0),
        "8": node("SaveImage", images=["1", 0], filename_prefix="fleet/early"),
        "9": node("SaveImage", images=["10", 0], filename_prefix="fleet/late"),
    }
    async with fleet_mode.listening() as (client_id, heard):

        async def told() -> Any:
            outputs = [event["data"] for event in heard if event["type"] == "executed"]
            return next((data["output"]["images"][0] for data in outputs if data["node"] == "8"), None)

        prompt_id = await fleet_mode.queue(graph, client_id=client_id)
        image = await until(told, "it is told")
        early = await fleet_mode.picture(image)
        assert prompt_id not in await fleet_mode.get(f"/history/{prompt_id}")
        assert not list(fleet.master.base.glob("output/fleet/early*"))
        done = await fleet_mode.finished(prompt_id)
        await until(lambda: heard_end(heard), "the page hears the end")
    assert done.images("8")[0] == image
    assert np.array_equal(await fleet_mode.picture(image), early)
    executed = [event["data"]["node"] for event in heard if event["type"] == "executed"]
    assert sorted(executed) == ["8", "9"]


async def test_a_page_hears_of_the_end_only_once_the_pictures_are_here(
    fleet_mode: Session, fleet: Fleet
) -> None:
    async with Proxy(int(fleet.peers[0].url.rsplit(":", 1)[1])) as proxy:
        added = await fleet_mode.post("/orchestrator/peers", {"url": proxy.url, "name": "far"}, status=201)
        await until(fleet_mode.peers_are_up, "the peers are up")
        proxy.cuts, proxy.cut_requests = 1, lambda data: b"/view?" in data
        to_far = {"orchestrator": {"peer": "far"}}
        async with fleet_mode.listening() as (client_id, heard):
            await fleet_mode.run(working(seed=9), client_id=client_id, extra_data=to_far)
            await until(lambda: heard_end(heard), "the page hears the end")
        await fleet_mode.delete(f"/orchestrator/peers/{added['id']}")
        assert proxy.cuts == 0
    kinds = [event["type"] for event in heard if event["type"] not in ("binary", "status")]
    assert sum(map(is_end, heard)) == 1 and kinds[-2:] == ["execution_success", "executing"]


async def test_the_hosts_own_list_of_jobs_has_them_where_there_is_one(
    fleet_mode: Session, http: aiohttp.ClientSession
) -> None:
    async def listed() -> dict[str, str]:
        """State by id; the queue's answer where the host is older than its list of jobs."""
        async with http.get(f"{fleet_mode.url}/api/jobs") as answer:
            if answer.status == 200:
                return {job["id"]: job["status"] for job in (await answer.json())["jobs"]}
        queue = await fleet_mode.get("/queue")
        states = dict.fromkeys(await fleet_mode.get("/history"), "completed")
        states |= {item[1]: "pending" for item in queue["queue_pending"]}
        return states | {item[1]: "in_progress" for item in queue["queue_running"]}

    ids = [await fleet_mode.queue(working(seed=seed)) for seed in range(220, 223)]

    async def all_three() -> bool:
        states = await listed()
        return sorted(states.get(i, "") for i in ids) == ["in_progress", "in_progress", "pending"]

    await until(all_three, "two run and one waits")
    for prompt_id in ids:
        await fleet_mode.finished(prompt_id)
    assert [(await listed())[prompt_id] for prompt_id in ids] == ["completed"] * 3


async def test_an_interrupt_by_id_ends_one_and_leaves_the_other(
    fleet_mode: Session, peers: list[Session]
) -> None:
    ids = [await fleet_mode.queue(working(seed=seed, seconds=6.0)) for seed in (130, 131)]

    async def both_run() -> bool:
        return len((await fleet_mode.get("/queue"))["queue_running"]) == 2

    await until(both_run, "both run")
    await fleet_mode.post("/interrupt", {"prompt_id": ids[0]}, status=200)
    ended = await fleet_mode.finished(ids[0])
    assert [kind for kind, _ in ended.entry["status"]["messages"]][-1] == "execution_interrupted"
    assert (await fleet_mode.finished(ids[1])).succeeded


async def test_clearing_the_queue_takes_the_waiting_ones_from_the_peers_too(
    fleet_mode: Session, peers: list[Session]
) -> None:
    ids = [await fleet_mode.queue(working(seed=seed, seconds=2.0)) for seed in range(140, 146)]

    async def two_run() -> bool:
        return len((await fleet_mode.get("/queue"))["queue_running"]) == 2

    await until(two_run, "two run")
    running = [item[1] for item in (await fleet_mode.get("/queue"))["queue_running"]]
    await fleet_mode.post("/queue", {"clear": True})
    queue = await fleet_mode.get("/queue")
    assert queue["queue_pending"] == [] and [item[1] for item in queue["queue_running"]] == running
    for peer in peers:
        assert (await peer.get("/queue"))["queue_pending"] == []
    for prompt_id in running:
        assert (await fleet_mode.finished(prompt_id)).succeeded
    history = await fleet_mode.get("/history")
    assert not set(ids) - set(running) & set(history)


async def test_one_waiting_prompt_is_deleted_by_id(fleet_mode: Session) -> None:
    ids = [await fleet_mode.queue(working(seed=seed)) for seed in range(150, 156)]
    await fleet_mode.post("/queue", {"delete": [ids[-1]]})
    for prompt_id in ids[:-1]:
        assert (await fleet_mode.finished(prompt_id)).succeeded
    assert ids[-1] not in await fleet_mode.get("/history")


async def test_a_prompt_put_to_the_front_overtakes_those_that_wait(fleet_mode: Session) -> None:
    ids = [await fleet_mode.queue(working(seed=seed)) for seed in range(160, 168)]
    urgent = await fleet_mode.queue(working(seed=168), front=True)
    for prompt_id in (*ids, urgent):
        await fleet_mode.finished(prompt_id)
    history = list(await fleet_mode.get("/history"))
    assert history.index(urgent) < history.index(ids[-1])


async def test_a_local_prompt_runs_untouched_beside_fleet_jobs(fleet_mode: Session) -> None:
    busy = [await fleet_mode.queue(working(seed=seed, seconds=2.0)) for seed in (170, 171)]
    done = await fleet_mode.run(local(seed=1), extra_data={"orchestrator": {"run": "local"}})
    assert done.succeeded
    assert [item["type"] for item in done.images("9")] == ["output"]
    jobs = {job["job_id"] for job in await fleet_mode.jobs()}
    assert done.prompt_id not in jobs
    for prompt_id in busy:
        assert (await fleet_mode.finished(prompt_id)).succeeded


async def test_with_the_toggle_off_one_prompt_may_still_ask_for_the_fleet(master: Session) -> None:
    options = {"orchestrator": {"run": "fleet", "peer": "peer-2"}}
    done = await master.run(saved(stamp(seed=180), "1"), extra_data=options)
    assert await peers_of(master, done) == ["peer-2"]
    with pytest.raises(PromptRejected):
        await master.queue(saved(stamp(seed=181), "1"))


async def test_a_prompt_no_peer_can_run_is_refused_with_the_guilty_nodes_and_what_each_peer_lacks(
    fleet_mode: Session,
) -> None:
    graph = saved(sampled(seed=9), "5")
    graph["1"]["inputs"]["unet_name"] = "nowhere.safetensors"
    graph["4"]["inputs"]["steps"] = -1
    with pytest.raises(PromptRejected) as refusal:
        await fleet_mode.queue(graph)
    error, nodes = refusal.value.body["error"], refusal.value.body["node_errors"]
    assert {(i, e["type"]) for i, found in nodes.items() for e in found["errors"]} == {
        ("1", "value_not_in_list"),
        ("4", "value_smaller_than_min"),
    }
    assert nodes["1"]["class_type"] == "UNETLoader" and nodes["1"]["dependent_outputs"] == ["9"]
    assert error["details"].startswith("peer-1, peer-2: it lacks the file nowhere.safetensors, ")
    assert "smaller than min" in error["details"]
    graph["1"] = node("NobodyHasThis")
    with pytest.raises(PromptRejected) as refusal:
        await fleet_mode.queue(graph)
    assert list(refusal.value.body["node_errors"]) == ["1"]


async def test_an_output_that_cannot_run_is_left_out_as_the_host_does(fleet_mode: Session) -> None:
    graph = saved(stamp(seed=190), "1")
    graph["8"] = node("SaveImage", filename_prefix="fleet/never")
    prompt_id = str(uuid.uuid4())
    answer = await fleet_mode.post("/prompt", {"prompt": graph, "prompt_id": prompt_id}, status=200)
    assert answer["prompt_id"] == prompt_id and list(answer["node_errors"]) == ["8"]
    done = await fleet_mode.finished(prompt_id)
    assert done.succeeded and list(done.entry["outputs"]) == ["9"]


async def test_a_node_that_raises_on_the_peer_is_an_error_of_that_node_here(fleet_mode: Session) -> None:
    graph = saved({**stamp(seed=195), "2": node("TestError", value=["1", 0], text="on purpose")}, "2")
    done = await fleet_mode.run(graph)
    assert not done.succeeded
    assert (done.error["node_id"], done.error["node_type"]) == ("2", "TestError")
    assert "on purpose" in done.error["exception_message"]


async def test_while_the_queue_is_paused_prompts_wait_and_go_on_afterwards(fleet_mode: Session) -> None:
    await fleet_mode.patch("/orchestrator/settings", {"paused": True})
    prompt_id = await fleet_mode.queue(working(seed=200, seconds=0.1))
    other = await fleet_mode.queue(working(seed=201, seconds=0.1))
    queue = await fleet_mode.get("/queue")
    assert [item[1] for item in queue["queue_pending"]] == [prompt_id, other]
    await fleet_mode.post(
        f"/orchestrator/jobs/{other}/move", {"before": prompt_id, "peer": "peer-2"}, status=200
    )
    await fleet_mode.patch("/orchestrator/settings", {"paused": False})
    finished = [await fleet_mode.finished(i) for i in (prompt_id, other)]
    assert (await peers_of(fleet_mode, *finished))[1] == "peer-2"


async def test_this_machine_helps_when_no_peer_could_start_the_prompt_at_once(
    fleet_mode: Session, peers: list[Session]
) -> None:
    await fleet_mode.patch("/orchestrator/settings", {"this_machine": True})
    try:
        busy = [await fleet_mode.queue(working(seed=seed, seconds=3.0)) for seed in (210, 211)]

        async def two_run() -> bool:
            return len((await fleet_mode.get("/queue"))["queue_running"]) == 2

        await until(two_run, "both peers work")
        async with fleet_mode.listening() as (client_id, heard):
            done = await fleet_mode.run(local(seed=5), client_id=client_id)
        assert done.succeeded
        assert await peers_of(fleet_mode, done) == ["this computer"]
        assert done.images("9")[0]["type"] == "output"
        told = [event["type"] for event in heard if event["type"] in ("execution_start", "execution_success")]
        assert told == ["execution_start", "execution_success"]
        # A class only the peers have cannot run here, and does not.
        remote = await fleet_mode.run(working(seed=212, seconds=0.1))
        assert remote.succeeded
        assert (await peers_of(fleet_mode, remote))[0] in ("peer-1", "peer-2")
        for prompt_id in busy:
            assert (await fleet_mode.finished(prompt_id)).succeeded
    finally:
        await fleet_mode.patch("/orchestrator/settings", {"this_machine": False})


async def test_input_files_of_the_master_go_along(fleet_mode: Session) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16), (9, 8, 7)).save(buffer, "PNG")
    await fleet_mode.upload("fleet-input.png", buffer.getvalue())
    graph = saved({"1": node("LoadImage", image="fleet-input.png")}, "1")
    done = await fleet_mode.run(graph)
    assert (await fleet_mode.picture(done.images("9")[0]))[0, 0].tolist() == [9, 8, 7]


def wav(seconds: float = 0.2, rate: int = 8_000) -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(b"\0\1" * int(seconds * rate))
    return buffer.getvalue()


async def test_files_of_every_kind_land_in_the_masters_output_folder_and_texts_on_the_node(
    fleet_mode: Session, fleet: Fleet
) -> None:
    await fleet_mode.upload("tone.wav", wav())
    graph = {
        "1": node("EmptyImage", width=32, height=32, batch_size=4, color=77),
        "2": node("CreateVideo", images=["1", 0], fps=8.0),
        "3": node("SaveVideo", video=["2", 0], filename_prefix="kinds/film", format="auto", codec="auto"),
        "4": node("EmptyLatentImage", width=64, height=64, batch_size=1),
        "5": node("SaveLatent", samples=["4", 0], filename_prefix="kinds/latent"),
        "6": node("LoadAudio", audio="tone.wav"),
        "7": node("SaveAudio", audio=["6", 0], filename_prefix="kinds/tone"),
        "8": node("PreviewAny", source=["9", 0]),
        "9": node("PrimitiveString", value="a text, äöü"),
        "10": node("SaveImage", images=["1", 0], filename_prefix="kinds/still"),
        "11": node("PreviewImage", images=["1", 0]),
    }
    done = await fleet_mode.run(graph)
    assert done.succeeded, done.entry["status"]
    outputs = done.entry["outputs"]
    assert outputs["8"]["text"] == ["a text, äöü"]
    found = sorted(path.name for path in (fleet.master.base / "output" / "kinds").iterdir())
    assert [Path(name).suffix for name in found] == [".mp4", ".latent", *[".png"] * 4, ".flac"], found
    assert [image["filename"] for image in done.images("10")] == [f"still_0000{n}_.png" for n in range(1, 5)]
    assert {image["type"] for image in done.images("11")} == {"temp"}
    named = [
        item
        for output in outputs.values()
        for items in output.values()
        for item in items
        if isinstance(item, dict)
    ]
    assert len(named) == 11
    for item in named:
        query = urlencode({key: item[key] for key in ("filename", "subfolder", "type")})
        async with fleet_mode.http.get(f"{fleet_mode.url}/view?{query}") as answer:
            assert answer.status == 200, item


async def test_a_second_run_numbers_its_files_on_from_the_first(fleet_mode: Session, fleet: Fleet) -> None:
    for seed in (231, 232):
        assert (await fleet_mode.run(saved(stamp(seed=seed), "1", "numbered/a"))).succeeded
    here = {**local(seed=6), "9": node("SaveImage", images=["1", 0], filename_prefix="numbered/a")}
    assert (await fleet_mode.run(here, extra_data={"orchestrator": {"run": "local"}})).succeeded
    assert (await fleet_mode.run(saved(stamp(seed=233), "1", "numbered/a"))).succeeded
    names = sorted(path.name for path in (fleet.master.base / "output" / "numbered").iterdir())
    assert names == [f"a_0000{number}_.png" for number in range(1, 5)]


async def test_a_body_that_is_no_prompt_gets_the_hosts_own_answer(
    fleet_mode: Session, http: aiohttp.ClientSession
) -> None:
    assert (await fleet_mode.post("/prompt", {}, status=400))["error"]["type"] == "no_prompt"
    async with http.post(f"{fleet_mode.url}/prompt", data=b"{", headers={"Content-Type": "x"}) as answer:
        assert answer.status >= 400
    assert (await fleet_mode.run(local(seed=3), extra_data={"orchestrator": {"run": "local"}})).succeeded


async def test_while_somebody_else_holds_the_journal_a_prompt_is_refused_in_words_and_runs_nowhere(
    fleet_mode: Session, fleet: Fleet
) -> None:
    journal = next(fleet.master.base.rglob("journal.sqlite3"))
    known = len(await fleet_mode.jobs())
    with closing(sqlite3.connect(journal, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        async with fleet_mode.http.post(f"{fleet_mode.url}/prompt", json={"prompt": local(seed=4)}) as answer:
            assert (answer.status, (await answer.json())["error"]["type"]) == (503, "store")
        assert (await fleet_mode.get("/queue")) == {"queue_running": [], "queue_pending": []}
        other.execute("ROLLBACK")
    assert len(await fleet_mode.jobs()) == known
    assert (await fleet_mode.run(local(seed=4))).succeeded


async def test_f23_a_prompt_that_is_sent_twice_under_one_request_id_is_one_job(fleet_mode: Session) -> None:
    body = {"prompt": working(2301), "client_id": "c", "extra_data": {"orchestrator": {"request_id": "once"}}}
    both = await asyncio.gather(*(fleet_mode.post("/prompt", body) for _ in range(2)))
    assert both[0] == both[1]
    before = [job for job in await fleet_mode.jobs() if job["job_id"] == both[0]["prompt_id"]]
    assert len(before) == 1

    async def is_done() -> bool:
        return bool((await fleet_mode.get(f"/orchestrator/jobs/{both[0]['prompt_id']}"))["state"] == "done")

    await until(is_done, "the job is done")
    count = len(await fleet_mode.jobs())
    again = await fleet_mode.post("/prompt", body)
    assert (again["prompt_id"], len(await fleet_mode.jobs())) == (both[0]["prompt_id"], count)
