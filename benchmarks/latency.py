"""What dispatching adds to a job, on real ComfyUI processes: python benchmarks/latency.py

Clock of a dispatched job: POST /prompt on the master until its history shows success of
upstream -> RemoteDispatch -> SaveImage. Clock of a direct one: upstream -> SaveImage posted to the peer, its
history showing success, GET /view read, the bytes decoded and saved once as SaveImage does. Both in turns in
one run; the upstream sleeps half a second. The websocket tells both when to read the history: questions every
few milliseconds would keep the very servers busy whose time is taken. Beside it the floor: what a prompt with
nothing to compute takes on the master, which no way of dispatching from there can do without. Then: how long
until a dead peer is replaced, until "no peer" is said, and until the peer is idle after an interrupt.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.rig.environment import Setup  # noqa: E402
from tests.rig.fleet import Fleet  # noqa: E402

SIZES = (64, 1024, 2048)
ROUNDS = 15
UPSTREAM_S = 0.5
FIELD_MS = {64: 18, 1024: 185, 2048: 535}  #: the nearest peer of the field, by a laxer clock
POLL_S = 0.002
LIMIT_S = 120.0
CLIENT_ID = "benchmark"
SEEDS = itertools.count(1)


def upstream(size: int, seconds: float = UPSTREAM_S) -> dict[str, Any]:
    return {
        "1": node("TestStamp", width=size, height=size, batch=1, seed=next(SEEDS)),
        "2": node("TestSleep", value=["1", 0], seconds=seconds),
    }


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


class Client:
    """One kept connection to one ComfyUI, and its websocket once ``listen`` was called."""

    def __init__(self, http: Any, url: str) -> None:
        self._http = http
        self._url = url
        self._ended: dict[str, asyncio.Event] = {}
        self._listening: asyncio.Task[None] | None = None

    async def listen(self) -> None:
        socket = await self._http.ws_connect(f"{self._url}/ws?clientId={CLIENT_ID}", max_msg_size=0)
        self._listening = asyncio.create_task(self._listen(socket))

    async def _listen(self, socket: Any) -> None:
        async for message in socket:
            if isinstance(message.data, str) and '"executing"' in message.data:
                data = json.loads(message.data)["data"]
                if data.get("node") is None:  # the last word on a prompt, said when it is in the history
                    self._end_of(data.get("prompt_id", "")).set()

    def _end_of(self, prompt_id: str) -> asyncio.Event:
        return self._ended.setdefault(prompt_id, asyncio.Event())

    async def get(self, path: str) -> Any:
        async with self._http.get(self._url + path) as answer:
            return json.loads(await answer.read())

    async def raw(self, path: str) -> bytes:
        async with self._http.get(self._url + path) as answer:
            return bytes(await answer.read())

    async def post(self, path: str, body: Any) -> Any:
        async with self._http.post(self._url + path, json=body) as answer:
            text = await answer.read()
            return json.loads(text) if text else None

    async def run(self, prompt: dict[str, Any]) -> dict[str, Any]:
        prompt_id = (await self.post("/prompt", {"prompt": prompt, "client_id": CLIENT_ID}))["prompt_id"]
        if self._listening is not None:
            await asyncio.wait_for(self._end_of(prompt_id).wait(), LIMIT_S)
        return dict(await until(lambda: self._entry(prompt_id)))

    async def _entry(self, prompt_id: str) -> Any:
        return (await self.get(f"/history/{prompt_id}")).get(prompt_id)


async def until(
    question: Callable[[], Awaitable[Any]], limit_s: float = LIMIT_S, pause_s: float = POLL_S
) -> Any:
    end = time.perf_counter() + limit_s
    while time.perf_counter() < end:
        answer = await question()
        if answer:
            return answer
        await asyncio.sleep(pause_s)
    raise TimeoutError("the benchmark waited too long")


def check(entry: dict[str, Any]) -> dict[str, Any]:
    if entry["status"]["status_str"] != "success":
        raise RuntimeError(str(entry["status"]["messages"][-1])[:500])
    return entry


async def dispatched(master: Client, size: int) -> float:
    graph = {**upstream(size), "8": node("RemoteDispatch", value=["2", 0], peer="peer-1")}
    graph["9"] = node("SaveImage", images=["8", 0], filename_prefix="benchmark")
    began = time.perf_counter()
    check(await master.run(graph))
    return time.perf_counter() - began


async def direct(peer: Client, size: int, folder: Path) -> float:
    graph = {**upstream(size), "9": node("SaveImage", images=["2", 0], filename_prefix="benchmark")}
    began = time.perf_counter()
    entry = check(await peer.run(graph))
    image = entry["outputs"]["9"]["images"][0]
    data = await peer.raw(f"/view?{urlencode(image)}")
    await asyncio.to_thread(decode_and_save, data, folder / "direct.png")
    return time.perf_counter() - began


async def empty(master: Client) -> float:
    began = time.perf_counter()
    check(await master.run({"1": node("PreviewAny", source=f"text {next(SEEDS)}")}))
    return time.perf_counter() - began


def decode_and_save(data: bytes, target: Path) -> None:
    """To a float picture and back to a file, with core SaveImage's compression."""
    import numpy as np
    from PIL import Image

    values = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), dtype=np.float32) / 255.0
    picture = Image.fromarray(np.clip(255.0 * values, 0, 255).astype(np.uint8))
    picture.save(target, compress_level=4)


async def added_latency(master: Client, peer: Client, rounds: int, folder: Path) -> None:
    print(f"{'px':>6} {'direct':>9} {'dispatched':>11} {'added':>9} {'half of the field':>18} {'floor':>9}")
    for size in SIZES:
        taken: dict[str, list[float]] = {"direct": [], "dispatched": [], "empty": []}
        for turn in range(rounds + 1):
            times = await direct(peer, size, folder), await dispatched(master, size), await empty(master)
            if turn:  # the first of each size warms all up
                for kind, seconds in zip(taken, times, strict=True):
                    taken[kind].append(seconds)
        quick, slow, floor = (1000 * statistics.median(seconds) for seconds in taken.values())
        goal = FIELD_MS[size] / 2
        print(
            f"{size:>6} {quick:>6.0f} ms {slow:>8.0f} ms {slow - quick:>6.1f} ms {goal:>15.1f} ms "
            f"{floor:>6.1f} ms",
            flush=True,
        )


async def reactions(fleet: Fleet, master: Client, peer: Client) -> None:
    graph = {**upstream(64, 60.0), "8": node("RemoteDispatch", value=["2", 0], peer="peer-1")}
    prompt_id = (await master.post("/prompt", {"prompt": graph, "client_id": CLIENT_ID}))["prompt_id"]

    async def busy() -> bool:
        return bool((await peer.get("/queue"))["queue_running"])

    async def idle() -> bool:
        return not await busy()

    await until(busy)
    began = time.perf_counter()
    await master.post("/interrupt", {"prompt_id": prompt_id})
    await until(idle)
    print(f"peer idle after an interrupt:    {time.perf_counter() - began:6.2f} s (at most 2)")

    graph = {**upstream(64, 0.0), "8": node("RemoteDispatch", value=["2", 0])}
    fleet.peers[0].kill()
    began = time.perf_counter()
    check(await master.run(graph))
    print(f"dead peer replaced, job done:    {time.perf_counter() - began:6.2f} s (at most 5)")
    fleet.peers[1].kill()
    began = time.perf_counter()
    entry = await master.run({**upstream(64, 0.0), "8": node("RemoteDispatch", value=["2", 0])})
    seconds = time.perf_counter() - began
    said = next(
        data["exception_message"] for kind, data in entry["status"]["messages"] if kind == "execution_error"
    )
    print(f"no peer left, said so:           {seconds:6.2f} s (at most 5): {said.strip()[:120]}")


async def measure(fleet: Fleet, rounds: int, folder: Path) -> None:
    import aiohttp

    async with aiohttp.ClientSession() as http:
        master, peer = Client(http, fleet.master.url), Client(http, fleet.peers[0].url)

        async def ready() -> bool:
            peers = (await master.get("/orchestrator/peers"))["peers"]
            return all(p["health"] == "up" and p["node_types"] for p in peers)

        await until(ready)
        for client in (master, peer):
            await client.listen()
        await added_latency(master, peer, rounds, folder)
        await reactions(fleet, master, peer)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--in-environment", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    setup = Setup()
    if not options.in_environment:  # aiohttp, numpy and Pillow are in the rig's environment
        python = str(setup.tools())
        return subprocess.run([python, __file__, *sys.argv[1:], "--in-environment"], check=False).returncode
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        Fleet(setup, Path(folder)) as fleet,
    ):
        fleet.register_peers()
        asyncio.run(measure(fleet, options.rounds, Path(folder)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
