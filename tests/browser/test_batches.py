"""Batches, several jobs at once, and waiting jobs that are edited, as a person does it in the Fleet tab."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from playwright.async_api import Locator

from tests.e2e.graphs import node
from tests.e2e.session import Session, until
from tests.fakes.comfyui import FakeComfyUI
from tests.fakes.graphs import picture

from .conftest import SOON_MS, Screen
from .test_accessible import grave_findings
from .test_fleet_jobs import job_row, open_tab, peer_row, reaches, scripted, submit
from .test_fleet_mode import switch_on

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

LOAD = "graph => window.app.loadApiJson(graph, 'portrait')"
RUN_BATCH = "count => void window.app.queuePrompt(0, count)"
RECOLOUR = """color => {
  const box = window.app.graph.nodes.find((node) => node.type === "EmptyImage");
  box.widgets.find((widget) => widget.name === "color").value = color;
}"""
RESIZE = RECOLOUR.replace('"color"', '"width"')
COUNT = 5


def drawn(color: int) -> dict[str, Any]:
    return {
        "1": node("EmptyImage", width=16, height=16, batch_size=1, color=color),
        "2": node("SaveImage", images=["1", 0], filename_prefix="batches"),
    }


async def queued(master: Session, title: str, count: int) -> list[str]:
    body = {"prompt": picture(), "title": title, "count": count}
    return list((await master.post("/orchestrator/jobs", body, status=202))["job_ids"])


def batch(screen: Screen, title: str) -> Locator:
    return screen.page.locator(".orc-batch", has_text=title)


async def states(master: Session, ids: list[str]) -> list[str]:
    return [(await master.get(f"/orchestrator/jobs/{job_id}"))["state"] for job_id in ids]


@asynccontextmanager
async def holding(master: Session) -> AsyncIterator[FakeComfyUI]:
    """A registered peer that ends no job; at last none is left."""
    async with scripted(master, "gpu-1") as peer:
        peer.on_prompt = "hold"
        yield peer
        left = [job["job_id"] for job in await master.jobs() if job["state"] in ("waiting", "running")]
        if left:
            body = {"action": "cancel", "job_ids": left}
            await master.post("/orchestrator/jobs/actions", body, status=200)


async def test_what_was_sent_together_is_one_row_that_opens_and_is_held_and_cancelled(
    screen: Screen, lone_master: Session
) -> None:
    async with holding(lone_master) as peer:
        ids = await queued(lone_master, "nine lives", COUNT)
        await until(lambda: _two_are_there(peer), "the peer has some")
        await open_tab(screen)
        row = batch(screen, f"nine lives × {COUNT}")
        await row.get_by_text("1 running, 4 waiting").wait_for(timeout=SOON_MS)
        assert await job_row(screen, "nine lives").count() == 1
        await screen.picture("Batch")
        await row.locator(".orc-row-head").click()
        await screen.page.locator(".orc-inside").nth(COUNT - 1).wait_for(timeout=SOON_MS)
        await screen.picture("Batch opened")
        await row.get_by_role("button", name="Hold").click()
        await row.get_by_text("1 running, 4 on hold").wait_for(timeout=SOON_MS)
        await row.get_by_role("button", name="Resume").click()
        await row.get_by_text("1 running, 4 waiting").wait_for(timeout=SOON_MS)
        await row.get_by_role("button", name="Cancel batch").click()
        await row.get_by_role("button", name=f"Cancel {COUNT} jobs").click()
        await row.get_by_text(f"{COUNT} cancelled").wait_for(timeout=SOON_MS)
        assert set(await states(lone_master, ids)) == {"cancelled"}


async def test_run_with_a_batch_count_is_one_row_named_after_the_workflow(
    screen: Screen, lone_master: Session
) -> None:
    async with holding(lone_master):
        await open_tab(screen)
        await screen.page.evaluate(LOAD, drawn(len(screen.name)))
        await switch_on(screen)
        await screen.page.evaluate(RUN_BATCH, 3)
        await screen.page.locator(".orc-batch", has_text="× 3").wait_for(timeout=SOON_MS)
        jobs = [job for job in await lone_master.jobs() if job["state"] in ("waiting", "running")]
        assert len({job["batch"]["id"] for job in jobs}) == 1
        assert sorted(job["batch"]["index"] for job in jobs) == [0, 1, 2]


async def test_several_are_picked_with_shift_and_ctrl_and_cancelled_at_once(
    screen: Screen, lone_master: Session
) -> None:
    async with holding(lone_master):
        running = await submit(lone_master, "the one that runs")
        await reaches(lone_master, running, "running")
        ids = [await submit(lone_master, f"waits {n}") for n in range(4)]
        await open_tab(screen)
        bar = screen.page.get_by_role("group", name="Selected jobs")
        await job_row(screen, "waits 1").locator(".orc-name").click(modifiers=["ControlOrMeta"])
        await job_row(screen, "waits 3").locator(".orc-name").click(modifiers=["Shift"])
        await bar.get_by_text("3 jobs selected").wait_for()
        assert await grave_findings(screen.page, ".orc-panel") == []
        await screen.picture("Jobs selected")
        await bar.get_by_role("button", name="Cancel jobs").click()
        await bar.wait_for(state="hidden", timeout=SOON_MS)
        assert (await states(lone_master, ids))[1:] == ["cancelled"] * 3
        assert (await states(lone_master, [ids[0], running])) != ["cancelled"] * 2


async def test_a_waiting_job_is_edited_on_the_canvas_and_put_back_in_its_place(
    screen: Screen, lone_master: Session
) -> None:
    async with holding(lone_master) as peer:
        await open_tab(screen)
        await screen.page.evaluate(LOAD, drawn(1))
        await switch_on(screen)
        for _ in range(3):
            await screen.page.evaluate("() => window.app.queuePrompt(0, 1)")
        await until(lambda: _two_are_there(peer), "two are on the peer")
        rows = screen.page.locator("[aria-label=Queue] > .orc-row")
        await rows.nth(2).wait_for(timeout=SOON_MS)
        await rows.nth(2).locator(".orc-name").click(button="right")
        menu = screen.page.get_by_role("menu")
        await menu.get_by_role("menuitem", name="Open workflow").wait_for()
        await screen.picture("Menu of a job")
        assert await grave_findings(screen.page, ".orc-menu") == []
        await menu.get_by_role("menuitem", name="Edit workflow").press("Enter")
        bar = screen.page.get_by_role("region", name="Editing a waiting job")
        await bar.wait_for(timeout=SOON_MS)
        await screen.picture("Editing a waiting job")
        held = [job for job in await lone_master.jobs() if job["held"]]
        assert len(held) == 1
        await screen.page.evaluate(RECOLOUR, 77)
        await bar.get_by_role("button", name="Put back in the queue").click()
        await bar.wait_for(state="detached", timeout=SOON_MS)
        edited = await lone_master.get(f"/orchestrator/jobs/{held[0]['job_id']}/graph")
        assert edited["prompt"]["1"]["inputs"]["color"] == 77
        assert not (await lone_master.get(f"/orchestrator/jobs/{held[0]['job_id']}"))["held"]
        queue = await lone_master.get("/queue")
        assert [item[2]["1"]["inputs"]["color"] for item in queue["queue_pending"]].count(77) == 1


async def test_all_that_waits_of_a_batch_is_edited_at_once_and_each_keeps_its_own_value(
    screen: Screen, lone_master: Session
) -> None:
    async with holding(lone_master):
        running = await submit(lone_master, "the one that runs")
        await reaches(lone_master, running, "running")
        changes = [{"1.color": color} for color in (1, 2, 3)]
        body = {"prompt": drawn(0), "name": "trio", "variations": changes}
        ids = (await lone_master.post("/orchestrator/jobs", body, status=202))["job_ids"]
        await open_tab(screen)
        row = batch(screen, "trio × 3")
        await row.get_by_role("button", name="Hold").click()
        await row.get_by_text("3 on hold").wait_for(timeout=SOON_MS)
        bar = screen.page.get_by_role("region", name="Editing a waiting job")
        await row.get_by_role("button", name="Edit workflow").click()
        await bar.get_by_role("button", name="Discard changes").click(timeout=SOON_MS)
        await bar.wait_for(state="detached", timeout=SOON_MS)
        assert {(await lone_master.get(f"/orchestrator/jobs/{job_id}"))["held"] for job_id in ids} == {True}
        await row.get_by_role("button", name="Edit workflow").click()
        await bar.get_by_text("Editing 3 waiting jobs: trio").wait_for(timeout=SOON_MS)
        assert await grave_findings(screen.page, ".orc-edit-bar") == []
        await screen.picture("Editing a batch")
        await screen.page.evaluate(RESIZE, 32)
        await bar.get_by_role("button", name="Put back in the queue").click()
        await bar.wait_for(state="detached", timeout=SOON_MS)
        await row.get_by_text("3 waiting").wait_for(timeout=SOON_MS)
        graphs = [await lone_master.get(f"/orchestrator/jobs/{job_id}/graph") for job_id in ids]
        drawings = [graph["prompt"]["1"]["inputs"] for graph in graphs]
        assert [(inputs["color"], inputs["width"]) for inputs in drawings] == [(1, 32), (2, 32), (3, 32)]


async def test_the_menu_of_a_job_is_reached_and_left_by_keys(screen: Screen, lone_master: Session) -> None:
    async with holding(lone_master):
        await submit(lone_master, "by keys")
        await open_tab(screen)
        more = job_row(screen, "by keys").get_by_role("button", name="More: by keys")
        await more.press("Enter")
        await screen.page.get_by_role("menuitem").first.wait_for()
        await screen.page.keyboard.press("End")
        assert await screen.page.evaluate("document.activeElement.textContent") == "Cancel"
        await screen.page.keyboard.press("Escape")
        await screen.page.get_by_role("menu").wait_for(state="detached")
        assert await more.evaluate("button => button === document.activeElement")


async def _two_are_there(peer: FakeComfyUI) -> bool:
    return len(peer.prompts) >= 2


async def test_of_more_than_four_peers_each_is_one_line_until_it_is_opened(
    screen: Screen, lone_master: Session
) -> None:
    async with AsyncExitStack() as stack:
        for n in range(5):
            peer = await stack.enter_async_context(scripted(lone_master, f"gpu-{n}"))
        peer.on_prompt = "hold"
        running = await submit(lone_master, "a long one", peer="gpu-4")
        await reaches(lone_master, running, "running")
        await open_tab(screen)
        row = peer_row(screen, "gpu-4")
        await row.get_by_role("progressbar").wait_for(timeout=SOON_MS)
        assert not await row.get_by_text("of 24 GB free").is_visible()
        heights = [await one.evaluate("row => row.offsetHeight") for one in await row.all()]
        assert max(heights) < 50
        await screen.picture("Five peers")
        await row.locator(".orc-row-head").click()
        await row.get_by_text("of 24 GB free").wait_for(timeout=SOON_MS)
        await lone_master.post(f"/orchestrator/jobs/{running}/cancel", {}, status=200)
