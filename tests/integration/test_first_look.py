"""What cannot be run is refused when it is sent, and a dry run tells the same and queues nothing."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from orchestrator.core.models.job import JobRequest
from orchestrator.dispatch.queue.first_look import CHECKED_MAX, telling
from orchestrator.host.api.error_answers import words_of
from orchestrator.host.api.openapi import OPENAPI
from tests.fakes.api import Host
from tests.fakes.comfyui import FakeComfyUI
from tests.fakes.graphs import picture
from tests.fakes.waiting import until

from .test_jobs_api import fault


@pytest.fixture
async def peer(host: Host, peer: FakeComfyUI) -> FakeComfyUI:
    """It is up, and has told its nodes."""
    _, added = await host.ask("POST", "/orchestrator/peers", {"name": "gpu", "url": peer.url})
    await until(lambda: host.runtime.manager.get_object_info(added["id"]), "its nodes are known")
    return peer


async def sent(host: Host, **body: Any) -> tuple[int, Any]:
    """The answer, which is checked against the description."""
    status, answer = await host.ask("POST", "/orchestrator/jobs", {"prompt": picture(), **body})
    response = OPENAPI["paths"]["/orchestrator/jobs"]["post"]["responses"][str(status)]
    assert fault(answer, response["content"]["application/json"]["schema"]) == ""
    return status, answer


def unknown() -> dict[str, Any]:
    return {**picture(), "7": {"class_type": "NobodyHasThis", "inputs": {"value": 1}}}


async def test_a_dry_run_tells_what_the_peer_would_get_and_queues_nothing(
    host: Host, peer: FakeComfyUI
) -> None:
    status, answer = await sent(host, dry_run=True, variations=[{"EmptyImage.color": 9}, {}])
    assert status == 200
    assert (answer["count"], answer["waits_for"], answer["notes"]) == (2, "", [])
    assert answer["prompt"]["1"]["inputs"]["color"] == 9
    assert (host.runtime.jobs.all(), peer.prompts) == ((), [])


async def test_a_dry_run_without_peers_says_what_it_would_wait_for(host: Host) -> None:
    status, answer = await sent(host, dry_run=True)
    assert (status, answer["prompt"]) == (200, None)
    assert answer["waits_for"].startswith("No peer is registered.")


@pytest.mark.parametrize("dry_run", [True, False])
async def test_a_parameter_that_is_not_there_is_refused_with_the_nearest_names_only(
    host: Host, peer: FakeComfyUI, dry_run: bool
) -> None:
    status, answer = await sent(host, dry_run=dry_run, parameters={"EmptyImage.colour": 1})
    assert (status, answer["error"], answer["candidates"]) == (400, "bad_parameter", ["1.color"])
    status, answer = await sent(host, dry_run=dry_run, parameters={"Foo.bar": 1})
    assert (status, answer["candidates"]) == (400, [])
    assert "none with a similar name" in answer["message"]
    assert host.runtime.jobs.all() == ()


async def test_the_wrong_one_of_many_variations_refuses_them_all(host: Host, peer: FakeComfyUI) -> None:
    variations = [{"1.color": 1}, {"1.color": 2}, {"1.color": "a colour"}]
    status, answer = await sent(host, variations=variations)
    assert (status, answer["error"]) == (400, "bad_parameter")
    assert "needs a number" in answer["message"]
    assert host.runtime.jobs.all() == ()


@pytest.mark.parametrize("dry_run", [True, False])
async def test_a_node_that_no_peer_has_is_refused_with_the_reason_of_each(
    host: Host, peer: FakeComfyUI, dry_run: bool
) -> None:
    status, answer = await sent(host, dry_run=dry_run, prompt=unknown())
    assert (status, answer["error"]) == (409, "no_eligible_peer")
    assert answer["reasons"] == {"gpu": "it lacks the node NobodyHasThis"}
    assert host.runtime.jobs.all() == ()


async def test_a_node_that_a_peer_got_since_is_found_before_a_no(host: Host, peer: FakeComfyUI) -> None:
    peer.object_info = {**peer.object_info, "NobodyHasThis": peer.object_info["EmptyImage"]}
    status, _ = await sent(host, prompt=unknown())
    assert status == 202


async def test_while_a_peer_is_down_a_node_that_the_others_lack_may_be_there_and_the_job_waits(
    host: Host, peer: FakeComfyUI, dead_url: str
) -> None:
    await host.ask("POST", "/orchestrator/peers", {"name": "off", "url": dead_url})
    status, answer = await sent(host, dry_run=True, prompt=unknown())
    assert (status, answer["prompt"]) == (200, None)
    assert "off" in answer["waits_for"]
    assert (await sent(host, prompt=unknown()))[0] == 202


async def test_a_peer_that_has_all_and_is_only_switched_off_is_waited_for(
    host: Host, peer: FakeComfyUI, b: FakeComfyUI
) -> None:
    colour = ["INT", {"min": 0, "max": 3}]
    b.object_info = {**b.object_info, "EmptyImage": {"input": {"required": {"color": colour}}}}
    _, gpu = await host.ask("GET", "/orchestrator/peers")
    _, other = await host.ask("POST", "/orchestrator/peers", {"name": "old", "url": b.url})
    await until(lambda: host.runtime.manager.get_object_info(other["id"]), "its nodes are known")
    await host.ask("PATCH", f"/orchestrator/peers/{gpu['peers'][0]['id']}", {"draining": True})
    status, answer = await sent(host, dry_run=True, parameters={"1.color": 5})
    assert (status, answer["prompt"]["1"]["inputs"]["color"]) == (200, 5)
    assert "is draining" in answer["waits_for"]


async def test_without_any_list_of_nodes_the_prompt_itself_shows_a_wrong_parameter(host: Host) -> None:
    status, answer = await sent(host, parameters={"1.colour": 1})
    assert (status, answer["candidates"]) == (400, ["1.color"])
    assert (await sent(host, parameters={"1.color": 1}))[0] == 202


async def test_a_pin_to_nobody_is_refused_at_once(host: Host, peer: FakeComfyUI) -> None:
    status, answer = await sent(host, peer="gpu-9")
    assert (status, answer["error"]) == (409, "no_eligible_peer")
    assert answer["reasons"] == {"gpu": "the job is pinned to gpu-9"}


async def test_a_request_that_was_accepted_before_is_not_judged_again(host: Host, peer: FakeComfyUI) -> None:
    _, first = await sent(host, request_id="click")
    classes = dict(peer.object_info)
    peer.object_info = {name: kind for name, kind in classes.items() if name != "EmptyImage"}
    assert await sent(host, request_id="click") == (202, first)


def test_only_jobs_that_change_something_new_are_looked_at() -> None:
    grid = [JobRequest({}, changes={"a": a, "b": b}) for a in range(5) for b in range(5)]
    assert len(list(telling(grid))) == 9
    seeds = [JobRequest({}, changes={"seed": seed}) for seed in range(1000)]
    assert len(list(telling(seeds))) == CHECKED_MAX
    assert list(telling([JobRequest({}), JobRequest({})])) == [JobRequest({})]


# The address of it all


@pytest.mark.parametrize("path", ["/orchestrator/", "/orchestrator", "/api/orchestrator/"])
async def test_the_root_answers_links_that_work(host: Host, path: str) -> None:
    status, answer = await host.ask("GET", path)
    assert (status, answer["title"]) == (200, "Remote Dispatch")
    schema = OPENAPI["paths"]["/orchestrator/"]["get"]["responses"]["200"]["content"]["application/json"]
    assert fault(answer, schema["schema"]) == ""
    assert {"peers", "jobs", "openapi.json"} <= {link["href"].rpartition("/")[2] for link in answer["links"]}
    base = aiohttp.client.URL(host.url + path)
    for link in answer["links"]:
        if not link["href"].endswith("events"):
            async with host.session.get(base.join(aiohttp.client.URL(link["href"]))) as found:
                assert found.status == 200, link


async def test_a_browser_gets_a_small_page_that_runs_nothing(host: Host) -> None:
    async with host.session.get(f"{host.url}/orchestrator/", headers={"Accept": "text/html,*/*"}) as answer:
        text = await answer.text()
        assert (answer.status, answer.content_type) == (200, "text/html")
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert '<a href="openapi.json">' in text and "<script" not in text


async def test_a_method_that_a_path_does_not_take_is_told_with_those_it_takes(host: Host) -> None:
    async with host.session.get(f"{host.url}/orchestrator/explain") as answer:
        assert (answer.status, answer.headers["Allow"]) == (405, "POST")
        assert (await answer.json())["message"] == "This path takes POST, not GET."


async def test_what_takes_no_body_refuses_one(host: Host, peer: FakeComfyUI) -> None:
    (known,) = host.runtime.manager.all()
    for path in ("check", "test", "free"):
        status, answer = await host.ask("POST", f"/orchestrator/peers/{known.id}/{path}", {"foreign": True})
        assert (status, answer["error"]) == (400, "bad_request")


# The description


def test_every_operation_has_a_name_of_its_own_and_lists_its_errors() -> None:
    operations = [
        operation
        for calls in OPENAPI["paths"].values()
        for method, operation in calls.items()
        if method != "parameters"
    ]
    names = [operation["operationId"] for operation in operations]
    assert len(set(names)) == len(names) and all(name.isalpha() for name in names)
    for operation in operations:
        assert {"403", "405", "500", "503"} <= set(operation["responses"])
        assert ("400" in operation["responses"]) >= ("requestBody" in operation)


def test_the_words_of_each_status_are_those_of_the_errors_that_it_stands_for() -> None:
    assert {"bad_request", "bad_parameter", "unknown_node", "bad_workflow"} == set(words_of(400))
    assert {"no_eligible_peer", "illegal_transition"} == set(words_of(409))
    assert {"unreachable", "timeout", "needs_key"} < set(words_of(502))
    assert {"bad_token", "not_json", "bad_host"} < set(words_of(403))
