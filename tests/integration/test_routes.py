"""The HTTP API, on a real engine behind a real socket."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from orchestrator.core.models.job import Job, JobRequest, JobState, OutputFile
from orchestrator.errors import (
    ConfigError,
    OrchestratorError,
    ParameterError,
    PeerTimeoutError,
    StoreError,
    UnknownNodeError,
)
from orchestrator.host.api.error_answers import error_answer
from orchestrator.host.api.routes import answering
from orchestrator.journal.store import Store
from tests.fakes.api import Host, serving
from tests.fakes.comfyui import FakeComfyUI
from tests.fakes.graphs import picture, stock_classes
from tests.fakes.waiting import until

PROMPT = {"1": {"class_type": "SaveImage", "inputs": {"images": ["2", 0]}}}
ROUTES = 37 + 33  #: operations, and on each path the answer to all other methods
KEY = "Bearer s3cr3t-k3y"


def files_with(text: bytes, folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file() and text in path.read_bytes()]


# Who is let in


async def test_a_page_of_another_site_gets_nothing_from_any_route(host: Host) -> None:
    peer = await host.add_peer(url="gpu-2")
    _, job = await host.ask("POST", "/orchestrator/jobs", {"prompt": PROMPT})
    ids = {"peers": peer["id"], "jobs": job["job_id"]}
    before = await host.state()
    foreign = "http://127.0.0.1:3000"
    page = {"X-Orchestrator-Page": "1"}
    attacks: dict[str, dict[str, str]] = {
        "a form": {"Origin": foreign, "Content-Type": "text/plain", "X-Orchestrator-Token": ""},
        "a script": {"Origin": foreign, "X-Orchestrator-Token": "guess"},
        "a script that has the token": {"Origin": foreign, **page},
        "a sandboxed frame": {"Origin": "null", **page},
        "a picture": {"Sec-Fetch-Site": "cross-site", "Content-Type": "", **page},
        "a picture on a neighbouring port": {"Sec-Fetch-Site": "same-site", "Content-Type": "", **page},
        "a name that was turned to point here": {"Host": f"evil.example:{host.port}", **page},
    }
    tried = 0
    for route in host.app.router.routes():
        path = route.get_info().get("path") or route.get_info()["formatter"]
        path = path.replace("{id}", ids[path.removeprefix("/api").split("/")[2]] if "{id}" in path else "")
        path = path.replace("{n}", "0")
        for attack, headers in attacks.items():
            if route.method == "HEAD":
                continue
            method = "PUT" if route.method == "*" else route.method
            status, answer = await host.ask(method, path, {"url": "gpu-3", "prompt": PROMPT}, headers=headers)
            assert (status, set(answer)) == (403, {"error", "message"}), (attack, route.method, path)
            tried += 1
    assert tried == 2 * ROUTES * len(attacks)
    assert await host.state() == before


@pytest.mark.parametrize("token", ["", "token-of-an-earlier-process"])
async def test_without_the_token_of_this_process_nothing_changes(host: Host, token: str) -> None:
    status, answer = await host.ask(
        "POST", "/orchestrator/peers", {"url": "gpu-2"}, headers={"X-Orchestrator-Token": token}
    )
    assert (status, answer["error"]) == (403, "bad_token")
    assert host.runtime.manager.all() == ()


async def test_our_page_gets_the_token_and_can_use_it(host: Host) -> None:
    page = {"X-Orchestrator-Token": "", "Content-Type": "", "Sec-Fetch-Site": "same-origin"}
    status, _ = await host.ask("GET", "/api/orchestrator/session", headers=page)
    assert status == 403
    status, session = await host.ask(
        "GET", "/api/orchestrator/session", headers={**page, "X-Orchestrator-Page": "1"}
    )
    assert status == 200
    page = {"X-Orchestrator-Token": session["token"], "Origin": host.url, "Sec-Fetch-Site": "same-origin"}
    status, _ = await host.ask(
        "POST", "/api/orchestrator/peers", {"url": "gpu-2", "enabled": False}, headers=page
    )
    assert status == 201


async def test_the_names_of_the_machine_are_ours_and_others_are_not(host: Host) -> None:
    names = {
        socket.gethostname(): 200,
        "evil.example": 403,
        "render-box.lan.example": 200,
        "render-box": 200,
        "lan.example": 403,
    }
    for name, expected in names.items():
        headers = {"Host": f"{name}:{host.port}"}
        assert (await host.ask("GET", "/orchestrator/peers", headers=headers))[0] == expected, name


# Peers


async def test_a_peer_is_added_listed_edited_and_removed(host: Host) -> None:
    peer = await host.add_peer(name="GPU 2", url="gpu-2", tags=["fast"])
    assert (peer["name"], peer["url"], peer["tags"]) == ("GPU 2", "http://gpu-2:8188", ["fast"])
    status, listed = await host.ask("GET", "/orchestrator/peers")
    assert (status, listed["peers"]) == (200, [peer])
    route = f"/orchestrator/peers/{peer['id']}"
    status, edited = await host.ask("PATCH", route, {"name": "Big", "url": "gpu-3:9000", "draining": True})
    assert status == 200
    assert edited == {**peer, "name": "Big", "url": "http://gpu-3:9000", "draining": True}
    status, _ = await host.ask("DELETE", route)
    assert status == 200
    assert (await host.ask("GET", "/orchestrator/peers"))[1]["peers"] == []


async def test_a_peer_that_does_not_answer_is_added_and_says_so(host: Host, dead_url: str) -> None:
    peer = await host.add_peer(url=dead_url, enabled=True)
    assert peer["health"] == "down"
    assert peer["reason"]
    status, checked = await host.ask("POST", f"/orchestrator/peers/{peer['id']}/check", {})
    assert (status, checked["health"]) == (200, "down")


async def test_this_comfyui_is_no_peer_of_its_own(host: Host) -> None:
    for name in ("127.0.0.1", "localhost", "127.0.0.2", "[::1]", socket.gethostname()):
        status, answer = await host.ask("POST", "/orchestrator/peers", {"url": f"{name}:{host.port}"})
        assert (status, answer["error"]) == (400, "bad_request"), name
        assert "this ComfyUI itself" in answer["message"]
    assert host.runtime.manager.all() == ()


async def test_a_key_goes_in_and_never_comes_out(host: Host, tmp_path: Path) -> None:
    peer = await host.add_peer(url="gpu-2", credentials={"value": KEY})
    route = f"/orchestrator/peers/{peer['id']}"
    answers = [
        await host.ask("PATCH", route, {"credentials": {"header": "X-Api-Key", "value": KEY}}),
        await host.ask("PATCH", route, {"credentials": {"header": "Host", "value": KEY}}),
        await host.ask("PATCH", route, {"credentials": {"header": "X-Api-Key", "value": KEY + "\r\nX: y"}}),
        await host.ask("GET", "/orchestrator/peers"),
    ]
    assert [status for status, _ in answers] == [200, 400, 400, 200]
    assert peer["has_credentials"] is True
    assert "s3cr3t" not in json.dumps([peer, answers])
    assert host.runtime.secrets.headers(peer["id"]) == {"X-Api-Key": KEY}
    assert files_with(b"s3cr3t", tmp_path) == ["credentials.json"]
    _, without = await host.ask("PATCH", route, {"credentials": None})
    assert without["has_credentials"] is False


async def test_whom_to_trust_with_a_peers_name_goes_in_and_out_in_one_form(host: Host) -> None:
    pin = "AB:" * 31 + "AB"
    peer = await host.add_peer(url="https://gpu-2", tls=pin)
    assert peer["tls"] == "sha256:" + "ab" * 32
    route = f"/orchestrator/peers/{peer['id']}"
    for wrong in (7, "trust me", None):
        status, answer = await host.ask("PATCH", route, {"tls": wrong})
        assert (status, answer["error"]) == (400, "bad_request")
    status, answer = await host.ask("PATCH", route, {"url": "http://gpu-2"})
    assert (status, "https://" in answer["message"]) == (400, True)
    assert (await host.ask("PATCH", route, {"tls": "", "url": "http://gpu-2"}))[1]["tls"] == ""


@pytest.mark.parametrize("wrong", [{"name": "b"}, {"hours": "25:00"}, {"tls": "sha256:zz"}, {"url": "gpu-2"}])
async def test_a_change_that_is_refused_leaves_the_key_as_it_was(host: Host, wrong: dict[str, str]) -> None:
    peer = await host.add_peer(name="a", url="gpu-1", credentials={"bearer": KEY})
    await host.add_peer(name="b", url="gpu-2")
    for credentials in (None, {"bearer": "another-key"}):
        body = {**wrong, "credentials": credentials}
        status, answer = await host.ask("PATCH", f"/orchestrator/peers/{peer['id']}", body)
        assert status == 400, answer
        assert host.runtime.secrets.headers(peer["id"]) == {"Authorization": f"Bearer {KEY}"}


async def test_an_address_that_is_already_a_peer_is_refused(host: Host) -> None:
    await host.add_peer(url="gpu-2")
    status, answer = await host.ask("POST", "/orchestrator/peers", {"url": "http://gpu-2:8188/"})
    assert (status, answer["error"]) == (400, "bad_request")


@pytest.mark.parametrize(
    ("method", "route"),
    [
        ("PATCH", "/orchestrator/peers/nobody"),
        ("DELETE", "/orchestrator/peers/nobody"),
        ("POST", "/orchestrator/peers/nobody/check"),
        ("GET", "/orchestrator/jobs/nobody"),
        ("POST", "/orchestrator/jobs/nobody/cancel"),
    ],
)
async def test_what_does_not_exist_is_404_with_a_sentence(host: Host, method: str, route: str) -> None:
    status, answer = await host.ask(method, route, None if method == "GET" else {})
    assert (status, answer["error"]) == (404, "not_found")
    assert answer["message"].endswith(".")


# Jobs


async def test_a_job_that_nobody_can_run_yet_waits_and_says_for_what(host: Host) -> None:
    await host.add_peer(name="GPU 2", url="gpu-2")
    status, accepted = await host.ask("POST", "/orchestrator/jobs", {"prompt": PROMPT, "title": "Cat"})
    assert (status, set(accepted), accepted["state"]) == (202, {"job_id", "state", "job_ids"}, "waiting")
    status, job = await host.ask("GET", f"/orchestrator/jobs/{accepted['job_id']}")
    assert (status, job["state"], job["title"], job["attempts"]) == (200, "waiting", "Cat", [])
    _, listed = await host.ask("GET", "/orchestrator/jobs")
    assert [job["job_id"] for job in listed["jobs"]] == [accepted["job_id"]]
    status, cancelled = await host.ask("POST", f"/orchestrator/jobs/{accepted['job_id']}/cancel", {})
    assert (status, cancelled["state"], cancelled["error"]["code"]) == (200, "cancelled", "cancelled")
    status, again = await host.ask("POST", f"/orchestrator/jobs/{accepted['job_id']}/cancel", {})
    assert (status, again) == (200, cancelled)


async def test_waiting_jobs_are_listed_in_the_order_of_the_line(host: Host) -> None:
    await host.add_peer(name="GPU 2", url="gpu-2")
    ids = []
    for _ in range(3):
        ids.append((await host.ask("POST", "/orchestrator/jobs", {"prompt": PROMPT}))[1]["job_id"])
    await host.ask("POST", f"/orchestrator/jobs/{ids[2]}/move", {"before": ids[0]})
    _, listed = await host.ask("GET", "/orchestrator/jobs?limit=2")
    assert (listed["line"], listed["counts"]["waiting"]) == ([ids[2], ids[0]], 3)
    _, rest = await host.ask("GET", "/orchestrator/jobs?limit=2&skip=2")
    assert (rest["line"], [job["job_id"] for job in rest["jobs"]]) == ([ids[1]], [ids[1]])
    for wrong in ("limit=-1", "skip=x"):
        status, answer = await host.ask("GET", f"/orchestrator/jobs?{wrong}")
        assert (status, answer["error"]) == (400, "bad_request")


async def test_jobs_are_listed_by_what_they_are_asked_for(host: Host) -> None:
    await host.add_peer(name="GPU 2", url="gpu-2")
    body = {"prompt": PROMPT, "count": 2, "client_id": "mine"}
    _, batch = await host.ask("POST", "/orchestrator/jobs", body)
    _, alone = await host.ask("POST", "/orchestrator/jobs", {"prompt": PROMPT})
    first, second = batch["job_ids"]
    await host.ask("POST", f"/orchestrator/jobs/{first}/cancel", {})

    async def listed(query: str) -> set[str]:
        status, answer = await host.ask("GET", f"/orchestrator/jobs?{query}")
        assert status == 200, answer
        assert set(answer["line"]) <= {job["job_id"] for job in answer["jobs"]}
        return {job["job_id"] for job in answer["jobs"]}

    place = (await host.ask("GET", f"/orchestrator/jobs/{first}"))[1]["batch"]
    assert await listed("state=cancelled") == {first}
    assert await listed("state=cancelled,waiting&client_id=mine") == {first, second}
    assert await listed(f"batch={place['id']}&state=waiting") == {second}
    assert await listed("state=done") == await listed("peer=GPU%202") == set()
    assert await listed("") == {first, second, alone["job_id"]}
    for wrong, words in (("state=gone", 'no state "gone"'), ("stat=done", "Unknown field 'stat'")):
        status, answer = await host.ask("GET", f"/orchestrator/jobs?{wrong}")
        assert status == 400 and words in answer["message"]


async def test_explain_gives_the_reason_of_each_peer(host: Host) -> None:
    off = await host.add_peer(name="Off", url="gpu-2")
    status, answer = await host.ask("POST", "/orchestrator/explain", {"prompt": PROMPT})
    assert status == 200
    (told,) = answer["peers"]
    assert (told["id"], told["name"], told["eligible"], told["finish_s"]) == (off["id"], "Off", False, None)
    assert "switched off" in told["reason"]
    assert (told["is_guess"], told["origin"]) == (True, "nothing")
    assert host.runtime.jobs.all() == ()
    assert (answer["paused"], answer["held"], answer["waiting"]) == (False, "", 0)
    await host.runtime.change_settings({"paused": True})
    assert (await host.ask("POST", "/orchestrator/explain", {"prompt": PROMPT}))[1]["paused"] is True


async def test_explain_names_all_that_each_of_three_peers_lacks_and_the_nearest_file(host: Host) -> None:
    def with_models(*names: str) -> dict[str, Any]:
        loader = {"input": {"required": {"ckpt_name": [list(names), {}]}}, "output": ["MODEL"]}
        return {**stock_classes("Rare"), "CheckpointLoaderSimple": {**loader, "python_module": "nodes"}}

    bare, other, tagged = FakeComfyUI(), FakeComfyUI(), FakeComfyUI()
    bare.object_info = stock_classes()
    other.object_info = with_models("photo_v2.safetensors", "sketch.safetensors")
    tagged.object_info = with_models("photo_v1.safetensors")
    loader = {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "photo_v1.safetensors"}}
    rare = {"class_type": "Rare", "inputs": {"width": 8, "color": 0}}
    prompt = {**picture(), "8": loader, "9": rare}
    prompt["2"]["inputs"]["needs"] = ["8", 0]
    asked = {"prompt": prompt, "avoid": ["tagged"]}
    async with bare, other, tagged:
        for name, fake in (("bare", bare), ("other", other), ("tagged", tagged)):
            added = await host.add_peer(name=name, url=fake.url, enabled=True)
            await until(partial(host.runtime.manager.get_object_info, added["id"]), "its nodes are known")
        _, answer = await host.ask("POST", "/orchestrator/explain", asked)
    assert {told["name"]: told["reason"] for told in answer["peers"]} == {
        "bare": "it lacks the node Rare; "
        "it lacks the file photo_v1.safetensors, wanted by node 8 (ckpt_name)",
        "other": "it lacks the file photo_v1.safetensors, wanted by node 8 (ckpt_name) "
        "(it has photo_v2.safetensors)",
        "tagged": "the job avoids it",
    }


async def test_changes_that_fit_no_parameter_are_the_reason_why_no_peer_can_run_it(host: Host) -> None:
    async with FakeComfyUI() as peer:
        peer.object_info = stock_classes()
        added = await host.add_peer(name="gpu", url=peer.url, enabled=True)
        await until(lambda: host.runtime.manager.get_object_info(added["id"]), "its nodes are known")
        for overrides, is_able in (("EmptyImage.color = 3", True), ("Sampler.steps = 3", False)):
            asked = {"prompt": picture(), "overrides": overrides}
            _, answer = await host.ask("POST", "/orchestrator/explain", asked)
            assert [told["eligible"] for told in answer["peers"]] == [is_able]
        assert "Sampler" in answer["peers"][0]["reason"]


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("hours", "at night"),
        ("name", "x" * 65),
        ("name", "the other"),
        ("tags", ["y" * 65]),
        ("tls", "trust me"),
        ("credentials", {"header": "Host", "value": "z"}),
        ("credentials", {"value": " "}),
    ],
)
@pytest.mark.parametrize("is_new", [False, True])
async def test_what_is_wrong_with_a_peer_is_said_with_its_field(
    host: Host, field: str, wrong: object, is_new: bool
) -> None:
    url = "https://gpu-2"
    await host.add_peer(url="gpu-1", name="The other")
    if is_new:
        status, answer = await host.ask("POST", "/orchestrator/peers", {"url": url, field: wrong})
    else:
        peer = await host.add_peer(url=url)
        status, answer = await host.ask("PATCH", f"/orchestrator/peers/{peer['id']}", {field: wrong})
    assert (status, answer["error"], answer["field"]) == (400, "bad_request", field)


async def test_peers_keys_and_waiting_jobs_are_there_after_a_restart(tmp_path: Path) -> None:
    async with serving(tmp_path) as host:
        peer = await host.add_peer(name="GPU 2", url="gpu-2", tags=["fast"], credentials={"value": KEY})
        _, job = await host.ask("POST", "/orchestrator/jobs", {"prompt": PROMPT, "title": "Cat"})
        old_token = host.guard.token
    async with serving(tmp_path) as host:
        assert host.guard.token != old_token
        assert (await host.ask("GET", "/orchestrator/peers"))[1]["peers"] == [peer]
        assert host.runtime.secrets.headers(peer["id"]) == {"Authorization": KEY}
        _, again = await host.ask("GET", f"/orchestrator/jobs/{job['job_id']}")
        assert (again["state"], again["title"]) == ("waiting", "Cat")


async def test_a_finished_job_of_an_earlier_start_is_listed_with_its_files(tmp_path: Path) -> None:
    moment = datetime(2026, 3, 1, tzinfo=timezone.utc)
    files = (OutputFile("9", str(tmp_path / "cat.png"), "cat.png", "sub", "output"),)
    done = Job("j1", JobRequest(prompt=PROMPT), moment, JobState.DONE, outputs=files, ended_at=moment)
    store = Store(tmp_path / "data" / "journal.sqlite3")
    await store.open()
    await store.save_job(done)
    await store.aclose()
    async with serving(tmp_path) as host:
        _, listed = await host.ask("GET", "/orchestrator/jobs")
        assert [(job["job_id"], job["state"]) for job in listed["jobs"]] == [("j1", "done")]
        _, job = await host.ask("GET", "/orchestrator/jobs/j1")
        assert [file["url"] for file in job["outputs"]] == [
            "/view?filename=cat.png&subfolder=sub&type=output"
        ]
        assert str(tmp_path) not in json.dumps([listed, job])


# What is wrong


@pytest.mark.parametrize("route", ["/orchestrator/peers", "/orchestrator/jobs", "/orchestrator/explain"])
@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b"\xff", b'{"unknown": 1}', b'{"a":' * 150 + b"1" + b"}" * 150]
)
async def test_a_body_that_is_wrong_is_refused_in_words(host: Host, route: str, data: bytes) -> None:
    status, answer = await host.ask("POST", route, data=data)
    assert (status, answer["error"]) == (400, "bad_request")
    assert answer["message"].endswith(".")


async def test_a_body_without_end_is_refused_before_it_fills_the_memory(host: Host) -> None:
    sent = 0

    async def without_end() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(100):
            sent += 1
            yield b" " * (1 << 20)

    try:
        status, answer = await host.ask("POST", "/orchestrator/jobs", data=without_end())
        assert (status, answer["error"]) == (400, "bad_request")
    except aiohttp.ClientError:
        pass  # it hung up while we were still sending: as good
    assert sent < 100


async def test_a_large_graph_is_taken_and_its_seed_arrives_exactly(host: Host) -> None:
    prompt = {
        str(n): {"class_type": "A", "inputs": {"seed": 2**64 - 1, "text": "x" * 900}} for n in range(2_000)
    }
    status, accepted = await host.ask("POST", "/orchestrator/jobs", {"prompt": prompt})
    assert status == 202
    kept = await host.runtime.store.load_job(accepted["job_id"])
    assert kept is not None and kept.request.prompt == prompt


@asynccontextmanager
async def one_route(answer: Callable[[web.Request], Awaitable[tuple[int, Any]]]) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_get("/", answering(answer))
    server = TestServer(app, host="127.0.0.1")
    await server.start_server()
    try:
        yield str(server.make_url("/"))
    finally:
        await server.close()


async def test_an_unexpected_exception_is_a_sentence_and_no_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def broken(request: web.Request) -> tuple[int, Any]:
        raise ZeroDivisionError("only the log says this")

    async with one_route(broken) as url, aiohttp.ClientSession() as session, session.get(url) as response:
        answer = await response.json()
    assert (response.status, answer["error"]) == (500, "internal")
    assert "only the log" not in json.dumps(answer)
    assert "only the log says this" in caplog.text


async def test_an_answer_is_never_kept_by_a_cache_and_always_json() -> None:
    async def odd(request: web.Request) -> tuple[int, Any]:
        return 200, {"value": float("nan"), 5: {1, 2}}

    async with one_route(odd) as url, aiohttp.ClientSession() as session, session.get(url) as response:
        assert await response.json() == {"value": None, "5": [1, 2]}
        assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("error", "status", "details"),
    [
        (
            UnknownNodeError("No.", [("1", "A", "T")]),
            400,
            {"nodes": [{"node_id": "1", "class_type": "A", "title": "T"}]},
        ),
        (ParameterError("No.", ["a", "b"]), 400, {"candidates": ("a", "b")}),
        (ConfigError("No.", field="hours"), 400, {"field": "hours"}),
        (PeerTimeoutError("No."), 502, {}),
        (StoreError("No."), 503, {}),
        (OrchestratorError("No."), 500, {}),
    ],
)
def test_an_error_is_answered_by_its_class(
    error: OrchestratorError, status: int, details: dict[str, Any]
) -> None:
    assert error_answer(error) == (status, {"error": error.code, "message": "No.", **details})


async def test_before_and_after_a_failed_start_the_routes_say_so(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "journal.sqlite3").mkdir()
    async with serving(tmp_path, start=False) as host:
        assert (await host.ask("GET", "/orchestrator/peers"))[0] == 503
        with pytest.raises(StoreError):
            await host.runtime.start()
        status, answer = await host.ask("POST", "/orchestrator/jobs", {"prompt": PROMPT})
        assert (status, answer["error"]) == (503, "not_running")
        assert "journal" in answer["message"]
        await host.runtime.aclose()


async def test_a_damaged_journal_is_told_where_the_peers_are_listed(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "journal.sqlite3").write_bytes(b"no database" * 1000)
    async with serving(tmp_path) as host:
        _, answer = await host.ask("GET", "/orchestrator/peers")
        assert ["damaged" in notice for notice in answer["notices"]] == [True]
