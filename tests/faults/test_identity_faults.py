"""F54 of the fault list: one machine that was added under two addresses."""

from __future__ import annotations

from pathlib import Path

from orchestrator.core.engine.faults.health import HealthPolicy
from orchestrator.core.models.job import JobState
from tests.fakes.comfyui import FakeComfyUI
from tests.fakes.graphs import picture, stock_classes
from tests.fakes.master import started
from tests.fakes.waiting import until


async def test_f54_one_machine_under_two_addresses_is_told_on_both_rows_and_used_once(tmp_path: Path) -> None:
    health = HealthPolicy(poll_s=0.05, silent_after_s=1.0)
    async with FakeComfyUI() as peer, started(tmp_path, health=health) as master:
        peer.object_info, peer.on_prompt = stock_classes(), "hold"
        first = await master.add("by number", peer)
        second = await master.add("by name", f"http://localhost:{peer.port}")
        status = master.runtime.manager.get_status
        job = await master.submit(picture())
        await master.running_on(peer, job)
        await until(lambda: "The same machine as by name" in status(first).reason, "it is told on the first")
        await until(lambda: "The same machine as by number" in status(second).reason, "and on the second")
        behind = [await master.submit(picture(seed)) for seed in range(1, 5)]
        await until(lambda: len(peer.prompts) == 2, "one more is sent ahead")
        polls = len(peer.asked("/system_stats"))
        await until(lambda: len(peer.asked("/system_stats")) > polls + 60, "it is watched for a while", 30.0)
        assert len(peer.prompts) == 2  # the slots are shared
        used = {master.job(known).backend_id for known in (job, *behind)} - {""}
        other = second if used == {first} else first
        assert len(used) == 1 and status(other).health.value == "up"  # nothing is silent there
        peer.on_prompt = "run"
        await peer.finish(peer.running or "")
        for known in (job, *behind):
            assert (await master.end_of(known)).state is JobState.DONE
