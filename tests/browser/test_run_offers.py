"""What a refused Run offers in a real browser: this computer, where the peers lack something."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from playwright.async_api import Locator

from tests.e2e.graphs import node
from tests.e2e.session import Session, until

from .conftest import SOON_MS, Screen
from .test_fleet_jobs import scripted
from .test_fleet_mode import switch_on
from .test_outlook import LINE

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

COUNT = 3
LOAD = "graph => window.app.loadApiJson(graph, 'graph')"
HOSTS_MESSAGE = "() => /is missing|Invert Image( Colors)? returned/.test(document.body.innerText)"
LACKS = re.compile(r"They lack Invert Image( Colors)?\.")  # as the host calls it
RUN_BATCH = "count => void window.app.queuePrompt(0, count)"


def only_here(color: int) -> dict[str, Any]:
    """The peer of these tests has no ImageInvert."""
    return {
        "1": node("EmptyImage", width=16, height=16, batch_size=1, color=color),
        "2": node("ImageInvert", image=["1", 0]),
        "3": node("SaveImage", images=["2", 0], filename_prefix="offers"),
    }


def dialog(screen: Screen) -> Locator:
    return screen.page.locator("dialog.orc-dialog")


async def open_graph(screen: Screen, color: int, palette: str = "dark") -> None:
    await screen.open(palette)
    await screen.page.evaluate(LOAD, json.loads(json.dumps(only_here(color))))


@pytest.mark.parametrize("palette", ["dark", "light"])
async def test_what_no_peer_can_run_runs_on_this_computer_with_one_press(
    screen: Screen, lone_master: Session, palette: str
) -> None:
    async with scripted(lone_master, "gpu-1"), scripted(lone_master, "gpu-2"):
        await until(lone_master.peers_are_up, "the peers are up")
        await open_graph(screen, len(screen.name + palette), palette)
        await switch_on(screen)
        before = set(await lone_master.get("/history"))
        await screen.page.evaluate(RUN_BATCH, COUNT)
        await dialog(screen).get_by_text("Your peers cannot run this workflow").wait_for(timeout=SOON_MS)
        await dialog(screen).get_by_text(LACKS).wait_for()
        await screen.picture(f"No peer can run it in {palette}")
        await dialog(screen).get_by_role("button", name="Show details").press("Enter")
        await dialog(screen).get_by_text("gpu-1, gpu-2").wait_for()
        await screen.picture(f"No peer can run it, why in {palette}")
        await dialog(screen).get_by_role("button", name="Run on this computer").click()

        async def ended() -> list[Any]:
            history = await lone_master.get("/history")
            return [entry for key, entry in history.items() if key not in before]

        ran = await until(lambda: enough(ended), f"{COUNT} prompts ran here")
        assert all(entry["status"]["status_str"] == "success" for entry in ran)
        assert await dialog(screen).count() == 0, "a batch is asked about once"
        assert [job for job in await lone_master.jobs() if job["state"] in ("waiting", "running")] == []


async def enough(ended: Any) -> list[Any]:
    found: list[Any] = await ended()
    return found if len(found) == COUNT else []


async def test_who_does_not_want_that_keeps_the_prompt(screen: Screen, lone_master: Session) -> None:
    async with scripted(lone_master, "gpu-1"):
        await until(lone_master.peers_are_up, "the peer is up")
        await open_graph(screen, 7)
        await switch_on(screen)
        before = set(await lone_master.get("/history"))
        await screen.page.evaluate(RUN_BATCH, 1)
        await dialog(screen).get_by_text("gpu-1 cannot run this workflow").wait_for(timeout=SOON_MS)
        await screen.page.keyboard.press("Escape")
        await dialog(screen).wait_for(state="detached")
        await screen.page.wait_for_function(HOSTS_MESSAGE, timeout=SOON_MS)
        assert set(await lone_master.get("/history")) == before
        screen.is_spoilt = True  # by the host's message, which the next test would find over its page


async def test_with_this_computer_included_the_outlook_counts_it(
    screen: Screen, lone_master: Session
) -> None:
    async with scripted(lone_master, "gpu-1"):
        await until(lone_master.peers_are_up, "the peer is up")
        await open_graph(screen, 8)
        await screen.open_fleet_tab()
        await switch_on(screen)
        line = screen.page.locator(LINE)
        await line.filter(has_text="No peer can run this workflow right now").wait_for(timeout=SOON_MS)
        await screen.page.get_by_role("switch", name="Include this computer").click()
        await line.filter(has_text="Next run: this computer").wait_for(timeout=SOON_MS)
        await screen.picture("Outlook with this computer")
