"""What a person does in the Fleet tab, in a real browser, on both frontends. The tests run in order."""

from __future__ import annotations

import json
import re

import pytest

from tests.e2e.session import until
from tests.rig.fleet import ROOT

from .conftest import SOON_MS, Screen

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

WORKFLOW = ROOT / "example_workflows" / "Remote Dispatch.json"
SAMPLER, LATENT = 4, 3
THROWS = """() => {
  const broken = async () => {
    const { Availability } = await import("/extensions/remote-dispatch/fleet/data/availability.js");
    new Availability(async () => null).lacking(null);
  };
  void broken();
  broken().catch((error) => console.error(error));
}"""

NAME = re.compile("^Name")


async def add_peer(screen: Screen, address: str, name: str) -> None:
    page = screen.page
    await (
        page.get_by_role("button", name="Add a peer").or_(page.get_by_role("button", name="Add peer")).click()
    )
    form = page.get_by_role("form", name="Add a peer")
    await form.get_by_label("Address").fill(address)
    await form.get_by_label(NAME).fill(name)
    await form.get_by_role("button", name="Add", exact=True).click()


async def test_an_error_in_our_files_is_noticed(screen: Screen) -> None:
    """Else no test here would show that the console is clean."""
    await screen.open()
    await screen.page.evaluate(THROWS)

    async def noticed() -> bool:
        return len(screen.ours) == 2 and all("Cannot convert" in error for error in screen.ours)

    await until(noticed, "an unhandled rejection and a logged error are noticed")
    screen.ours.clear()


async def test_an_empty_tab_teaches_the_first_steps(screen: Screen) -> None:
    await screen.open()
    await screen.open_fleet_tab()
    await screen.page.get_by_text("Start ComfyUI on the other computer").wait_for()
    await screen.picture("Fleet tab empty")


async def test_a_wrong_address_is_explained_beside_the_form(screen: Screen) -> None:
    await screen.open()
    await screen.open_fleet_tab()
    await add_peer(screen, "ftp://somewhere", "x")
    await screen.page.get_by_text("A peer is reached by http or https").wait_for()
    await screen.picture("Fleet tab wrong address")
    await add_own_address(screen)


async def add_own_address(screen: Screen) -> None:
    form = screen.page.get_by_role("form", name="Add a peer")
    await form.get_by_label("Address").fill(screen.fleet.master.url)
    await form.get_by_role("button", name="Add", exact=True).click()
    await screen.page.get_by_text("is this ComfyUI itself").wait_for()


async def test_peers_are_added_by_address_and_turn_up(screen: Screen) -> None:
    await screen.open()
    await screen.open_fleet_tab()
    for peer in screen.fleet.peers:
        await add_peer(screen, peer.url.removeprefix("http://"), peer.name)
        row = screen.page.locator(".orc-row", has_text=peer.name)
        await row.locator(".orc-state", has_text="idle").wait_for(timeout=SOON_MS)
    await screen.page.get_by_text("2 of 2 peers up").wait_for(timeout=SOON_MS)
    await screen.picture("Fleet tab with peers")


async def test_a_remote_run_lights_up_the_upstream_boxes(screen: Screen) -> None:
    graph = json.loads(WORKFLOW.read_text("utf-8"))
    nodes = {node["id"]: node for node in graph["nodes"]}
    nodes[LATENT]["widgets_values"][:2] = [64, 64]  # its many steps are for being seen
    await screen.open()
    await screen.page.evaluate("graph => window.app.loadGraphData(graph)", graph)
    await screen.open_fleet_tab()
    await screen.page.evaluate("window.app.queuePrompt(0)")
    row = screen.page.locator(".orc-windowed > .orc-row", has_text="Remote Dispatch").first
    await row.get_by_text("KSampler, step").wait_for(timeout=60_000)
    # Progress and a preview of a node that the master cut out of its own prompt.
    await screen.page.wait_for_function(
        "id => { const n = window.app.graph.getNodeById(id); return n.progress > 0 && n.imgs?.length > 0 }",
        arg=SAMPLER,
        timeout=60_000,
    )
    await screen.picture("Upstream boxes during a remote run")
    await row.get_by_text("done · peer-").wait_for(timeout=120_000)
    await screen.page.wait_for_function(
        "() => window.app.graph.nodes.find(n => n.type === 'SaveImage')?.imgs?.length > 0", timeout=60_000
    )
    await screen.picture("After a remote run")


async def test_a_peer_is_drained_renamed_disabled_and_removed(screen: Screen) -> None:
    await screen.open("light")
    await screen.open_fleet_tab()
    page = screen.page
    row = page.locator(".orc-row", has_text="peer-2").first
    await row.locator(".orc-row-head").click()
    await row.get_by_role("button", name="Drain").click()
    await row.get_by_role("button", name="Resume").wait_for()
    await screen.picture("Fleet tab light draining")
    await row.get_by_role("button", name="Edit").click()
    hostile = "<img src=x onerror=alert(1)>"
    form = page.get_by_role("form", name="Edit peer-2")
    await form.get_by_label(NAME).fill(hostile)
    await form.get_by_role("button", name="Save").click()
    renamed = page.locator(".orc-row", has_text=hostile).first
    await renamed.locator(".orc-name", has_text=hostile).wait_for()
    assert await page.locator(".orc-panel img[src='x']").count() == 0
    await renamed.locator(".orc-name").first.dblclick()
    await page.get_by_label(f"Name of {hostile}").fill("by a double click")
    await page.keyboard.press("Enter")
    renamed = page.locator(".orc-row", has_text="by a double click").first
    await renamed.locator(".orc-row-head").press("F2")
    await page.get_by_label("Name of by a double click").fill("not this")
    await page.keyboard.press("Escape")
    await renamed.get_by_text("by a double click").wait_for()
    await renamed.get_by_role("button", name="Disable").click()
    await renamed.get_by_role("button", name="Enable").wait_for()
    await renamed.get_by_role("button", name="Remove").click()
    await screen.picture("Fleet tab light remove")
    await renamed.get_by_role("button", name="Remove").click()
    await page.get_by_text("1 of 1 peer up").wait_for(timeout=SOON_MS)
