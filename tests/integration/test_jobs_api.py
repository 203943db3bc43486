"""Several jobs at once, their files, events and the description of it all, behind a real socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from orchestrator.core.models.job import JobState
from orchestrator.core.models.settings import Settings
from orchestrator.host.api.openapi import OPENAPI
from tests.fakes.api import Host
from tests.fakes.comfyui import PNG, FakeComfyUI
from tests.fakes.graphs import picture, stock_classes
from tests.fakes.waiting import until


@pytest.fixture
async def peer(host: Host, peer: FakeComfyUI) -> FakeComfyUI:
    await host.ask("POST", "/orchestrator/peers", {"name": "gpu", "url": peer.url})
    return peer


def seeded() -> dict[str, Any]:
    prompt = picture()
    prompt["1"]["inputs"]["seed"] = 2**64 - 1
    return prompt


async def submitted(host: Host, **body: Any) -> list[str]:
    status, answer = await host.ask("POST", "/orchestrator/jobs", {"prompt": seeded(), **body})
    assert status == 202, answer
    assert answer["job_id"] == answer["job_ids"][0]
    return list(answer["job_ids"])


def colours(peer: FakeComfyUI, name: str = "color") -> list[Any]:
    return sorted(prompt.graph["1"]["inputs"][name] for prompt in peer.prompts)


async def test_each_copy_has_seeds_of_its_own_and_the_first_keeps_the_graphs(
    host: Host, peer: FakeComfyUI
) -> None:
    ids = await submitted(host, count=3)
    await until(lambda: len(peer.prompts) == 3, "all are on the peer")
    assert len(set(ids)) == 3
    assert colours(peer, "seed") == [0, 1, 2**64 - 1]


async def test_copies_count_up_from_the_seed_that_the_request_sets(host: Host, peer: FakeComfyUI) -> None:
    await submitted(host, count=2, parameters={"EmptyImage.seed": 10})
    await until(lambda: len(peer.prompts) == 2, "both are on the peer")
    assert colours(peer, "seed") == [10, 11]


async def test_variations_are_laid_over_the_parameters(host: Host, peer: FakeComfyUI) -> None:
    variations = [{"1.color": 1}, {"1.color": 2, "1.width": 8}, {}]
    await submitted(host, variations=variations, parameters={"1.width": 16, "1.color": 9})
    await until(lambda: len(peer.prompts) == 3, "all are on the peer")
    inputs = sorted((p.graph["1"]["inputs"]["color"], p.graph["1"]["inputs"]["width"]) for p in peer.prompts)
    assert inputs == [(1, 16), (2, 8), (9, 16)]


@pytest.mark.parametrize(
    "wrong",
    [
        {"count": 0},
        {"count": 1001},
        {"count": True},
        {"count": 2.0},
        {"variations": []},
        {"variations": [1]},
        {"variations": {}},
        {"count": 2, "variations": [{}]},
        {"priority": "high"},
        {"priority": float("nan")},
        {"targets": "2"},
    ],
    ids=str,
)
async def test_what_is_wrong_is_refused_whole(host: Host, wrong: dict[str, Any]) -> None:
    status, answer = await host.ask("POST", "/orchestrator/jobs", {"prompt": seeded(), **wrong})
    assert (status, answer["error"]) == (400, "bad_request")
    assert host.runtime.jobs.all() == ()


async def test_a_seed_inside_a_dynamic_combo_is_counted_up_too(host: Host, peer: FakeComfyUI) -> None:
    prompt = picture()
    prompt["1"]["inputs"]["sampling_mode.seed"] = 5
    await submitted(host, prompt=prompt, count=3)
    await until(lambda: len(peer.prompts) == 3, "all are on the peer")
    assert colours(peer, "sampling_mode.seed") == [5, 6, 7]


async def test_the_dates_in_a_workflows_file_names_are_filled_as_by_its_page(
    host: Host, peer: FakeComfyUI
) -> None:
    inputs = [{"name": "images", "type": "IMAGE", "link": 1}]
    saver = {"id": 2, "type": "SaveImage", "inputs": inputs, "widgets_values": ["%date:yyyy%/cat"]}
    nodes = [{"id": 1, "type": "EmptyImage", "widgets_values": [8, 99]}, saver]
    workflow = {"nodes": nodes, "links": [[1, 1, 0, 2, 0, "IMAGE"]]}
    status, answer = await host.ask("POST", "/orchestrator/jobs", {"workflow": workflow})
    assert status == 202, answer
    job = await host.runtime.jobs.wait(answer["job_id"])
    assert [file.subfolder for file in job.outputs] == [str(job.created_at.astimezone().year)]


async def test_a_result_file_is_given_out_and_never_shown_as_a_page(host: Host, peer: FakeComfyUI) -> None:
    (job_id,) = await submitted(host)
    await host.runtime.jobs.wait(job_id)
    path = f"{host.url}/orchestrator/jobs/{job_id}/outputs"
    async with host.session.get(f"{path}/0") as answer:
        assert (answer.status, await answer.read()) == (200, PNG)
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Disposition"].startswith("attachment; filename*=UTF-8''cat")
    for number in ("1", "-1", "x", "9" * 30):
        status, body = await host.ask("GET", f"/orchestrator/jobs/{job_id}/outputs/{number}")
        assert (status, body["error"]) == (404, "not_found")
    job = host.runtime.jobs.find(job_id)
    assert job is not None
    await asyncio.to_thread(Path(job.outputs[0].path).unlink)
    status, body = await host.ask("GET", f"/orchestrator/jobs/{job_id}/outputs/0")
    assert status == 404 and "the file is gone" in body["message"]
    status, _ = await host.ask("GET", "/orchestrator/jobs/nobody/outputs/0")
    assert status == 404


# Events


async def events_of(answer: aiohttp.ClientResponse) -> AsyncIterator[tuple[str, Any]]:
    kind = ""
    async for line in answer.content:
        name, _, value = line.decode().rstrip("\n").partition(": ")
        if name == "event":
            kind = value
        elif name == "data":
            yield kind, json.loads(value)


async def test_a_listener_gets_the_whole_picture_and_then_every_end(host: Host, peer: FakeComfyUI) -> None:
    async with host.session.get(f"{host.url}/orchestrator/events") as answer:
        assert answer.content_type == "text/event-stream"
        events = events_of(answer)
        first = dict([await anext(events), await anext(events)])
        assert [p["name"] for p in first["peers"]["peers"]] == ["gpu"]
        assert first["settings"] == json.loads(json.dumps(vars(Settings())))
        ids = set(await submitted(host, count=3))
        while ids:
            kind, data = await asyncio.wait_for(anext(events), 10)
            if kind == "job" and data["state"] == "done":
                ids.discard(data["job_id"])
        await host.ask("PATCH", "/orchestrator/settings", {"paused": True})
        while kind != "settings":
            kind, data = await asyncio.wait_for(anext(events), 10)
        assert data["paused"]


async def test_a_listener_that_hangs_up_is_forgotten(host: Host, peer: FakeComfyUI) -> None:
    async with host.session.get(f"{host.url}/orchestrator/events") as answer:
        await anext(events_of(answer))
    (job_id,) = await submitted(host)
    await host.runtime.jobs.wait(job_id)
    known = host.runtime.jobs.find(job_id)
    assert known is not None and known.state is JobState.DONE


# The description


KINDS = ("object", "array", "string", "boolean", "integer", "number", "null")


def fault(value: Any, schema: dict[str, Any], where: str = "$") -> str:
    """Where `value` is not as `schema` says; "" when it is."""
    if "$ref" in schema:
        return fault(value, OPENAPI["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]], where)
    choices = schema.get("oneOf") or schema.get("anyOf")
    if choices and all(fault(value, {"type": list(KINDS), **one}) for one in choices):
        return f"{where}: none of {choices}"
    kinds = schema.get("type")
    if kinds is None:
        return ""
    kinds = [kinds] if isinstance(kinds, str) else kinds
    found = {
        "object": isinstance(value, dict),
        "array": isinstance(value, list),
        "string": isinstance(value, str),
        "boolean": isinstance(value, bool),
        "integer": isinstance(value, int) and not isinstance(value, bool),
        "number": isinstance(value, (int, float)) and not isinstance(value, bool),
        "null": value is None,
    }
    if not any(found[kind] for kind in kinds):
        return f"{where}: {value!r} is not {kinds}"
    if value not in schema.get("enum", [value]):
        return f"{where}: {value!r} is not one of {schema['enum']}"
    if isinstance(value, list) and "items" in schema:
        faults = (fault(item, schema["items"], f"{where}[{n}]") for n, item in enumerate(value))
        return next(filter(None, faults), "")
    if isinstance(value, dict) and "properties" in schema:
        missing = set(schema.get("required", ())) - set(value)
        unknown = (
            set(value) - set(schema["properties"]) if not schema.get("additionalProperties", True) else set()
        )
        if missing or unknown:
            return f"{where}: missing {missing}, unknown {unknown}"
        parts = schema["properties"].items()
        return next(filter(None, (fault(value[k], s, f"{where}.{k}") for k, s in parts if k in value)), "")
    return ""


async def test_every_route_is_described_and_every_described_route_is_there(host: Host) -> None:
    there = set()
    for route in host.app.router.routes():
        path = route.get_info().get("path") or route.get_info()["formatter"]
        if route.method not in ("HEAD", "*") and not path.startswith("/api"):
            there.add((route.method.lower(), path))
    described = {
        (method, path)
        for path, operations in OPENAPI["paths"].items()
        for method in operations
        if method != "parameters"
    }
    assert described == there
    status, served = await host.ask("GET", "/orchestrator/openapi.json")
    assert (status, served) == (200, json.loads(json.dumps(OPENAPI)))


async def test_the_answers_are_as_described(host: Host, peer: FakeComfyUI) -> None:
    (job_id,) = await submitted(host)
    await host.runtime.jobs.wait(job_id)
    peers = (await host.ask("GET", "/orchestrator/peers"))[1]["peers"]
    calls: list[tuple[str, str, str, Any]] = [
        ("GET", "/peers", "/peers", None),
        ("POST", "/peers", "/peers", {"url": "gpu-9", "enabled": False}),
        ("PATCH", f"/peers/{peers[0]['id']}", "/peers/{id}", {"tags": ["a"]}),
        ("POST", f"/peers/{peers[0]['id']}/check", "/peers/{id}/check", {}),
        ("POST", "/jobs", "/jobs", {"prompt": seeded(), "count": 2}),
        ("GET", "/jobs", "/jobs", None),
        ("GET", f"/jobs/{job_id}", "/jobs/{id}", None),
        ("POST", f"/jobs/{job_id}/cancel", "/jobs/{id}/cancel", {}),
        ("POST", f"/jobs/{job_id}/move", "/jobs/{id}/move", {"before": ""}),
        ("POST", "/explain", "/explain", {"prompt": seeded()}),
        ("GET", f"/jobs/{job_id}/graph", "/jobs/{id}/graph", None),
        ("POST", "/inspect", "/inspect", {"prompt": seeded()}),
        ("POST", "/variations", "/variations", {"axes": [{"address": "1.seed", "seeds": 2}]}),
        ("GET", "/settings", "/settings", None),
        ("GET", "/where", "/where", None),
        ("PATCH", "/settings", "/settings", {"paused": False}),
        ("GET", "/jobs/nobody", "/jobs/{id}", None),
        ("DELETE", f"/peers/{peers[0]['id']}", "/peers/{id}", {}),
    ]
    for method, path, described, body in calls:
        status, answer = await host.ask(method, f"/orchestrator{path}", body)
        responses = OPENAPI["paths"][f"/orchestrator{described}"][method.lower()]["responses"]
        response = responses[str(status)]
        schema = response["content"]["application/json"]["schema"]
        assert fault(answer, schema) == "", (method, path)
        if body is not None:
            sent = OPENAPI["paths"][f"/orchestrator{described}"][method.lower()]["requestBody"]
            assert fault(body, sent["content"]["application/json"]["schema"]) == "", (method, path)


# Sent again


async def test_f23_a_request_that_is_sent_twice_at_once_or_later_is_one_job(
    host: Host, peer: FakeComfyUI
) -> None:
    body = {"prompt": seeded(), "request_id": "click-1"}
    answers = await asyncio.gather(*(host.ask("POST", "/orchestrator/jobs", body) for _ in range(5)))
    assert {status for status, _ in answers} == {202}
    ids = {tuple(answer["job_ids"]) for _, answer in answers}
    assert len(ids) == 1 and all(answer == answers[0][1] for _, answer in answers)
    await host.runtime.jobs.wait(answers[0][1]["job_id"])
    header = {"Idempotency-Key": '"click-1"'}
    again = await host.ask("POST", "/orchestrator/jobs", {"prompt": seeded()}, headers=header)
    assert again == answers[0]
    assert (len(host.runtime.jobs.all()), len(peer.asked("/prompt"))) == (1, 1)


async def test_f23_several_jobs_of_one_request_are_made_once(host: Host, peer: FakeComfyUI) -> None:
    first = await submitted(host, count=3, request_id="batch-1")
    assert await submitted(host, count=3, request_id="batch-1") == first
    assert len(host.runtime.jobs.all()) == 3


async def test_f23_without_an_id_or_with_another_it_is_another_job(host: Host, peer: FakeComfyUI) -> None:
    for body in ({}, {}, {"request_id": "a"}, {"request_id": "b"}, {"request_id": ""}):
        await submitted(host, **body)
    assert len(host.runtime.jobs.all()) == 5


async def test_f23_an_id_that_stood_for_something_else_is_refused_by_name(
    host: Host, peer: FakeComfyUI
) -> None:
    (first,) = await submitted(host, request_id="a")
    for other in ({"prompt": picture()}, {"count": 2}):
        body = {"prompt": seeded(), "request_id": "a", **other}
        status, answer = await host.ask("POST", "/orchestrator/jobs", body)
        assert (status, first in answer["message"]) == (400, True)
    body = {"prompt": seeded(), "request_id": "a"}
    differs = await host.ask("POST", "/orchestrator/jobs", body, headers={"Idempotency-Key": "b"})
    long = await host.ask("POST", "/orchestrator/jobs", {**body, "request_id": "x" * 201})
    wrong = await host.ask("POST", "/orchestrator/jobs", {**body, "request_id": 7})
    assert [status for status, _ in (differs, long, wrong)] == [400, 400, 400]
    assert len(host.runtime.jobs.all()) == 1


async def test_f23_a_job_that_is_run_again_is_another_job(host: Host, peer: FakeComfyUI) -> None:
    (first,) = await submitted(host, request_id="a")
    await host.runtime.jobs.wait(first)
    await host.ask("POST", f"/orchestrator/jobs/{first}/retry", {})
    assert await submitted(host, request_id="a") == [first]


async def test_a_running_job_runs_a_second_time_elsewhere_when_somebody_asks_for_it(
    host: Host, peer: FakeComfyUI
) -> None:
    peer.on_prompt = "hold"
    (job_id,) = await submitted(host)
    path = f"/orchestrator/jobs/{job_id}/second_copy"
    status, answer = await host.ask("POST", path, {})
    assert (status, answer["error"]) == (409, "illegal_transition")

    def has_begun() -> bool:
        job = host.runtime.jobs.find(job_id)
        return job is not None and job.begun_at is not None

    await until(has_begun, "it is at work")
    async with FakeComfyUI() as other:
        other.object_info = stock_classes()
        await host.ask("POST", "/orchestrator/peers", {"name": "other", "url": other.url})
        status, answer = await host.ask("POST", path, {})
        assert (status, answer["job_id"], answer["is_silent"]) == (200, job_id, False)
        assert (await host.runtime.jobs.wait(job_id)).outputs
        assert (len(peer.prompts), len(other.prompts)) == (1, 1)
        status, answer = await host.ask("POST", path, {})
        assert (status, answer["error"]) == (409, "illegal_transition")
        assert (await host.ask("POST", "/orchestrator/jobs/unknown/second_copy", {}))[0] == 404
