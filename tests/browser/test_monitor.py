"""The monitor, as a page of its own and in ComfyUI's bottom panel, on both frontends; peers are scripted."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.async_api import Browser, Locator, Page, expect

from tests.e2e.session import Session
from tests.fakes.comfyui import FakeComfyUI

from .conftest import ARTIFACTS, SOON_MS, Screen
from .test_accessible import grave_findings
from .test_fleet_jobs import reaches, scripted, submit

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

COMMAND = "name => void window.app.extensionManager.command.execute('RemoteDispatch.' + name)"
MONITOR = "/orchestrator/monitor"
SIZES = {"phone": (390, 844), "laptop": (1280, 800), "screen": (1920, 1080)}
PANEL_CLOSED = "() => !document.querySelector('.orc-monitor')"


@dataclass
class Work:
    """The fleet of a test. Jobs of earlier tests stay listed, so its own have a mark in their names."""

    busy: FakeComfyUI
    mark: str

    def named(self, title: str) -> str:
        return f"{title} {self.mark}"


@asynccontextmanager
async def fleet_at_work(master: Session) -> AsyncIterator[Work]:
    """Two jobs done and one that runs on gpu-busy, one failed on gpu-bad, two that wait; a peer is away."""
    async with scripted(master, "gpu-busy") as busy, scripted(master, "gpu-bad") as bad:
        work = Work(busy, secrets.token_hex(3))
        await master.post(
            "/orchestrator/peers", {"name": "gpu-gone", "url": "http://127.0.0.1:9"}, status=201
        )
        for title in ("cat 0", "cat 1"):
            await reaches(master, await submit(master, work.named(title), peer="gpu-busy"), "done")
        bad.on_prompt = "fail"
        await reaches(master, await submit(master, work.named("a broken one"), peer="gpu-bad"), "failed")
        busy.on_prompt = "hold"
        await reaches(master, await submit(master, work.named("a long one"), peer="gpu-busy"), "running")
        await master.patch("/orchestrator/settings", {"paused": True})
        for title in ("one that waits", "another"):
            await submit(master, work.named(title), peer="gpu-busy")
        yield work


@asynccontextmanager
async def monitor_page(
    screen: Screen, chromium: Browser, size: str = "laptop", scheme: Any = "dark", place: str = MONITOR
) -> AsyncIterator[Page]:
    width, height = SIZES[size]
    page = await chromium.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    try:
        await page.goto(screen.fleet.master.url + place)
        yield page
        assert errors == []
    finally:
        await page.context.close()


def peer_line(page: Page, name: str) -> Locator:
    return page.locator(".orc-monitor-peers .orc-windowed > .orc-tr", has_text=name)


def job_lines(page: Page, title: str = "") -> Locator:
    return page.locator(".orc-monitor-jobs .orc-windowed > .orc-tr", has_text=title)


def cell(line: Locator, column: str) -> Locator:
    return line.locator(f"[data-column={column}]")


async def titles(page: Page) -> list[str]:
    """Of the jobs, from the top: a windowed row may stand anywhere in the document."""
    lines = await page.locator(".orc-monitor-jobs .orc-windowed > .orc-tr").evaluate_all(
        "rows => rows.map(row => [row.ariaRowIndex, row.querySelector('[data-column=title]').textContent])"
    )
    return [title for _, title in sorted((int(number), title) for number, title in lines)]


async def test_the_page_tells_of_peers_busy_first_and_of_all_jobs(
    screen: Screen, lone_master: Session, chromium: Browser
) -> None:
    async with fleet_at_work(lone_master) as work, monitor_page(screen, chromium) as page:
        busy = peer_line(page, "gpu-busy")
        await expect(cell(busy, "job")).to_contain_text(work.named("a long one"), timeout=SOON_MS)
        await expect(cell(busy, "state")).to_have_text("busy")
        await expect(cell(busy, "done")).to_have_text("2", timeout=SOON_MS)
        name = busy.get_by_role("button", name="gpu-busy")
        seen = await name.evaluate("name => [name.offsetWidth > 30, getComputedStyle(name).opacity]")
        assert seen == [True, "1"]
        bad = peer_line(page, "gpu-bad")
        await expect(cell(bad, "failed")).to_have_text("1", timeout=SOON_MS)
        await expect(cell(bad, "state")).to_have_text("idle")
        await expect(cell(peer_line(page, "gpu-gone"), "state")).not_to_have_text("idle")
        assert await busy.get_attribute("aria-rowindex") == "2"
        assert (await titles(page))[:3] == [
            work.named(t) for t in ("a long one", "one that waits", "another")
        ]
        await expect(page.locator(".orc-panel-head")).to_contain_text("paused")


async def test_what_happens_is_seen_without_reloading(
    screen: Screen, lone_master: Session, chromium: Browser
) -> None:
    async with fleet_at_work(lone_master) as work, monitor_page(screen, chromium) as page:
        await job_lines(page, work.named("a long one")).wait_for(timeout=SOON_MS)
        work.busy.on_prompt = "run"
        await lone_master.patch("/orchestrator/settings", {"paused": False})
        await job_lines(page, work.named("a long one")).get_by_role("button", name="Cancel").click()
        await expect(cell(job_lines(page, work.named("a long one")), "state")).to_have_text(
            "cancelled", timeout=SOON_MS
        )
        await expect(cell(job_lines(page, work.named("another")), "state")).to_have_text(
            "done", timeout=SOON_MS
        )
        await expect(cell(peer_line(page, "gpu-busy"), "done")).to_have_text("4", timeout=SOON_MS)


async def test_jobs_are_sorted_filtered_and_shown_by_the_columns_that_are_chosen(
    screen: Screen, lone_master: Session, chromium: Browser
) -> None:
    async with fleet_at_work(lone_master) as work, monitor_page(screen, chromium) as page:
        await job_lines(page, work.named("a long one")).wait_for(timeout=SOON_MS)
        jobs = page.get_by_role("region", name="Jobs")
        await jobs.get_by_role("button", name="Failed").click()
        await expect(job_lines(page, work.named("a broken one"))).to_have_count(1)
        await expect(jobs.get_by_text("matching job")).to_be_visible()
        await expect(job_lines(page, work.named("a long one"))).to_have_count(0)
        await jobs.get_by_role("button", name="All", exact=True).click()

        await peer_line(page, "gpu-bad").get_by_role("button", name="gpu-bad").click()
        await expect(job_lines(page, work.named("a long one"))).to_have_count(0)
        assert await titles(page) == [work.named("a broken one")]
        await peer_line(page, "gpu-bad").click()
        await job_lines(page, work.named("a long one")).wait_for()

        title = jobs.get_by_role("columnheader", name="Job")
        await title.get_by_role("button").click()
        assert await title.get_attribute("aria-sort") == "ascending"
        await page.get_by_label("Search jobs").fill(work.mark)
        await expect(job_lines(page)).to_have_count(6)
        in_order = ("a broken one", "a long one", "another", "cat 0", "cat 1", "one that waits")
        assert await titles(page) == [work.named(name) for name in in_order]
        await page.get_by_label("Search jobs").fill(f"broken {work.mark}")
        await expect(job_lines(page)).to_have_count(1)

        await jobs.locator("summary", has_text="Columns").click()
        await jobs.get_by_role("checkbox", name="Client").check()
        await jobs.get_by_role("checkbox", name="Sent").uncheck()
        await page.reload()
        await jobs.get_by_role("columnheader", name="Client").wait_for(timeout=SOON_MS)
        await expect(jobs.get_by_role("columnheader", name="Sent")).to_have_count(0)


async def test_a_failed_job_is_retried_by_keyboard_alone(
    screen: Screen, lone_master: Session, chromium: Browser
) -> None:
    async with fleet_at_work(lone_master) as work, monitor_page(screen, chromium) as page:
        await job_lines(page, work.named("a broken one")).wait_for(timeout=SOON_MS)
        await page.get_by_label("Search jobs").focus()
        await page.keyboard.type(work.mark)
        await expect(job_lines(page)).to_have_count(6)
        focused = "document.activeElement.ariaLabel ?? document.activeElement.textContent"
        for _ in range(30):
            await page.keyboard.press("Tab")
            if await page.evaluate(focused) == f"Retry: {work.named('a broken one')}":
                break
        await page.keyboard.press("Enter")
        await expect(job_lines(page, work.named("a broken one"))).to_have_count(2, timeout=SOON_MS)


@pytest.mark.parametrize("scheme", ["dark", "light"])
@pytest.mark.parametrize("size", SIZES)
async def test_every_size_in_dark_and_light_is_fit_for_all(
    screen: Screen, lone_master: Session, chromium: Browser, size: str, scheme: str
) -> None:
    async with fleet_at_work(lone_master) as work, monitor_page(screen, chromium, size, scheme) as page:
        await job_lines(page, work.named("a long one")).wait_for(timeout=SOON_MS)
        if size == "laptop":
            await page.locator(".orc-monitor-timeline summary").click()
        for view in ("Queue", "Results", "Peers") if size == "phone" else ("",):
            if view:
                await page.get_by_role("navigation").get_by_role("button", name=view).click()
                shown = peer_line(page, "gpu-bad") if view == "Peers" else job_lines(page).first
                await expect(shown).to_be_visible()
                wide = await page.evaluate("document.documentElement.scrollWidth")
                assert wide <= SIZES["phone"][0]
            assert await grave_findings(page, ".orc-monitor") == []
            name = f"Monitor {size} {view} {scheme}, {screen.name}.png".replace(" ", "-").replace(",", "")
            await page.screenshot(path=ARTIFACTS / name)


async def test_on_a_phone_queue_and_results_are_cards_that_a_thumb_can_press(
    screen: Screen, lone_master: Session, chromium: Browser
) -> None:
    async with fleet_at_work(lone_master) as work, monitor_page(screen, chromium, "phone") as page:
        await job_lines(page, work.named("one that waits")).wait_for(timeout=SOON_MS)
        await expect(job_lines(page, work.named("a broken one"))).to_have_count(0)
        cancel = job_lines(page, work.named("one that waits")).get_by_role("button", name="Cancel")
        box = await cancel.bounding_box()
        assert box is not None and min(box["width"], box["height"]) >= 40
        await cancel.click()
        await expect(job_lines(page, work.named("one that waits"))).to_have_count(0, timeout=SOON_MS)
        await page.get_by_role("button", name="Results").click()
        await job_lines(page, work.named("a broken one")).wait_for()
        picture = job_lines(page, work.named("cat 1")).get_by_role("link")
        assert "/view?" in str(await picture.get_attribute("href"))
        await page.get_by_role("button", name="Peers").click()
        await peer_line(page, "gpu-bad").click()
        await job_lines(page, work.named("a broken one")).wait_for()
        await expect(job_lines(page, work.named("cat 1"))).to_have_count(0)


async def test_the_page_speaks_the_language_of_comfyui_and_works_below_api(
    screen: Screen, lone_master: Session, chromium: Browser
) -> None:
    await lone_master.post("/settings/Comfy.Locale", "fr")
    try:
        async with monitor_page(screen, chromium, place="/api/orchestrator/monitor") as page:
            await expect(page.get_by_role("heading", level=1)).to_have_text("Moniteur", timeout=SOON_MS)
            assert "Moniteur" in await page.title()
    finally:
        await lone_master.post("/settings/Comfy.Locale", "en")


@pytest.mark.parametrize("palette", ["dark", "light"])
async def test_the_bottom_panel_shows_the_same_and_the_tab_leads_there(
    screen: Screen, lone_master: Session, palette: str
) -> None:
    page = screen.page
    await screen.open(palette)
    async with fleet_at_work(lone_master) as work:
        await page.evaluate(COMMAND, "ToggleMonitor")
        await job_lines(page, work.named("a long one")).wait_for(timeout=SOON_MS)
        await expect(cell(peer_line(page, "gpu-busy"), "state")).to_have_text("busy", timeout=SOON_MS)
        assert await grave_findings(page, ".orc-monitor") == []
        await screen.picture(f"Monitor in the bottom panel {palette}")
        await page.evaluate(COMMAND, "ToggleMonitor")
        await page.wait_for_function(PANEL_CLOSED)
        await screen.open_fleet_tab()
        link = page.locator(".orc-panel-head").get_by_role("link", name="Monitor")
        async with page.context.expect_page() as opened:
            await link.click()
        own = await opened.value
        await job_lines(own, work.named("a long one")).wait_for(timeout=SOON_MS)
        await own.close()


async def test_a_job_named_like_markup_stays_text(
    screen: Screen, lone_master: Session, chromium: Browser
) -> None:
    hostile = "<img src=x onerror=alert(1)>"
    async with scripted(lone_master, hostile):
        await reaches(lone_master, await submit(lone_master, json.dumps(hostile)), "done")
        async with monitor_page(screen, chromium) as page:
            await job_lines(page, hostile).first.wait_for(timeout=SOON_MS)
            assert await page.locator("img[src='x']").count() == 0
