"""How well fleet mode fills its machines, on real ComfyUI processes: python benchmarks/makespan.py

Twelve prompts (a sleep and a real KSampler) go to POST /prompt of the master, and the clock runs until its
history has all. Ideal: the same prompts shared out by length over the machines, each taking as long as it
took alone on an idle peer in this very run. Two peers three ways: equal lengths queued at once, mixed
lengths at once, equal lengths one by one at the pace of a person. Then the master computes too.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.latency import SEEDS, Client, check, node, until  # noqa: E402
from tests.rig.environment import Setup  # noqa: E402
from tests.rig.fleet import Fleet  # noqa: E402

EQUAL = (2.0,) * 12
MIXED = (4.0, 1.0, 1.0, 3.0, 0.5, 2.0, 1.0, 5.0, 0.5, 1.0, 2.0, 1.0)
ALONE_ROUNDS = 3
STEPS = 4
POLL_S = 0.05


def work(seconds: float) -> dict[str, Any]:
    """Samples, sleeps, saves."""
    return {
        "1": node("UNETLoader", unet_name="tiny-random-unet.safetensors", weight_dtype="default"),
        "2": node("LotusConditioning"),
        "3": node("EmptyLatentImage", width=64, height=64, batch_size=1),
        "4": node(
            "KSampler",
            model=["1", 0],
            positive=["2", 0],
            negative=["2", 0],
            latent_image=["3", 0],
            seed=next(SEEDS),
            steps=STEPS,
            cfg=1.0,
            sampler_name="euler",
            scheduler="simple",
            denoise=1.0,
        ),
        "5": node("VAELoader", vae_name="taesd"),
        "6": node("VAEDecode", samples=["4", 0], vae=["5", 0]),
        "7": node("TestSleep", value=["6", 0], seconds=seconds),
        "8": node("SaveImage", images=["7", 0], filename_prefix="makespan"),
    }


class PatientClient(Client):
    """Asks seldom: the peers need the machine's few cores."""

    async def run(self, prompt: dict[str, Any]) -> dict[str, Any]:
        prompt_id = (await self.post("/prompt", {"prompt": prompt, "client_id": "benchmark"}))["prompt_id"]
        return dict(await until(lambda: self.entry(prompt_id), pause_s=POLL_S))

    async def entry(self, prompt_id: str) -> Any:
        return (await self.get(f"/history/{prompt_id}")).get(prompt_id)


async def alone(peer: PatientClient, seconds: float) -> float:
    """How long such a prompt takes on an idle peer, from POST to history."""
    times = []
    for _ in range(ALONE_ROUNDS):
        began = time.perf_counter()
        check(await peer.run(work(seconds)))
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def ideal(durations: Sequence[float], peers: int) -> float:
    """The best sharing-out that the longest-first rule finds, and never less than the mean load."""
    loads = [0.0] * peers
    for duration in sorted(durations, reverse=True):
        loads[loads.index(min(loads))] += duration
    return max(loads)


async def makespan(
    master: PatientClient, lengths: Sequence[float], machines: int, *, one_by_one: bool = False
) -> tuple[float, float]:
    """Seconds until all are in the history, and until all machines were seen at work."""
    began = time.perf_counter()
    ids = []
    busy: list[float] = []

    async def watch() -> None:
        async def all_run() -> bool:
            return len((await master.get("/queue"))["queue_running"]) == machines

        await until(all_run, pause_s=POLL_S)
        busy.append(time.perf_counter() - began)

    watching = asyncio.create_task(watch(), name="watch")
    for seconds in lengths:
        answer = await master.post("/prompt", {"prompt": work(seconds), "client_id": "benchmark"})
        ids.append(answer["prompt_id"])
        if one_by_one:
            await asyncio.sleep(0.2)  # a person's pace
    for prompt_id in ids:
        check(await until(partial(master.entry, prompt_id), pause_s=POLL_S))
    await watching
    return time.perf_counter() - began, busy[0]


async def measure(fleet: Fleet) -> None:
    import aiohttp

    headers = {"X-Orchestrator-Token": fleet.token}
    async with aiohttp.ClientSession() as http:
        master = PatientClient(http, fleet.master.url)
        peers = [PatientClient(http, peer.url) for peer in fleet.peers]

        async def ready() -> bool:
            listed = (await master.get("/orchestrator/peers"))["peers"]
            return all(p["health"] == "up" and p["node_types"] for p in listed)

        await until(ready)

        async def switch(**settings: bool) -> None:
            url = f"{fleet.master.url}/orchestrator/settings"
            async with http.patch(url, json=settings, headers=headers) as answer:
                answer.raise_for_status()

        for machine in (*peers, master):  # the first loads the model
            await alone(machine, 0.0)
        known = {seconds: await alone(peers[0], seconds) for seconds in sorted({*EQUAL, *MIXED})}
        await switch(fleet_mode=True)
        print(f"{'12 prompts':<30} {'makespan':>9} {'ideal':>8} {'ratio':>6} {'all busy after':>15}")

        async def case(name: str, lengths: Sequence[float], machines: int, one_by_one: bool = False) -> None:
            seconds, busy = await makespan(master, lengths, machines, one_by_one=one_by_one)
            best = ideal([known[length] for length in lengths], machines)
            print(
                f"{name:<30} {seconds:>7.2f} s {best:>6.2f} s {seconds / best:>6.2f} {busy:>13.2f} s",
                flush=True,
            )

        await case("equal", EQUAL, 2)
        await case("mixed lengths", MIXED, 2)
        await case("equal, one by one", EQUAL, 2, one_by_one=True)
        await switch(this_machine=True)
        await case("this machine too, equal", EQUAL, 3)
        await case("this machine too, mixed", MIXED, 3)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--in-environment", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    setup = Setup()
    if not options.in_environment:  # aiohttp is in the rig's environment
        python = str(setup.tools())
        return subprocess.run([python, __file__, "--in-environment"], check=False).returncode
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        fleet = Fleet(setup, Path(folder))
        fleet.equip(fleet.master)
        with fleet:
            fleet.register_peers()
            asyncio.run(measure(fleet))
    return 0


if __name__ == "__main__":
    sys.exit(main())
