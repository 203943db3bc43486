"""F56 in Chromium: a page under a name that is not ours, and how its user makes it one; and keys of peers."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.e2e.session import Session, until
from tests.fakes.comfyui import FakeComfyUI
from tests.fakes.gateway import Gateway
from tests.fakes.graphs import stock_classes

from .conftest import READY_MS, SOON_MS, STRANGER, Screen
from .test_fleet_jobs import open_tab, peer_row, scripted
from .test_fleet_tab import NAME

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

IS_OFF = "The fleet is off at"
ACCESS = {"CF-Access-Client-Id": "master.access", "CF-Access-Client-Secret": "s3cr3t-of-access"}


@pytest_asyncio.fixture(loop_scope="session")
async def strangers_page(screen: Screen, lone_master: Session) -> AsyncIterator[Screen]:
    """The master's page, opened at a name that leads to it and that it does not know."""
    browser = screen.page.context.browser
    assert browser is not None
    await screen.open()  # else the page would greet a newcomer
    page = await browser.new_page()
    try:
        await page.goto(lone_master.url.replace("127.0.0.1", STRANGER), wait_until="commit", timeout=READY_MS)
        await page.wait_for_load_state(timeout=READY_MS)
        yield Screen(page, screen.fleet, f"{screen.name} stranger")
    finally:
        await page.context.close()
        await lone_master.patch("/orchestrator/settings", {"accepted_hosts": []})


async def show_fleet(screen: Screen) -> None:
    """The tab, which the page may have opened by itself."""
    await screen.is_ready()
    if not await screen.page.locator(".orc-panel").is_visible():
        await screen.open_fleet_tab()


async def test_f56_a_page_at_an_unknown_name_says_that_the_fleet_is_off_until_its_user_accepts_the_name(
    screen: Screen, lone_master: Session, strangers_page: Screen
) -> None:
    there, here = strangers_page.page, screen.page
    name = lone_master.url.replace("http://127.0.0.1", STRANGER)
    async with scripted(lone_master, "gpu-1"):
        await show_fleet(strangers_page)
        said = there.locator(".orc-panel").get_by_text(f"{IS_OFF} {name}")
        await said.wait_for(timeout=SOON_MS)
        await strangers_page.picture("Fleet off at this address")
        assert await peer_row(strangers_page, "gpu-1").count() == 0

        await open_tab(screen)
        asked = here.locator(".orc-address", has_text=name)
        await asked.wait_for(timeout=SOON_MS)
        await screen.picture("Fleet tab address to accept")
        await asked.get_by_role("button", name="Accept this address").click()
        done = here.get_by_role("status").filter(has_text=f"{name} is accepted. Reload the page there.")
        await done.wait_for(timeout=SOON_MS)
        await screen.picture("Fleet tab address accepted")
        await there.reload()
        await show_fleet(strangers_page)
        await peer_row(strangers_page, "gpu-1").wait_for(timeout=READY_MS)
        assert await said.count() == 0

        await done.get_by_role("button", name="Undo").click()
        await done.wait_for(state="detached", timeout=SOON_MS)
        assert (await lone_master.get("/orchestrator/settings"))["accepted_hosts"] == []
        await there.reload()
        await show_fleet(strangers_page)
        await said.wait_for(timeout=READY_MS)
        assert await peer_row(strangers_page, "gpu-1").count() == 0


async def test_a_peer_behind_a_gateway_is_added_with_a_bearer_token_and_one_with_cloudflares_two_headers(
    screen: Screen, lone_master: Session
) -> None:
    page = screen.page
    async with FakeComfyUI() as first, FakeComfyUI() as second:
        first.object_info = second.object_info = stock_classes()
        async with Gateway({"bearer": first.url, "access": second.url}) as gateway:
            gateway.wanted = {"bearer": {"Authorization": "Bearer t0ken"}, "access": ACCESS}
            await open_tab(screen)
            form = page.get_by_role("form", name="Add a peer")
            how = form.get_by_label("How is the key sent?")
            ways = {
                "bearer": ("Bearer token", {"Token": "t0ken"}),
                "access": (
                    "Cloudflare Access",
                    dict(zip(("Client ID", "Client secret"), ACCESS.values(), strict=True)),
                ),
            }
            for name, (way, keys) in ways.items():
                await page.locator("[data-orc-add]").click()
                await form.get_by_label("Address").fill(gateway.url(name))
                await form.get_by_label(NAME).fill(name)
                await form.get_by_text("Key", exact=True).first.click()
                await how.select_option(label=way)
                await form.get_by_role("button", name="Add", exact=True).click()
                await form.get_by_text("Fill this in, or choose another way.").wait_for()
                for label, key in keys.items():
                    await form.get_by_label(label, exact=True).fill(key)
                await form.get_by_role("button", name="Add", exact=True).click()
                await form.wait_for(state="detached", timeout=SOON_MS)

            async def are_up() -> bool:
                return {peer["health"] for peer in (await lone_master.peers()).values()} == {"up"}

            await until(are_up, "both are let in")
            assert {status for _, status in gateway.refused} == set()

            gateway.wanted = {}
            row = peer_row(screen, "access")
            await row.locator(".orc-row-head").click()
            await row.get_by_role("button", name="Edit").click()
            form = page.get_by_role("form", name="Edit access")
            how = form.get_by_label("How is the key sent?")
            await form.get_by_text("Key (saved)").click()
            assert await how.input_value() == "kept"
            assert "s3cr3t" not in await page.content()
            await how.select_option(label="None: delete the saved key")
            await form.get_by_role("button", name="Save").click()
            await form.wait_for(state="detached", timeout=SOON_MS)
            stored = {name: peer["has_credentials"] for name, peer in (await lone_master.peers()).items()}
            assert stored == {"bearer": True, "access": False}
