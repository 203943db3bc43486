"""F56: a page that reaches the master by a name of its own, and a program that does."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from .graphs import dispatched, node, sleep, stamp
from .session import Session, until
from .test_fault_cases import running_there
from .test_faults import end_of, ending
from .test_fleet_mode import heard_end

pytestmark = pytest.mark.e2e

EVIL = "evil.example:8188"
BROWSER = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Chrome/140.0", "Host": EVIL}
REBOUND = {**BROWSER, "Origin": f"http://{EVIL}", "Content-Type": "application/json"}
UNKNOWN_HOST = {"Host": "render-farm.example:8188"}
LOCAL = {"1": node("EmptyImage", width=8, height=8, batch_size=1, color=1)}


@pytest.fixture
async def fleet_mode(master: Session) -> AsyncIterator[Session]:
    await master.patch("/orchestrator/settings", {"fleet_mode": True})
    yield master
    await master.patch("/orchestrator/settings", {"fleet_mode": False, "this_machine": False})


async def asked(master: Session, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, str]:
    data = None if body is None else json.dumps(body)
    async with master.http.request(method, master.url + path, data=data, headers=headers) as answer:
        return answer.status, await answer.text()


async def known(master: Session) -> list[str]:
    return [job["job_id"] for job in await master.jobs()]


@pytest.mark.parametrize("prefix", ["", "/api"])
async def test_f56_a_rebound_page_neither_sees_nor_moves_the_fleet(fleet_mode: Session, prefix: str) -> None:
    master = fleet_mode
    running = await master.queue(ending({**sleep(5600, 4.0)}, "10", 56))
    await running_there(master, running)
    jobs = await known(master)
    async with master.listening(**REBOUND) as (client_id, heard):
        ours = {"prompt": ending(LOCAL, "1", 56), "client_id": client_id}
        status, text = await asked(master, "POST", f"{prefix}/prompt", ours, **REBOUND)
        assert status == 200, text  # ComfyUI without the fleet
        await until(lambda: heard_end(heard), "the local run has ended")
        for path, body in {
            "/interrupt": {},
            "/queue": {"clear": True, "delete": [running]},
            "/history": {"clear": True, "delete": [running]},
            f"/jobs/{running}/cancel": {},
            "/jobs/cancel": {"job_ids": [running]},
        }.items():
            await asked(master, "POST", prefix + path, body, **REBOUND)
        for path in ("/queue", "/history", f"/history/{running}", "/prompt", "/jobs", "/object_info"):
            _, text = await asked(master, "GET", prefix + path, **BROWSER)
            assert running not in text and "TestStamp" not in text, path
        for path in ("/peers", "/jobs", "/settings", "/session", "/events", "/where"):
            status, _ = await asked(master, "GET", f"{prefix}/orchestrator{path}", **BROWSER)
            assert status == 403, path
        assert (await end_of(master, running))["state"] == "done"
        assert not any(running in json.dumps(message) for message in heard if message["type"] != "binary")
        assert not any(message["type"].startswith("orchestrator.") for message in heard)
    assert set(await known(master)) <= set(jobs)  # the oldest may be listed no more
    assert running in await master.get("/history")


@pytest.mark.parametrize("wish", [{"run": "fleet"}, {"peer": "peer-1"}, {"tags": ["fast"]}], ids=str)
async def test_f56_what_a_rebound_page_sends_to_the_fleet_is_refused_and_never_runs_here(
    fleet_mode: Session, wish: dict[str, Any]
) -> None:
    master = fleet_mode
    jobs, history = await known(master), set(await master.get("/history"))
    body = {"prompt": ending(LOCAL, "1", 57), "extra_data": {"orchestrator": wish}}
    status, text = await asked(master, "POST", "/prompt", body, **REBOUND)
    assert status == 403
    assert "The fleet is off for this page" in json.loads(text)["error"]["message"]
    assert await master.is_idle()
    assert (await known(master), set(await master.get("/history"))) == (jobs, history)


async def test_f56_a_rebound_page_reaches_no_peer_through_a_remote_dispatch_node(master: Session) -> None:
    jobs = await known(master)
    graph = dispatched(stamp(5601), ["1", 0])
    status, _ = await asked(master, "POST", "/prompt", {"prompt": graph}, **REBOUND)
    assert status == 403
    assert await known(master) == jobs

    running = await master.queue(dispatched(sleep(5602, 3.0), ["10", 0]))

    async def at_work() -> bool:
        return any(job["begun_at"] and job["state"] == "running" for job in await master.jobs())

    await until(at_work, "a peer works for it")
    assert (await asked(master, "POST", "/interrupt", {}, **REBOUND))[0] == 403
    assert (await asked(master, "POST", "/queue", {"clear": True}, **REBOUND))[0] == 403
    assert (await master.finished(running)).succeeded


async def test_f56_a_program_is_served_whatever_host_it_names(fleet_mode: Session) -> None:
    master = fleet_mode
    async with master.listening(**UNKNOWN_HOST) as (client_id, heard):
        body = {"prompt": ending(stamp(5603), "1", 58), "client_id": client_id}
        status, text = await asked(master, "POST", "/prompt", body, **UNKNOWN_HOST)
        assert status == 200, text
        await until(lambda: heard_end(heard), "it hears the end")
    assert (await end_of(master, json.loads(text)["prompt_id"]))["state"] == "done"
