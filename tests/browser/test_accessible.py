"""axe-core on all of our parts that a page can show, in dark and in light, on both frontends."""

from __future__ import annotations

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page

from tests.e2e.session import Session, until
from tests.fakes.comfyui import PNG, FakeComfyUI
from tests.fakes.graphs import picture, stock_classes

from .conftest import RUN_MS, SOON_MS, Screen
from .test_fleet_jobs import job_row, peer_row, reaches, scripted, submit

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

GRAVE = ("serious", "critical")
NEEDS_PEER = {
    "1": {"class_type": "OnlyThere", "inputs": {"width": 64, "color": 0}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}},
}
KNOWS_CLASS = "() => Boolean(window.LiteGraph.registered_node_types['OnlyThere'])"
COMMAND = "name => void window.app.extensionManager.command.execute('RemoteDispatch.' + name)"
LOAD = "graph => window.app.loadApiJson(graph, 'graph')"


async def grave_findings(page: Page, part: str) -> list[str]:
    """What axe finds in the elements of `part`, which have to be there: rule, and the element."""
    await page.locator(part).first.wait_for()
    found = (await Axe().run(page, part)).response
    assert found["passes"], f"axe looked at nothing in {part}"
    return [
        f"{finding['impact']} {finding['id']}: {node['html'][:200]} {node['failureSummary']}"
        for finding in found["violations"]
        if finding["impact"] in GRAVE
        for node in finding["nodes"]
    ]


async def jobs_of_every_kind(master: Session, busy: FakeComfyUI, bad: FakeComfyUI) -> None:
    """Done (as variations), failed, running with a preview, and two in a line that is paused."""
    changes = [{"1.width": width} for width in (64, 72)]
    body = {"prompt": picture(), "title": "a sheet", "variations": changes, "peer": "gpu-busy"}
    sent = await master.post("/orchestrator/jobs", body, status=202)
    for job_id in sent["job_ids"]:
        await reaches(master, job_id, "done")
    bad.on_prompt = "fail"
    await reaches(master, await submit(master, "a broken one", peer="gpu-bad"), "failed")
    busy.on_prompt = "hold"
    running = await submit(master, "a long one", peer="gpu-busy")
    await reaches(master, running, "running")

    async def begun() -> str | None:
        return busy.running

    prompt_id = str(await until(begun, "it runs"))
    await busy.send(prompt_id, "progress", node="1", value=3, max=20)
    await busy.send_preview(prompt_id, "1", PNG)
    await master.patch("/orchestrator/settings", {"paused": True})
    for title in ("one that waits", "another"):
        await submit(master, title)


@pytest.mark.parametrize("palette", ["dark", "light"])
async def test_axe_has_nothing_grave_to_say(screen: Screen, lone_master: Session, palette: str) -> None:
    page = screen.page
    await screen.open(palette)
    await screen.open_fleet_tab()
    assert await grave_findings(screen.page, ".orc-panel") == []  # the lesson
    async with scripted(lone_master, "gpu-busy", tags=["fast"]) as busy, FakeComfyUI() as bad:
        bad.object_info = stock_classes("OnlyThere")
        for name, url in (("gpu-bad", bad.url), ("gpu-gone", "http://127.0.0.1:9")):
            await lone_master.post("/orchestrator/peers", {"name": name, "url": url}, status=201)
        await jobs_of_every_kind(lone_master, busy, bad)
        await job_row(screen, "one that waits").first.wait_for(timeout=SOON_MS)
        for name in ("gpu-busy", "gpu-gone"):
            await peer_row(screen, name).locator(".orc-row-head").click()
        await page.get_by_role("button", name="Add peer").click()
        await page.locator(".orc-form summary").first.click()
        await page.get_by_text("Timeline", exact=True).click()
        await job_row(screen, "a broken one").first.get_by_text("Error details").click()
        await screen.picture(f"Accessible {palette}")
        for part in (".orc-panel", ".orc-fleet-toggle"):
            assert await grave_findings(screen.page, part) == []

        await page.evaluate(COMMAND, "ContactSheet")
        assert await grave_findings(screen.page, ".orc-contact") == []
        await page.keyboard.press("Escape")
        await page.wait_for_function(KNOWS_CLASS, timeout=RUN_MS)
        await page.evaluate(LOAD, NEEDS_PEER)
        await page.evaluate(COMMAND, "QueueVariations")
        boxes = page.locator(".orc-variations .orc-parameter input")
        for name in ("width", "color", "filename_prefix"):
            await boxes.and_(page.get_by_role("checkbox", name=name)).check()
        assert await grave_findings(screen.page, ".orc-variations") == []
        await screen.picture(f"Accessible variations {palette}")
        await page.keyboard.press("Escape")
        await page.get_by_role("button", name="Run", exact=True).first.click()
        await page.get_by_role("button", name="Show which peers have it").click()
        assert await grave_findings(screen.page, ".orc-dialog") == []
        await page.keyboard.press("Escape")
