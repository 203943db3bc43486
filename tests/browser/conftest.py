"""Fixtures: a fleet for each frontend, and a browser tab on the master's page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from playwright.async_api import Browser, ConsoleMessage, Error, Locator, Page, Response, async_playwright

from tests.e2e.session import Session, until
from tests.rig.chromium import HOW_TO, find_chromium
from tests.rig.comfy import request
from tests.rig.environment import Setup
from tests.rig.fleet import ROOT, Fleet

ARTIFACTS = ROOT / "artifacts"
#: a name that leads to this computer, as that of a page by DNS rebinding or of a proxy does
STRANGER = "comfy.stranger.test"
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
    f"--host-resolver-rules=MAP {STRANGER} 127.0.0.1",
)
SETTINGS = {"Comfy.TutorialCompleted": True, "Comfy.InstalledVersion": "1.58.1"}
#: how long a test waits: for a page, for an answer, for a run (a deadline, no measure)
READY_MS, SOON_MS, RUN_MS = 60_000, 20_000, 120_000
TAB_BUTTON = "button[class*='fleet-tab-button'], button[aria-label^='Fleet']"
OWN, NEWER = "own frontend", "frontend 1.58.1"
VIEWPORT = {"width": 1600, "height": 950}
#: what a test left open on the page
TIDY = """async () => {
  for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
  for (const close of document.querySelectorAll(".p-toast-close-button")) close.click();
  await window.app.extensionManager.command.execute("Comfy.NewBlankWorkflow");
  window.app.canvas.ds.reset();
}"""
FAILED = pytest.StashKey[bool]()
IS_BLANK = "window.app.graph.nodes.length === 0"
OUR_FILES = "/extensions/remote-dispatch/"


@dataclass
class Screen:
    """One browser tab on the master's page. ``ours`` are console errors that our own files caused."""

    page: Page
    fleet: Fleet
    name: str
    ours: list[str] = field(default_factory=list)
    palette: str = ""  #: of the page that is loaded
    is_spoilt: bool = False  #: a test failed there; the next one loads the page again

    def watch(self) -> None:
        """From now on, what our files throw, leave unhandled or log as an error, and what our routes cannot
        answer, is noted."""

        def console(message: ConsoleMessage) -> None:
            place = message.location.get("url", "") if message.location else ""
            if message.type == "error" and OUR_FILES in place + thrown_at(message.text):
                self.ours.append(message.text)

        def thrown(error: Error) -> None:
            if OUR_FILES in (error.stack or ""):
                self.ours.append(error.stack or "")

        def answered(response: Response) -> None:
            if "/orchestrator/" in response.url and response.status >= 500:
                self.ours.append(f"HTTP {response.status} {response.url}")

        self.page.on("console", console)
        self.page.on("pageerror", thrown)
        self.page.on("response", answered)

    async def open(self, palette: str = "dark", *, from_the_start: bool = False) -> None:
        """The page with nothing open. Loading takes seconds, so one that is there is tidied, and has an empty
        graph, unless it is wanted `from_the_start`."""
        if self.palette == palette and not (from_the_start or self.is_spoilt):
            await self.page.evaluate(TIDY)
            await self.page.wait_for_function(IS_BLANK, timeout=READY_MS)
            if await self.page.locator(".orc-panel").is_visible():
                await self.page.locator(TAB_BUTTON).first.click()
            return
        request(f"{self.fleet.master.url}/settings", {**SETTINGS, "Comfy.ColorPalette": palette})
        if self.palette:  # else the page opens again, late, what was open
            await self.page.evaluate("localStorage.clear(); sessionStorage.clear()")
        await self.page.goto(self.fleet.master.url)
        await self.is_ready()
        self.palette, self.is_spoilt = palette, False

    async def is_ready(self) -> None:
        await self.page.wait_for_function(
            "window.app?.graph && window.app.extensionManager?.workflow?.activeWorkflow", timeout=READY_MS
        )
        await self.page.locator(TAB_BUTTON).first.wait_for(timeout=READY_MS)

    async def reload(self) -> None:
        await self.page.reload()
        await self.is_ready()

    async def open_fleet_tab(self) -> None:
        await self.page.locator(TAB_BUTTON).first.click()
        await self.page.locator(".orc-panel").wait_for()

    async def picture(self, name: str) -> Path:
        """A screenshot among the test artefacts."""
        path = ARTIFACTS / f"{name}, {self.name}.png".replace(" ", "-").replace(",", "")
        await self.page.screenshot(path=path)
        return path


def thrown_at(text: str) -> str:
    """The innermost file of the stack in a logged error: what we only hand on is the host's."""
    frames = (line for line in text.splitlines() if line.lstrip().startswith("at "))
    return next((frame for frame in frames if "<anonymous>" not in frame), "")


async def choose(peers: Locator, name: str) -> None:
    """From a list of peers, which is filled when somebody turns to it."""
    await peers.focus()
    await peers.select_option(label=name)


@pytest.fixture(scope="session", params=[OWN, NEWER])
def screen_fleet(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A master without registered peers, and two peers, for each frontend."""
    setup = Setup()
    arguments = ("--front-end-root", str(setup.frontend())) if request.param == NEWER else ()
    base = tmp_path_factory.mktemp("screen")
    with Fleet(setup, base, master_arguments=arguments) as running:
        running.frontend = request.param
        yield running


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def chromium() -> AsyncIterator[Browser]:
    program = find_chromium()
    if program is None:
        pytest.fail(HOW_TO)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=str(program), args=list(FLAGS))
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def module_screen(screen_fleet: Fleet, chromium: Browser) -> AsyncIterator[Screen]:
    """The tests of a module share one tab."""
    ARTIFACTS.mkdir(exist_ok=True)
    page = await chromium.new_page(viewport=VIEWPORT)
    screen = Screen(page, screen_fleet, screen_fleet.frontend)

    screen.watch()
    yield screen
    await page.context.close()


@pytest_asyncio.fixture(loop_scope="session")
async def screen(module_screen: Screen, request: pytest.FixtureRequest) -> AsyncIterator[Screen]:
    await module_screen.page.set_viewport_size(VIEWPORT)
    module_screen.ours.clear()
    yield module_screen
    if request.node.stash.get(FAILED, False):
        module_screen.is_spoilt = True
        await module_screen.picture(f"FAILED {request.node.originalname}")
    assert module_screen.ours == []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    item.stash[FAILED] = item.stash.get(FAILED, False) or report.failed
    return report


@pytest_asyncio.fixture(loop_scope="session")
async def lone_master(screen: Screen) -> AsyncIterator[Session]:
    """The master without peers and modes, before and after."""
    async with aiohttp.ClientSession() as http:
        session = Session(http, screen.fleet.master.url, screen.fleet.token)
        await session.forget_peers()
        yield session
        await session.patch(
            "/orchestrator/settings", dict.fromkeys(("fleet_mode", "paused", "this_machine"), False)
        )
        await session.post("/queue", {"clear": True})
        await session.post("/interrupt", {})
        await until(session.is_idle, "nothing runs any more")
        for job in await session.jobs():
            if job["state"] in ("waiting", "running"):
                await session.post(f"/orchestrator/jobs/{job['job_id']}/cancel", {}, status=200)
        await session.forget_peers()


@pytest_asyncio.fixture(loop_scope="session")
async def master(lone_master: Session, screen: Screen) -> Session:
    """The master with both peers up."""
    screen.fleet.register_peers()
    await until(lone_master.peers_are_up, "the peers are up")
    return lone_master


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """They share a browser, hence a loop."""
    for item in items:
        if "browser" in item.keywords and pytest_asyncio.is_async_test(item):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)
