"""A stranger's path: from the installed plugin without peers to the first picture that a peer made.

Every screen of it is kept as a picture, light and dark, on a small and on a wide screen.
"""

from __future__ import annotations

import pytest

from tests.e2e.session import Session
from tests.fakes.comfyui import FakeComfyUI
from tests.fakes.graphs import stock_classes

from .conftest import RUN_MS, SOON_MS, Screen

pytestmark = [pytest.mark.e2e, pytest.mark.browser, pytest.mark.usefixtures("lone_master")]

STEPS = 8  #: presses and pastes from the open page to the picture
EXAMPLE = "First picture, no model"
LOADED = "() => window.app.graph.nodes.some(n => n.type === 'ImageAddNoise')"
HAS_PICTURE = "() => window.app.graph.nodes.find(n => n.type === 'SaveImage')?.imgs?.length > 0"
#: from picture to picture one thing changes
LOOKS = (("dark", 1280, 800), ("dark", 1920, 1080), ("light", 1920, 1080), ("light", 1280, 800))
BACKGROUND = "() => getComputedStyle(document.body).getPropertyValue('--comfy-menu-bg')"
SET_PALETTE = "name => window.app.extensionManager.setting.set('Comfy.ColorPalette', name)"
IS_ANOTHER = f"before => ({BACKGROUND})() !== before"
TWO_FRAMES = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
#: those out of sight may wait until somebody scrolls there
PICTURES_IN_SIGHT = """() => [...document.images].every(image => {
  const { top, bottom } = image.getBoundingClientRect();
  return image.complete || bottom < 0 || top > innerHeight;
})"""
TEMPLATES = "button[aria-label^='Templates'], button.templates-tab-button"


class Path:
    """Counts what the stranger does, and takes pictures of each step: every palette in every size."""

    def __init__(self, screen: Screen) -> None:
        self.steps = 0
        self._screen = screen

    async def step(self, what: str) -> None:
        self.steps += 1
        for palette, width, height in LOOKS:
            await self._wear(palette)
            await self._screen.page.set_viewport_size({"width": width, "height": height})
            await self._screen.page.evaluate(TWO_FRAMES)
            await self._screen.picture(f"First minutes {palette} {width} {self.steps} {what}")
        await self._wear(LOOKS[0][0])

    async def _wear(self, palette: str) -> None:
        page = self._screen.page
        if self._screen.palette == palette:
            return
        before = await page.evaluate(BACKGROUND)
        await page.evaluate(SET_PALETTE, palette)
        await page.wait_for_function(IS_ANOTHER, arg=before, timeout=SOON_MS)
        self._screen.palette = palette


async def test_a_stranger_gets_a_picture_from_a_peer_in_eight_steps(screen: Screen) -> None:
    page, peer = screen.page, screen.fleet.peers[0]
    await screen.open(from_the_start=True)
    path = Path(screen)

    await screen.open_fleet_tab()
    form = page.get_by_role("form", name="The first peer")
    await form.wait_for()
    await path.step("the tab teaches")
    await form.get_by_label("Address").fill(peer.url.removeprefix("http://"))
    await path.step("the address is pasted")
    await form.get_by_role("button", name="Add").click()
    await page.get_by_text("answers: ComfyUI").wait_for(timeout=SOON_MS)
    await path.step("it answers")
    await page.locator(".orc-lesson").get_by_role("button", name="Test").click()
    await page.get_by_role("button", name="Turn on fleet mode").wait_for(timeout=RUN_MS)
    assert "Works" in await page.locator(".orc-lesson").inner_text()
    await path.step("it works")
    await page.locator(TEMPLATES).first.click()
    await page.get_by_text("remote-dispatch", exact=True).wait_for(timeout=SOON_MS)
    await path.step("templates")
    await page.get_by_text("remote-dispatch", exact=True).click()
    example = page.get_by_role("heading", name=EXAMPLE)
    await example.wait_for(timeout=SOON_MS)
    await example.scroll_into_view_if_needed()  # the host lists them in the order of the disk
    await page.wait_for_function(PICTURES_IN_SIGHT, timeout=RUN_MS)
    await path.step("our examples")
    await example.click()
    await page.wait_for_function(LOADED, timeout=SOON_MS)
    await path.step("the example")
    await page.get_by_role("button", name="Run", exact=True).first.click()
    await page.wait_for_function(HAS_PICTURE, timeout=RUN_MS)
    await page.locator(".orc-row", has_text="done").first.wait_for(timeout=SOON_MS)
    await path.step("the picture")
    assert path.steps == STEPS


async def test_a_wrong_address_is_explained_and_can_be_corrected_in_its_place(screen: Screen) -> None:
    await screen.open()
    await screen.open_fleet_tab()
    page = screen.page
    form = page.get_by_role("form", name="The first peer")
    await form.get_by_label("Address").fill("127.0.0.1:9")
    await form.get_by_label("Address").press("Enter")
    await page.locator(".orc-lesson [role=alert]", has_text="refused the connection").wait_for(
        timeout=SOON_MS
    )
    await screen.picture("First minutes wrong address")
    await form.get_by_label("Address").fill(screen.fleet.peers[0].url)
    await form.get_by_role("button", name="Try again").click()
    await page.get_by_text("answers: ComfyUI").wait_for(timeout=SOON_MS)
    await page.locator(".orc-lesson button:enabled", has_text="Test").wait_for(timeout=SOON_MS)
    await page.get_by_text("127.0.0.1:9", exact=True).wait_for(state="hidden", timeout=SOON_MS)


async def test_a_key_is_asked_for_where_the_address_was_entered(screen: Screen, lone_master: Session) -> None:
    await screen.open(from_the_start=True)
    await screen.open_fleet_tab()
    form = screen.page.get_by_role("form", name="The first peer")
    async with FakeComfyUI(key=("Authorization", "Bearer x")) as locked:
        locked.object_info = stock_classes()
        await form.get_by_label("Address").fill(locked.url)
        await form.get_by_role("button", name="Add").click()
        key = form.get_by_label("Key", exact=True)
        await key.wait_for(timeout=SOON_MS)
        await screen.page.wait_for_function("document.activeElement.type === 'password'", timeout=SOON_MS)
        await screen.picture("First minutes, a key is needed")
        await key.fill("Bearer x")
        await key.press("Enter")
        await screen.page.get_by_text("answers: ComfyUI").wait_for(timeout=SOON_MS)
        assert await key.count() == 0 or not await key.is_visible()
        await screen.page.locator(".orc-lesson button:enabled", has_text="Test").wait_for(timeout=SOON_MS)


async def test_the_help_of_the_tab_opens_with_its_pictures(screen: Screen) -> None:
    await screen.open()
    await screen.open_fleet_tab()
    page = screen.page
    async with page.context.expect_page() as opened:
        await page.get_by_role("link", name="Help").first.click()
    help_page = await opened.value
    await help_page.get_by_role("heading", name="Fleet").wait_for(timeout=SOON_MS)
    broken = "() => [...document.images].filter(image => !image.naturalWidth).map(image => image.src)"
    assert await help_page.evaluate(broken) == []
    await help_page.screenshot(path=await screen.picture("Help of the Fleet tab"), full_page=True)
