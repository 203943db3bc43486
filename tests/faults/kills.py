"""Kills an engine again and again, and counts what that cost: `python -m tests.faults.kills --kills 1000`."""

from __future__ import annotations

import argparse
import asyncio
import itertools
import multiprocessing
import os
import random
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.fakes.comfyui import FakeComfyUI
from tests.fakes.graphs import stock_classes

from .engine import run

JOBS = 24
LINGER_S = 0.05
#: Where it can, a process that has imported everything is copied for each engine.
ENGINES: Any = multiprocessing.get_context("forkserver" if os.name == "posix" else "spawn")
ENGINES.set_forkserver_preload(["tests.faults.engine"])


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
        while done < kills and await _live(
            home, jobs, [a.url, b.url], choose.randint(1, jobs), choose.uniform(0, LINGER_S)
        ):
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


async def _live(home: Path, jobs: int, urls: list[str], until: int | None, linger_s: float = 0.0) -> bool:
    """Whether it was killed, after so much news; False when it had come to its end before."""
    news, end = ENGINES.Pipe(duplex=False)
    engine = ENGINES.Process(target=run, args=(home, jobs, urls, end))
    engine.start()
    end.close()
    try:
        await _watch(news, until)
        await asyncio.sleep(linger_s)  # to hit other moments than those right after news
    finally:
        if until is not None:
            engine.kill()
        await asyncio.to_thread(engine.join)
        news.close()
    return bool(engine.exitcode)


async def _watch(news: Any, until: int | None) -> None:
    """Until so much news came, or the last of all."""
    for heard in itertools.count(1):
        try:
            told = await asyncio.to_thread(news.recv)
        except EOFError:
            return
        if told[0] == "all":
            assert told == ("all", "done"), told
        elif heard == until:
            return


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
