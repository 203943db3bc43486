"""What cutting a batch into pieces costs, and how well the pieces fill two peers: python benchmarks/pieces.py

Overhead: a prompt with 200 pieces of one tiny picture each, by the seconds it takes and the pieces it has.
Makespan: 24 pieces that sleep, beside the ideal of the same sleeps shared out over both peers. Each three
times, the median; real ComfyUI processes on this computer.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.latency import SEEDS, check, node, until  # noqa: E402
from benchmarks.makespan import PatientClient  # noqa: E402
from tests.rig.environment import Setup  # noqa: E402
from tests.rig.fleet import Fleet  # noqa: E402

ROUNDS = 3
TINY_PIECES, TINY_MAX_MS = 200, 20.0
LONG_PIECES, LONG_S, LONG_MAX = 24, 0.5, 1.10
PEERS = 2


def pieces(count: int, seconds: float) -> dict[str, Any]:
    """A batch of new pictures, each of which is a piece that sleeps on a peer."""
    return {
        "grey": node("EmptyImage", width=16, height=16, batch_size=count, color=8_421_504),
        "batch": node("ImageAddNoise", image=["grey", 0], seed=next(SEEDS), strength=0.4),
        "split": node("RemoteSplit", value=["batch", 0], size=1, overlap=0),
        "sleep": node("TestSleep", value=["split", 0], seconds=seconds),
        "rd": node("RemoteDispatch", value=["sleep", 0]),
        "gather": node("RemoteGather", value=["rd", 0], pieces=["split", 1], blend=-1),
        "out": node("PreviewImage", images=["gather", 0]),
    }


async def median_s(master: PatientClient, count: int, seconds: float) -> float:
    """From POST to history."""
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        check(await master.run(pieces(count, seconds)))
        times.append(time.perf_counter() - began)
    return statistics.median(times)


async def measure(fleet: Fleet) -> bool:
    """Print both figures; whether they are within their bounds."""
    import aiohttp

    async with aiohttp.ClientSession() as http:
        master = PatientClient(http, fleet.master.url)

        async def ready() -> bool:
            listed = (await master.get("/orchestrator/peers"))["peers"]
            return all(p["health"] == "up" and p["node_types"] for p in listed)

        await until(ready)
        await master.run(pieces(4, 0.0))  # the first of all loads what it needs
        each_ms = await median_s(master, TINY_PIECES, 0.0) / TINY_PIECES * 1000
        long_s = await median_s(master, LONG_PIECES, LONG_S)
        ratio = long_s / (LONG_PIECES * LONG_S / PEERS)
        print(f"{TINY_PIECES} tiny pieces: {each_ms:.1f} ms each (at most {TINY_MAX_MS:.0f})")
        print(
            f"{LONG_PIECES} pieces of {LONG_S} s on {PEERS} peers: {long_s:.2f} s, {ratio:.2f} of the ideal",
            end="",
        )
        print(f" (at most {LONG_MAX:.2f})")
        return each_ms <= TINY_MAX_MS and ratio <= LONG_MAX


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
        fleet = Fleet(setup, Path(folder), peers=PEERS)
        with fleet:
            fleet.register_peers()
            return 0 if asyncio.run(measure(fleet)) else 1


if __name__ == "__main__":
    sys.exit(main())
