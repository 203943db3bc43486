"""A whole first day without a mouse: add a peer, run, watch, send a batch, edit it, cancel it, be told."""

from __future__ import annotations

import pytest
from playwright.async_api import Page

from tests.e2e.session import Session, until

from .conftest import RUN_MS, SOON_MS, Screen
from .test_batches import LOAD, RESIZE, drawn

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

TABS_MAX, TRIES_MAX = 250, 20
#: what a screen reader would say of the element in focus, if that is part of the given one
SAID = """part => {
  const focused = document.activeElement;
  if (!focused.closest(part)) return null;
  const said = [focused.getAttribute("aria-label"), focused.labels?.[0]?.textContent, focused.textContent];
  return said.filter(Boolean).join(" | ");
}"""
OURS = ".orc-panel"
SIDEBAR_BUTTON = "button[class*='fleet-tab-button'], button[aria-label^='Fleet']:not(.orc-fleet-toggle)"
BATCH_COUNT = "[class*=batch-count] input"
WISH = "() => window.app.extensionManager.setting.get('RemoteDispatch.TellDone')"


async def reach(page: Page, said: str, part: str = OURS, key: str = "Tab") -> None:
    """Go from control to control until one of this part is in focus of which this is said."""
    for _ in range(TABS_MAX):
        now = await page.evaluate(SAID, part)
        if now is not None and said in now:
            return
        # A long list is skipped, as its first stop offers.
        skips = (await page.evaluate(SAID, OURS) or "").startswith("Skip the list")
        await page.keyboard.press("Enter" if skips and key == "Tab" else key)
    raise AssertionError(f"No control of {part} says {said!r}")


async def press(page: Page, said: str, part: str = OURS, key: str = "Tab") -> None:
    await reach(page, said, part, key)
    await page.keyboard.press("Enter")


async def gets_focus(page: Page, said: str, timeout: float = SOON_MS) -> None:
    """Without a key: the next step is where the person is already."""
    await page.wait_for_function(f"said => ({SAID})('{OURS}')?.includes(said)", arg=said, timeout=timeout)


async def test_the_first_day_goes_by_keys_alone(screen: Screen, lone_master: Session) -> None:
    page = screen.page
    await screen.open(from_the_start=True)
    await press(page, "", SIDEBAR_BUTTON)
    await reach(page, "Address of the other computer")
    await page.keyboard.type(screen.fleet.peers[0].url)
    await page.keyboard.press("Enter")
    await gets_focus(page, "Test")
    await page.keyboard.press("Enter")
    await gets_focus(page, "Turn on fleet mode", RUN_MS)
    await page.keyboard.press("Enter")

    async def is_on() -> bool:
        return bool((await lone_master.get("/orchestrator/settings"))["fleet_mode"])

    await until(is_on, "fleet mode is on")
    # A workflow on the canvas is the host's to make.
    await page.evaluate(LOAD, drawn(1))
    await page.keyboard.press("Control+Enter")
    await page.locator("[aria-label=Finished] > .orc-row", has_text="portrait").wait_for(timeout=RUN_MS)

    await press(page, "Pause")
    await reach(page, "", BATCH_COUNT)
    await page.keyboard.press("Control+A")
    await page.keyboard.type("3")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Control+Enter")
    row = page.locator(".orc-batch", has_text="× 3")
    await row.get_by_text("3 waiting").wait_for(timeout=SOON_MS)
    await press(page, "Edit workflow: ")
    bar = page.get_by_role("region", name="Editing a waiting job")
    await bar.wait_for(timeout=SOON_MS)
    await page.evaluate(RESIZE, 24)
    await gets_focus(page, "Put back in the queue")
    await page.keyboard.press("Enter")
    await bar.wait_for(state="detached", timeout=SOON_MS)
    await press(page, "Cancel batch")
    await gets_focus(page, "Keep")
    await press(page, "Cancel 3 jobs", key="Shift+Tab")
    await row.get_by_text("3 cancelled").wait_for(timeout=SOON_MS)

    await _ask_for_a_sound(page)
    assert await page.evaluate(WISH) == "sound"


async def _ask_for_a_sound(page: Page) -> None:
    """In the host's own settings."""
    await page.keyboard.press("Control+,")
    await page.get_by_role("dialog").first.wait_for(timeout=SOON_MS)
    await page.keyboard.type("work is done")
    await page.get_by_text("Tell me when work is done").first.wait_for(timeout=SOON_MS)
    await reach(page, "", "[role=combobox]:not(input)")
    sound = page.get_by_role("option", name="by a sound")
    for _ in range(TRIES_MAX):  # the list takes the keys a moment after it opens
        if await page.evaluate(WISH) == "sound":
            return
        if await sound.is_visible():
            await page.keyboard.press("End")
            await page.keyboard.press("Enter")
        else:
            await page.keyboard.press("ArrowDown")
        await page.evaluate("() => new Promise(requestAnimationFrame)")
