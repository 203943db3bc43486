"""A graph of what only the peers have, built from an empty canvas by mouse and menus, on both frontends."""

from __future__ import annotations

import asyncio
import json
import shutil
from typing import Any
from urllib.parse import quote

import pytest
from playwright.async_api import Locator
from playwright.async_api import TimeoutError as PlaywrightTimeoutError

from tests.e2e.session import Session, until

from .conftest import NEWER, READY_MS, RUN_MS, SOON_MS, Screen
from .test_fleet_mode import HAS_PICTURE, TEXT, job, press_run, switch_on, whole_workflow

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

UNET = "tiny-random-unet.safetensors"
#: class and where its box is put, in pixels of the page
BOXES = (
    ("TestStamp", 480, 180),
    ("VAELoader", 480, 420),
    ("UNETLoader", 480, 560),
    ("LotusConditioning", 480, 700),
    ("VAEEncode", 740, 180),
    ("KSampler", 740, 420),
    ("VAEDecode", 990, 180),
)
LINKS = (
    ("TestStamp.IMAGE", "VAEEncode.pixels"),
    ("VAELoader.VAE", "VAEEncode.vae"),
    ("UNETLoader.MODEL", "KSampler.model"),
    ("LotusConditioning.conditioning", "KSampler.positive"),
    ("LotusConditioning.conditioning", "KSampler.negative"),
    ("VAEEncode.LATENT", "KSampler.latent_image"),
    ("KSampler.LATENT", "VAEDecode.samples"),
    ("VAELoader.VAE", "VAEDecode.vae"),
)
SLOT = """([name, isInput]) => {
  const [type, slot] = name.split(".");
  const node = window.app.graph.nodes.find(node => node.type === type);
  const slots = isInput ? node.inputs : node.outputs;
  const at = slots.findIndex(each => each.name === slot);
  return window.app.canvasPosToClientPos(node.getConnectionPos(isInput, at));
}"""
IS_LINKED = """name => {
  const [type, slot] = name.split(".");
  const node = window.app.graph.nodes.find(node => node.type === type);
  return node.isInputConnected(node.inputs.findIndex(each => each.name === slot));
}"""
WIDGET = """([type, name]) => {
  const node = window.app.graph.nodes.find(node => node.type === type);
  const widget = node.widgets.find(each => each.name === name);
  return window.app.canvasPosToClientPos([node.pos[0] + node.size[0] / 2, node.pos[1] + widget.last_y + 10]);
}"""
SEED = """seed => window.app.graph.nodes.find((node) => node.type === "KSampler")
  .widgets.find((widget) => widget.name === "seed").value = seed"""
NAMES_PEER = f"""type => window.app.graph.nodes.find((node) => node.type === type)
  .badges.map({TEXT}).some((text) => text.startsWith("peer-"))"""
HOSTS_MESSAGE = "() => /does not exist|missing node type|node type is missing/i.test(document.body.innerText)"
EMPTY = (620, 900)  #: pixels of the page where nothing is
HANGS = "window.app.canvas.state?.ghostNodeId != null"
PROMPT = "window.app.graphToPrompt().then(({output}) => output)"
LISTEN = """() => {
  window.seen = [];
  for (const name of ["progress_state", "executed"]) {
    window.app.api.addEventListener(name, () => window.seen.push(name));
  }
}"""
LACKS_MODELS = """wanted => {
  const page = document.querySelector("#vue-app").__vue_app__;
  const store = page.config.globalProperties.$pinia._s.get("missingModel");
  return Boolean(store?.hasMissingModels) === wanted;
}"""
NO_COMPLAINT = """() => !document.querySelector(".p-dialog, [role=dialog]") &&
  window.app.graph.nodes.every(node => !node.has_errors)"""


async def add(screen: Screen, name: str, x: int, y: int) -> None:
    """Double click, search, pick."""
    page = screen.page
    before = await page.evaluate("window.app.graph.nodes.length")

    async def search_is_open() -> bool:  # the canvas overlooks a double click while it draws
        await page.mouse.dblclick(x, y)
        try:
            await page.wait_for_function("document.activeElement?.tagName === 'INPUT'", timeout=2_000)
        except PlaywrightTimeoutError:
            return False
        return True

    async def is_added() -> bool:  # the host's list now and then loses the choice while it is still filled
        await until(search_is_open, "the search is open")
        await page.keyboard.type(name, delay=15)
        found = page.locator(".option-container").filter(has_text=await title(screen, name))
        try:
            await found.first.click(timeout=SOON_MS)
            await page.wait_for_function(
                "n => window.app.graph.nodes.length > n", arg=before, timeout=SOON_MS / 4
            )
        except PlaywrightTimeoutError:
            await page.keyboard.press("Escape")
            return False
        return True

    await until(is_added, f"{name} is added", deadline_s=READY_MS / 1000)

    async def put_down() -> bool:  # in newer frontends it hangs at the pointer
        if not await page.evaluate(HANGS):
            return True
        await page.mouse.move(x + 40, y + 40)
        await page.mouse.move(x, y, steps=3)
        await page.mouse.click(x, y)
        return False

    await until(put_down, f"{name} is put down")
    assert await page.evaluate("window.app.graph.nodes.at(-1).type") == name


async def title(screen: Screen, name: str) -> str:
    info = await screen.page.evaluate("n => fetch('/object_info/' + n).then(r => r.json())", name)
    return str(info[name]["display_name"] or name)


async def link(screen: Screen, output: str, to: str) -> None:
    page = screen.page

    async def linked() -> bool:  # as above, for a press
        start = await page.evaluate(SLOT, [output, False])
        end = await page.evaluate(SLOT, [to, True])
        await page.mouse.move(*start)
        await page.mouse.down()
        await page.mouse.move((start[0] + end[0]) / 2, (start[1] + end[1]) / 2, steps=4)
        await page.mouse.move(*end, steps=4)
        await page.mouse.up()
        if await page.evaluate(IS_LINKED, to):
            return True
        await page.mouse.click(*EMPTY)  # what hovers over a chosen box may be in the way
        return False

    await until(linked, f"{output} is linked to {to}")


async def choose(screen: Screen, box: str, name: str, value: str) -> None:
    """From the list, which says where each file is; the choice is the file alone."""
    page = screen.page
    entry = page.locator(".litecontextmenu .litemenu-entry").filter(has_text=value)

    async def list_is_open() -> bool:
        await page.mouse.click(*await page.evaluate(WIDGET, [box, name]))
        return bool(await entry.count())

    await until(list_is_open, f"the list of {name} is open")
    assert await entry.inner_text() == f"{value} · all peers"
    await screen.picture(f"Peer only, {name}")
    await entry.click()


async def build(screen: Screen) -> None:
    page = screen.page
    await screen.open()
    await page.evaluate("window.app.extensionManager.command.execute('Comfy.NewBlankWorkflow')")
    await page.wait_for_function("window.app.graph.nodes.length === 0", timeout=SOON_MS)
    await page.mouse.move(900, 500)
    while await page.evaluate("window.app.canvas.ds.scale") > 0.75:
        await page.mouse.wheel(0, 120)
    for name, x, y in BOXES:
        await add(screen, name, x, y)
    for output, to in LINKS:
        await link(screen, output, to)
    await choose(screen, "VAELoader", "vae_name", "taesd")
    await choose(screen, "UNETLoader", "unet_name", UNET)


async def save_as(screen: Screen, name: str) -> None:
    page = screen.page
    await page.keyboard.press("Control+s")
    field = page.locator("[role=dialog] input, .p-dialog input").first
    await field.fill(name)
    await field.press("Enter")
    await page.wait_for_function(
        "name => window.app.extensionManager.workflow.activeWorkflow?.filename === name && "
        "!window.app.extensionManager.workflow.activeWorkflow.isModified",
        arg=name,
        timeout=SOON_MS,
    )


async def picture_of(screen: Screen, master: Session, job_id: str) -> None:
    """The job has ended well; progress was seen, and its picture is on the box."""
    assert (await master.finished(job_id)).succeeded
    await screen.page.wait_for_function(HAS_PICTURE, timeout=RUN_MS)
    assert set(await screen.page.evaluate("window.seen")) == {"progress_state", "executed"}


def dialog(screen: Screen) -> Locator:
    return screen.page.locator("dialog.orc-dialog")


async def test_what_only_peers_have_is_built_run_saved_and_run_again(screen: Screen, master: Session) -> None:
    page = screen.page
    await build(screen)
    await add(screen, "SaveImage", 1240, 180)
    await link(screen, "VAEDecode.IMAGE", "SaveImage.images")

    prompt = await page.evaluate(PROMPT)
    assert {each["class_type"] for each in prompt.values()} == {name for name, *_ in BOXES} | {"SaveImage"}
    inputs = {name: value for each in prompt.values() for name, value in each["inputs"].items()}
    assert (inputs["unet_name"], inputs["vae_name"]) == (UNET, "taesd")
    assert await page.evaluate(NO_COMPLAINT)
    await screen.picture("Peer only, the graph")

    # Run without fleet mode: one message, and the fleet one press away.
    await page.evaluate(LISTEN)
    await page.get_by_role("button", name="Run", exact=True).first.click()
    await dialog(screen).wait_for(timeout=SOON_MS)
    await screen.picture("Peer only, Run without fleet mode")
    show = dialog(screen).get_by_role("button", name="Show which peers have it")
    await show.press("Enter")
    await dialog(screen).get_by_text("TestStamp (node").wait_for()
    await screen.picture("Peer only, who has it")
    known = {each["job_id"] for each in await master.jobs()}
    await dialog(screen).get_by_role("button", name="Run on the fleet").click()

    async def sent() -> list[str]:
        return [each["job_id"] for each in await master.jobs() if each["job_id"] not in known]

    (job_id,) = await until(sent, "it went to the fleet")
    await picture_of(screen, master, job_id)
    assert (await job(master, job_id))["peer"].startswith("peer-")

    await save_as(screen, f"peer only {screen.name}")
    await page.reload()
    await page.wait_for_function("window.app?.graph?.nodes?.length === 8", timeout=RUN_MS)
    assert await page.evaluate(NO_COMPLAINT)
    await page.wait_for_function(LACKS_MODELS, arg=False, timeout=SOON_MS)
    assert await page.evaluate(PROMPT) == prompt | {
        key: each for key, each in (await page.evaluate(PROMPT)).items() if "seed" in each["inputs"]
    }
    await page.evaluate(LISTEN)
    await switch_on(screen)
    (job_id,) = await press_run(screen, master, 1)
    await picture_of(screen, master, job_id)
    assert (await job(master, job_id))["title"].startswith(f"peer only {screen.name} · seed ")
    await screen.picture("Peer only, run again")


async def built_before(screen: Screen, master: Session) -> bool:
    """The graph of the test above, as the master has it."""
    name = quote(f"workflows/peer only {screen.name}.json", safe="")
    async with master.http.get(f"{master.url}/userdata/{name}") as answer:
        graph = await answer.json(content_type=None) if answer.status == 200 else None
    if graph is None:
        return False
    await screen.open()
    await screen.page.evaluate("graph => window.app.loadGraphData(graph)", graph)
    await screen.page.wait_for_function("window.app.graph.nodes.length === 8", timeout=SOON_MS)
    return True


async def test_a_dispatch_node_runs_what_only_peers_have(screen: Screen, master: Session) -> None:
    page = screen.page
    if not await built_before(screen, master):
        await build(screen)
        await add(screen, "SaveImage", 1240, 180)
    await add(screen, "RemoteDispatch", 1060, 420)  # beside the queue, where the page shows it
    await link(screen, "VAEDecode.IMAGE", "RemoteDispatch.value")
    await link(screen, "RemoteDispatch.value", "SaveImage.images")
    await page.evaluate(SEED, 4200 + len(screen.name))  # what is in a cache does not run again
    await page.wait_for_function(LACKS_MODELS, arg=False, timeout=SOON_MS)
    await page.evaluate(LISTEN)
    (job_id,) = await press_run(screen, master, 1)
    await page.wait_for_function(HAS_PICTURE, timeout=RUN_MS)
    assert (await job(master, job_id))["state"] == "done"
    assert set(await page.evaluate("window.seen")) == {"progress_state", "executed"}
    assert await page.evaluate(NAMES_PEER, "VAEDecode"), "what ran elsewhere says where"
    assert not await page.evaluate(NAMES_PEER, "SaveImage")
    await screen.picture("Peer only, by Remote Dispatch")


async def test_who_does_not_want_the_fleet_gets_the_hosts_own_message(
    screen: Screen, master: Session
) -> None:
    page = screen.page
    graph: dict[str, Any] = {
        "1": {"class_type": "TestStamp", "inputs": {"width": 8, "height": 8, "batch": 1, "seed": 1}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}},
    }
    before = await master.jobs()
    await screen.open("light")
    await page.evaluate("graph => window.app.loadApiJson(graph, 'graph')", json.loads(json.dumps(graph)))
    await page.get_by_role("button", name="Run", exact=True).first.click()
    await dialog(screen).wait_for(timeout=SOON_MS)
    assert await page.evaluate("document.activeElement.textContent") == "Run on the fleet"
    await screen.picture("Peer only, the message in light")
    await page.keyboard.press("Escape")
    await dialog(screen).wait_for(state="detached")
    await page.wait_for_function(HOSTS_MESSAGE, timeout=RUN_MS)
    assert len(await master.jobs()) == len(before)


async def test_a_peer_that_comes_brings_its_nodes_into_the_open_page(
    screen: Screen, lone_master: Session
) -> None:
    page = screen.page
    await screen.open(from_the_start=True)
    has_class = "() => Boolean(window.LiteGraph.registered_node_types['TestStamp'])"
    assert not await page.evaluate(has_class)
    await page.evaluate("graph => window.app.loadGraphData(graph)", whole_workflow(steps=2))
    if screen.name == NEWER:
        await page.wait_for_function(LACKS_MODELS, arg=True, timeout=SOON_MS)  # there is a red frame
    screen.fleet.add_peer(screen.fleet.peers[0])
    await page.wait_for_function(has_class, timeout=SOON_MS)
    await page.wait_for_function(LACKS_MODELS, arg=False, timeout=SOON_MS)
    await screen.picture("Peer only, a peer has come")


STAND_IN = "type => window.app.graph.nodes.some((node) => node.last_serialization?.type === type)"
CHOICES = """() => window.app.graph.nodes.find((node) => node.type === "UNETLoader")
  .widgets.find((widget) => widget.name === "unet_name").options.values"""
IS_MODIFIED = "Boolean(window.app.extensionManager.workflow.activeWorkflow.isModified)"


def stamp_workflow() -> dict[str, Any]:
    """A class and a loader's file that only peers have, as a page keeps a graph."""

    def box(number: int, kind: str, at: tuple[int, int], **more: Any) -> dict[str, Any]:
        fixed = {"size": [260, 170], "flags": {}, "order": number, "mode": 0, "properties": {}}
        return {"id": number, "type": kind, "pos": list(at), "inputs": [], "outputs": [], **fixed, **more}

    stamp = box(
        1,
        "TestStamp",
        (60, 120),
        outputs=[{"name": "IMAGE", "type": "IMAGE", "links": [1]}],
        widgets_values=[24, 16, 1, 7],
    )
    save = box(
        2,
        "SaveImage",
        (400, 120),
        inputs=[{"name": "images", "type": "IMAGE", "link": 1}],
        widgets_values=["late"],
    )
    unet = box(
        3,
        "UNETLoader",
        (60, 360),
        outputs=[{"name": "MODEL", "type": "MODEL", "links": []}],
        widgets_values=[UNET, "default"],
    )
    return {
        "last_node_id": 3,
        "last_link_id": 1,
        "nodes": [stamp, save, unet],
        "links": [[1, 1, 0, 2, 0, "IMAGE"]],
        "groups": [],
        "config": {},
        "extra": {},
        "version": 0.4,
    }


async def test_f61_a_graph_that_was_opened_before_its_peer_was_up_runs_without_a_reload(
    screen: Screen, lone_master: Session
) -> None:
    page, peer = screen.page, screen.fleet.peers[0]
    copied = peer.base / "models" / "diffusion_models" / f"copied {screen.name}.safetensors"
    peer.stop()
    screen.fleet.add_peer(peer)
    await screen.open(from_the_start=True)
    await page.evaluate("graph => window.app.loadGraphData(graph)", stamp_workflow())
    await page.wait_for_function(STAND_IN, arg="TestStamp", timeout=SOON_MS)
    await page.keyboard.press("Escape")  # what the host says of it
    modified = await page.evaluate(IS_MODIFIED)
    await screen.picture("Peer only, its peer is down")

    peer.start()
    await asyncio.to_thread(peer.wait_ready)
    up_at = asyncio.get_running_loop().time()
    await page.wait_for_function(f"!({STAND_IN})('TestStamp')", timeout=SOON_MS)
    print(f"usable {asyncio.get_running_loop().time() - up_at:.1f} s after its peer was up")
    stamp = (await page.evaluate(PROMPT))["1"]
    assert stamp["inputs"] == {"width": 24, "height": 16, "batch": 1, "seed": 7}
    assert await page.evaluate(CHOICES) == [UNET]
    assert await page.evaluate(IS_MODIFIED) == modified
    assert await page.evaluate(NO_COMPLAINT)
    await page.wait_for_function(LACKS_MODELS, arg=False, timeout=SOON_MS)
    await screen.picture("Peer only, its peer has come up")

    shutil.copyfile(copied.with_name(UNET), copied)
    try:

        async def is_offered() -> bool:  # a list that was read seconds ago is not read again
            await page.keyboard.press("r")
            return copied.name in await page.evaluate(CHOICES)

        await until(is_offered, "the copied file is offered after a refresh", pause_s=1)
    finally:
        copied.unlink()

    await switch_on(screen)
    await page.evaluate(LISTEN)
    (job_id,) = await press_run(screen, lone_master, 1)
    await picture_of(screen, lone_master, job_id)
