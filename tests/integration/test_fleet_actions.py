"""What a person does to peers and ended jobs from the Fleet tab, behind a real socket."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.backends.smoke_test import try_out
from orchestrator.core.models.job import Job, JobRequest, JobState, Source
from orchestrator.dispatch.queue.registry import PREVIEW_MAX_BYTES
from orchestrator.host.api.openapi import OPENAPI
from tests.fakes.answers import answer as said
from tests.fakes.api import Host, serving
from tests.fakes.comfyui import FakeComfyUI
from tests.fakes.graphs import picture, stock_classes
from tests.fakes.untrusted import untrusted_server
from tests.fakes.waiting import until

from .test_jobs_api import fault


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
    response = operation["responses"][str(status)]
    assert fault(answer, response["content"]["application/json"]["schema"]) == ""
    assert fault(body, operation["requestBody"]["content"]["application/json"]["schema"]) == ""
    return status, answer


async def job_of(host: Host, job_id: str) -> dict[str, Any]:
    return dict((await host.ask("GET", f"/orchestrator/jobs/{job_id}"))[1])


async def ended(host: Host, job_id: str) -> Job:
    def look() -> Job | None:
        job = host.runtime.jobs.find(job_id)
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
    old = await host.runtime.jobs.submit(request, job_id="00000000-0000-4000-8000-000000000001")
    await ended(host, old.id)
    new = await ended(host, (await retried(host, old.id, peer="good"))[1]["job_id"])
    assert (new.state, new.request.source, new.request.client_id) == (JobState.DONE, Source.FLEET, "page")
    assert len(new.id) == 36 and new.id != old.id


async def test_what_has_not_ended_or_lost_its_graph_is_not_retried(host: Host, good: FakeComfyUI) -> None:
    good.on_prompt = "hold"
    running = await submitted(host)
    status, answer = await retried(host, running)
    assert status == 409 and "Only an ended one" in answer["message"]
    bare = await host.runtime.jobs.submit(JobRequest())
    await host.runtime.jobs.cancel(bare.id)
    status, answer = await retried(host, bare.id)
    assert status == 409 and "no longer kept" in answer["message"]
    await host.runtime.jobs.cancel(running)
    assert (await retried(host, running, peer="nobody"))[0] == 400
    assert (await host.ask("POST", f"/orchestrator/jobs/{running}/retry", {"pear": "x"}))[0] == 400
    assert (await retried(host, "nothing"))[0] == 404


# The test of a peer


async def peer_id(host: Host, name: str) -> str:
    config = host.runtime.manager.find(name)
    assert config is not None
    return config.id


async def at_peer(host: Host, name: str, action: str, **body: Any) -> tuple[int, Any]:
    return await asked(host, f"/peers/{await peer_id(host, name)}/{action}", body, f"/peers/{{id}}/{action}")


async def somebody_queues(peer: FakeComfyUI, host: Host) -> str:
    """A prompt of another master; its id."""
    body = {"prompt": picture(), "client_id": "somebody"}
    async with host.session.post(f"{peer.url}/prompt", json=body) as answer:
        return str((await answer.json())["prompt_id"])


async def peer_view(host: Host, name: str) -> dict[str, Any]:
    peers = (await host.ask("GET", "/orchestrator/peers"))[1]["peers"]
    return next(dict(peer) for peer in peers if peer["name"] == name)


async def test_a_test_runs_a_picture_there_tells_what_it_found_and_leaves_nothing(
    host: Host, good: FakeComfyUI
) -> None:
    status, found = await at_peer(host, "good", "test")
    assert status == 200 and found["ok"]
    classes = len(stock_classes())
    assert (found["node_types"], found["models_only_there"]) == (classes, 1)
    words = f"Works ({found['seconds']:.1f} s). {classes} node types, 1 model you don't have: "
    assert found["message"].startswith(words) and found["message"].endswith(".safetensors")
    (prompt,) = good.prompts
    assert [node["class_type"] for node in prompt.graph.values()] == ["EmptyImage", "PreviewImage"]
    async with host.session.get(f"{good.url}/history/{prompt.id}") as answer:
        assert await answer.json() == {}
    assert host.runtime.jobs.all() == ()


async def test_a_model_that_the_master_has_too_is_not_counted(tmp_path: Path, good: FakeComfyUI) -> None:
    own = {"base.safetensors"}
    async with serving(tmp_path / "other", own_models=lambda: own) as host:
        await host.ask("POST", "/orchestrator/peers", {"name": "good", "url": good.url})
        found = (await at_peer(host, "good", "test"))[1]
        assert found["models_only_there"] == 0 and found["message"].endswith("node types")


async def test_a_test_says_what_failed(host: Host, bad: FakeComfyUI) -> None:
    found = (await at_peer(host, "bad", "test"))[1]
    assert not found["ok"] and "it broke" in found["message"]
    bad.on_prompt = "error"
    found = (await at_peer(host, "bad", "test"))[1]
    assert not found["ok"] and "answered 500" in found["message"]
    await bad.go_down()
    found = (await at_peer(host, "bad", "test"))[1]
    assert not found["ok"] and "refused the connection" in found["message"]
    assert (await asked(host, "/peers/nobody/test", {}, "/peers/{id}/test"))[0] == 404


async def test_a_busy_peer_says_so_and_keeps_what_it_was_doing(good: FakeComfyUI, host: Host) -> None:
    good.on_prompt = "hold"
    theirs = [await somebody_queues(good, host) for _ in range(2)]
    trial = await try_out(host.runtime.client(await peer_id(host, "good")), "good", limit_s=0.3)
    assert not trial.ok and "is busy: 2 prompts went before" in trial.message
    assert (good.running, good.pending) == (theirs[0], theirs[1:])


async def test_a_peer_that_stands_still_with_the_test_is_told_apart_from_a_busy_one(
    good: FakeComfyUI, host: Host
) -> None:
    good.on_prompt = "hold"
    trial = await try_out(host.runtime.client(await peer_id(host, "good")), "good", limit_s=0.3)
    assert "had not ended a plain picture" in trial.message
    assert good.running is None


# What runs there


async def test_what_runs_of_ours_is_named_and_an_interrupt_cancels_that_job(
    host: Host, good: FakeComfyUI
) -> None:
    good.on_prompt = "hold"
    job_id = await submitted(host, title="Cat")
    await until(lambda: good.running, "it runs")
    await until(lambda: getattr(host.runtime.jobs.find(job_id), "begun_at", None), "its start was heard")
    view = (await peer_view(host, "good"))["running"]
    assert (view["job_id"], view["whose"], view["title"]) == (job_id, "ours", "Cat")
    running = good.running
    status, answer = await at_peer(host, "good", "interrupt")
    assert (status, answer["job_id"], answer["prompt_id"]) == (200, job_id, running)
    assert (await ended(host, job_id)).state is JobState.CANCELLED
    assert good.running is None
    status, answer = await at_peer(host, "good", "interrupt")
    assert status == 409 and "Nothing runs on good" in answer["message"]


async def test_somebody_elses_prompt_is_shown_as_such_and_ends_only_when_that_is_meant(
    host: Host, good: FakeComfyUI
) -> None:
    good.on_prompt = "hold"
    theirs, next_one = await somebody_queues(good, host), await somebody_queues(good, host)
    await at_peer(host, "good", "check")
    view = (await peer_view(host, "good"))["running"]
    assert (view["job_id"], view["whose"], view["prompt_id"]) == (None, "others", theirs)
    status, answer = await at_peer(host, "good", "interrupt")
    assert status == 409 and "was not sent by this computer" in answer["message"]
    assert (await at_peer(host, "good", "interrupt", foreign=True, prompt_id=next_one))[0] == 409
    assert good.running == theirs
    status, answer = await at_peer(host, "good", "interrupt", foreign=True, prompt_id=theirs)
    assert (status, answer["whose"]) == (200, "others")
    assert good.running == next_one
    bodies = [seen.json for seen in good.asked("/interrupt")]
    assert bodies == [{"prompt_id": theirs}]


async def test_freeing_a_peer_unloads_its_models_and_shows_the_room(host: Host, good: FakeComfyUI) -> None:
    status, view = await at_peer(host, "good", "free")
    assert status == 200 and view["devices"][0]["vram_free_bytes"] == 24 << 30
    assert [seen.json for seen in good.asked("/free")] == [{"unload_models": True, "free_memory": True}]
    await good.go_down()
    assert (await at_peer(host, "good", "free"))[0] == 502


async def test_the_newest_preview_of_a_running_job_is_given_out_and_gone_at_its_end(
    host: Host, good: FakeComfyUI
) -> None:
    good.on_prompt = "hold"
    job_id = await submitted(host)
    running = str(await until(lambda: good.running, "it runs"))
    await until(lambda: getattr(host.runtime.jobs.find(job_id), "begun_at", None), "its start was heard")
    url = f"{host.url}/orchestrator/jobs/{job_id}/preview"
    assert (await host.ask("GET", f"/orchestrator/jobs/{job_id}/preview"))[0] == 404
    for number, data in enumerate((b"first", b"second"), start=1):
        await good.send_preview(running, "1", data)
        await until(lambda n=number: getattr(host.runtime.jobs.find(job_id), "previews", 0) == n, "it came")
        assert (await job_of(host, job_id))["previews"] == number
        async with host.session.get(url) as answer:
            assert (answer.status, answer.content_type, await answer.read()) == (200, "image/jpeg", data)
    await good.send_preview(running, "1", bytes(PREVIEW_MAX_BYTES + 1))
    await good.send_preview(running, "1", b"third")
    await until(
        lambda: getattr(host.runtime.jobs.find(job_id), "previews", 0) == 3, "too large a one is left out"
    )
    await good.finish(running)
    await ended(host, job_id)
    assert (await host.ask("GET", f"/orchestrator/jobs/{job_id}/preview"))[0] == 404
    assert (await job_of(host, job_id))["previews"] == 0


async def test_a_job_that_nobody_named_is_called_by_what_it_does(host: Host, good: FakeComfyUI) -> None:
    assert (await job_of(host, await submitted(host)))["title"] == "EmptyImage → SaveImage"


# A peer that is added wrong


async def added(host: Host, url: str) -> tuple[int, str, str]:
    """Status, health and what was said of a peer that is added at this address."""
    status, answer = await host.ask("POST", "/orchestrator/peers", {"url": url})
    return status, answer.get("health", ""), answer.get("reason") or answer.get("message", "")


async def test_five_wrong_addresses_get_five_different_answers_at_once(host: Host, dead_url: str) -> None:
    locked, other = FakeComfyUI(key=("Authorization", "Bearer x")), FakeComfyUI()
    other.answers["*"] = said("Not found", status=404, content_type="text/plain")
    async with locked, other, untrusted_server() as https_url:
        found = [await added(host, url) for url in (dead_url, other.url, locked.url, https_url, host.url)]
    assert [(status, health) for status, health, _ in found] == [
        *((201, "down"), (201, "down"), (201, "needs_key"), (201, "down"), (400, ""))
    ]
    words = (
        "refused the connection",
        "is not ComfyUI",
        "needs an API key",
        "certificate",
        "this ComfyUI itself",
    )
    for (_, _, message), word in zip(found, words, strict=True):
        assert word in message


async def test_the_line_alone_comes_without_the_jobs(host: Host) -> None:
    await host.runtime.change_settings({"paused": True})
    await host.runtime.jobs.submit_all([JobRequest(prompt=picture(), title=f"job {n}") for n in range(30)])
    whole = (await host.ask("GET", "/orchestrator/jobs?limit=25"))[1]
    assert len(whole["jobs"]) == len(whole["line"]) == 25
    assert all(job["title"].startswith("job ") for job in whole["jobs"])
    line = (await host.ask("GET", "/orchestrator/jobs?limit=25&only=line"))[1]
    assert (line["jobs"], line["line"], line["counts"]) == ([], whole["line"], whole["counts"])
