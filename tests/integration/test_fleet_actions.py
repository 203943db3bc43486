"""What a person does to peers and ended jobs from the Fleet tab: retry, behind a real socket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.core.models.job import Job, JobRequest, JobState, Source
from orchestrator.host.openapi import OPENAPI
from tests.fakes.comfyui import FakeComfyUI
from tests.fakes.graphs import picture, stock_classes
from tests.fakes.waiting import until

from .test_jobs_api import fault
from .test_routes import Host, serving


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    for name in ("output", "temp"):
        (tmp_path / name).mkdir()
    async with serving(tmp_path) as host:
        yield host


@pytest.fixture
async def bad(host: Host) -> AsyncIterator[FakeComfyUI]:
    """A peer called bad, on which every prompt fails."""
    async with FakeComfyUI() as fake:
        fake.object_info = stock_classes()
        fake.on_prompt = "fail"
        await host.ask("POST", "/orchestrator/peers", {"name": "bad", "url": fake.url})
        yield fake


@pytest.fixture
async def good(host: Host) -> AsyncIterator[FakeComfyUI]:
    async with FakeComfyUI() as fake:
        fake.object_info = stock_classes()
        await host.ask("POST", "/orchestrator/peers", {"name": "good", "url": fake.url})
        yield fake


async def asked(host: Host, path: str, body: dict[str, Any], described: str) -> tuple[int, Any]:
    """A POST whose body and answer are checked against the description."""
    status, answer = await host.ask("POST", f"/orchestrator{path}", body)
    operation = OPENAPI["paths"][f"/orchestrator{described}"]["post"]
    response = operation["responses"].get(str(status), operation["responses"]["default"])
    assert fault(answer, response["content"]["application/json"]["schema"]) == ""
    assert fault(body, operation["requestBody"]["content"]["application/json"]["schema"]) == ""
    return status, answer


async def job_of(host: Host, job_id: str) -> dict[str, Any]:
    return dict((await host.ask("GET", f"/orchestrator/jobs/{job_id}"))[1])


async def ended(host: Host, job_id: str) -> Job:
    def look() -> Job | None:
        job = host.runtime.known_job(job_id)
        return job if job and job.state.is_final else None

    found = await until(look, "the job ends")
    assert isinstance(found, Job)
    return found


async def submitted(host: Host, **body: Any) -> str:
    status, answer = await host.ask("POST", "/orchestrator/jobs", {"prompt": picture(), **body})
    assert status == 202, answer
    return str(answer["job_id"])


async def retried(host: Host, job_id: str, **body: Any) -> tuple[int, Any]:
    return await asked(host, f"/jobs/{job_id}/retry", body, "/jobs/{id}/retry")


# Once more


async def test_a_failed_job_is_done_by_another_peer_and_the_new_one_names_the_old(
    host: Host, bad: FakeComfyUI, good: FakeComfyUI
) -> None:
    old = await submitted(host, peer="bad", title="Cat")
    assert (await ended(host, old)).state is JobState.FAILED
    status, answer = await retried(host, old, peer="good", priority=5)
    assert status == 202 and answer["job_ids"] == [answer["job_id"]]
    new = await ended(host, answer["job_id"])
    assert (new.state, new.request.priority) == (JobState.DONE, 5)
    shown = await job_of(host, new.id)
    assert [shown[key] for key in ("retry_of", "peer", "title")] == [old, "good", "Cat"]
    assert (await job_of(host, old))["state"] == "failed"


async def test_without_a_wish_the_pin_stays_and_an_empty_one_takes_it_away(
    host: Host, bad: FakeComfyUI, good: FakeComfyUI
) -> None:
    old = await submitted(host, peer="bad")
    await ended(host, old)
    same = await ended(host, (await retried(host, old))[1]["job_id"])
    assert (same.state, same.request.peer) == (JobState.FAILED, "bad")
    good.on_prompt = "run"
    free = await ended(host, (await retried(host, old, peer=""))[1]["job_id"])
    assert free.request.peer == ""


async def test_a_prompt_of_fleet_mode_gets_an_id_that_comfyui_would_give(
    host: Host, bad: FakeComfyUI, good: FakeComfyUI
) -> None:
    request = JobRequest(prompt=picture(), source=Source.FLEET, peer="bad", client_id="page")
    old = await host.runtime.submit(request, job_id="00000000-0000-4000-8000-000000000001")
    await ended(host, old.id)
    new = await ended(host, (await retried(host, old.id, peer="good"))[1]["job_id"])
    assert (new.state, new.request.source, new.request.client_id) == (JobState.DONE, Source.FLEET, "page")
    assert len(new.id) == 36 and new.id != old.id


async def test_what_has_not_ended_or_lost_its_graph_is_not_retried(host: Host, good: FakeComfyUI) -> None:
    good.on_prompt = "hold"
    running = await submitted(host)
    status, answer = await retried(host, running)
    assert status == 409 and "Only an ended one" in answer["message"]
    bare = await host.runtime.submit(JobRequest())
    await host.runtime.cancel(bare.id)
    status, answer = await retried(host, bare.id)
    assert status == 409 and "no longer kept" in answer["message"]
    await host.runtime.cancel(running)
    assert (await retried(host, running, peer="nobody"))[0] == 400
    assert (await host.ask("POST", f"/orchestrator/jobs/{running}/retry", {"pear": "x"}))[0] == 400
    assert (await retried(host, "nothing"))[0] == 404
