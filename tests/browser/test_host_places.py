"""The fleet in the host's own places, on both frontends: node menu, commands, button; and the timeline."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.e2e.session import Session, until
from tests.rig.comfy import request

from .conftest import SOON_MS, Screen
from .test_fleet_mode import whole_workflow

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

BUTTON = ".orc-fleet-toggle"
TITLE_OF = """(type) => {
  const node = window.app.graph.nodes.find(node => node.type === type);
  const { scale, offset } = window.app.canvas.ds;
  const { left, top } = window.app.canvas.canvas.getBoundingClientRect();
  return [(node.pos[0] + 60 + offset[0]) * scale + left, (node.pos[1] - 12 + offset[1]) * scale + top];
}"""
CLOSED = 9  #: a port with nothing behind it
LANES_AT = (24, 66)  #: CSS pixels below the timeline's top, in the bars of two peers
COMMAND = "name => window.app.extensionManager.command.execute('RemoteDispatch.' + name)"


async def newest(session: Session, known: set[str]) -> dict[str, Any]:
    """The job that came since, once it has ended."""

    async def ended() -> dict[str, Any] | None:
        new = [job for job in await session.jobs() if job["job_id"] not in known and job["ended_at"]]
        return new[0] if new else None

    return await until(ended, "a new job has ended")


async def test_run_this_on_a_peer_from_a_nodes_menu(screen: Screen, master: Session) -> None:
    page = screen.page
    await screen.open()
    await page.evaluate("graph => window.app.loadGraphData(graph)", whole_workflow(steps=2))
    known = {job["job_id"] for job in await master.jobs()}
    x, y = await page.evaluate(TITLE_OF, "VAEDecode")
    await page.mouse.click(x, y, button="right")
    await page.get_by_text("Run this on …").first.click()
    await page.get_by_text("any peer", exact=True).last.wait_for()
    await screen.picture("Node menu run this on")
    await page.get_by_text("peer-2", exact=True).last.click()
    job = await newest(master, known)
    assert (job["state"], job["peer"], job["source"]) == ("done", "peer-2", "fleet")
    assert (await master.get("/orchestrator/settings"))["fleet_mode"] is False


async def test_the_button_tells_of_the_fleet_and_commands_reach_it(screen: Screen, master: Session) -> None:
    page = screen.page
    await screen.open()
    button = page.locator(BUTTON).first
    await page.wait_for_function(
        "document.querySelector('.orc-fleet-toggle')?.ariaLabel?.includes('2 of 2 peers')"
    )
    await page.evaluate(COMMAND, "AddPeer")
    await page.get_by_role("form", name="Add a peer").wait_for(timeout=SOON_MS)
    assert await page.evaluate("document.activeElement.placeholder") == "192.168.1.20:8188"
    await page.evaluate(COMMAND, "OpenFleetTab")  # open already: it stays
    assert await page.locator(".orc-panel").is_visible()
    await page.evaluate(COMMAND, "TogglePause")
    await page.get_by_text("Queue paused").first.wait_for(timeout=SOON_MS)
    await page.evaluate(COMMAND, "ToggleFleetMode")
    await page.wait_for_function(
        "/on, 2 of 2 peers, paused/.test(document.querySelector('.orc-fleet-toggle').ariaLabel)",
        timeout=SOON_MS,
    )
    await page.evaluate("graph => window.app.loadGraphData(graph)", whole_workflow(steps=2))
    for _ in range(3):
        await page.get_by_role("button", name="Run", exact=True).first.click()
    await page.wait_for_function(
        "/3 waiting/.test(document.querySelector('.orc-fleet-toggle').ariaLabel)", timeout=SOON_MS
    )
    await button.scroll_into_view_if_needed()
    await screen.picture("Button with three waiting")
    await page.evaluate(f"void ({COMMAND})('CancelWaiting')")
    await page.get_by_text("3 waiting jobs will be cancelled").wait_for(timeout=SOON_MS)
    await screen.picture("Cancel all waiting asks first")
    await page.get_by_role("button", name="Cancel 3 jobs").click()
    await page.get_by_text("3 waiting jobs cancelled").first.wait_for(timeout=SOON_MS)
    assert not [job for job in await master.jobs() if job["state"] == "waiting"]


async def test_the_timeline_tells_a_jobs_times_by_pointer_and_by_keyboard(
    screen: Screen, master: Session
) -> None:
    page = screen.page
    await screen.open("light")
    await page.evaluate("graph => window.app.loadGraphData(graph)", whole_workflow(steps=6))
    await screen.open_fleet_tab()
    await page.get_by_text("Timeline", exact=True).click()
    await page.evaluate(COMMAND, "ToggleFleetMode")
    before = {job["job_id"] for job in await master.jobs()}
    for _ in range(6):
        await page.get_by_role("button", name="Run", exact=True).first.click()

    async def all_ended() -> bool:
        new = [job for job in await master.jobs() if job["job_id"] not in before]
        return len(new) == 6 and all(job["ended_at"] for job in new)

    await until(all_ended, "six jobs have ended", deadline_s=120)
    await page.get_by_label("How far back").select_option("1")
    canvas = page.locator("canvas.orc-timeline")
    await canvas.focus()
    facts = page.locator(".orc-visit")

    async def a_run() -> bool:  # the latest visit may be one that was taken back before it began
        await page.keyboard.press("ArrowLeft")
        return "until the first step" in await facts.inner_text()

    await until(a_run, "a job's times are told")
    latest = await facts.inner_text()

    async def another() -> bool:  # whichever lane has more than one
        for key in ("Home", "ArrowDown", "Home"):
            await page.keyboard.press(key)
            if await facts.inner_text() != latest:
                return True
        return False

    await until(another, "keys lead to another job")
    await canvas.scroll_into_view_if_needed()
    await screen.picture("Timeline")
    first = await facts.inner_text()
    box = await canvas.bounding_box()
    assert box is not None
    places = [(x, y) for y in LANES_AT for x in range(int(box["width"]) - 2, 0, -3)]
    for x, y in places:
        await page.mouse.move(box["x"] + x, box["y"] + y)
        if await facts.inner_text() != first:
            break
    assert await facts.inner_text() != first


async def test_the_tab_and_its_commands_speak_the_pages_language(screen: Screen, master: Session) -> None:
    await screen.open("dark")
    request(f"{screen.fleet.master.url}/settings", {"Comfy.Locale": "fr"})
    page = screen.page
    try:
        await screen.reload()
        await screen.open_fleet_tab()
        await page.get_by_text("Chronologie", exact=True).wait_for(timeout=SOON_MS)
        await page.wait_for_function(
            "/2 pairs sur 2/.test(document.querySelector('.orc-fleet-toggle')?.ariaLabel)", timeout=SOON_MS
        )
        peer = await master.post(
            "/orchestrator/peers", {"name": "éteint", "url": f"http://127.0.0.1:{CLOSED}"}
        )
        await page.get_by_text("a refusé la connexion").first.wait_for(timeout=SOON_MS)
        await screen.picture("What the server says, in French")
        await master.delete(f"/orchestrator/peers/{peer['id']}")
        await page.keyboard.press("Control+,")
        await page.get_by_text("Remote Dispatch", exact=True).last.click()
        mode = page.get_by_text(re.compile(r"Mode flotte\s: Exécuter utilise les pairs"))
        await mode.first.wait_for(timeout=SOON_MS)
        offered = page.get_by_text("Proposer les nœuds et modèles présents uniquement sur les pairs").first
        await offered.wait_for(timeout=SOON_MS)
        await screen.picture("Settings in French")
        setting = offered.locator("xpath=ancestor::*[.//input[@type='checkbox'] or .//*[@role='switch']][1]")
        await setting.locator("input[type=checkbox], [role=switch]").first.click()

        async def is_off() -> bool:
            return (await master.get("/orchestrator/settings"))["peer_nodes"] is False

        await until(is_off, "the peers' nodes are not offered any more")
    finally:
        await master.patch("/orchestrator/settings", {"peer_nodes": True})
        request(f"{screen.fleet.master.url}/settings", {"Comfy.Locale": "en"})
        screen.palette = ""  # the page still speaks French


async def test_a_model_linked_to_remote_dispatch_is_refused_with_what_to_link_instead(screen: Screen) -> None:
    await screen.open()
    linked = await screen.page.evaluate(
        """() => {
          const box = (type) => {
            const made = window.LiteGraph.createNode(type);
            window.app.graph.add(made);
            return made;
          };
          const [loader, image, remote] = ["CheckpointLoaderSimple", "EmptyImage", "RemoteDispatch"].map(box);
          const into = (from) => Boolean(from.connect(0, remote, 0));
          return [into(loader), into(image)];
        }"""
    )
    assert linked == [False, True]
    await screen.page.get_by_text("MODEL cannot come back from another computer").first.wait_for(
        timeout=SOON_MS
    )
    await screen.picture("A link that cannot travel")
    screen.is_spoilt = True  # by its message
