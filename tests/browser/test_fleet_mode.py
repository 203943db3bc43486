"""What a person does with fleet mode, in a real browser, on both frontends: the ordinary Run button."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import urlencode

import pytest
from playwright.async_api import Locator

from tests.e2e.graphs import node, sleep
from tests.e2e.session import Session, until
from tests.rig.fleet import ROOT

from .conftest import NEWER, RUN_MS, SOON_MS, Screen, choose

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

EXAMPLE = ROOT / "example_workflows" / "Remote Dispatch.json"
SAMPLER, LATENT = 4, 3
RUNS = 12
SETTING = "RemoteDispatch.FleetMode"
TOGGLE = ".orc-fleet-toggle"
NATIVE = """() => {
  const page = document.querySelector("#vue-app").__vue_app__;
  const queue = page.config.globalProperties.$pinia._s.get("queue");
  const ids = (tasks) => tasks.map((task) => task.jobId ?? task.promptId);
  return {open: [...ids(queue.runningTasks), ...ids(queue.pendingTasks)], ended: ids(queue.historyTasks)};
}"""
ASSETS = """() => {
  const page = document.querySelector("#vue-app").__vue_app__;
  const store = page.config.globalProperties.$pinia._s.get("assets");
  const pictures = [...document.querySelectorAll("img")].map((img) => new URL(img.src).searchParams);
  const drawn = pictures.map((query) => query.get("filename"));
  return [...(store?.historyAssets ?? []).map((asset) => asset.name), ...drawn];
}"""
SAMPLES = "id => window.app.graph.getNodeById(id)?.progress > 0"
PREVIEWS = "id => window.app.graph.getNodeById(id)?.imgs?.length > 0"
#: a badge, or what gives one each time it is drawn
TEXT = "(badge => (typeof badge === 'function' ? badge() : badge).text ?? '')"
NAMES_PEER = f"""id => window.app.graph.getNodeById(id)
  ?.badges.map({TEXT}).some(text => text.startsWith('peer-'))"""
DROP = """async (url) => {
  const picture = await (await fetch(url)).blob();
  const dataTransfer = new DataTransfer();
  dataTransfer.items.add(new File([picture], "picture.png", {type: "image/png"}));
  const at = {bubbles: true, cancelable: true, clientX: 900, clientY: 700, dataTransfer};
  for (const kind of ["dragenter", "dragover", "drop"]) {
    document.querySelector("#graph-canvas").dispatchEvent(new DragEvent(kind, at));
  }
}"""
WIDGETS = "id => window.app.graph.getNodeById(id)?.widgets.map(widget => widget.value)"
OVERLAPS_AFTER_JUMPS = """async () => {
  const lists = [...document.querySelectorAll(".orc-windowed")];
  const list = lists.sort((a, b) => a.scrollHeight - b.scrollHeight).at(-1);
  const scrolls = (box) =>
    box.scrollHeight > box.clientHeight && getComputedStyle(box).overflowY !== "visible";
  let scroller = list;
  while (!scrolls(scroller)) scroller = scroller.parentElement;
  const found = [];
  for (const part of [1, 0, 0.6, 0.2, 0.8, 0.4]) {
    scroller.scrollTop = part * scroller.scrollHeight;
    for (let frame = 0; frame < 10; frame++) await new Promise(requestAnimationFrame);
    const rows = [...list.children].map((row) => row.getBoundingClientRect()).sort((a, b) => a.top - b.top);
    found.push(rows.filter((row, place) => place && row.top < rows[place - 1].bottom - 2).length);
  }
  return found;
}"""
HAS_PICTURE = "() => window.app.graph.nodes.find(n => n.type === 'SaveImage')?.imgs?.length > 0"


def whole_workflow(steps: int) -> dict[str, Any]:
    """The example without its node of ours: nothing in it knows of a fleet. Only peers have its model."""
    graph = json.loads(EXAMPLE.read_text("utf-8"))
    ours = next(node for node in graph["nodes"] if node["type"] == "RemoteDispatch")
    into = next(link for link in graph["links"] if link[3] == ours["id"])
    out_of = next(link for link in graph["links"] if link[1] == ours["id"])
    graph["nodes"].remove(ours)
    graph["links"].remove(into)
    out_of[1:3] = into[1:3]
    nodes = {node["id"]: node for node in graph["nodes"]}
    nodes[into[1]]["outputs"][0]["links"] = [out_of[0]]
    nodes[SAMPLER]["widgets_values"][2] = steps
    nodes[LATENT]["widgets_values"][:2] = [64, 64]
    graph["groups"] = []
    return graph


async def open_workflow(screen: Screen, steps: int, palette: str = "dark") -> None:
    await screen.open(palette)
    await screen.page.evaluate("wf => window.app.loadGraphData(wf)", whole_workflow(steps))


async def switch_on(screen: Screen) -> None:
    await screen.page.locator(f"{TOGGLE}[aria-pressed=false]").click()  # it may show what was before
    await screen.page.locator(f"{TOGGLE}[aria-pressed=true]").wait_for(timeout=SOON_MS)


async def press_run(screen: Screen, master: Session, times: int) -> list[str]:
    """The ids of the prompts that it made, as they came."""
    known = {job["job_id"] for job in await master.jobs()}
    button = screen.page.get_by_role("button", name="Run", exact=True).first
    for _ in range(times):
        await button.click()

    async def all_there() -> list[str]:
        new = [job["job_id"] for job in await master.jobs() if job["job_id"] not in known]
        return new if len(new) == times else []

    return list(reversed(await until(all_there, f"{times} prompts are queued")))


async def press_run_at_once(screen: Screen, master: Session, times: int) -> list[str]:
    """The same; none begins before the last one is there, however slow the page is."""
    await pause(master)
    ids = await press_run(screen, master, times)
    await pause(master, on=False)
    return ids


async def pause(master: Session, *, on: bool = True) -> None:
    await master.patch("/orchestrator/settings", {"paused": on})


def overlap(jobs: list[dict[str, Any]]) -> bool:
    """Whether two of them ran at one time on two peers."""
    return any(
        one["peer"] != other["peer"] and one["begun_at"] < other["begun_at"] < one["ended_at"]
        for one in jobs
        for other in jobs
    )


async def job(master: Session, job_id: str) -> dict[str, Any]:
    return await master.get(f"/orchestrator/jobs/{job_id}")


def row(screen: Screen, job_id: str) -> Locator:
    return screen.page.locator(".orc-row", has_text=f"Prompt {job_id[:8]}")


async def lists_jobs(screen: Screen) -> bool:
    """The newer frontend reads its queue from a route that the older ComfyUI has not."""
    has_route = await screen.page.evaluate("fetch('/api/jobs').then(r => r.ok)")
    return screen.name != NEWER or has_route


async def test_switched_on_without_a_peer_it_says_what_to_do(screen: Screen, lone_master: Session) -> None:
    await screen.open()
    await screen.page.locator(TOGGLE).click()
    await screen.page.get_by_text("There is no peer yet. Add one in the Fleet tab").first.wait_for()
    await screen.picture("Fleet mode without a peer")
    await screen.page.locator(TOGGLE).click()
    await screen.page.get_by_text("Run uses this computer again.").first.wait_for()


async def test_button_key_setting_and_tab_show_one_state(screen: Screen, master: Session) -> None:
    await open_workflow(screen, steps=4)
    await screen.open_fleet_tab()
    page = screen.page
    switch = page.get_by_role("switch", name="Fleet mode")

    async def all_say(on: bool) -> None:
        word = str(on).lower()
        await page.locator(f"{TOGGLE}[aria-pressed={word}]").wait_for(timeout=SOON_MS)
        await page.locator(f".orc-switch:has-text('Fleet mode')[aria-checked={word}]").wait_for(
            timeout=SOON_MS
        )
        await page.wait_for_function(
            f"window.app.extensionManager.setting.get('{SETTING}') === {word}", timeout=SOON_MS
        )
        assert (await master.get("/orchestrator/settings"))["fleet_mode"] is on

    await all_say(False)
    await page.locator(TOGGLE).click()
    await page.get_by_text("Run now uses your 2 peers.").first.wait_for()
    await all_say(True)
    await page.locator("canvas").first.focus()
    await page.keyboard.press("Control+Shift+F")
    await all_say(False)
    await page.evaluate(f"window.app.extensionManager.setting.set('{SETTING}', true)")
    await all_say(True)
    await switch.focus()
    await page.keyboard.press("Enter")
    await all_say(False)
    await master.patch("/orchestrator/settings", {"fleet_mode": True})  # on another page, or by a script
    await all_say(True)
    await page.get_by_role("switch", name="Include this computer").click()
    await page.get_by_text("Run: 2 peers + this computer").wait_for(timeout=SOON_MS)
    assert (await master.get("/orchestrator/settings"))["this_machine"] is True
    await screen.picture("Fleet mode on this computer too")
    await page.reload()
    await screen.page.locator(f"{TOGGLE}[aria-pressed=true]").wait_for(timeout=RUN_MS)
    await screen.open_fleet_tab()
    await all_say(True)


async def test_twelve_times_run_keeps_both_peers_busy_and_hides_nothing(
    screen: Screen, master: Session
) -> None:
    await open_workflow(screen, steps=12)
    await switch_on(screen)
    await screen.open_fleet_tab()
    page = screen.page
    seen = [  # from before the first press: what is seen while it runs may be over once all are pressed
        asyncio.create_task(page.wait_for_function(sight, arg=SAMPLER, timeout=RUN_MS))
        for sight in (SAMPLES, PREVIEWS, NAMES_PEER)
    ]
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    ids = await press_run_at_once(screen, master, RUNS)
    await asyncio.gather(*seen)
    await screen.picture("Fleet mode during a run")
    for job_id in ids:
        assert (await master.finished(job_id)).succeeded
    await page.wait_for_function(HAS_PICTURE, timeout=RUN_MS)
    await page.wait_for_function(NAMES_PEER, arg=SAMPLER, timeout=SOON_MS)  # the badge stays after the run
    reads = [url for url in asked if "object_info" in url]
    assert len(reads) < 3  # megabytes, for lists that changed only: the peers' may be new still, no run's is
    saved = await page.evaluate("JSON.stringify(window.app.graph.serialize())")
    assert "badge" not in saved and "peer-" not in saved
    history = await master.get("/history")
    assert set(ids) <= set(history)
    assert overlap([await job(master, job_id) for job_id in ids])
    search = page.get_by_role("searchbox", name="Search jobs")
    for job_id in ids:
        await search.fill(job_id)
        await row(screen, job_id).get_by_text("ran on peer-").wait_for(timeout=SOON_MS)
    await search.fill("")
    if await lists_jobs(screen):

        async def listed() -> bool:
            return set(ids) <= set((await page.evaluate(NATIVE))["ended"])

        await until(listed, "the host's own history shows all of them")
    panel = page.locator(".queue-tab-button, [data-testid=queue-overlay-toggle]").first
    await panel.click()
    await screen.picture("Fleet mode after a run")
    if await lists_jobs(screen):
        files = {history[job_id]["outputs"]["8"]["images"][0]["filename"] for job_id in ids}

        async def shown() -> bool:
            return files <= set(await page.evaluate(ASSETS))

        await page.locator(".assets-tab-button, button[aria-label^='Assets']").first.click()
        await until(shown, "the host's own media assets show all of them")
        await screen.picture("Fleet mode, media assets")
    await panel.click()  # the page of the next test would open with it


async def test_a_picture_dropped_on_the_canvas_brings_its_graph_back(screen: Screen, master: Session) -> None:
    await open_workflow(screen, steps=3)
    await switch_on(screen)
    [job_id] = await press_run(screen, master, 1)
    image = (await master.finished(job_id)).images("8")[0]
    assert image["type"] == "output"
    ran = (await master.get(f"/history/{job_id}"))[job_id]["prompt"][2]
    page = screen.page
    await page.evaluate("window.app.graph.clear()")
    await page.evaluate(DROP, f"/view?{urlencode(image)}")
    await page.wait_for_function("window.app.graph.nodes.length === 7", timeout=SOON_MS)
    assert (await page.evaluate(WIDGETS, SAMPLER))[0] == ran[str(SAMPLER)]["inputs"]["seed"]
    restored = await page.evaluate("window.app.graphToPrompt().then(({output}) => output)")
    assert {i: each["class_type"] for i, each in restored.items()} == {
        i: each["class_type"] for i, each in ran.items()
    }


async def test_a_reload_in_the_middle_of_a_run_loses_nothing(screen: Screen, master: Session) -> None:
    await open_workflow(screen, steps=60)
    await switch_on(screen)
    ids = await press_run_at_once(screen, master, 6)
    page = screen.page
    await page.wait_for_function(SAMPLES, arg=SAMPLER, timeout=RUN_MS)
    await pause(master)  # some wait until the page is back, however long it takes
    await page.reload()
    await page.wait_for_function("window.app?.graph?.nodes?.length > 0", timeout=RUN_MS)
    await pause(master, on=False)
    await page.wait_for_function(SAMPLES, arg=SAMPLER, timeout=RUN_MS)
    await page.wait_for_function(PREVIEWS, arg=SAMPLER, timeout=RUN_MS)
    await screen.open_fleet_tab()
    await row(screen, ids[-1]).wait_for(timeout=SOON_MS)
    if await lists_jobs(screen):
        native = await page.evaluate(NATIVE)
        assert set(ids) <= {*native["open"], *native["ended"]}
    await screen.picture("Fleet mode after a reload")
    for job_id in ids:
        assert (await master.finished(job_id)).succeeded
    await page.wait_for_function(HAS_PICTURE, timeout=RUN_MS)


async def test_an_interrupt_from_the_page_ends_one_job_and_leaves_the_other(
    screen: Screen, master: Session
) -> None:
    await open_workflow(screen, steps=100)
    await switch_on(screen)
    ids = await press_run_at_once(screen, master, 2)

    async def both_run() -> bool:
        return all([(await job(master, job_id))["begun_at"] for job_id in ids])

    await until(both_run, "both run")
    await screen.page.wait_for_function(SAMPLES, arg=SAMPLER, timeout=RUN_MS)
    await screen.page.evaluate("window.app.extensionManager.command.execute('Comfy.Interrupt')")
    ends = [(await master.finished(job_id)).entry["status"] for job_id in ids]
    assert sorted(end["status_str"] for end in ends) == ["error", "success"]
    states = sorted([(await job(master, job_id))["state"] for job_id in ids])
    assert states == ["cancelled", "done"]


async def test_the_line_is_paused_reordered_and_goes_on(screen: Screen, master: Session) -> None:
    await open_workflow(screen, steps=4)
    await switch_on(screen)
    await screen.open_fleet_tab()
    page = screen.page
    await page.get_by_role("button", name="Pause").click()
    await page.locator(".orc-note", has_text="Paused. Running jobs finish").wait_for(timeout=SOON_MS)
    a, b, c, d = await press_run(screen, master, 4)

    async def line(*wanted: str) -> None:
        async def shown() -> bool:
            titles = await page.locator(".orc-row:has(.orc-places:visible) .orc-id").all_text_contents()
            return titles == [f"Prompt {job_id[:8]}" for job_id in wanted]

        await until(shown, f"the line is {wanted}")

    await line(a, b, c, d)
    await row(screen, d).get_by_role("button", name="To the top").click()
    await line(d, a, b, c)
    up = row(screen, b).get_by_role("button", name="Up")
    await up.focus()
    await page.keyboard.press("Enter")
    await line(d, b, a, c)
    await page.keyboard.press("Enter")  # the focus went with its row
    await line(b, d, a, c)
    await row(screen, b).get_by_role("button", name="Down").click()
    await line(d, b, a, c)
    await choose(row(screen, a).get_by_label("Run on"), "peer-2")
    await until(lambda: pinned(master, a), "it is pinned")
    await row(screen, c).get_by_role("button", name="Cancel").click()
    await line(d, b, a)
    assert all([(await job(master, job_id))["state"] == "waiting" for job_id in (a, b, d)])
    await screen.picture("Fleet mode paused")
    await page.get_by_role("button", name="Resume").click()
    for job_id in (d, b, a):
        assert (await master.finished(job_id)).succeeded
    ran = {job_id: await job(master, job_id) for job_id in (d, b, a)}
    begun = sorted(ran, key=lambda job_id: ran[job_id]["begun_at"])
    first_there = {ran[job_id]["peer"]: job_id for job_id in reversed(begun)}
    assert first_there[ran[d]["peer"]] == d  # b is next, but a need not wait for it where it alone can run
    assert ran[a]["peer"] == "peer-2"
    assert (await job(master, c))["state"] == "cancelled"


def lasting(seed: int, seconds: float) -> dict[str, Any]:
    """Takes so long, which nobody can tell from the graph: all of them are of one kind."""
    graph = sleep(seed, 0.0)
    graph["11"] = node("PrimitiveFloat", value=seconds)
    graph["10"]["inputs"]["seconds"] = ["11", 0]
    return {**graph, "9": node("SaveImage", images=["10", 0], filename_prefix="lasting")}


async def test_a_job_that_is_next_on_a_peer_is_given_to_another_one(screen: Screen, master: Session) -> None:
    await screen.open()
    await switch_on(screen)
    await screen.open_fleet_tab()
    for job_id in [await master.queue(lasting(seed, seconds=0.2)) for seed in range(2)]:
        assert (await master.finished(job_id)).succeeded  # so the next ones are expected to be short as well
    ids = [await master.queue(lasting(seed, seconds=60.0)) for seed in range(2, 6)]

    async def next_one() -> dict[str, Any] | None:
        jobs = [await job(master, job_id) for job_id in ids]
        both_run = sum(one["begun_at"] is not None for one in jobs) == 2
        return next((one for one in jobs if both_run and one["peer"] and one["begun_at"] is None), None)

    found = await until(next_one, "a job is next on a peer")
    other = "peer-2" if found["peer"] == "peer-1" else "peer-1"
    its = row(screen, found["job_id"])
    await its.get_by_text(f"queued on {found['peer']}").wait_for(timeout=SOON_MS)
    await screen.picture("A job that is next on a peer")
    await choose(its.get_by_label("Run on"), other)
    await until(lambda: pinned(master, found["job_id"]), "it is pinned")
    for job_id in ids:
        if job_id != found["job_id"]:
            await master.post(f"/orchestrator/jobs/{job_id}/cancel", {}, status=200)

    async def begun() -> dict[str, Any] | None:
        its_job = await job(master, found["job_id"])
        return its_job if its_job["begun_at"] else None

    assert (await until(begun, "it runs"))["peer"] == other
    await master.post(f"/orchestrator/jobs/{found['job_id']}/cancel", {}, status=200)


async def test_of_a_very_long_line_only_what_is_in_sight_is_drawn(screen: Screen, master: Session) -> None:
    await master.patch("/orchestrator/settings", {"fleet_mode": True, "paused": True})
    graph = {
        "1": node("EmptyImage", width=16, height=16, batch_size=1, color=0),
        "9": node("SaveImage", images=["1", 0], filename_prefix="long"),
    }
    ids = [await master.queue(graph) for _ in range(230)]
    await screen.open("light")
    await screen.open_fleet_tab()
    page = screen.page
    rows = page.locator(".orc-row:has(.orc-places:visible)")
    await page.get_by_text("2 of 2 peers up · 230 waiting").wait_for(timeout=SOON_MS)
    await row(screen, ids[3]).get_by_role("button", name="To the top").click()
    await rows.first.get_by_text(f"Prompt {ids[3][:8]}").wait_for()
    await rows.first.hover()
    await page.mouse.wheel(0, 100_000)
    await row(screen, ids[-1]).wait_for()
    assert await rows.count() < 60
    assert await rows.last.get_attribute("aria-posinset") == "230"
    await screen.picture("Fleet mode, a long line in light")
    await page.evaluate("window.app.api.clearItems('queue')")
    await page.get_by_text("Queue is empty").wait_for(timeout=SOON_MS)
    assert await page.evaluate(OVERLAPS_AFTER_JUMPS) == [0] * 6


async def pinned(master: Session, job_id: str) -> bool:
    return bool((await job(master, job_id))["pinned_to"])
