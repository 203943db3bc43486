"""Variations of a graph over HTTP: its parameters, the jobs they make, and the graph each of them carries."""

from __future__ import annotations

from typing import Any

import pytest

from tests.fakes.api import Host
from tests.fakes.comfyui import FakeComfyUI
from tests.fakes.graphs import picture
from tests.fakes.waiting import until

WORKFLOW = {
    "nodes": [
        {"id": 1, "type": "EmptyImage", "widgets_values": [16, 16, 1, 0]},
        {"id": 2, "type": "SaveImage", "widgets_values": ["cat"]},
    ],
    "links": [],
}


@pytest.fixture
async def peer(host: Host, peer: FakeComfyUI) -> FakeComfyUI:
    await host.ask("POST", "/orchestrator/peers", {"name": "gpu", "url": peer.url})
    return peer


async def expanded(host: Host, *axes: dict[str, Any], combine: str = "grid") -> list[dict[str, Any]]:
    body = {"axes": list(axes), "combine": combine}
    status, answer = await host.ask("POST", "/orchestrator/variations", body)
    assert status == 200, answer
    assert answer["count"] == len(answer["variations"])
    return list(answer["variations"])


async def refusal(host: Host, body: Any) -> str:
    status, answer = await host.ask("POST", "/orchestrator/variations", body)
    assert (status, answer["error"]) == (400, "bad_request")
    return str(answer["message"])


async def test_the_parameters_of_a_graph_are_told_with_what_the_peers_know_of_them(
    host: Host, peer: FakeComfyUI
) -> None:
    def known() -> bool:
        manager = host.runtime.manager
        return all(manager.last_object_info(config.id) for config in manager.all())

    await until(known, "the list of nodes was read")
    status, answer = await host.ask("POST", "/orchestrator/inspect", {"prompt": picture()})
    assert status == 200
    found = {parameter["address"]: parameter for parameter in answer["parameters"]}
    assert (found["1.width"]["type"], found["1.width"]["title"]) == ("INT", "EmptyImage")
    assert "2.images" not in found  # that is a link
    status, answer = await host.ask("POST", "/orchestrator/inspect", {})
    assert (status, answer["error"]) == (400, "bad_request")


async def test_every_combination_comes_with_the_last_axis_running_fastest(host: Host) -> None:
    found = await expanded(
        host,
        {"address": "a", "values": [1, 2]},
        {"address": "b", "from": 0.1, "to": 0.3, "step": 0.1},
    )
    assert found == [{"a": a, "b": b} for a in (1, 2) for b in (0.1, 0.2, 0.3)]


async def test_a_value_that_is_given_twice_makes_no_equal_jobs(host: Host) -> None:
    found = await expanded(host, {"address": "a", "values": [4, 4, True, 1, [4], [4]]})
    assert found == [{"a": 4}, {"a": True}, {"a": 1}, {"a": [4]}]


async def test_side_by_side_takes_the_first_of_each_then_the_second(host: Host) -> None:
    axes = (
        {"address": "a", "from": 1, "to": 10, "count": 3, "whole": True},
        {"address": "b", "values": ["x", "y", "z"]},
        {"address": "c", "values": [True]},
    )
    found = await expanded(host, *axes, combine="side_by_side")
    expected = [{"a": 1, "b": "x", "c": True}, {"a": 6, "b": "y", "c": True}, {"a": 10, "b": "z", "c": True}]
    assert [set(each.items()) for each in found][0::2] == [set(e.items()) for e in expected][0::2]
    assert [each["b"] for each in found] == ["x", "y", "z"]


async def test_random_seeds_are_all_different_and_exact_on_a_page(host: Host) -> None:
    seeds = [each["s"] for each in await expanded(host, {"address": "s", "seeds": 50})]
    assert len(set(seeds)) == 50
    assert all(0 <= seed < 2**50 for seed in seeds)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "axes"),
        ({"axes": [{"values": [1]}]}, "address"),
        ({"axes": [{"address": "a"}]}, "needs"),
        ({"axes": [{"address": "a", "values": []}]}, "no value"),
        ({"axes": [{"address": "a", "seeds": 0}]}, "whole number"),
        ({"axes": [{"address": "a", "from": 1, "to": 2, "step": 0}]}, "leads nowhere"),
        ({"axes": [{"address": "a", "from": 1, "to": 2, "step": -1}]}, "leads nowhere"),
        ({"axes": [{"address": "a", "from": 0, "to": 1e300, "step": 1}]}, "larger step"),
        ({"axes": [{"address": "a", "from": 10**400, "to": 1, "step": 1}]}, "too large"),
        ({"axes": [{"address": "a", "from": 1, "to": 10**400, "count": 3}]}, "too large"),
        ({"axes": [{"address": "a", "from": float("inf"), "to": 1, "step": 1}]}, "number"),
        ({"axes": [{"address": "a", "values": [1]}] * 2}, "twice"),
        ({"axes": [{"address": name, "seeds": 32} for name in "ab"]}, "1024 jobs; 1000"),
        (
            {
                "axes": [{"address": "a", "values": [1, 2]}, {"address": "b", "values": [1, 2, 3]}],
                "combine": "side_by_side",
            },
            "a has 2, b has 3",
        ),
        ({"axes": [{"address": "a", "values": [1]}], "combine": "both"}, "grid"),
    ],
    ids=str,
)
async def test_what_cannot_be_varied_is_said(host: Host, body: Any, said: str) -> None:
    assert said in await refusal(host, body)


async def test_each_file_carries_the_graph_with_its_own_values(host: Host, peer: FakeComfyUI) -> None:
    body = {
        "prompt": picture(),
        "variations": [{"1.color": 7}, {"1.color": 8}],
        "metadata": {"workflow": WORKFLOW, "places": {"1.color": [1, 3]}},
    }
    status, answer = await host.ask("POST", "/orchestrator/jobs", body)
    assert status == 202, answer
    await until(lambda: len(peer.prompts) == 2, "both are on the peer")
    for index, (job_id, color) in enumerate(zip(answer["job_ids"], (7, 8), strict=True)):
        _, job = await host.ask("GET", f"/orchestrator/jobs/{job_id}")
        assert (job["batch"]["index"], job["batch"]["changes"]) == (index, {"1.color": color})
        _, graph = await host.ask("GET", f"/orchestrator/jobs/{job_id}/graph")
        first, second = graph["workflow"]["nodes"]
        assert first["widgets_values"] == [16, 16, 1, color]
        assert second == WORKFLOW["nodes"][1]
    carried = [prompt.extra_data["extra_pnginfo"]["workflow"] for prompt in peer.prompts]
    assert sorted(each["nodes"][0]["widgets_values"][3] for each in carried) == [7, 8]


async def test_a_single_job_is_of_no_batch_and_a_retry_stays_in_its_own(host: Host) -> None:
    _, single = await host.ask("POST", "/orchestrator/jobs", {"prompt": picture()})
    assert (await host.ask("GET", f"/orchestrator/jobs/{single['job_id']}"))[1]["batch"] is None
    _, several = await host.ask("POST", "/orchestrator/jobs", {"prompt": picture(), "count": 2})
    first, second = several["job_ids"]
    await host.ask("POST", f"/orchestrator/jobs/{second}/cancel", {})
    _, again = await host.ask("POST", f"/orchestrator/jobs/{second}/retry", {})
    views = [(await host.ask("GET", f"/orchestrator/jobs/{i}"))[1]["batch"] for i in (first, again["job_id"])]
    assert views[0]["id"] == views[1]["id"]
    assert [view["index"] for view in views] == [0, 1]


@pytest.mark.parametrize(
    "metadata",
    [
        1,
        {},
        {"workflow": 1},
        {"workflow": {}, "places": {"a": 1}},
        {"workflow": {}, "places": {"a": [1, "x"]}},
    ],
    ids=str,
)
async def test_metadata_of_a_wrong_form_is_refused(host: Host, metadata: Any) -> None:
    body = {"prompt": picture(), "metadata": metadata}
    status, answer = await host.ask("POST", "/orchestrator/jobs", body)
    assert (status, answer["error"]) == (400, "bad_request")
    assert host.runtime.jobs.all() == ()
