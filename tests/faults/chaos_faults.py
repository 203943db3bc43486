"""What breaks in the soak: a plan drawn by a seed, and how each fault is brought about and mended."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

import aiohttp

from tests.fakes.comfyui import FakeComfyUI, OnPrompt
from tests.fakes.disks import SmallDisk
from tests.fakes.gateway import Gateway
from tests.fakes.proxy import Proxy
from tests.rig.comfy import ComfyProcess
from tests.rig.fleet import Fleet

SLOW_S = (0.1, 1.5)  #: for each block that passes
BODY_MAX = 65_536  #: bytes that a strict gateway lets through
LARGE_BYTES = 2_000_000  #: of a large prompt; several times a strict gateway's limit
LARGE_PROMPTS = 3
WARMING = 18  #: large prompts; after as many the memory of a master with nothing else to do stayed level
REQUESTS_PER_S = 2.0  #: that a gateway lets through to one peer when it counts
#: A page at a name that leads to the master by DNS, as its browser would send it.
REBOUND = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Chrome/140.0",
    "Host": "evil.example:8188",
    "Origin": "http://evil.example:8188",
    "Content-Type": "application/json",
}
#: What it asks for: the method, the path and the body.
WISHES = (
    ("GET", "/orchestrator/jobs", ""),
    ("GET", "/orchestrator/peers", ""),
    ("POST", "/orchestrator/jobs", '{"prompt": {}}'),
    ("POST", "/prompt", '{"prompt": {}, "extra_data": {"orchestrator": {"run": "fleet"}}}'),
)
#: What the host answers itself, for its own jobs alone; it must not end any of our jobs.
HOSTS_OWN = (
    ("POST", "/interrupt", "{}"),
    ("POST", "/queue", '{"clear": true}'),
    ("POST", "/history", '{"clear": true}'),
)


@dataclass(frozen=True)
class Fault:
    """`which`, from 0 to below 1, picks the peer and how it errs."""

    kind: str
    at_s: float
    for_s: float
    which: float


def planned(seed: int, seconds: float, every_s: float) -> list[Fault]:
    """Each kind comes once before any comes again. The master is killed in the first third only: after that
    its memory is watched."""
    draw, plan = random.Random(seed), []
    left: list[str] = []
    for number in range(1, max(int(seconds / every_s), 2)):
        at_s = number * every_s
        if at_s >= seconds / 3 and MASTER_KILLED in left:
            left.remove(MASTER_KILLED)
        if not left:
            left = [*KINDS, MASTER_KILLED] if at_s < seconds / 3 else list(KINDS)
            draw.shuffle(left)
        plan.append(Fault(left.pop(), at_s, draw.uniform(0.2, 0.7) * every_s, draw.random()))
    return plan


@dataclass
class Scene:
    """What can break. The gateway stands before the last two of the scripted peers; `disk` is the one that
    the master's journal lies on, None where none can be made. `submit` sends a job whose graph has that many
    bytes more; `on_new_master` hears that the master is a new process. `let_in`: what a strange page got."""

    fleet: Fleet
    fakes: list[FakeComfyUI]
    proxies: list[Proxy]
    gateway: Gateway
    disk: SmallDisk | None
    http: aiohttp.ClientSession
    submit: Callable[[int], Awaitable[None]]
    on_new_master: Callable[[], None]
    let_in: list[str] = field(default_factory=list)

    async def bring_about(self, fault: Fault) -> str:
        """Break it, wait, mend it; return what is well again."""
        return await _WAYS[fault.kind](self, fault)

    def _peer(self, fault: Fault) -> ComfyProcess:
        return self.fleet.peers[int(fault.which * len(self.fleet.peers))]

    def _proxy(self, fault: Fault) -> Proxy:
        return self.proxies[int(fault.which * len(self.proxies))]

    def _fake(self, fault: Fault) -> FakeComfyUI:
        return self.fakes[int(fault.which * len(self.fakes))]

    async def _back(self, process: ComfyProcess) -> None:
        await asyncio.to_thread(process.start)
        await asyncio.to_thread(process.wait_ready)

    async def _kill_peer(self, fault: Fault) -> str:
        peer = self._peer(fault)
        await asyncio.to_thread(peer.kill)
        await asyncio.sleep(fault.for_s)
        await self._back(peer)
        return f"{peer.name} is back"

    async def _stop_peer(self, fault: Fault) -> str:
        peer = self._peer(fault)
        peer.suspend()
        try:
            await asyncio.sleep(fault.for_s)
        finally:
            peer.resume()
        return f"{peer.name} goes on"

    async def _kill_master(self, fault: Fault) -> str:
        await asyncio.to_thread(self.fleet.master.kill)
        await self._back(self.fleet.master)
        self.on_new_master()
        await self.warm()
        return "the master is back"

    async def _fake_down(self, fault: Fault) -> str:
        fake = self._fake(fault)
        await fake.go_down()
        await asyncio.sleep(fault.for_s)
        await fake.come_back()
        return f"the one at {fake.port} is back"

    async def _fake_frozen(self, fault: Fault) -> str:
        fake = self._fake(fault)
        fake.freeze()
        await asyncio.sleep(fault.for_s)
        fake.thaw()
        return f"the one at {fake.port} goes on"

    async def _fake_errs(self, fault: Fault) -> str:
        fake = self._fake(fault)
        ways: tuple[OnPrompt, ...] = ("error", "drop", "drop_after_accept")
        kind = fake.on_prompt = ways[int(fault.which * 1_000) % len(ways)]
        await asyncio.sleep(fault.for_s)
        fake.on_prompt = "hold"
        return f"the one at {fake.port} is over its {kind}"

    async def _sockets_cut(self, fault: Fault) -> str:
        for fake in self.fakes:
            await fake.cut_sockets()
        return "they may come back"

    async def _forget(self, fault: Fault) -> str:
        fake = self._fake(fault)
        fake.forget()
        return f"the one at {fake.port} knows nothing any more"

    async def _partition(self, fault: Fault) -> str:
        """Both ways, or what the peer answers only."""
        proxy = self._proxy(fault)
        gate, ways = ((proxy.passing, "to"), (proxy.answering, "from"))[int(fault.which * 1_000) % 2]
        gate.clear()
        await asyncio.sleep(fault.for_s)
        gate.set()
        return f"the way {ways} {proxy.port} is open again"

    async def _slow(self, fault: Fault) -> str:
        proxy = self._proxy(fault)
        proxy.delay_s = SLOW_S[0] + fault.which * (SLOW_S[1] - SLOW_S[0])
        await asyncio.sleep(fault.for_s)
        proxy.delay_s = 0.0
        return f"the way to {proxy.port} is as fast as before"

    async def _answers_lost(self, fault: Fault) -> str:
        """The peer has the prompt, and nobody hears so."""
        proxy = self._proxy(fault)
        proxy.cut_requests, proxy.cuts = lambda data: data.startswith(b"POST "), 5
        await asyncio.sleep(fault.for_s)
        proxy.cuts = 0
        return f"the answers from {proxy.port} arrive again"

    async def _strict_gateway(self, fault: Fault) -> str:
        self.gateway.body_max = BODY_MAX
        await self._large_prompts(fault)
        self.gateway.body_max = 0
        return "the gateway takes bodies of any size again"

    async def _counting_gateway(self, fault: Fault) -> str:
        ways = (429, "1"), (429, ""), (503, "2"), (503, "")
        self.gateway.limit_status, self.gateway.retry_after = ways[int(fault.which * 1_000) % len(ways)]
        self.gateway.rate = REQUESTS_PER_S
        await asyncio.sleep(fault.for_s)
        self.gateway.rate = 0.0
        return "the gateway counts no more"

    async def _deaf_gateway(self, fault: Fault) -> str:
        self.gateway.upgrades = False
        for fake in self.fakes[-2:]:
            await fake.cut_sockets()
        await asyncio.sleep(fault.for_s)
        self.gateway.upgrades = True
        return "websockets pass the gateway again"

    async def warm(self) -> None:
        """What a process takes for its first large prompts, and keeps for the next ones, is there before its
        memory is judged."""
        for _ in range(WARMING):
            await self.submit(LARGE_BYTES)

    async def _large_prompts(self, fault: Fault) -> str:
        for _ in range(LARGE_PROMPTS):
            await self.submit(LARGE_BYTES)
        await asyncio.sleep(fault.for_s)
        return "the large prompts are on their way"

    async def _journal_full(self, fault: Fault) -> str:
        if self.disk is None:
            return "left out: there is no disk of its own"
        await asyncio.to_thread(self.disk.fill)
        try:
            await asyncio.sleep(fault.for_s)
        finally:
            self.disk.clear()
        return "the journal has room again"

    async def _strange_page(self, fault: Fault) -> str:
        """It goes on asking; nothing that it asks for may be answered, and no job may end by it."""
        clock = asyncio.get_running_loop().time
        end = clock() + fault.for_s
        while clock() < end:
            for method, path, body in (*WISHES, *HOSTS_OWN):
                with suppress(aiohttp.ClientError, asyncio.TimeoutError):
                    url = self.fleet.master.url + path
                    async with self.http.request(method, url, data=body or None, headers=REBOUND) as answer:
                        is_refused = answer.status == 403
                    if (method, path, body) in WISHES and not is_refused:
                        self.let_in.append(f"{method} {path}: {answer.status}")
            await asyncio.sleep(0.5)
        return "the strange page is closed"


#: By the name that the soak prints.
_WAYS: dict[str, Callable[[Scene, Fault], Awaitable[str]]] = {
    "real peer killed": Scene._kill_peer,
    "real peer stopped": Scene._stop_peer,
    "scripted peer down": Scene._fake_down,
    "scripted peer frozen": Scene._fake_frozen,
    "scripted peer errs": Scene._fake_errs,
    "sockets cut": Scene._sockets_cut,
    "queue and history cleared": Scene._forget,
    "partition": Scene._partition,
    "slow network": Scene._slow,
    "answers lost": Scene._answers_lost,
    "gateway refuses large bodies": Scene._strict_gateway,
    "gateway counts requests": Scene._counting_gateway,
    "gateway without websockets": Scene._deaf_gateway,
    "large prompts": Scene._large_prompts,
    "journal's disk full": Scene._journal_full,
    "strange page": Scene._strange_page,
    "master killed": Scene._kill_master,
}
MASTER_KILLED = "master killed"
KINDS = tuple(kind for kind in _WAYS if kind != MASTER_KILLED)
