from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.async_api import ConsoleMessage, Page, async_playwright

from tests.rig.chromium import HOW_TO, find_chromium
from tests.rig.comfy import request
from tests.rig.environment import Setup
from tests.rig.fleet import ROOT, Fleet

ARTIFACTS = ROOT / "artifacts"
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)
SETTINGS = {"Comfy.TutorialCompleted": True, "Comfy.InstalledVersion": "1.58.1"}
READY_MS = 60_000
TAB_BUTTON = "button[class*='fleet-tab-button'], button[aria-label^='Fleet']"
OWN, NEWER = "own frontend", "frontend 1.58.1"


@dataclass
class Screen:
    """One browser tab on the master's page. ``ours`` are console errors that our own files caused."""

    page: Page
    fleet: Fleet
    name: str
    ours: list[str] = field(default_factory=list)

    async def open(self, palette: str = "dark") -> None:
        request(f"{self.fleet.master.url}/settings", {**SETTINGS, "Comfy.ColorPalette": palette})
        await self.page.goto(self.fleet.master.url)
        await self.page.wait_for_function(
            "window.app?.graph && window.app.extensionManager", timeout=READY_MS
        )
        await self.page.locator(TAB_BUTTON).first.wait_for(timeout=READY_MS)

    async def open_fleet_tab(self) -> None:
        await self.page.locator(TAB_BUTTON).first.click()
        await self.page.locator(".orc-panel").wait_for()

    async def picture(self, name: str) -> Path:
        """A screenshot among the test artefacts."""
        path = ARTIFACTS / f"{name}, {self.name}.png".replace(" ", "-").replace(",", "")
        await self.page.screenshot(path=path)
        return path

    async def load(self, workflow: Path) -> None:
        graph = json.loads(await asyncio.to_thread(workflow.read_text, "utf-8"))
        await self.page.evaluate("wf => window.app.loadGraphData(wf)", graph)


@pytest.fixture(scope="session", params=[OWN, NEWER])
def screen_fleet(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A master without registered peers, and two peers, for each frontend."""
    setup = Setup()
    arguments = ("--front-end-root", str(setup.frontend())) if request.param == NEWER else ()
    base = tmp_path_factory.mktemp("screen")
    with Fleet(setup, base, master_arguments=arguments) as running:
        running.frontend = request.param
        yield running


@pytest.fixture
async def screen(screen_fleet: Fleet) -> AsyncIterator[Screen]:
    program = find_chromium()
    ARTIFACTS.mkdir(exist_ok=True)
    if program is None:
        pytest.fail(HOW_TO)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=str(program), args=list(FLAGS))
        page = await browser.new_page(viewport={"width": 1600, "height": 950})
        screen = Screen(page, screen_fleet, screen_fleet.frontend)

        def note(message: ConsoleMessage) -> None:
            place = message.location.get("url", "") if message.location else ""
            if message.type == "error" and ("/extensions/remote-dispatch" in place or "orc-" in message.text):
                screen.ours.append(message.text)

        page.on("console", note)
        page.on("pageerror", lambda error: screen.ours.append(str(error)) if "fleet" in str(error) else None)
        yield screen
        await browser.close()
    assert screen.ours == []
