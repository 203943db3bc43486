"""Thousands of jobs through one master: python benchmarks/throughput.py

5 000 prompts go to POST /prompt of a real ComfyUI in fleet mode, for 18 scripted peers (in another process,
each done at once) and 2 real ones. Told: how fast they are accepted and done, how late the master's event
loop was, how long GET /queue took throughout. Master, scripted and real peers share this machine's cores.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import statistics
import subprocess
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.latency import Client, node, until  # noqa: E402
from tests.rig.environment import Setup  # noqa: E402
from tests.rig.fleet import Fleet  # noqa: E402

LAG_PROBE = ROOT / "tests" / "rig" / "lag_probe"
SCRIPTED = 18
JOBS = 5_000
SENDERS = 8
LOOK_EVERY_S = 0.25


def scripted_peers(pipe: Connection, object_info: dict[str, Any]) -> None:
    """In a process of its own: peers that finish whatever they get. Ends when the pipe is closed."""
    from tests.fakes.comfyui import FakeComfyUI

    async def serve() -> None:
        fakes = [FakeComfyUI() for _ in range(SCRIPTED)]
        for fake in fakes:
            fake.object_info = object_info
            await fake.__aenter__()
        pipe.send([fake.url for fake in fakes])
        while not pipe.poll():
            await asyncio.sleep(0.2)
            for fake in fakes:
                fake.requests.clear()
        for fake in fakes:
            await fake.__aexit__(None, None, None)

    asyncio.run(serve())


def graph(seed: int) -> dict[str, Any]:
    return {
        "1": node("EmptyImage", width=16, height=16, batch_size=1, color=seed),
        "9": node("SaveImage", images=["1", 0], filename_prefix="throughput"),
    }


async def measure(fleet: Fleet, jobs: int) -> None:
    import aiohttp

    headers = {"X-Orchestrator-Token": fleet.token}
    async with aiohttp.ClientSession() as http:
        master, real = Client(http, fleet.master.url), Client(http, fleet.peers[0].url)
        here, there = multiprocessing.Pipe()
        info = {name: (await real.get("/object_info"))[name] for name in ("EmptyImage", "SaveImage")}
        scripted = multiprocessing.Process(target=scripted_peers, args=(there, info), daemon=True)
        scripted.start()
        try:
            urls = await asyncio.to_thread(here.recv)
            for number, url in enumerate(urls):
                body = {"name": f"scripted-{number:02d}", "url": url}
                async with http.post(
                    f"{fleet.master.url}/orchestrator/peers", json=body, headers=headers
                ) as answer:
                    answer.raise_for_status()

            async def ready() -> bool:
                listed = (await master.get("/orchestrator/peers"))["peers"]
                return len(listed) == SCRIPTED + 2 and all(p["node_types"] for p in listed)

            await until(ready, pause_s=0.2)
            async with http.patch(
                f"{fleet.master.url}/orchestrator/settings", json={"fleet_mode": True}, headers=headers
            ) as answer:
                answer.raise_for_status()
            await run(master, jobs)
        finally:
            here.send("end")
            await asyncio.to_thread(scripted.join, 10)


async def run(master: Client, jobs: int) -> None:
    await master.get("/lag")
    began = time.perf_counter()
    looks: list[float] = []
    numbers = iter(range(jobs))

    async def send() -> None:
        for number in numbers:
            answer = await master.post("/prompt", {"prompt": graph(number), "client_id": "benchmark"})
            if "prompt_id" not in answer:
                raise RuntimeError(str(answer)[:300])

    async def look() -> int:
        at = time.perf_counter()
        queue = await master.get("/queue")
        looks.append(1000 * (time.perf_counter() - at))
        return len(queue["queue_running"]) + len(queue["queue_pending"])

    async def watch() -> None:
        while True:
            await look()
            await asyncio.sleep(LOOK_EVERY_S)

    watching = asyncio.create_task(watch(), name="watch")
    await asyncio.gather(*(send() for _ in range(SENDERS)))
    accepted = time.perf_counter() - began

    async def empty() -> bool:
        return int((await master.get("/prompt"))["exec_info"]["queue_remaining"]) == 0

    await until(empty, limit_s=600.0, pause_s=0.1)
    done = time.perf_counter() - began
    watching.cancel()
    lag = await master.get("/lag")
    history = await master.get("/history")
    good = sum(entry["status"]["status_str"] == "success" for entry in history.values())
    print(
        f"{jobs} jobs: accepted in {accepted:.1f} s ({jobs / accepted:.0f}/s), "
        f"done in {done:.1f} s ({jobs / done:.0f}/s; at least 100), {good} succeeded"
    )
    print(
        f"event loop late by: p50 {lag['p50']:.1f}, p99 {lag['p99']:.1f} (at most 50), "
        f"max {lag['max']:.1f} ms (at most 250), {lag['samples']} samples"
    )
    print(
        f"GET /queue: median {statistics.median(looks):.1f}, max {max(looks):.1f} ms (at most 100), "
        f"{len(looks)} looks"
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=JOBS)
    parser.add_argument("--in-environment", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    setup = Setup()
    if not options.in_environment:  # aiohttp is in the rig's environment
        python = str(setup.tools())
        return subprocess.run([python, __file__, *sys.argv[1:], "--in-environment"], check=False).returncode
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        fleet = Fleet(setup, Path(folder))
        fleet.master.install(LAG_PROBE, "lag-probe")
        with fleet:
            fleet.register_peers()
            asyncio.run(measure(fleet, options.jobs))
    return 0


if __name__ == "__main__":
    multiprocessing.set_start_method("spawn")
    sys.exit(main())
