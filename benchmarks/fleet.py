"""How well jobs are placed on uneven machines, on real ComfyUI processes: python benchmarks/fleet.py

Twelve prompts go to POST /prompt of a master in fleet mode, and the clock runs until its history has all.
Every case begins with a new master that knows nothing of its peers. Ideal: the work shared out over the
machines by their speed, not counting that a prompt cannot be split, nor what ComfyUI itself needs for one.

- uneven: twelve times 1 s, one of two peers takes four times as long;
- mixed: 4 s and 1 s in turn on two equal peers;
- models: 1 s each, two models in turn on two peers that hold one model and need 3 s to load another;
- shared: twelve times 1 s, while one of two peers also has 8 s of somebody else's prompts.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.latency import SEEDS, check, node, until  # noqa: E402
from benchmarks.makespan import POLL_S, PatientClient  # noqa: E402
from tests.rig.environment import Setup  # noqa: E402
from tests.rig.fleet import Fleet  # noqa: E402

JOBS = 12
LOADED = "TestModel loaded"
FOREIGN_S = (2.0,) * 4


@dataclass(frozen=True)
class Case:
    """`slowness` of each peer; seconds and model of each prompt; `foreign`: what the first peer also has."""

    name: str
    slowness: tuple[float, ...]
    work_s: tuple[float, ...]
    models: tuple[str, ...] = ()
    foreign_s: tuple[float, ...] = ()
    load_s: float = 0.0  #: that nobody can avoid, on each machine

    @property
    def ideal_s(self) -> float:
        speeds = [1 / slowness for slowness in self.slowness]
        return (sum(self.work_s) + sum(self.foreign_s)) / sum(speeds) + self.load_s


CASES = (
    Case("uneven", (1, 4), (1.0,) * JOBS),
    Case("mixed", (1, 1), (4.0, 1.0) * (JOBS // 2)),
    Case(
        "models",
        (1, 1),
        (1.0,) * JOBS,
        models=("first.safetensors", "second.safetensors") * (JOBS // 2),
        load_s=3.0,
    ),
    Case("shared", (1, 1), (1.0,) * JOBS, foreign_s=FOREIGN_S),
)


def work(seconds: float, model: str = "") -> dict[str, Any]:
    """Makes a picture of its own, loads, sleeps, saves."""
    stamp = {"1": node("TestStamp", width=32, height=32, batch=1, seed=next(SEEDS))}
    load = {"2": node("TestModel", value=["1", 0], model_name=model)} if model else {}
    return {
        **stamp,
        **load,
        "3": node("TestSleep", value=["2" if model else "1", 0], seconds=seconds),
        "4": node("SaveImage", images=["3", 0], filename_prefix="fleet"),
    }


async def run(fleet: Fleet, case: Case) -> tuple[float, list[str]]:
    """Seconds until all is done, and the peer of each job in the order of their arrival."""
    import aiohttp

    headers = {"X-Orchestrator-Token": fleet.token}
    async with aiohttp.ClientSession() as http:
        master = PatientClient(http, fleet.master.url)

        async def ready() -> bool:
            listed = (await master.get("/orchestrator/peers"))["peers"]
            return all(peer["health"] == "up" and peer["node_types"] for peer in listed)

        await until(ready)
        settings = f"{fleet.master.url}/orchestrator/settings"
        async with http.patch(settings, json={"fleet_mode": True}, headers=headers) as answer:
            answer.raise_for_status()
        colleague = PatientClient(http, fleet.peers[0].url)
        for seconds in case.foreign_s:
            await colleague.post("/prompt", {"prompt": work(seconds), "client_id": "a colleague"})
        began = time.perf_counter()
        ids = []
        for seconds, model in zip(case.work_s, case.models or ("",) * len(case.work_s), strict=True):
            body = {"prompt": work(seconds, model), "client_id": "benchmark"}
            ids.append((await master.post("/prompt", body))["prompt_id"])
        for prompt_id in ids:
            check(await until(partial(master.entry, prompt_id), pause_s=POLL_S))
        lasted = time.perf_counter() - began
        peers = [(await master.get(f"/orchestrator/jobs/{prompt_id}"))["peer"] for prompt_id in ids]
    return lasted, peers


def loads(fleet: Fleet) -> list[int]:
    """How often each peer loaded a model."""
    return [peer.log.read_text(encoding="utf-8", errors="replace").count(LOADED) for peer in fleet.peers]


def measure(setup: Setup, case: Case, folder: Path) -> None:
    fleet = Fleet(setup, folder, peers=0)
    fleet.peers = [
        fleet.new_peer(f"peer-{number}", {"TEST_NODES_SLOWNESS": str(slowness)})
        for number, slowness in enumerate(case.slowness, start=1)
    ]
    with fleet:
        fleet.register_peers()
        lasted, peers = asyncio.run(run(fleet, case))
        shares = ", ".join(f"{peer.name} {peers.count(peer.name)}" for peer in fleet.peers)
        loaded = f"; loads {loads(fleet)}" if case.models else ""
    figures = f"{lasted:>7.2f} s {case.ideal_s:>7.2f} s {lasted / case.ideal_s:>6.2f}"
    print(f"{case.name:<8} {figures}  {shares}{loaded}", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--case", choices=[case.name for case in CASES], action="append")
    parser.add_argument("--in-environment", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    setup = Setup()
    if not options.in_environment:  # aiohttp is in the rig's environment
        command = [str(setup.tools()), __file__, *sys.argv[1:], "--in-environment"]
        return subprocess.run(command, check=False).returncode
    print(f"{'case':<8} {'makespan':>9} {'ideal':>9} {'ratio':>6}  jobs on each peer")
    for case in CASES:
        if not options.case or case.name in options.case:
            with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
                measure(setup, case, Path(folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
