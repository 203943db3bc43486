"""F46 and F35 of the fault list: prompts, queues, histories and node lists of many megabytes."""

from __future__ import annotations

import io
import json
import uuid
from typing import Any

import aiohttp
import pytest

from orchestrator.backends import large_answers
from orchestrator.core.models.job import JobState
from tests.fakes.answers import answer
from tests.fakes.comfyui import FakeComfyUI
from tests.fakes.graphs import picture, stock_classes
from tests.fakes.master import outcomes
from tests.faults.rig import KEY, Rig

MB = 1_000_000
JSON = {"Content-Type": "application/json"}


def long_prompt(megabytes: int) -> dict[str, Any]:
    graph = picture()
    graph["1"]["inputs"]["drawing"] = "x" * (megabytes * MB)
    return graph


async def queue_for_somebody_else(peer: FakeComfyUI, prompt: dict[str, Any]) -> str:
    prompt_id = str(uuid.uuid4())
    body = {"prompt": prompt, "prompt_id": prompt_id, "client_id": "somebody else"}
    async with (
        aiohttp.ClientSession(headers=dict([KEY])) as session,
        session.post(f"{peer.url}/prompt", data=io.BytesIO(json.dumps(body).encode()), headers=JSON) as said,
    ):
        assert said.status == 200
    return prompt_id


class HealthSeen:
    """What health the peers had, and what their rows said."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self.health: set[str] = set()
        self.reasons: set[str] = set()
        rig.master.runtime.manager.subscribe(self._note)

    def _note(self, backend_id: str) -> None:
        if self._rig.master.runtime.manager.find(backend_id):
            status = self._rig.master.runtime.manager.get_status(backend_id)
            self.health.add(status.health.value)
            self.reasons.add(status.reason)


async def test_f46_a_prompt_of_ours_of_20_mb_runs_once_and_takes_no_peer_down(rig: Rig) -> None:
    seen = HealthSeen(rig)
    job = await rig.submit_to(rig.a, long_prompt(20), peer="a")
    prompt_id = rig.master.prompt_id(job)
    polls = len(rig.a.asked("/queue"))
    while len(rig.a.asked("/queue")) < polls + 4:
        await rig.master.runtime.peers.check(rig.ids["a"])
    await rig.a.finish(prompt_id)
    done = await rig.end_of(job)
    assert (done.state, outcomes(done), rig.posts()) == (JobState.DONE, ["done"], [1, 0])
    assert seen.health <= {"up"}


@pytest.mark.parametrize("prompts", [3, pytest.param(5, marks=pytest.mark.long)])
async def test_f46_prompts_of_20_mb_that_somebody_else_queued_take_no_peer_down(
    rig: Rig, prompts: int
) -> None:
    seen = HealthSeen(rig)
    rig.a.on_prompt = "hold"
    theirs = [await queue_for_somebody_else(rig.a, long_prompt(20)) for _ in range(prompts)]
    job = await rig.submit(peer="a")
    for prompt_id in theirs:
        await rig.master.runtime.peers.check(rig.ids["a"])
        await rig.a.finish(prompt_id)
    await rig.a.finish(await rig.master.running_on(rig.a, job))
    done = await rig.end_of(job)
    assert (done.state, outcomes(done)) == (JobState.DONE, ["done"])
    assert seen.health <= {"up"}
    # Beyond 64 MiB nobody can tell which prompts wait there, and the peer's row says so.
    assert any("Which prompts wait there is not known" in reason for reason in seen.reasons) is (prompts > 3)


async def test_f46_twenty_megabytes_of_shown_text_are_a_result_like_any(rig: Rig) -> None:
    seen = HealthSeen(rig)
    job = await rig.submit_to(rig.a, peer="a")
    prompt = rig.a.prompts[-1]
    await rig.a.finish(prompt.id, {**rig.a._pictures(prompt), "1": {"text": ["y" * 20 * MB]}})
    done = await rig.end_of(job)
    assert (done.state, outcomes(done), rig.posts()) == (JobState.DONE, ["done"], [1, 0])
    assert seen.health <= {"up"}


async def test_f46_a_history_that_is_too_large_is_replaced_by_what_was_told(rig: Rig) -> None:
    seen = HealthSeen(rig)
    job = await rig.submit_to(rig.a, peer="a")
    prompt = rig.a.prompts[-1]
    too_large = b" " * (large_answers.HISTORY.max_bytes + 1)
    rig.a.answers[f"/history/{prompt.id}"] = answer(too_large)
    await rig.a.finish(prompt.id)
    done = await rig.end_of(job)
    assert (done.state, outcomes(done), rig.posts()) == (JobState.DONE, ["done"], [1, 0])
    assert len(done.outputs) == 1
    assert seen.health <= {"up"}


def node_list(megabytes: int) -> dict[str, Any]:
    """An honest one, with a class that lists a large collection."""
    files = [
        f"style/adapter_{number:07}_of_a_large_collection.safetensors"
        for number in range(megabytes * MB // 60)
    ]
    return {
        **stock_classes(),
        "LoraLoader": {"input": {"required": {"lora_name": [files]}}, "output": ["MODEL"]},
    }


async def test_f35_a_large_honest_node_list_is_taken(rig: Rig) -> None:
    async with FakeComfyUI() as honest:
        honest.object_info = node_list(60)
        peer_id = await rig.master.add("honest", honest)
        info = await known_list(rig, peer_id)
        assert info.input("LoraLoader", "lora_name").choices[-1].startswith("style/adapter_")
        await rig.master.runtime.peers.remove(peer_id)
    assert (await rig.run()).state is JobState.DONE


async def known_list(rig: Rig, peer_id: str) -> Any:
    """The peer's node list, once it was read. Adding it waited for a while only."""
    await rig.master.runtime.peers.check(peer_id)
    return rig.master.runtime.manager.get_object_info(peer_id)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"A": ' + b"[" * 3 * MB, id="nested without end"),
        pytest.param(b'{"A": "' + b"x" * 50 * MB + b'"}', id="a text without end"),
        pytest.param(b" " * (large_answers.NODE_LIST.max_bytes + 1), id="swollen"),
    ],
)
async def test_f35_a_hostile_node_list_is_refused_and_said_so_on_the_row(rig: Rig, body: bytes) -> None:
    async with FakeComfyUI() as hostile:
        hostile.answers["/object_info"] = answer(body)
        peer_id = await rig.master.add("hostile", hostile)
        assert await known_list(rig, peer_id) is None
        status = await rig.master.runtime.peers.check(peer_id)
        assert (status.health.value, status.reason[:31]) == ("up", "Its list of nodes is not known:")
        await rig.master.runtime.peers.remove(peer_id)
    assert (await rig.run()).state is JobState.DONE
