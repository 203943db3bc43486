"""A random soak: `python dev.py chaos --minutes N --seed S`.

A real master, two real peers and four scripted ones, each behind a proxy, two of these behind one gateway as
well; jobs arrive at random, and every half minute something goes wrong. At the end all is made well, and the
checker says what became of each job. The same seed brings about the same faults in the same order.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
from collections import Counter, deque
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import aiohttp

from tests.fakes.comfyui import FakeComfyUI
from tests.fakes.disks import SmallDisk, mounted_disk
from tests.fakes.gateway import Gateway
from tests.fakes.graphs import stock_classes
from tests.fakes.proxy import Proxy
from tests.rig.environment import Setup
from tests.rig.fleet import Fleet

from .chaos_faults import Fault, Scene, planned
from .soak import Findings, Sample, Standing, check, check_falls, check_fleet, counted, sample_of

JOBS_PER_S = 3.0
SAMPLE_EVERY_S = 10.0
TRIM_EVERY_S = 10.0  #: what was freed is not counted as what is held
WATCH_EVERY_S = 2.0  #: as often as the master asks its peers
HEAL_S = 180.0
FIRST_JOBS = 24  #: before the first fault, so that each peer has been used
LEVEL_LOOKS, LEVEL_WITHIN = 8, 2  #: a second apart; open files
SETTLE_S = 90.0  #: connections that nobody uses are closed by then
WORK_S = (0.3, 3.0)  #: how long a scripted peer takes for a prompt
FORGET_FROM = 2_000  #: requests that a scripted peer keeps
JOURNAL_DISK = "512m"  #: for the jobs of an hour


class Chaos:
    def __init__(
        self,
        fleet: Fleet,
        fakes: list[FakeComfyUI],
        proxies: list[Proxy],
        gateway: Gateway,
        disk: SmallDisk | None,
        http: aiohttp.ClientSession,
        seed: int,
    ) -> None:
        self._fleet, self._fakes, self._proxies, self._http = fleet, fakes, proxies, http
        # Another process has another memory.
        self._scene = Scene(
            fleet, fakes, proxies, gateway, disk, http, self._submit, lambda: self.samples.clear()
        )
        self._jobs_random = random.Random(seed)
        self.accepted: dict[str, int] = {}
        self.refused = 0
        self._number = 0
        self._is_over = False
        self.samples: list[Sample] = []
        self.faults: Counter[str] = Counter()
        self.falls: Counter[str] = Counter()
        self._clock = asyncio.get_running_loop().time
        self._began = self._clock()

    def say(self, text: str) -> None:
        print(f"{self._clock() - self._began:7.1f} s  {text}", flush=True)

    async def run(self, plan: list[Fault], seconds: float) -> Findings:
        tasks = [asyncio.create_task(work) for work in self._always()]
        for _ in range(FIRST_JOBS):
            await self._submit()
        await self._scene.warm()
        await self._all_ended()
        base = await self._standing(self._is_level())
        at_rest = f"{base.tasks} tasks and {base.files} open files"
        self.say(f"{len(self.accepted)} jobs went well; at rest the master has {at_rest}")
        self._began = self._clock()
        arrivals = asyncio.create_task(self._arrivals())
        try:
            for fault in plan:
                await asyncio.sleep(max(self._began + fault.at_s - self._clock(), 0.0))
                await self._bring_about(fault)
            await asyncio.sleep(max(self._began + seconds - self._clock(), 0.0))
            self._is_over = True
            await arrivals  # a job that is on its way to the master is answered, and counted
            self.say(f"no more faults, no more jobs; the last of {len(self.accepted)} come to their end")
            jobs = await self._all_ended()
            self.say(f"{len(jobs)} have ended; the fleet is left alone until all is as it was at rest")
            standings = base, await self._standing(lambda now: now.is_back_to(base))
            found = await check(self._fleet, self._http, self.accepted, jobs, self.samples, standings)
            check_fleet(found, await self._queues(), self._scene.let_in)
            check_falls(found, self.falls, sum(self.faults.values()), (self._clock() - self._began) / 60)
            return found
        finally:
            for task in (*tasks, arrivals):
                task.cancel()
            await asyncio.gather(*tasks, arrivals, return_exceptions=True)

    def _always(self) -> list[Coroutine[Any, Any, None]]:
        return [self._sample(), self._watch(), *map(self._work, self._fakes)]

    async def _watch(self) -> None:
        """Count how often each peer is seen to go down."""
        last: dict[str, str] = {}
        while True:
            with suppress(aiohttp.ClientError, asyncio.TimeoutError):
                for peer in (await self.ask("GET", "/orchestrator/report") or {}).get("peers", ()):
                    self.falls[peer["id"]] += peer["health"] == "down" != last.get(peer["id"], "down")
                    last[peer["id"]] = peer["health"]
            await asyncio.sleep(WATCH_EVERY_S)

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        headers = {"X-Orchestrator-Token": self._fleet.token}
        url = self._fleet.master.url + path
        async with self._http.request(method, url, json=body, headers=headers) as answer:
            return await answer.json() if answer.status < 300 else None

    async def _standing(self, is_it: Callable[[Standing], bool]) -> Standing:
        """What the idle master holds, once that is so; after a while as it is."""
        end = self._clock() + SETTLE_S
        while True:
            with suppress(aiohttp.ClientError, asyncio.TimeoutError, OSError):
                report = await self.ask("GET", "/orchestrator/report")
                now = Standing.of(report, sample_of(self._fleet.master.pid, 0.0))
                if is_it(now) or self._clock() > end:
                    return now
            await asyncio.sleep(1.0)

    def _is_level(self) -> Callable[[Standing], bool]:
        """Whether all peers are up and it held about the same for a while: what nobody uses is closed."""
        files: deque[int] = deque(maxlen=LEVEL_LOOKS)

        def is_level(now: Standing) -> bool:
            files.append(now.files)
            is_long = len(files) == LEVEL_LOOKS and max(files) - min(files) <= LEVEL_WITHIN
            return is_long and now.peers_up == len(self._proxies)

        return is_level

    async def _arrivals(self) -> None:
        while not self._is_over:
            await self._submit()
            await asyncio.sleep(self._jobs_random.expovariate(JOBS_PER_S))

    async def _queues(self) -> dict[str, int]:
        """How many prompts each peer has still."""
        peers = [*self._fleet.peers, *self._fakes]
        counts: dict[str, int] = {}
        for peer in peers:
            async with self._http.get(f"{peer.url}/queue") as answer:
                counts[peer.url] = sum(map(len, (await answer.json()).values()))
        return counts

    async def _submit(self, more_bytes: int = 0) -> None:
        """Send a job. Its graph has `more_bytes` in an input that no class knows."""
        self._number += 1
        number = self._number  # large prompts are sent while others are on their way
        picture = {"width": 16, "height": 16, "batch_size": 1, "color": number}
        if more_bytes:
            picture["note"] = "n" * more_bytes
        graph = {
            "1": {"class_type": "EmptyImage", "inputs": picture},
            "2": {
                "class_type": "SaveImage",
                "inputs": {"images": ["1", 0], "filename_prefix": f"chaos/{number}"},
            },
        }
        body = {"prompt": graph, "request_id": f"chaos-{number}"}
        # As a careful sender does: again under the same id, until there is an answer.
        for _ in range(60):
            with suppress(aiohttp.ClientError, asyncio.TimeoutError):
                answer = await self.ask("POST", "/orchestrator/jobs", body)
                if answer:
                    self.accepted[answer["job_id"]] = number
                    return
            await asyncio.sleep(1.0)
        self.refused += 1

    async def _work(self, fake: FakeComfyUI) -> None:
        """A scripted peer works on what it has, one prompt at a time."""
        draw = random.Random(fake.port)
        while True:
            await asyncio.sleep(draw.uniform(*WORK_S))
            if fake.running and not fake.is_frozen:
                with suppress(AssertionError, ConnectionError):
                    await fake.finish(fake.running)
            if len(fake.requests) > FORGET_FROM:
                fake.requests.clear()
                fake.prompts[:] = fake.prompts[-50:]

    async def _sample(self) -> None:
        while True:
            with suppress(OSError, ValueError):
                self.samples.append(sample_of(self._fleet.master.pid, self._clock() - self._began))
            await asyncio.sleep(SAMPLE_EVERY_S)

    async def _bring_about(self, fault: Fault) -> None:
        self.faults[fault.kind] += 1
        self.say(f"{fault.kind} ({fault.for_s:.0f} s)")
        outcome = await self._scene.bring_about(fault)
        memory = f"{self.samples[-1].rss_bytes / 1e6:.0f} MB" if self.samples else "a new master"
        self.say(f"{outcome}; {len(self.accepted)} jobs so far, {memory}")

    async def _all_ended(self) -> dict[str, Any]:
        ended: dict[str, Any] = {}
        end = self._clock() + HEAL_S
        while len(ended) < len(self.accepted) and self._clock() < end:
            for job_id in self.accepted.keys() - ended.keys():
                job = await self.ask("GET", f"/orchestrator/jobs/{job_id}")
                if job and job["state"] not in ("waiting", "running"):
                    ended[job_id] = job
            await asyncio.sleep(0.5)
        return ended


async def soak(minutes: float, seed: int, every_s: float) -> bool:
    """Run it, print what was done, checked and found; True when nothing was found."""
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        fleet = Fleet(Setup(), Path(folder), master_environment={"RIG_TRIM_S": str(TRIM_EVERY_S)})
        disk: SmallDisk | None = None
        with suppress(OSError):  # mounting takes rights
            disk = stack.enter_context(mounted_disk(fleet.journal_folder, JOURNAL_DISK))
        stack.enter_context(fleet)
        timeout = aiohttp.ClientTimeout(total=10.0)
        http = await stack.enter_async_context(aiohttp.ClientSession(timeout=timeout))
        fakes = [await stack.enter_async_context(FakeComfyUI()) for _ in range(4)]
        for fake in fakes:
            fake.object_info, fake.on_prompt = stock_classes(), "hold"
        ports = {peer.name: peer.port for peer in fleet.peers}
        ports |= {f"fake-{number}": fake.port for number, fake in enumerate(fakes)}
        proxies = [await stack.enter_async_context(Proxy(port)) for port in ports.values()]
        urls = {name: proxy.url for name, proxy in zip(ports, proxies, strict=True)}
        gateway = await stack.enter_async_context(Gateway(dict(list(urls.items())[-2:])))
        urls |= {name: gateway.url(name) for name in list(urls)[-2:]}
        chaos = Chaos(fleet, fakes, proxies, gateway, disk, http, seed)
        for name, url in urls.items():
            await chaos.ask("POST", "/orchestrator/peers", {"name": name, "url": url})
        plan = planned(seed, minutes * 60, every_s)
        print(
            f"A master, {len(fleet.peers)} real and {len(fakes)} scripted peers, each behind a proxy; two of "
            f"them behind a gateway.\nFor {minutes:g} min about {JOBS_PER_S:g} jobs a second come, and every "
            f"{every_s:g} s something breaks: {len(plan)} faults, drawn by seed {seed}."
        )
        found = await chaos.run(plan, minutes * 60)
    print(f"\nDone in {minutes:g} min with seed {seed}: {len(chaos.accepted)} jobs accepted", end="")
    print(f", {chaos.refused} not taken; {sum(chaos.faults.values())} faults: {counted(chaos.faults)}.")
    print(found.text())
    return not found.problems


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--minutes", type=float, default=60.0)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--every", type=float, default=30.0, help="seconds between faults")
    chosen = options.parse_args()
    return 0 if asyncio.run(soak(chosen.minutes, chosen.seed, chosen.every)) else 1


if __name__ == "__main__":
    sys.exit(main())
