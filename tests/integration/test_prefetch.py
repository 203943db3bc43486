"""Jobs of Remote Dispatch nodes that are started as soon as the host has accepted their prompt."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.core.models.job import Job, JobRequest, JobState, Prompt, ResultLink
from orchestrator.core.workflow.cut import DISPATCH_CLASS, Stash
from orchestrator.host.node.prefetch import Prefetch
from orchestrator.host.node.request import ALWAYS, AUTOMATIC, FAIL, node_request
from tests.fakes.comfyui import FakeComfyUI
from tests.fakes.graphs import picture
from tests.fakes.master import Master, started
from tests.fakes.prompt_queue import Item, PromptQueue
from tests.fakes.waiting import until


@pytest.fixture
async def master(tmp_path: Path, peer: FakeComfyUI) -> AsyncIterator[Master]:
    async with started(tmp_path) as master:
        await master.add("gpu", peer)
        yield master


def stash_of(seed: int) -> Stash:
    return Stash(prompt={"1": picture(seed=seed)["1"]}, link=ResultLink("1", 0))


def wanted(seed: int, *, peer: str = AUTOMATIC) -> JobRequest:
    """What the node asks for when it runs."""
    stash = stash_of(seed)
    options: dict[str, Any] = {"overrides": "", "peer": peer, "if_no_peer": FAIL, "extra_pnginfo": None}
    return node_request(stash, stash.prompt, node_id="8", **options)


class Host:
    """A host's queue with what is started ahead for it. Each of its prompts has one dispatch node, 8, which
    is cut already."""

    def __init__(self, master: Master) -> None:
        self.queue = PromptQueue()
        self.prefetch = Prefetch(self.queue, master.runtime)
        self._runtime = master.runtime

    @property
    def jobs(self) -> list[Job]:
        """Oldest first."""
        return list(reversed(self._runtime.jobs.all()))

    async def waits(self, prompt_id: str, seed: int, **more: Any) -> None:
        """This prompt is accepted, and another one runs."""
        self.queue.put(item(prompt_id, seed, **more))
        await self.prefetch.begin(prompt_id)

    async def runs(self, prompt_id: str, seed: int) -> None:
        """This prompt is accepted and taken up at once."""
        self.queue.currently_running[0] = item(prompt_id, seed)
        await self.prefetch.begin(prompt_id)


def item(prompt_id: str, seed: int, *, outputs: tuple[str, ...] = ("8",), **inputs: Any) -> Item:
    """As the host keeps an accepted prompt."""
    prompt: Prompt = {
        "8": {"class_type": DISPATCH_CLASS, "inputs": {"value": stash_of(seed).to_input(), **inputs}},
        "9": {"class_type": "PreviewAny", "inputs": {"source": "something else"}},
    }
    return (1, prompt_id, prompt, {}, list(outputs), {})


@pytest.fixture
def host(master: Master) -> Host:
    return Host(master)


# What is begun


async def test_a_waiting_prompt_has_its_peer_at_work_before_its_turn(host: Host, peer: FakeComfyUI) -> None:
    peer.on_prompt = "hold"
    await host.waits("p1", seed=1)
    await until(lambda: peer.running, "the peer works on it")
    (job,) = host.jobs
    assert host.prefetch.claim("p1", "8", wanted(1)) == job.id


async def test_the_node_of_a_prompt_that_runs_at_once_finds_its_job_begun(host: Host, master: Master) -> None:
    await host.runs("p1", seed=1)
    (job,) = host.jobs
    assert host.prefetch.claim("p1", "8", wanted(1)) == job.id
    assert (await master.end_of(job)).state is JobState.DONE


async def test_a_node_that_was_quicker_gets_no_second_job(host: Host) -> None:
    host.queue.currently_running[0] = item("p1", seed=1)
    assert host.prefetch.claim("p1", "8", wanted(1)) is None
    await host.prefetch.begin("p1")
    assert host.jobs == []


async def test_copies_are_not_begun_ahead(host: Host) -> None:
    await host.waits("p1", 1, copies=4)
    assert host.jobs == []


async def test_an_exact_value_is_begun_ahead_as_one(host: Host) -> None:
    await host.waits("p1", 1, precision="exact")
    assert [job.request.exact for job in host.jobs] == [True]


async def test_a_prompt_that_is_gone_already_begins_nothing(host: Host) -> None:
    await host.prefetch.begin("p1")
    assert host.jobs == []


async def test_what_wants_the_same_as_the_prompt_before_waits_for_the_hosts_cache(host: Host) -> None:
    for prompt_id, seed in (("p1", 1), ("p2", 1), ("p3", 2), ("p4", 1)):
        await host.waits(prompt_id, seed)
    assert [job.request.prompt["1"]["inputs"]["color"] for job in host.jobs] == [1, 2, 1]


async def test_what_is_to_run_again_always_is_begun_each_time(host: Host) -> None:
    for prompt_id in ("p1", "p2"):
        await host.waits(prompt_id, 1, run_again=ALWAYS)
    assert len(host.jobs) == 2


async def test_what_the_host_may_remember_is_not_begun_for_a_prompt_that_runs_already(host: Host) -> None:
    for number, seed in enumerate((1, 2, 1)):
        await host.runs(f"p{number}", seed)
    assert len(host.jobs) == 2


async def test_a_node_that_was_not_asked_for_is_not_begun(host: Host) -> None:
    await host.waits("p1", 1, outputs=("9",))
    assert host.jobs == []


@pytest.mark.parametrize("linked", ["overrides", "peer", "if_no_peer"])
async def test_a_node_whose_options_come_from_another_node_is_not_begun(host: Host, linked: str) -> None:
    await host.waits("p1", 1, **{linked: ["9", 0]})
    assert host.jobs == []


async def test_a_node_that_needs_values_of_nodes_here_is_not_begun(host: Host) -> None:
    half = replace(stash_of(1), boundaries={"upstream_0": ResultLink("9", 0)})
    await host.waits("p1", 1, value=half.to_input())
    assert host.jobs == []


async def test_a_node_whose_options_cannot_be_read_is_left_to_say_so_itself(host: Host) -> None:
    await host.waits("p1", 1, overrides="no change at all")
    assert host.jobs == []
    assert host.prefetch.claim("p1", "8", wanted(1)) is None


# What the node makes of it


async def test_each_node_gets_the_job_of_its_own_prompt_once(host: Host) -> None:
    await host.waits("p1", 1)
    await host.waits("p2", 2)
    first, second = (job.id for job in host.jobs)
    claimed = [
        host.prefetch.claim(prompt_id, "8", wanted(seed)) for prompt_id, seed in (("p2", 2), ("p1", 1))
    ]
    assert claimed == [second, first]
    assert host.prefetch.claim("p1", "8", wanted(1)) is None


async def test_a_node_that_wrote_into_the_workflow_makes_no_second_job(host: Host) -> None:
    await host.runs("p1", seed=1)
    (job,) = host.jobs
    written = replace(wanted(1), extra_data={"extra_pnginfo": {"workflow": {"nodes": ["a text"]}}})
    assert host.prefetch.claim("p1", "8", written) == job.id


@pytest.mark.parametrize("other", [wanted(2), wanted(1, peer="gpu")])
async def test_a_node_that_wants_something_else_by_then_gets_none_and_the_job_is_ended(
    host: Host, master: Master, peer: FakeComfyUI, other: JobRequest
) -> None:
    peer.on_prompt = "hold"
    await host.waits("p1", seed=1)
    (job,) = host.jobs
    await until(lambda: peer.running, "the peer works on it")
    assert host.prefetch.claim("p1", "8", other) is None
    await master.reaches(job, JobState.CANCELLED)
    assert peer.running is None


async def test_a_job_that_somebody_cancelled_meanwhile_is_no_answer(
    host: Host, master: Master, peer: FakeComfyUI
) -> None:
    peer.on_prompt = "hold"
    await host.waits("p1", seed=1)
    await master.runtime.jobs.cancel(host.jobs[0].id)
    assert host.prefetch.claim("p1", "8", wanted(1)) is None


async def test_a_node_that_failed_ahead_fails_its_prompt_without_another_try(
    host: Host, master: Master, peer: FakeComfyUI
) -> None:
    peer.on_prompt = "fail"
    await host.waits("p1", seed=1)
    (job,) = host.jobs
    assert (await master.end_of(job)).state is JobState.FAILED
    assert host.prefetch.claim("p1", "8", wanted(1)) == job.id


async def test_no_peer_is_said_once_for_a_prompt_that_runs_already(tmp_path: Path) -> None:
    async with started(tmp_path) as lonely:
        host = Host(lonely)
        await host.runs("p1", seed=1)
        (job,) = host.jobs
        assert (await lonely.end_of(job)).state is JobState.FAILED
        assert host.prefetch.claim("p1", "8", wanted(1)) == job.id


async def test_no_peer_is_no_answer_for_a_prompt_that_had_to_wait(tmp_path: Path) -> None:
    async with started(tmp_path) as lonely:
        host = Host(lonely)
        await host.waits("p1", seed=1)
        await lonely.end_of(host.jobs[0])
        assert host.prefetch.claim("p1", "8", wanted(1)) is None


# The sweep


async def test_what_was_begun_for_a_prompt_that_is_gone_is_ended_and_the_rest_goes_on(
    host: Host, master: Master, peer: FakeComfyUI
) -> None:
    peer.on_prompt = "hold"
    for number in (1, 2):
        await host.waits(f"p{number}", seed=number)
    gone, kept = host.jobs
    await until(lambda: peer.running, "the peer works on the first")
    host.queue.delete_queue_item(lambda waiting: waiting[1] == "p1")
    host.prefetch.sweep()
    await master.reaches(gone, JobState.CANCELLED)
    assert not master.job(kept).state.is_final
    assert host.prefetch.claim("p1", "8", wanted(1)) is None
    assert host.prefetch.claim("p2", "8", wanted(2)) == kept.id


async def test_a_prompt_that_another_pack_took_out_of_the_queue_is_noticed_by_itself(
    host: Host, master: Master, peer: FakeComfyUI
) -> None:
    peer.on_prompt = "hold"
    await host.waits("p1", seed=1)
    host.queue.wipe_queue()
    await master.reaches(host.jobs[0], JobState.CANCELLED)


async def test_what_was_begun_after_all_had_ended_is_swept_too(
    host: Host, master: Master, peer: FakeComfyUI
) -> None:
    peer.on_prompt = "hold"
    for number in (1, 2):
        await host.waits(f"p{number}", seed=number)
        host.queue.wipe_queue()
        await master.reaches(host.jobs[-1], JobState.CANCELLED)


async def test_a_job_that_its_node_has_claimed_is_the_nodes_to_end(
    host: Host, master: Master, peer: FakeComfyUI
) -> None:
    peer.on_prompt = "hold"
    await host.waits("p1", seed=1)
    (job,) = host.jobs
    await until(lambda: peer.running, "the peer works on it")
    host.prefetch.claim("p1", "8", wanted(1))
    host.queue.wipe_queue()
    host.prefetch.sweep()
    await peer.finish(peer.running or "")
    assert (await master.end_of(job)).state is JobState.DONE


async def test_a_job_whose_prompt_runs_by_now_goes_on(host: Host, peer: FakeComfyUI) -> None:
    peer.on_prompt = "hold"
    await host.waits("p1", seed=1)
    (job,) = host.jobs
    host.queue.currently_running[0] = host.queue.queue.pop()
    host.prefetch.sweep()
    assert host.prefetch.claim("p1", "8", wanted(1)) == job.id


async def test_a_value_whose_prompt_was_taken_back_is_begun_again(host: Host, peer: FakeComfyUI) -> None:
    peer.on_prompt = "hold"
    await host.waits("p1", seed=1)
    host.queue.wipe_queue()
    host.prefetch.sweep()
    await host.waits("p2", seed=1)
    assert len(host.jobs) == 2
