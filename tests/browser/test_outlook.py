"""Where a graph would run, told before it is sent, and when peers may be used, in a real browser."""

from __future__ import annotations

import json
import random
import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.e2e.session import Session, until

from .conftest import RUN_MS, SOON_MS, Screen
from .test_fleet_mode import EXAMPLE, LATENT, SAMPLER, TEXT, open_workflow, press_run, switch_on

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

BADGES = f"""() => window.app.graph.nodes.find(node => node.type === "RemoteDispatch")
  ?.badges.map({TEXT}) ?? []"""
FORETELLS = f"() => ({BADGES})().some(text => /^peer-\\d (≈ \\?|(≈|roughly) [\\d:]+ (s|min))$/.test(text))"
NAMES = f"() => ({BADGES})().some(text => /^peer-\\d$/.test(text))"
KNOWS_TIME = f"() => ({BADGES})().some(text => /^peer-\\d (≈|roughly) [\\d:]+ s$/.test(text))"
TAKES_MINUTES = f"() => ({BADGES})().some(text => /^peer-\\d roughly [\\d:]+ (min|h)$/.test(text))"
OVERRIDE = """changes => {
  const node = window.app.graph.nodes.find(node => node.type === "RemoteDispatch");
  node.widgets.find(widget => widget.name === "overrides").value = changes;
  window.app.api.dispatchCustomEvent("graphChanged", null);
}"""
LINE = ".orc-outlook summary"
OPEN_FILE = """text =>
  window.app.handleFile(new File([text], "graph.json", {type: "application/json"}))"""
NOWHERE = {
    "1": {"class_type": "LoadImage", "inputs": {"image": "example.png"}},
    "2": {"class_type": "UpscaleModelLoader", "inputs": {"model_name": "no-peer-has.pth"}},
    "3": {"class_type": "ImageUpscaleWithModel", "inputs": {"upscale_model": ["2", 0], "image": ["1", 0]}},
    "4": {"class_type": "SaveImage", "inputs": {"images": ["3", 0], "filename_prefix": "x"}},
}
ANOTHER_SEED = """seed => {
  const sampler = window.app.graph.nodes.find(node => node.type === "KSampler");
  sampler.widgets.find(widget => widget.name === "seed").value = seed;
  window.app.api.dispatchCustomEvent("graphChanged", null);
}"""


async def draw_seed(screen: Screen) -> None:
    """What a peer has made before it would not run again."""
    await screen.page.evaluate(ANOTHER_SEED, random.getrandbits(32))


async def open_example(screen: Screen, palette: str) -> None:
    """The shipped example, small: it has a Remote Dispatch node."""
    graph = json.loads(EXAMPLE.read_text("utf-8"))
    nodes = {node["id"]: node for node in graph["nodes"]}
    nodes[LATENT]["widgets_values"][:2] = [64, 64]
    nodes[SAMPLER]["widgets_values"][2] = 3
    await screen.open(palette)
    await screen.page.evaluate("graph => window.app.loadGraphData(graph)", graph)
    await draw_seed(screen)


@pytest.mark.parametrize("palette", ["dark", "light"])
async def test_the_tab_tells_where_the_graph_would_run_and_by_when(
    screen: Screen, master: Session, palette: str
) -> None:
    await open_workflow(screen, steps=3, palette=palette)
    await draw_seed(screen)
    await screen.open_fleet_tab()
    line = screen.page.locator(LINE)
    assert await line.count() == 0  # without fleet mode it would run here
    await switch_on(screen)
    await line.filter(has_text="Next run: peer-").wait_for(timeout=SOON_MS)
    await screen.picture(f"Outlook before the first run in {palette}")
    [job_id] = await press_run(screen, master, 1)
    assert (await master.finished(job_id)).succeeded
    await line.filter(has_text="about ").wait_for(timeout=SOON_MS)
    await line.click()
    reasons = screen.page.locator(".orc-outlook li")
    await reasons.first.wait_for()
    first = re.search(r"peer-\d", await line.inner_text())
    [other] = await reasons.all_text_contents()
    assert first and {first[0], other.split(":")[0]} == {"peer-1", "peer-2"}
    await screen.picture(f"Outlook after a run in {palette}")
    for is_paused in (True, False):
        await master.patch("/orchestrator/settings", {"paused": is_paused})
        start = "Paused; once resumed: Next run: peer-" if is_paused else "Next run: peer-"
        await line.filter(has_text=re.compile(f"^{start}")).wait_for(timeout=SOON_MS)
        if is_paused:
            await screen.picture(f"Outlook while the queue is paused in {palette}")
    for peer in (await master.peers()).values():
        await master.patch(f"/orchestrator/peers/{peer['id']}", {"exclusive": True})
    await line.filter(has_text="No peer can run this workflow right now").wait_for(timeout=SOON_MS)
    await screen.picture(f"Outlook without a peer in {palette}")
    for peer in (await master.peers()).values():
        await master.patch(f"/orchestrator/peers/{peer['id']}", {"exclusive": False, "draining": True})
    await line.filter(has_text="The next run would wait. peer-").wait_for(timeout=SOON_MS)
    await screen.picture(f"Outlook with peers that are away in {palette}")
    await screen.page.get_by_role("switch", name="Fleet mode").click()
    await line.wait_for(state="hidden", timeout=SOON_MS)


async def test_it_speaks_of_a_graph_that_is_opened_in_api_format(screen: Screen, master: Session) -> None:
    await open_workflow(screen, steps=3, palette="dark")
    await screen.open_fleet_tab()
    await switch_on(screen)
    line = screen.page.locator(LINE)
    await line.filter(has_text="Next run: peer-").wait_for(timeout=SOON_MS)
    await screen.page.evaluate(OPEN_FILE, json.dumps(NOWHERE))
    await line.filter(has_text="No peer can run this workflow right now").wait_for(timeout=SOON_MS)


VUE_NODES = "on => window.app.extensionManager.setting.set('Comfy.VueNodes.Enabled', on)"
BOX_OF = "type => String(window.app.graph.nodes.find(node => node.type === type).id)"


@pytest_asyncio.fixture(loop_scope="session")
async def nodes_2(screen: Screen) -> AsyncIterator[None]:
    """Boxes that the page draws by itself, not on the canvas."""
    await screen.open()
    await screen.page.evaluate(VUE_NODES, True)
    yield
    await screen.page.evaluate(VUE_NODES, False)


async def test_in_nodes_2_0_a_box_tells_where_it_would_run_and_where_it_ran(
    screen: Screen, master: Session, nodes_2: None
) -> None:
    page = screen.page
    await open_example(screen, "dark")
    ours, sampler = [await page.evaluate(BOX_OF, name) for name in ("RemoteDispatch", "KSampler")]
    box = page.locator(f"[data-node-id='{ours}']")
    await box.get_by_text(re.compile(r"^peer-\d (≈|roughly) ")).wait_for(timeout=SOON_MS)
    await screen.picture("Nodes 2.0, where it would run")
    await press_run(screen, master, 1)
    await box.get_by_text(re.compile(r"^\s*peer-\d\s*$")).wait_for(timeout=RUN_MS)
    there = page.locator(f"[data-node-id='{sampler}']")
    await there.get_by_text(re.compile(r"^\s*peer-\d\s*$")).wait_for(timeout=RUN_MS)
    await screen.picture("Nodes 2.0, where it ran")


@pytest.mark.parametrize("palette", ["dark", "light"])
async def test_a_remote_dispatch_node_wears_where_its_part_would_run(
    screen: Screen, master: Session, palette: str
) -> None:
    await open_example(screen, palette)
    page = screen.page
    await page.wait_for_function(FORETELLS, timeout=SOON_MS)
    await screen.open_fleet_tab()
    await page.locator(LINE, has_text="Remote Dispatch ").filter(has_text="peer-").wait_for(timeout=SOON_MS)
    await screen.picture(f"Outlook of a node in {palette}")
    saved = await page.evaluate("JSON.stringify(window.app.graph.serialize())")
    assert "≈" not in saved and "peer-" not in saved
    await page.evaluate("window.app.queuePrompt(0)")
    await page.wait_for_function(NAMES, timeout=RUN_MS)

    async def is_through() -> bool:
        return not any(job["state"] in ("waiting", "running") for job in await master.jobs())

    await until(is_through, "it is through")
    await screen.picture(f"Outlook of a node after its run in {palette}")
    await draw_seed(screen)
    await page.wait_for_function(KNOWS_TIME, timeout=SOON_MS)
    await screen.picture(f"Outlook of a node that ran before in {palette}")
    await page.evaluate(OVERRIDE, "KSampler.steps = 3000")
    await page.wait_for_function(TAKES_MINUTES, timeout=SOON_MS)
    await screen.picture(f"Outlook of a node that changes the steps in {palette}")


async def wrong_hours_of_a_new_peer(screen: Screen, palette: str) -> None:
    """What is wrong is said at its field, even if that was folded away."""
    page = screen.page
    await page.get_by_role("button", name="Add peer").click()
    form = page.get_by_role("form", name="Add a peer")
    await form.get_by_label("Address").fill("192.0.2.1:8188")
    await form.get_by_text("When to use it").click()
    await form.get_by_label("Hours").fill("at night")
    await form.get_by_text("When to use it").click()
    await form.get_by_role("button", name="Add", exact=True).click()
    await form.get_by_role("alert").get_by_text("'at night' is no span of hours").wait_for()
    hours = form.get_by_label("Hours")
    assert await hours.evaluate("field => document.activeElement === field")
    assert await hours.evaluate("field => field.closest('label').nextElementSibling.role") == "alert"
    assert await hours.get_attribute("aria-invalid") == "true"
    await screen.picture(f"Wrong hours of a new peer in {palette}")
    await form.get_by_role("button", name="Cancel").click()


@pytest.mark.parametrize("palette", ["dark", "light"])
async def test_when_to_use_a_peer_is_set_in_its_form(screen: Screen, master: Session, palette: str) -> None:
    await screen.open(palette)
    await screen.open_fleet_tab()
    page = screen.page
    await wrong_hours_of_a_new_peer(screen, palette)
    row = page.locator(".orc-row", has_text="peer-2").first
    await row.locator(".orc-row-head").click()
    await row.get_by_role("button", name="Edit").click()
    form = page.get_by_role("form", name="Edit peer-2")
    await form.get_by_text("When to use it").click()
    await form.get_by_label("Only for jobs assigned to it").check()
    await form.get_by_label("Only when nobody else").check()
    await form.get_by_label("Hours").fill("at night")
    await form.get_by_role("button", name="Save").click()
    await form.get_by_text("'at night' is no span of hours. Write them like 22:00-07:00.").wait_for()
    await screen.picture(f"When to use a peer in {palette}")
    await form.get_by_label("Hours").fill("22:00-07:00, 12:30-13:30")
    await form.get_by_role("button", name="Save").click()
    rules = page.locator(".orc-row", has_text="peer-2").first.locator(".orc-rule")
    await rules.nth(2).wait_for(timeout=SOON_MS)
    told = ["only for jobs assigned to it", "only while idle", "22:00-07:00, 12:30-13:30"]
    assert await rules.all_text_contents() == told
    await screen.picture(f"When a peer is used in {palette}")


async def test_second_copies_are_a_switch_in_the_hosts_settings(screen: Screen, master: Session) -> None:
    await screen.open()
    for wanted in (True, False):
        await screen.page.evaluate(
            "on => window.app.extensionManager.setting.set('RemoteDispatch.SecondCopies', on)", wanted
        )

        async def is_set(wanted: bool = wanted) -> bool:
            return (await master.get("/orchestrator/settings"))["second_copies"] is wanted

        await until(is_set, "the server knows")
