"""The Fleet tab and the monitor with 50 peers and 7 000 jobs, in Chromium: python benchmarks/tab.py

A scripted server gives the real modules of web/fleet their peers and jobs, and sends 200 events a second.
Printed: frames a second while the lists scroll, the longest task, and the heap before and after.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from aiohttp import web
from playwright.async_api import Page, async_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.rig.chromium import HOW_TO, find_chromium  # noqa: E402

PEERS, JOBS, EVENTS_A_SECOND = 50, 5_000, 200
PARTS = 48  #: of the while that the monitor shows
PAGE = """<!doctype html><meta charset="utf-8"><title>Fleet</title>
<link rel="stylesheet" href="/web/fleet.css"><link rel="stylesheet" href="/web/fleet_monitor.css">
<style>body { margin: 0; background: #1a1a1a; font-family: sans-serif } #tab { width: 420px; height: 100vh;
overflow-y: auto } #tab.wide { width: 100%; overflow: hidden }</style>
<div id="tab">A page that has been open for a while</div>
<script type="module">
import { FleetApi } from "/web/fleet/data/api.js";
import { FleetStore } from "/web/fleet/data/store.js";
import { Outlook } from "/web/fleet/outlook/outlook.js";
import { mount } from "/web/fleet/panel.js";
import { mount as mountMonitor } from "/web/fleet/monitor/monitor.js";
const comfy = { apiURL: (route) => route, fetchApi: (route, options) => fetch(route, options) };
const api = new FleetApi(comfy), store = new FleetStore(api), events = new EventTarget();
store.listen(events);
window.tasks = [];
new PerformanceObserver((list) => tasks.push(...list.getEntries().map((entry) => entry.duration)))
  .observe({ type: "longtask" });
new WebSocket(`ws://${location.host}/events`).onmessage = ({ data }) => {
  const { type, data: detail } = JSON.parse(data);
  events.dispatchEvent(new CustomEvent(type, { detail }));
};
store.readSettings();
const outlook = new Outlook({}, api, store, () => false);  // it has no graph to ask about
const place = document.querySelector("#tab");
window.show = {
  tab: () => void mount(place, { api, store, outlook }),
  monitor: () => { place.className = "wide"; mountMonitor(place, { api, store }, "h1") },
};
window.store = store;
</script>"""
SCROLL = """async ([seconds, scroller]) => {
  const tab = document.querySelector(scroller);
  let frames = 0, step = 90;
  const end = performance.now() + seconds * 1000;
  while (performance.now() < end) {
    await new Promise(requestAnimationFrame);
    frames += 1;
    const before = tab.scrollTop;
    tab.scrollTop += step;
    if (tab.scrollTop === before) step = -step;
  }
  return frames / seconds;
}"""
LONGEST = "() => { const longest = Math.max(0, ...window.tasks); window.tasks.length = 0; return longest }"


class Fleet:
    """What the scripted server tells: peers, jobs, and what happens to them."""

    def __init__(self) -> None:
        self.random = random.Random(7)
        self.began = datetime.now(timezone.utc)
        self.peers = [self._peer(number) for number in range(PEERS)]
        self.numbers = itertools.count()
        # As many as the page keeps: what it holds grows no more, and the heap can be compared.
        self.jobs = [self._job("done" if n % 9 else "failed") for n in range(JOBS)]
        self.running = [self._job("running", peer) for peer in self.peers]
        self.waiting = [self._job("waiting") for _ in range(2_000)]

    def listing(self, skip: int, limit: int, only_line: bool) -> dict[str, Any]:
        page = slice(skip, skip + limit)
        waiting, running = self.waiting[page], self.running if not skip else []
        jobs = [*reversed(waiting), *running, *self.jobs[::-1][page]]
        counts = {"waiting": len(self.waiting), "running": len(self.running), "ended": len(self.jobs)}
        return {
            "jobs": [] if only_line else jobs,
            "line": [job["job_id"] for job in waiting],
            "counts": counts,
        }

    def work(self) -> dict[str, Any]:
        """What the peers did today: a little else each time, so that all of it is drawn again."""
        share = [self.random.random() for _ in range(PARTS)]
        counts = {"done": len(self.jobs) // PEERS, "failed": 1, "busy_s": 3600.0, "busy": share}
        failures = [int(part > 0.95) for part in share]
        peers = [{"peer_id": p["id"], "peer": p["name"], **counts, "failures": failures} for p in self.peers]
        return {"since": self._moment(-14_400), "until": self._moment(0), "peers": peers}

    def events(self) -> Iterator[dict[str, Any]]:
        """Progress mostly; every tenth time a job ends, the next begins and a new one joins the line."""
        for turn in itertools.count():
            place = turn % len(self.running)
            job = self.running[place]
            if turn % 10:
                progress = min(1.0, job["progress"] + 0.05)
                job = {**job, "progress": progress, "progress_text": f"KSampler, step {turn % 20} of 20"}
                self.running[place] = job
                changed = [job]
            else:
                ended = {**job, "state": "done", "progress": 1.0, "ended_at": self._moment(0)}
                self.jobs = [*self.jobs[1:], ended]
                begun = {**self.waiting.pop(0), **_on(self.peers[place]), "state": "running"}
                begun |= {"started_at": self._moment(0), "begun_at": self._moment(0)}
                self.running[place] = begun
                self.waiting.append(self._job("waiting"))
                changed = [ended, begun, self.waiting[-1]]
            yield {"type": "orchestrator.jobs", "data": {"jobs": changed}}
            if turn % 50 == 0:
                yield {"type": "orchestrator.peers", "data": {"peers": self.peers}}

    def _peer(self, number: int) -> dict[str, Any]:
        device = {"name": "cuda:0 NVIDIA GeForce RTX 4090 : cudaMallocAsync", "type": "cuda"}
        size = {"vram_total_bytes": 24 << 30, "vram_free_bytes": self.random.randrange(24 << 30)}
        return {
            **{"id": f"p{number}", "name": f"gpu-{number:02}", "url": f"http://gpu-{number:02}:8188"},
            **{"enabled": True, "draining": False, "tags": ["fast"], "has_credentials": False},
            **{"health": "up", "reason": "", "version": "0.33.0", "devices": [{**device, **size}]},
            **{"queue_running": 1, "queue_pending": 1, "ours": 2, "checked_at": None, "node_types": 700},
            "running": None,
        }

    def _job(self, state: str, peer: dict[str, Any] | None = None) -> dict[str, Any]:
        number = next(self.numbers)
        job_id = f"{self.random.getrandbits(32):08x}-0000-4000-8000-{number:012}"
        is_open = state == "waiting"
        peer = peer or self.peers[number % PEERS]
        created = self._moment(number - JOBS)
        failed = {"code": "execution_error", "message": f"KSampler failed on {peer['name']}: out of memory."}
        attempt = {"prompt_id": job_id, "started_at": created, "begun_at": created, "loaded_at": created}
        ended = {"ended_at": self._moment(number - JOBS + 8), "outcome": state, "reason": ""}
        final = state in ("done", "failed")
        return {
            **{"job_id": job_id, "state": state, "source": "fleet", "title": f"a cat, number {number}"},
            **{"pinned_to": "", "retry_of": "", **({"peer_id": "", "peer": ""} if is_open else _on(peer))},
            "attempts": [{**_on(peer), **attempt, **ended}] if final else [],
            **{"outputs": [], "texts": [], "error": failed if state == "failed" else None},
            "explanation": "" if is_open else f"on {peer['name']} because it is done first",
            **{"progress": 0.0, "progress_text": "", "previews": 0, "created_at": created},
            "started_at": None if is_open else created,
            "begun_at": None if is_open else created,
            "ended_at": ended["ended_at"] if final else None,
        }

    def _moment(self, seconds: float) -> str:
        moment = datetime.now(timezone.utc) if not seconds else self.began + timedelta(seconds=seconds)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _on(peer: dict[str, Any]) -> dict[str, Any]:
    return {"peer_id": peer["id"], "peer": peer["name"]}


def make_app(fleet: Fleet) -> web.Application:
    async def page(_: web.Request) -> web.Response:
        return web.Response(text=PAGE, content_type="text/html")

    async def peers(_: web.Request) -> web.Response:
        return web.json_response({"peers": fleet.peers, "notices": []})

    async def jobs(request: web.Request) -> web.Response:
        query = request.query
        skip, limit = int(query.get("skip", 0)), int(query["limit"])
        return web.json_response(fleet.listing(skip, limit, query.get("only") == "line"))

    async def settings(_: web.Request) -> web.Response:
        return web.json_response({"fleet_mode": True, "paused": False, "this_machine": False})

    async def work(_: web.Request) -> web.Response:
        return web.json_response(fleet.work())

    async def events(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            for number, event in enumerate(fleet.events()):
                await socket.send_str(json.dumps(event))
                await asyncio.sleep(max(0.0, began + number / EVENTS_A_SECOND - loop.time()))
        except ConnectionError:
            pass  # the page was closed
        return socket

    app = web.Application()
    app.router.add_get("/", page)
    app.router.add_get("/orchestrator/peers", peers)
    app.router.add_get("/orchestrator/jobs", jobs)
    app.router.add_get("/orchestrator/settings", settings)
    app.router.add_get("/orchestrator/work", work)
    app.router.add_get("/events", events)
    app.router.add_static("/web", ROOT / "web")
    return app


async def heap_mb(page: Page) -> float:
    """After a collection."""
    session = await page.context.new_cdp_session(page)
    await session.send("HeapProfiler.collectGarbage")
    used = (await session.send("Runtime.getHeapUsage"))["usedSize"]
    await session.detach()
    return float(used) / (1 << 20)


@dataclass(frozen=True)
class Place:
    """What is measured: its name in the page's ``show``, what scrolls in it, and what a row is."""

    name: str
    scroller: str
    row: str
    prepare: str = ""


PLACES = (
    Place("tab", "#tab", ".orc-row"),
    Place("monitor", ".orc-monitor-jobs .orc-scroll", ".orc-tr"),
    Place(
        "monitor",
        ".orc-monitor-jobs .orc-scroll",
        ".orc-tr",
        prepare="""() => {
          document.querySelector(".orc-monitor-timeline summary").click();
          const hours = document.querySelector(".orc-monitor-timeline select");
          hours.value = "360";
          hours.dispatchEvent(new Event("change"));
          document.querySelector(".orc-monitor-jobs [data-column=title] .orc-sort").click();
          const search = document.querySelector(".orc-monitor-jobs input[type=search]");
          search.value = "cat 1";
          search.dispatchEvent(new Event("input"));
        }""",
    ),
)


async def measure(page: Page, place: Place, seconds: float, rest_s: float) -> None:
    await page.wait_for_function("window.store?.settings")
    await page.wait_for_timeout(500)
    await page.evaluate(LONGEST)
    await page.evaluate(f"show.{place.name}()")
    await page.wait_for_function("window.store.phase === 'ready'")
    known = await page.evaluate("[window.store.peers.length, window.store.jobs.length]")
    how = ", sorted, searched, with six hours of timeline" if place.prepare else ""
    print(f"{place.name}{how}: {known[0]} peers, {known[1]} jobs, {EVENTS_A_SECOND} events a second")
    await page.wait_for_timeout(2_000)
    print(f"longest task while it opens   {await page.evaluate(LONGEST):6.0f} ms")
    if place.prepare:
        await page.evaluate(place.prepare)
        await page.wait_for_timeout(2_000)
        print(f"longest task, prepared        {await page.evaluate(LONGEST):6.0f} ms")
    before = await heap_mb(page)
    await page.evaluate(LONGEST)
    frames = await page.evaluate(SCROLL, [seconds, place.scroller])
    print(f"frames a second, scrolling    {frames:6.1f}")
    print(f"longest task, scrolling       {await page.evaluate(LONGEST):6.0f} ms (0: none over 50)")
    print(f"rows in the document          {await page.locator(place.row).count():6}")
    await page.wait_for_timeout(rest_s * 1000)
    print(f"longest task, at rest         {await page.evaluate(LONGEST):6.0f} ms")
    after = await heap_mb(page)
    print(f"heap before and after         {before:6.1f} and {after:.1f} MB ({after / before - 1:+.0%})\n")


async def measure_all(chosen: str, seconds: float, rest_s: float, picture: str) -> None:
    program = find_chromium()
    if program is None:
        raise SystemExit(HOW_TO)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=str(program), args=["--no-sandbox"])
        for number, place in enumerate(PLACES):
            if chosen not in ("", place.name):
                continue
            runner = web.AppRunner(make_app(Fleet()), shutdown_timeout=0.1)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            page = await browser.new_page(viewport={"width": 1280, "height": 900})
            page.on("pageerror", lambda error: print("page error:", error))
            await page.goto(f"http://127.0.0.1:{runner.addresses[0][1]}/")
            await measure(page, place, seconds, rest_s)
            if picture:
                await page.screenshot(path=f"{picture}-{number}.png")
            await page.close()
            await runner.cleanup()
        await browser.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", choices=sorted({place.name for place in PLACES}))
    parser.add_argument("--scroll", type=float, default=20, help="seconds of scrolling")
    parser.add_argument("--rest", type=float, default=20, help="seconds without")
    parser.add_argument("--picture", default="", help="how files for screenshots at the end begin")
    given = parser.parse_args()
    asyncio.run(measure_all(given.only, given.scroll, given.rest, given.picture))
