"""A ComfyUI in fleet mode: what its own routes do to queued prompts, and what its clients hear."""

from __future__ import annotations

import logging
import uuid
from pathlib import Path
from typing import Any

import pytest

from orchestrator.core.models.job import Job, JobRequest, JobState
from tests.fakes.comfyui import FakeComfyUI
from tests.fakes.graphs import picture
from tests.fakes.host import FakeHost
from tests.fakes.waiting import until, until_told

from .test_fleet_mode_prompts import DISPATCHED, wishing

CANCELLED = {"cancelled": True}
FOR_PEERS = ({"run": "fleet"}, {"peer": "a"}, {"tags": ["fast"]})
EVIL = {"Host": "evil.example:8188", "Origin": "http://evil.example:8188"}


def job(host: FakeHost, prompt_id: str) -> Job:
    return next(known for known in host.runtime.jobs.all() if known.id == prompt_id)


def states(host: FakeHost, *prompt_ids: str) -> list[JobState]:
    return [job(host, prompt_id).state for prompt_id in prompt_ids]


def kinds(heard: list[Any]) -> list[str]:
    return [message["type"] for message in heard if message["type"] != "status"]


async def begun(host: FakeHost, peer: FakeComfyUI, seed: int = 1, **body: Any) -> str:
    """A prompt that runs on this peer until the test ends it; here is known that it does."""
    peer.on_prompt = "hold"
    prompt_id = str((await host.run(picture(seed), **body))["prompt_id"])
    await until(lambda: job(host, prompt_id).begun_at is not None, "it has begun")
    return prompt_id


async def held(host: FakeHost, seed: int = 2, **body: Any) -> str:
    """A prompt that waits for a peer."""
    await host.prefer(paused=True)
    return str((await host.run(picture(seed), **body))["prompt_id"])


# /interrupt


@pytest.mark.parametrize("prefix", ["", "/api"])
async def test_an_interrupt_ends_what_runs_in_the_fleet_and_here_and_leaves_what_waits(
    fleet_mode: FakeHost, a: FakeComfyUI, prefix: str
) -> None:
    running, waiting = await begun(fleet_mode, a), await held(fleet_mode)
    assert (await fleet_mode.post(f"{prefix}/interrupt", {}))[0] == 200
    assert states(fleet_mode, running, waiting) == [JobState.CANCELLED, JobState.WAITING]
    assert (a.running, fleet_mode.interrupts) == (None, 1)


async def test_an_interrupt_by_id_ends_that_prompt_alone_and_nothing_of_the_host(
    fleet_mode: FakeHost, a: FakeComfyUI, b: FakeComfyUI
) -> None:
    await fleet_mode.add("b", b)
    one = await begun(fleet_mode, a, 1, **wishing(peer="a"))
    other = await begun(fleet_mode, b, 2, **wishing(peer="b"))
    assert (await fleet_mode.post("/interrupt", {"prompt_id": one}))[0] == 200
    assert states(fleet_mode, one, other) == [JobState.CANCELLED, JobState.RUNNING]
    assert (a.running is None, b.running is None) == (True, False)
    assert (fleet_mode.reached, fleet_mode.interrupts) == ([], 0)


async def test_an_interrupt_by_the_id_of_a_prompt_that_waits_does_nothing(
    fleet_mode: FakeHost, a: FakeComfyUI
) -> None:
    running, waiting = await begun(fleet_mode, a), await held(fleet_mode)
    assert (await fleet_mode.post("/interrupt", {"prompt_id": waiting}))[0] == 200
    assert states(fleet_mode, running, waiting) == [JobState.RUNNING, JobState.WAITING]
    assert fleet_mode.interrupts == 0


async def test_an_interrupt_by_the_id_of_a_prompt_of_the_host_is_the_hosts(
    fleet_mode: FakeHost, a: FakeComfyUI
) -> None:
    running = await begun(fleet_mode, a)
    here = (await fleet_mode.run(picture(5), **wishing(run="local")))["prompt_id"]
    fleet_mode.begin(here)
    await fleet_mode.post("/interrupt", {"prompt_id": here})
    assert (fleet_mode.interrupts, states(fleet_mode, running)) == (1, [JobState.RUNNING])


async def test_an_interrupt_finds_what_a_peer_runs_without_a_word(
    fleet_mode: FakeHost, a: FakeComfyUI
) -> None:
    a.on_prompt = "hold"
    a.unsaid = {"execution_start", "execution_cached", "executing"}
    prompt_id = (await fleet_mode.run(picture()))["prompt_id"]
    await until(lambda: a.running, "it runs there")
    assert job(fleet_mode, prompt_id).begun_at is None
    await fleet_mode.post("/interrupt", {})
    assert states(fleet_mode, prompt_id) == [JobState.CANCELLED]


# /queue


async def test_clearing_the_queue_cancels_what_waits_in_the_fleet_and_here(
    fleet_mode: FakeHost, a: FakeComfyUI
) -> None:
    running, waiting = await begun(fleet_mode, a), await held(fleet_mode)
    await fleet_mode.run(picture(5), **wishing(run="local"))
    assert (await fleet_mode.post("/queue", {"clear": True}))[0] == 200
    assert states(fleet_mode, running, waiting) == [JobState.RUNNING, JobState.CANCELLED]
    assert fleet_mode.waiting == []
    listed = await fleet_mode.get("/queue")
    assert [item[1] for item in listed["queue_running"]] == [running]
    assert listed["queue_pending"] == []


async def test_what_waits_is_deleted_by_id_in_the_fleet_and_here(
    fleet_mode: FakeHost, a: FakeComfyUI
) -> None:
    running = await begun(fleet_mode, a)
    waiting, kept = await held(fleet_mode, 2), await held(fleet_mode, 3)
    here = [(await fleet_mode.run(picture(n), **wishing(run="local")))["prompt_id"] for n in (5, 6)]
    await fleet_mode.post("/queue", {"delete": [running, waiting, here[0]]})
    assert states(fleet_mode, running, waiting, kept) == [
        *(JobState.RUNNING, JobState.CANCELLED, JobState.WAITING)
    ]
    assert fleet_mode.waiting == [here[1]]


async def test_deleting_a_prompt_ends_what_its_dispatch_node_has_begun(
    fleet_mode: FakeHost, a: FakeComfyUI
) -> None:
    a.on_prompt = "hold"
    prompt_id = (await fleet_mode.run(DISPATCHED))["prompt_id"]
    await until(lambda: a.running, "it was started ahead")
    await fleet_mode.post("/queue", {"delete": [prompt_id]})
    (begun,) = fleet_mode.runtime.jobs.all()
    await until(lambda: states(fleet_mode, begun.id) == [JobState.CANCELLED], "its job is ended")
    assert a.running is None


async def test_jobs_of_scripts_are_in_nobodys_queue(fleet_mode: FakeHost, a: FakeComfyUI) -> None:
    a.on_prompt = "hold"
    script = (await fleet_mode.runtime.jobs.submit(JobRequest(prompt=picture()))).id
    await until(lambda: job(fleet_mode, script).begun_at is not None, "it runs")
    assert (await fleet_mode.get("/queue"))["queue_running"] == []
    await fleet_mode.post("/interrupt", {})
    await fleet_mode.post("/queue", {"clear": True, "delete": [script]})
    await fleet_mode.post("/api/jobs/cancel", {"job_ids": [str(uuid.UUID(script))]})
    assert states(fleet_mode, script) == [JobState.RUNNING]


async def asked(host: FakeHost, path: str, body: dict[str, Any]) -> list[str]:
    """The jobs that a page's request to the fleet makes."""
    page = {"X-Orchestrator-Page": host.url, "Sec-Fetch-Site": "same-origin"}
    token = (await host.get("/orchestrator/session", **page))["token"]
    status, sent = await host.post(f"/orchestrator{path}", body, **{"X-Orchestrator-Token": token})
    assert status == 202, sent
    return list(sent["job_ids"])


async def test_variations_of_a_page_are_among_its_own_prompts(fleet_mode: FakeHost, a: FakeComfyUI) -> None:
    a.on_prompt = "hold"
    async with fleet_mode.listening("page") as heard:
        body = {"prompt": picture(), "variations": [{"1.color": 1}, {"1.color": 2}], "client_id": "page"}
        first, second = await asked(fleet_mode, "/jobs", body)
        await until(lambda: job(fleet_mode, first).begun_at is not None, "one runs")
        queue = await fleet_mode.get("/queue")
        shown = {item[1]: item[2]["1"]["inputs"]["color"] for part in queue.values() for item in part}
        assert shown == {first: 1, second: 2}, "each with its own values"
        await fleet_mode.post("/queue", {"clear": True})
        await fleet_mode.post("/interrupt", {})
        await until(lambda: "execution_interrupted" in kinds(heard), "the page hears of it")
    assert states(fleet_mode, first, second) == [JobState.CANCELLED] * 2
    assert list(await fleet_mode.get("/history")) == [first], "what never ran leaves no trace"


async def test_what_a_page_repeats_is_among_its_own_prompts(fleet_mode: FakeHost, a: FakeComfyUI) -> None:
    script = (await fleet_mode.runtime.jobs.submit(JobRequest(prompt=picture()))).id
    await until(lambda: job(fleet_mode, script).state is JobState.DONE, "it is done")
    a.on_prompt = "hold"
    for client_id, shown in (("page", 1), (None, 0)):
        (again,) = await asked(fleet_mode, f"/jobs/{script}/retry", {"client_id": client_id})
        await until(lambda again=again: job(fleet_mode, again).begun_at is not None, "it runs")
        assert len((await fleet_mode.get("/queue"))["queue_running"]) == shown
        await fleet_mode.runtime.jobs.cancel(again)


# /jobs


@pytest.mark.parametrize("is_running", [True, False])
async def test_a_job_is_cancelled_by_its_id(fleet_mode: FakeHost, a: FakeComfyUI, is_running: bool) -> None:
    prompt_id = await begun(fleet_mode, a) if is_running else await held(fleet_mode)
    assert await fleet_mode.post(f"/api/jobs/{prompt_id}/cancel", {}) == (200, CANCELLED)
    assert states(fleet_mode, prompt_id) == [JobState.CANCELLED]
    assert a.running is None and not fleet_mode.reached


async def test_a_job_that_is_none_of_the_fleet_is_left_to_the_host(fleet_mode: FakeHost) -> None:
    answer = await fleet_mode.post(f"/api/jobs/{uuid.uuid4()}/cancel", {})
    assert answer == (200, {"cancelled": False}) and len(fleet_mode.reached) == 1


async def test_several_jobs_are_cancelled_at_once_in_the_fleet_and_here(
    fleet_mode: FakeHost, a: FakeComfyUI
) -> None:
    running, waiting = await begun(fleet_mode, a), await held(fleet_mode)
    here = (await fleet_mode.run(picture(5), **wishing(run="local")))["prompt_id"]
    ids = {"job_ids": [running, here]}
    assert await fleet_mode.post("/api/jobs/cancel", ids) == (200, CANCELLED)
    assert states(fleet_mode, running, waiting) == [JobState.CANCELLED, JobState.WAITING]
    assert (fleet_mode.waiting, fleet_mode.asked("/jobs/cancel")) == ([], [ids])
    assert await fleet_mode.post("/api/jobs/cancel", {"job_ids": [waiting]}) == (200, CANCELLED)
    assert states(fleet_mode, waiting) == [JobState.CANCELLED]
    assert await fleet_mode.post("/api/jobs/cancel", ids) == (200, {"cancelled": False})


@pytest.mark.parametrize("more", [5, "no id"])
async def test_with_an_id_that_is_none_among_them_no_job_is_cancelled(
    fleet_mode: FakeHost, a: FakeComfyUI, more: object
) -> None:
    running = await begun(fleet_mode, a)
    status, answer = await fleet_mode.post("/api/jobs/cancel", {"job_ids": [running, more]})
    assert (status, answer["error"]) == (400, "job_ids must be valid UUIDs")
    assert states(fleet_mode, running) == [JobState.RUNNING]


# When something is wrong


@pytest.mark.parametrize("path", ["/interrupt", "/queue", "/api/jobs/cancel"])
async def test_a_body_that_is_no_json_is_answered_by_the_host_once(fleet_mode: FakeHost, path: str) -> None:
    await fleet_mode.post(path, b"{no json")
    assert len(fleet_mode.reached) == 1


async def test_the_host_is_not_asked_twice_when_we_fail_after_its_answer(
    fleet_mode: FakeHost, caplog: pytest.LogCaptureFixture
) -> None:
    fleet_mode.prompt_queue.put((1,))  # another pack's, which nobody but that can read
    assert (await fleet_mode.post("/queue", {"clear": False}))[0] == 200
    assert fleet_mode.asked("/queue") == [{"clear": False}]
    assert "ComfyUI itself answers" in caplog.text


class Lines(logging.Handler):
    """What comes to the host's own log."""

    def __init__(self) -> None:
        super().__init__()
        self.ours: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.startswith("orchestrator"):
            self.ours.append(record.getMessage())


async def test_each_of_our_lines_in_the_log_says_whose_it_is_and_the_first_one_what_is_here(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    lines = Lines()
    logging.getLogger().addHandler(lines)
    try:
        async with FakeHost(tmp_path):
            await until(lambda: "Remote Dispatch: ready, with 0 peers; fleet mode is off" in lines.ours)
    finally:
        logging.getLogger().removeHandler(lines)
    assert all(line.startswith("Remote Dispatch") for line in lines.ours)


# Clients that listen


async def test_the_client_that_asked_hears_of_its_prompt_from_start_to_end(
    fleet_mode: FakeHost, a: FakeComfyUI
) -> None:
    async with fleet_mode.listening("page") as heard, fleet_mode.listening("other") as elsewhere:
        prompt_id = (await fleet_mode.run(picture(), client_id="page"))["prompt_id"]
        await until(lambda: "execution_success" in kinds(heard), "it hears of the end")
        await until(lambda: kinds(heard)[-1] == "executing", "and that nothing runs")
        said = [message for message in heard if message["type"] != "status"]
        assert {message["data"]["prompt_id"] for message in said} == {prompt_id}
        assert kinds(heard)[0] == "execution_start" and "executed" in kinds(heard)
        assert kinds(heard)[-2:] == ["execution_success", "executing"]
        assert kinds(elsewhere) == []


async def test_every_client_is_told_how_long_the_queue_is(fleet_mode: FakeHost) -> None:
    def length(heard: list[Any]) -> Any:
        told = [said["data"]["status"] for said in heard if said["type"] == "status"]
        return told[-1].get("exec_info", {}).get("queue_remaining")

    async with fleet_mode.listening("page") as heard:
        await held(fleet_mode, 2)
        await held(fleet_mode, 3)
        await until(lambda: length(heard) == 2, "two wait")
        await fleet_mode.post("/queue", {"clear": True})
        await until(lambda: length(heard) == 0, "none waits")


async def test_a_client_that_comes_back_hears_which_node_its_prompt_is_at(
    fleet_mode: FakeHost, a: FakeComfyUI
) -> None:
    async with fleet_mode.listening("page") as heard:
        prompt_id = await begun(fleet_mode, a, client_id="page")
        await a.send(a.running or "", "executing", node="1", display_node="1")
        await until(lambda: "executing" in kinds(heard), "it hears of a node")
    await until(lambda: not fleet_mode.sockets, "it is gone")
    async with fleet_mode.listening("page") as again, fleet_mode.listening("other") as other:
        await until(lambda: kinds(again), "it is told")
        assert kinds(again) == ["executing"]
        told = next(said["data"] for said in again if said["type"] == "executing")
        assert (told["node"], told["prompt_id"]) == ("1", prompt_id)
        await a.finish(a.running or "")
        await until(lambda: "execution_success" in kinds(again), "it hears the rest")
        assert kinds(other) == []


async def test_a_client_whose_old_connection_still_stands_is_told_on_the_new_one(
    fleet_mode: FakeHost, a: FakeComfyUI
) -> None:
    async with fleet_mode.listening("page") as heard:
        await begun(fleet_mode, a, client_id="page")
        await a.send(a.running or "", "executing", node="1", display_node="1")
        await until(lambda: "executing" in kinds(heard), "it hears of a node")
        async with fleet_mode.listening("page") as again:
            await until(lambda: kinds(again) == ["executing"], "it is told there")


# Pages of other sites


async def test_a_page_of_another_site_neither_sees_nor_moves_the_fleet(
    fleet_mode: FakeHost, a: FakeComfyUI
) -> None:
    running, waiting = await begun(fleet_mode, a), await held(fleet_mode)
    assert await fleet_mode.get("/queue", **EVIL) == {"queue_running": [], "queue_pending": []}
    await fleet_mode.post("/interrupt", {}, **EVIL)
    await fleet_mode.post("/interrupt", {"prompt_id": running}, **EVIL)
    await fleet_mode.post("/queue", {"clear": True, "delete": [waiting]}, **EVIL)
    await fleet_mode.post(f"/api/jobs/{running}/cancel", {}, **EVIL)
    await fleet_mode.post("/api/jobs/cancel", {"job_ids": [running, waiting]}, **EVIL)
    assert states(fleet_mode, running, waiting) == [JobState.RUNNING, JobState.WAITING]


async def test_a_page_of_another_site_gets_a_plain_comfyui_for_its_prompts(
    fleet_mode: FakeHost, a: FakeComfyUI
) -> None:
    status, answer = await fleet_mode.post("/prompt", {"prompt": picture()}, **EVIL)
    assert status == 200 and fleet_mode.waiting == [answer["prompt_id"]]
    for body in ({"prompt": DISPATCHED}, *({"prompt": picture(), **wishing(**wish)} for wish in FOR_PEERS)):
        status, answer = await fleet_mode.post("/prompt", body, **EVIL)
        assert status == 403 and "The fleet is off for this page" in answer["error"]["message"]
    assert len(fleet_mode.waiting) == 1 and not fleet_mode.runtime.jobs.all() and not a.prompts


async def test_a_page_of_another_site_does_not_stop_a_prompt_that_peers_work_for(
    fleet_mode: FakeHost, a: FakeComfyUI
) -> None:
    fleet_mode.begin((await fleet_mode.run(DISPATCHED))["prompt_id"])
    fleet_mode.reached.clear()
    status, _ = await fleet_mode.post("/interrupt", {}, **EVIL)
    assert (status, fleet_mode.reached, fleet_mode.interrupts) == (403, [], 0)


async def test_a_page_of_another_site_takes_nothing_of_the_fleet_out_of_the_history(
    fleet_mode: FakeHost, a: FakeComfyUI
) -> None:
    async def history(**headers: str) -> list[str]:
        return list(await fleet_mode.get("/history", **headers))

    prompt_id = (await fleet_mode.run(picture()))["prompt_id"]
    await until_told(history, "it has ended")
    assert await history(**EVIL) == []
    await fleet_mode.post("/history", {"clear": True}, **EVIL)
    assert await history() == [prompt_id]
    await fleet_mode.post("/history", {"clear": True})
    assert await history() == []
