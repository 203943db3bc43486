"""Makes the pictures of README, manual, help and templates again: python docs/pictures.py [NAME ...]

A real master, four stock peers and Chromium, as in the tests; nothing is drawn or touched up. The pictures
come from the example "Mountains, no model", whose nodes every ComfyUI has.
"""

from __future__ import annotations

import asyncio
import base64
import io
import json
import sys
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from PIL import Image
from playwright.async_api import Locator, Page, async_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from docs.canvas import DISPATCH, FIT, LOADED, OPEN, SET, THROUGH_VAE  # noqa: E402
from docs.frames import Frame, animate, beside, save  # noqa: E402
from tests.browser.conftest import FLAGS, SETTINGS, TAB_BUTTON  # noqa: E402
from tests.e2e.session import Session, until  # noqa: E402
from tests.rig.chromium import HOW_TO, find_chromium  # noqa: E402
from tests.rig.environment import RigError, Setup  # noqa: E402
from tests.rig.fleet import Fleet  # noqa: E402

MANUAL, HELP, EXAMPLES = (
    ROOT / "docs" / "images",
    ROOT / "web" / "docs" / "images",
    ROOT / "example_workflows",
)
PEERS = ("studio", "render-1", "render-2", "attic")
WAIT_MS = 180_000
#: the page without what would only distract in a picture
QUIET = {
    **SETTINGS,
    "Comfy.ColorPalette": "dark",
    "Comfy.Minimap.Visible": False,
    "Comfy.Graph.CanvasInfo": False,
    "LiteGraph.Canvas.MinFontSizeForLOD": 0,
}
MOUNTAINS, FIRST = "Mountains, no model", "First picture, no model"
#: what of each template its thumbnail shows: left, top, right, bottom
VIEWS = {
    FIRST: (600, -20, 1630, 560),
    MOUNTAINS: (1130, -60, 2760, 860),
    "Remote Dispatch": (10, 60, 1070, 580),
    "Tiled upscale": (680, -40, 2150, 860),
    "Tiles, no model": (920, -60, 2660, 540),
    "Two peers at once": (620, -20, 1620, 620),
    "Whole graph on a peer": (620, -20, 1920, 620),
}
#: which make noise, or nothing, with the models that there are here
NOT_RUN = ("Remote Dispatch", "Tiled upscale")
HERE_ONLY, THERE_ONLY = "warm-colours.safetensors", "fine-colours.safetensors"
#: what the page would else mark as missing
OF_TEMPLATES = (
    "input/example.png",
    "models/checkpoints/v1-5-pruned-emaonly-fp16.safetensors",
    "models/controlnet/control_v11f1e_sd15_tile_fp16.safetensors",
)
BLUR, SEED = 17, 7  #: nodes of the mountains


@dataclass
class Stage:
    """A tab on the master's page, and the peers' addresses; none of them is registered yet."""

    page: Page
    master: Session
    peers: tuple[str, ...]

    async def open(self, example: str = "", *, peers: int = 0) -> None:
        """The page from the start with these peers, fleet mode off, and this example on the canvas."""
        await self.master.patch("/orchestrator/settings", {"fleet_mode": False, "paused": False})
        if len((await self.master.get("/orchestrator/peers"))["peers"]) != peers:
            await self.master.forget_peers()
            for name, url in list(zip(PEERS, self.peers, strict=True))[:peers]:
                await self.master.post("/orchestrator/peers", {"name": name, "url": url})
        await until(self.master.peers_are_up, "the peers are up")
        await self.master.post("/settings", QUIET)
        if self.page.url.startswith("http"):
            await self.page.evaluate("localStorage.clear(); sessionStorage.clear()")
        await self.page.goto(self.master.url)
        await self.page.wait_for_function(LOADED, timeout=WAIT_MS)
        await self.page.locator(TAB_BUTTON).first.wait_for(timeout=WAIT_MS)
        if example:
            graph = json.loads((EXAMPLES / f"{example}.json").read_text("utf-8"))
            name = example.partition(",")[0]
            await self.master.post(f"/userdata/workflows%2F{name}.json?overwrite=true", graph)
            await self.page.evaluate(OPEN, [graph, name])
            await self.page.wait_for_timeout(1000)

    async def tab(self) -> Locator:
        await self.page.locator(TAB_BUTTON).first.click()
        panel = self.page.locator(".orc-panel")
        await panel.wait_for()
        return panel

    async def fleet_mode(self) -> None:
        await self.page.locator(".orc-fleet-toggle").first.click()
        await self.page.locator(".orc-fleet-toggle[aria-pressed=true]").first.wait_for()
        await self.page.wait_for_timeout(6000)  # until its message is gone

    async def run(self, times: int = 1) -> None:
        if times > 1:
            count = self.page.get_by_role("textbox", name="Batch Count")
            await count.fill(str(times))
            await count.press("Tab")
        await self.page.get_by_role("button", name="Run", exact=True).first.click()

    async def look_at(self, x: int, y: int, right: int, bottom: int, *, left: int = 390) -> list[int]:
        """Show this part of the canvas right of `left` and below the bars, and return the room there."""
        size = self.page.viewport_size or {"width": 0, "height": 0}
        room = [left, 85, size["width"] - left - 15, size["height"] - 150]
        await self.page.evaluate(FIT, [x, y, right, bottom, *room])
        return room

    async def is_at_work(self) -> bool:
        return any(job["state"] == "running" for job in await self.master.jobs())

    async def done(self) -> int:
        return len([job for job in await self.master.jobs() if job["state"] == "done"])

    async def all_done(self, count: int) -> None:
        async def enough() -> bool:
            return await self.done() >= count

        await until(enough, f"{count} jobs are done", 400)
        await self.page.wait_for_timeout(1500)

    async def shot(self, what: Locator | None = None) -> Image.Image:
        """The page, or as much of this part as one sees."""
        data = await self.page.screenshot(type="jpeg", quality=95)
        whole = Image.open(io.BytesIO(data)).convert("RGB")
        box = await what.bounding_box() if what else None
        if box is None:
            return whole
        scale = whole.width / await self.page.evaluate("innerWidth")
        right, bottom = box["x"] + box["width"], box["y"] + box["height"]
        edges = [round(scale * edge) for edge in (box["x"], box["y"], right, bottom)]
        return whole.crop((edges[0], edges[1], min(edges[2], whole.width), min(edges[3], whole.height)))

    async def part(self, x: int, y: int, right: int, bottom: int) -> Image.Image:
        """This part of the canvas alone."""
        room = await self.look_at(x, y, right, bottom, left=60)
        await self.page.wait_for_timeout(1000)
        scale = min(room[2] / (right - x), room[3] / (bottom - y))
        edges = (room[0], room[1], room[0] + scale * (right - x), room[1] + scale * (bottom - y))
        whole = await self.shot()
        pixels = whole.width / await self.page.evaluate("innerWidth")
        return whole.crop(tuple(round(pixels * edge) for edge in edges))


async def filmed(stage: Stage, ended: Awaitable[None]) -> list[Frame]:
    """What Chromium drew until that was over, and when, in seconds."""
    frames: list[Frame] = []
    session = await stage.page.context.new_cdp_session(stage.page)
    answers = set()

    def drawn(frame: dict[str, Any]) -> None:
        picture = Image.open(io.BytesIO(base64.b64decode(frame["data"]))).convert("RGB")
        frames.append((frame["metadata"]["timestamp"], picture))
        number = {"sessionId": frame["sessionId"]}
        answer = asyncio.ensure_future(session.send("Page.screencastFrameAck", number))
        answers.add(answer)
        answer.add_done_callback(answers.discard)

    session.on("Page.screencastFrame", drawn)
    await session.send("Page.startScreencast", {"format": "jpeg", "quality": 95})
    await ended
    await session.send("Page.stopScreencast")
    return frames


async def hero(stage: Stage) -> None:
    """Run, with a batch count of four, on four peers."""
    await stage.page.set_viewport_size({"width": 1440, "height": 1060})
    await stage.open(MOUNTAINS, peers=4)
    await stage.tab()
    await stage.look_at(1130, -60, 2740, 1200)
    # Long enough that the four overlap where four ComfyUIs and the page share a few cores.
    await stage.page.evaluate(SET, [BLUR, "blur_radius", 31])
    await stage.fleet_mode()
    before = await stage.done()

    async def four() -> None:
        await stage.page.wait_for_timeout(3000)
        await stage.run(4)
        await stage.all_done(before + 4)
        await stage.page.wait_for_timeout(5000)  # for the thumbnails

    animate(await filmed(stage, four()), MANUAL / "run-on-four.webp")


async def tab(stage: Stage) -> None:
    """The tab with work on every peer, then its timeline."""
    await stage.page.set_viewport_size({"width": 1440, "height": 1000})
    await stage.open(MOUNTAINS, peers=4)
    panel = await stage.tab()
    await stage.fleet_mode()
    before = await stage.done()
    await stage.run(8)
    await stage.all_done(before + 3)
    save(await stage.shot(panel), MANUAL / "fleet-tab.jpg", 460)
    await stage.all_done(before + 8)
    await panel.locator("summary", has_text="Timeline").click()
    await panel.get_by_role("application").focus()
    await stage.page.keyboard.press("ArrowRight")
    await stage.page.wait_for_timeout(1000)
    timeline = panel.get_by_role("region", name="Timeline")
    for folder in (MANUAL, HELP):
        save(await stage.shot(timeline), folder / "timeline.jpg", 460)


async def top_of(part: Locator) -> float:
    box = await part.bounding_box()
    return box["y"] if box else 0.0


async def first_steps(stage: Stage) -> None:
    """The tab before, between and after the three steps, side by side; then the first picture."""
    page = stage.page
    await page.set_viewport_size({"width": 1280, "height": 700})
    await stage.open()
    panel = await stage.tab()
    form = page.get_by_role("form", name="The first peer")
    await form.wait_for()
    shots = [await stage.shot(panel)]
    await form.get_by_label("Address").fill(stage.peers[0].removeprefix("http://"))
    await form.get_by_role("button", name="Add").click()
    await page.get_by_text("answers: ComfyUI").wait_for(timeout=WAIT_MS)
    shots.append(await stage.shot(panel))
    await page.locator(".orc-lesson").get_by_role("button", name="Test").click()
    await page.get_by_role("button", name="Turn on fleet mode").wait_for(timeout=WAIT_MS)
    shots.append(await stage.shot(panel))
    height = 1.5 * (await top_of(panel.get_by_role("region", name="Timeline")) - await top_of(panel))
    for folder in (MANUAL, HELP):
        save(beside(shots, round(height)), folder / "first-steps.jpg", 1200)


async def sheet(stage: Stage) -> None:
    """Nine variations: what the dialog asks, and the contact sheet."""
    page = stage.page
    await page.set_viewport_size({"width": 1100, "height": 860})
    await stage.open(MOUNTAINS, peers=4)
    await page.evaluate(SET, [BLUR, "blur_radius", 9])
    await stage.look_at(600, -60, 2740, 1200)
    await stage.tab()
    await page.get_by_role("button", name="Variations").click()
    dialog = page.get_by_role("dialog", name="Queue variations")
    await dialog.wait_for(timeout=WAIT_MS)
    for name, label, value in (
        ("seed", "seed: How many", "3"),
        ("strength", "strength: Values", "0.12, 0.2, 0.3"),
    ):
        await dialog.get_by_label("Find a parameter").fill(name)
        await page.locator(".orc-parameters > li", has_text=name).first.locator("input").first.check()
        await page.get_by_label(label).fill(value)
    await dialog.get_by_label("Find a parameter").fill("")
    await dialog.get_by_text("9 jobs,").first.wait_for(timeout=WAIT_MS)
    save(await stage.shot(dialog), MANUAL / "variations.jpg", 700)
    before = await stage.done()
    await dialog.get_by_role("button", name="Queue 9 jobs").click()
    await stage.all_done(before + 9)
    contact = page.get_by_role("dialog", name="Contact sheet")
    save(await stage.shot(contact), MANUAL / "contact-sheet.jpg", 900)


async def offers(stage: Stage) -> None:
    """What Run asks when the peers lack a model, and when only they have it."""
    await stage.page.set_viewport_size({"width": 1100, "height": 620})
    for model, name in ((HERE_ONLY, "run-here.jpg"), (THERE_ONLY, "run-on-the-fleet.jpg")):
        await stage.open(MOUNTAINS, peers=4)
        await stage.page.evaluate(THROUGH_VAE, model)
        await stage.look_at(600, -60, 2740, 1200, left=60)
        if model == HERE_ONLY:
            await stage.fleet_mode()
        await stage.run()
        await stage.page.locator("dialog.orc-dialog").wait_for(timeout=WAIT_MS)
        await stage.page.wait_for_timeout(4000)
        save(await stage.shot(), MANUAL / name, 900)


async def node(stage: Stage) -> None:
    """A Remote Dispatch node while its upstream runs on a peer."""
    await stage.page.set_viewport_size({"width": 1440, "height": 760})
    await stage.open(MOUNTAINS, peers=4)
    await stage.page.evaluate(DISPATCH)
    await stage.look_at(1130, -60, 3160, 800, left=70)
    before = await stage.done()
    await stage.run()
    await stage.all_done(before + 1)
    await stage.run()
    await until(stage.is_at_work, "a peer works on it")
    await stage.page.wait_for_timeout(1500)
    save(await stage.shot(), MANUAL / "remote-run.jpg", 1200)
    await stage.all_done(before + 2)


async def examples(stage: Stage) -> None:
    """A thumbnail of each template, and the first picture for the help."""
    await stage.page.set_viewport_size({"width": 1300, "height": 1000})
    for path in sorted(EXAMPLES.glob("*.json")):
        await stage.open(path.stem, peers=4)
        before = await stage.done()
        if path.stem == MOUNTAINS:
            await stage.fleet_mode()
        if path.stem not in NOT_RUN:
            await stage.run()
            await stage.all_done(before + (2 if "Two" in path.stem else 1))
        save(await stage.part(*VIEWS[path.stem]), path.with_suffix(".jpg"), 640)
        if path.stem == FIRST:
            save(await stage.part(10, -20, 1630, 500), HELP / "first-picture.jpg", 1000)


async def marks(stage: Stage) -> None:
    """Icon and banner for the registry, which takes no SVG."""
    for name, width, height in (("icon", 400, 400), ("banner", 1260, 540)):
        await stage.page.set_viewport_size({"width": width, "height": height})
        await stage.page.goto((MANUAL / f"{name}.svg").as_uri())
        save(await stage.shot(), MANUAL / f"{name}.png", width)


SCENES: dict[str, Callable[[Stage], Awaitable[None]]] = {
    scene.__name__: scene for scene in (hero, tab, sheet, offers, node, examples, first_steps, marks)
}


async def play(master: Session, peers: tuple[str, ...], names: list[str]) -> None:
    program = find_chromium()
    if program is None:
        raise RigError(HOW_TO)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=str(program), args=list(FLAGS))
        for name in names or list(SCENES):
            page = await browser.new_page(device_scale_factor=1 if name == "hero" else 1.5)
            print(name, flush=True)
            await SCENES[name](Stage(page, master, peers))
            await page.close()
        await browser.close()


async def main(names: list[str]) -> None:
    setup = Setup()
    setup.for_tests()
    arguments = ("--front-end-root", str(setup.frontend()))
    with tempfile.TemporaryDirectory() as base:
        fleet = Fleet(setup, Path(base), peers=len(PEERS), master_arguments=arguments)
        named = [(fleet.master, path) for path in (f"models/vae/{HERE_ONLY}", *OF_TEMPLATES)]
        for process, path in (*named, *((peer, f"models/vae/{THERE_ONLY}") for peer in fleet.peers)):
            file = process.base / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
        async with aiohttp.ClientSession() as http:
            with fleet:
                master = Session(http, fleet.master.url, fleet.token)
                await play(master, tuple(peer.url for peer in fleet.peers), names)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main(sys.argv[1:]))
