"""Kills an engine again and again, and counts what that cost: `python -m tests.faults.kills --kills 1000`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tests.fakes.comfyui import FakeComfyUI
from tests.fakes.graphs import stock_classes

ROOT = Path(__file__).parents[2]
JOBS = 24


@dataclass(frozen=True)
class Toll:
    """`extra`: executions beyond one for each job."""

    kills: int
    lost: int
    delivered_twice: int
    extra: int
    most_extra_of_one: int


async def kill_and_count(home: Path, kills: int, seed: int, jobs: int = JOBS) -> Toll:
    """One engine's life with so many sudden deaths in it, each after a random number of news."""
    choose = random.Random(seed)
    async with FakeComfyUI() as a, FakeComfyUI() as b:
        for peer in (a, b):
            peer.object_info = stock_classes()
        await asyncio.to_thread(home.mkdir, exist_ok=True)
        done = 0
        while done < kills and await _live(home, jobs, [a.url, b.url], choose.randint(1, jobs)):
            done += 1
        assert not await _live(home, jobs, [a.url, b.url], None)
        runs = Counter(prompt.graph["1"]["inputs"]["color"] for peer in (a, b) for prompt in peer.prompts)
    files = await asyncio.to_thread(lambda: [path for path in (home / "output").rglob("*") if path.is_file()])
    return Toll(
        kills=done,
        lost=max(jobs - len(files), 0) + (jobs - len(runs)),
        delivered_twice=max(len(files) - jobs, 0),
        extra=sum(runs.values()) - len(runs),
        most_extra_of_one=max(runs.values(), default=1) - 1,
    )


async def _live(home: Path, jobs: int, urls: list[str], until: int | None) -> bool:
    """Whether it was killed, after so many lines; False when it came to its end."""
    engine = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.faults.engine",
        str(home),
        str(jobs),
        *urls,
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    assert engine.stdout is not None
    lines = 0
    try:
        async for line in engine.stdout:
            lines += 1
            if line.startswith(b"all "):
                assert line.split() == [b"all", b"done"], line
            elif lines == until:
                engine.kill()
                return True
        return False
    finally:
        with contextlib.suppress(ProcessLookupError):
            if until is not None:
                engine.kill()
        await engine.wait()


async def _main(kills: int, seed: int) -> None:
    total = 0
    while total < kills:
        with tempfile.TemporaryDirectory() as folder:
            toll = await kill_and_count(Path(folder) / "home", min(10, kills - total), seed + total)
        total += max(toll.kills, 1)
        print(f"{total:5d} {toll}", flush=True)
        if toll.lost or toll.delivered_twice or toll.most_extra_of_one > toll.kills:
            raise SystemExit(1)


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--kills", type=int, default=100)
    options.add_argument("--seed", type=int, default=1)
    chosen = options.parse_args()
    asyncio.run(_main(chosen.kills, chosen.seed))
