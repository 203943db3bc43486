"""Nodes that run on the master alone, as a person meets them on the page, on both frontends."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.e2e.session import Session, until

from .conftest import SOON_MS, Screen
from .test_fleet_mode import switch_on
from .test_host_places import TITLE_OF
from .test_outlook import LINE, OPEN_FILE

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

CHOOSER = "ReportChooser"
GRAPH = {
    "1": {
        "class_type": "EmptyImage",
        "inputs": {"width": 64, "height": 64, "batch_size": 3, "color": 65280},
    },
    "2": {"class_type": CHOOSER, "inputs": {"images": ["1", 0]}},
    "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "reports"}},
}
LISTEN = """() => {
  window.asked = null;
  window.app.api.addEventListener("reports-choose", ({ detail }) => (window.asked = detail), { once: true });
}"""
SETTING = "id => window.app.extensionManager.setting.get(id)"
TYPE = "([id, text]) => window.app.extensionManager.setting.set(id, text)"
LISTS = {"runs_here": [], "runs_on_peers": []}


async def choose_in_menu(screen: Screen, entry: str) -> None:
    x, y = await screen.page.evaluate(TITLE_OF, CHOOSER)
    await screen.page.mouse.click(x, y, button="right")
    await screen.page.get_by_text(entry, exact=True).last.click()


async def lists(master: Session) -> dict[str, Any]:
    settings = await master.get("/orchestrator/settings")
    return {name: settings[name] for name in LISTS}


async def test_run_this_node_here_from_its_menu_and_its_run_stays_here(
    screen: Screen, master: Session
) -> None:
    page = screen.page
    await master.patch("/orchestrator/settings", LISTS)
    await screen.open()
    await page.evaluate(OPEN_FILE, json.dumps(GRAPH))
    await page.wait_for_function("window.app.graph.nodes.length === 3")
    known = {job["job_id"] for job in await master.jobs()}
    await choose_in_menu(screen, "Run this node here")
    await page.get_by_text(f"{CHOOSER} runs on this computer").first.wait_for(timeout=SOON_MS)
    assert (await lists(master))["runs_here"] == [CHOOSER]
    await page.wait_for_function(f"({SETTING})('RemoteDispatch.RunsHere') === '{CHOOSER}'", timeout=SOON_MS)
    await screen.open_fleet_tab()
    await switch_on(screen)
    line = page.locator(LINE).filter(has_text=f"{CHOOSER} (node 2) runs on this computer only")
    await line.wait_for(timeout=SOON_MS)
    await screen.picture("What runs here before Run")
    await page.evaluate(LISTEN)
    await page.get_by_role("button", name="Run", exact=True).first.click()
    await page.wait_for_function("window.asked?.count === 3", timeout=SOON_MS)
    await page.get_by_text("This run stays on this computer").first.wait_for(timeout=SOON_MS)
    await screen.picture("A run that stays here")
    await master.post("/reports/choose", {"index": 1})
    await until(master.is_idle, "the run has ended")
    assert {job["job_id"] for job in await master.jobs()} == known
    await choose_in_menu(screen, "Let this node run on peers")
    await page.get_by_text(f"{CHOOSER} may run on peers").first.wait_for(timeout=SOON_MS)
    assert await lists(master) == LISTS


async def test_the_lists_are_settings_that_are_kept(screen: Screen, master: Session) -> None:
    await master.patch("/orchestrator/settings", LISTS)
    await screen.open()

    async def listed() -> bool:
        return await lists(master) == {"runs_here": ["MyNode", "Other"], "runs_on_peers": ["PreviewBridge"]}

    await screen.page.evaluate(TYPE, ["RemoteDispatch.RunsHere", "MyNode, Other"])
    await screen.page.evaluate(TYPE, ["RemoteDispatch.RunsOnPeers", "PreviewBridge"])
    await until(listed, "the server has both lists")
    await screen.reload()
    await screen.page.wait_for_function(
        f"({SETTING})('RemoteDispatch.RunsHere') === 'MyNode, Other'", timeout=SOON_MS
    )
    await master.patch("/orchestrator/settings", LISTS)
    await screen.page.wait_for_function(f"({SETTING})('RemoteDispatch.RunsHere') === ''", timeout=SOON_MS)
