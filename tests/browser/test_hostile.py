"""F36 and F37 of the fault list in Chromium: what a peer says is text, and other web pages get nowhere."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.session import Session, until
from tests.fakes.answers import answer
from tests.fakes.comfyui import FakeComfyUI
from tests.fakes.graphs import picture

from .conftest import SOON_MS, Screen
from .test_fleet_jobs import job_row, open_tab, scripted

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

HOSTILE = (
    '<img src=x onerror="window.canary = 1"><a href="javascript:window.canary=1">go</a>'
    "<svg onload=window.canary=1>{{constructor.constructor('window.canary=1')()}}"
)
SAID = {"exception_message": HOSTILE, "exception_type": HOSTILE, "traceback": [HOSTILE]}
IS_ALIVE = """() => ({
  canary: window.canary ?? null,
  made: document.querySelectorAll("img[src='x'], a[href^='javascript:'], svg[onload]").length,
  polluted: ({}).polluted ?? null,
})"""
METHODS = ("get", "post", "put", "patch", "delete")
UNHARMED = {"canary": None, "made": 0, "polluted": None}
LOAD = "graph => window.app.loadApiJson(graph, 'hostile')"
ATTACK = """async ({base, routes, body}) => {
  const readable = [];
  const tell = (what, answer) => answer.type === "opaque" || readable.push([what, answer.status]);
  const ask = async (what, url, options) => {
    try {
      tell(what, await fetch(url, {...options, signal: AbortSignal.timeout(5000)}));
    } catch {
      // As it should be.
    }
  };
  const prefixes = [base, `${base}/api`];
  const urls = routes.flatMap(([method, path]) => prefixes.map((prefix) => [method, prefix + path]));
  for (const [method, url] of urls) {
    const sent = method === "GET" ? {} : {body, headers: {"Content-Type": "text/plain"}};
    for (const mode of ["cors", "no-cors"]) await ask([mode, method, url], url, {method, mode, ...sent});
  }
  const frame = document.createElement("iframe");
  frame.name = "target";
  document.body.append(frame);
  for (const [method, url] of urls.filter(([method]) => method === "POST")) {
    const form = document.createElement("form");
    Object.assign(form, {method, action: url, enctype: "text/plain", target: "target"});
    const field = document.createElement("input");
    [field.name, field.value] = [body.slice(0, -1) + ', "x": "', '"}'];
    form.append(field);
    document.body.append(form);
    const loaded = new Promise((resolve) => frame.addEventListener("load", resolve, {once: true}));
    form.submit();
    await loaded;
  }
  for (const [, url] of urls.filter(([method]) => method === "GET")) {
    const image = new Image();
    const ended = new Promise((resolve) => { image.onload = image.onerror = resolve; });
    image.src = url;
    await ended;
    if (image.naturalWidth) readable.push(["img", url]);
  }
  const sandboxed = document.createElement("iframe");
  sandboxed.sandbox = "allow-scripts";
  const done = new Promise((resolve) => window.addEventListener("message", resolve, {once: true}));
  sandboxed.srcdoc = `<script>(async () => {
    const read = [];
    for (const [method, url] of ${JSON.stringify(urls)}) {
      const sent = method === "GET" ? {} : {body: ${JSON.stringify(body)}};
      try { read.push([url, (await fetch(url, {method, ...sent})).status]); } catch {}
    }
    parent.postMessage(read, "*");
  })()<` + `/script>`;
  document.body.append(sandboxed);
  return [...readable, ...(await done).data];
}"""


async def test_f36_whatever_a_peer_says_of_an_error_is_shown_as_text(
    screen: Screen, lone_master: Session
) -> None:
    page = screen.page
    graph = picture(prefix="hostile")
    graph["1"]["_meta"] = {"title": HOSTILE}
    async with scripted(lone_master, "gpu-bad") as bad:
        bad.on_prompt = "hold"
        await open_tab(screen)
        await lone_master.patch("/orchestrator/settings", {"fleet_mode": True})
        await page.evaluate(LOAD, graph)
        await page.get_by_role("button", name="Run", exact=True).first.click()
        await until(lambda: running(bad), "it runs on the peer")
        await bad.fail(bad.running or "", node_id="1", **SAID)
        row = job_row(screen, "failed")
        await row.locator(".orc-error", has_text="onerror").first.wait_for(timeout=SOON_MS)
        await screen.picture("Hostile error at the node")
        await page.keyboard.press("Escape")  # the host's own dialog, where it has one
        await row.get_by_text("Error details").first.click()
        await row.locator("pre", has_text="onerror").first.wait_for()
        assert await page.evaluate(IS_ALIVE) == UNHARMED

        wish = {"prompt": picture(seed=2), "title": HOSTILE}  # a script's: the tab's own toast tells it
        await lone_master.post("/orchestrator/jobs", wish, status=202)
        await until(lambda: running(bad), "the second one runs on the peer")
        await bad.fail(bad.running or "", node_id="1", **SAID)
        toast = page.locator(".p-toast-message, [data-toast-kind]", has_text="onerror")
        await toast.filter(has_text="failed on").first.wait_for(timeout=SOON_MS)
        await screen.picture("Hostile error in a toast")
        assert await page.evaluate(IS_ALIVE) == UNHARMED


async def running(peer: FakeComfyUI) -> bool:
    return peer.running is not None


async def test_f37_a_page_of_another_origin_reads_nothing_and_changes_nothing(
    screen: Screen, lone_master: Session
) -> None:
    described = await lone_master.get("/orchestrator/openapi.json")
    async with scripted(lone_master, "gpu-1") as peer, FakeComfyUI() as elsewhere:
        peer.on_prompt = "hold"
        job = await lone_master.post("/orchestrator/jobs", {"prompt": picture()}, status=202)
        await until(lambda: running(peer), "the job runs")
        peer_id = (await lone_master.peers())["gpu-1"]["id"]
        before = await state(lone_master)
        names = {"/peers/{id}": f"/peers/{peer_id}", "/jobs/{id}": f"/jobs/{job['job_id']}", "{n}": "0"}
        routes = []
        for path, ways in described["paths"].items():
            for unfilled, filled in names.items():
                path = path.replace(unfilled, filled)
            assert "{" not in path
            routes += [
                (way.upper(), path) for way in ways if way in ("get", "post", "patch", "delete", "put")
            ]
        assert len(routes) > 20
        elsewhere.answers["*"] = answer("<!doctype html><title>evil</title>", content_type="text/html")
        browser = screen.page.context.browser
        assert browser is not None
        evil = await browser.new_page()
        try:
            await evil.goto(f"{elsewhere.url}/evil")
            body = json.dumps({"url": "http://127.0.0.1:9", "fleet_mode": True, "prompt": picture(seed=666)})
            attack = {"base": screen.fleet.master.url, "routes": routes, "body": body}
            assert await evil.evaluate(ATTACK, attack) == []
        finally:
            await evil.close()
        assert await state(lone_master) == before
        assert peer.running is not None


async def state(master: Session) -> list[Any]:
    """What a request could have changed."""
    jobs = [(job["job_id"], job["state"]) for job in await master.jobs()]
    peers = {name: (peer["url"], peer["enabled"]) for name, peer in (await master.peers()).items()}
    return [jobs, peers, await master.get("/orchestrator/settings")]
