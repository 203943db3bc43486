"""Queue variations, in a real browser: choose, count, watch the sheet fill, go back to one graph."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from PIL import Image

from tests.e2e.session import Session, until

from .conftest import ARTIFACTS, RUN_MS, SOON_MS, Screen
from .test_fleet_mode import SAMPLER, WIDGETS, open_workflow

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

SEED, STEPS = 0, 2  #: where the sampler keeps them
INTO_SUBGRAPH = """async (id) => {
  const { app } = window;
  app.canvas.selectItems([app.graph.getNodeById(id)]);
  await app.extensionManager.command.execute("Comfy.Graph.ConvertToSubgraph");
}"""


async def tick(screen: Screen, name: str) -> Any:
    """The row of one of the sampler's parameters, chosen."""
    row = screen.page.locator(".orc-parameters > li", has_text=name).filter(has_text="KSampler").first
    await row.locator("input[type=checkbox]").first.check()
    return row


async def test_nine_variations_fill_a_contact_sheet_that_leads_back_to_each_graph(
    screen: Screen, master: Session
) -> None:
    await open_workflow(screen, steps=8)
    await screen.page.wait_for_function("window.app.graph.nodes.length === 7", timeout=SOON_MS)
    page = screen.page
    await page.locator("canvas").first.focus()
    await page.keyboard.press("Alt+Shift+V")
    dialog = page.get_by_role("dialog", name="Queue variations")
    await dialog.wait_for(timeout=SOON_MS)
    await tick(screen, "seed")
    await page.get_by_label("seed: How many").fill("3")
    await tick(screen, "steps")
    await page.get_by_label("steps: Values").fill("2, 3, x")
    await dialog.get_by_text("steps: “x” is not a number.").wait_for(timeout=SOON_MS)
    await page.get_by_label("steps: Values").fill("2, 3, 4")
    await dialog.get_by_text("9 jobs,").first.wait_for(timeout=SOON_MS)
    await dialog.get_by_text("on 2 peers").wait_for(timeout=SOON_MS)
    await screen.picture("Variations, nine jobs before they are sent")
    known = {job["job_id"] for job in await master.jobs()}
    await dialog.get_by_role("button", name="Queue 9 jobs").click()

    sheet = page.get_by_role("dialog", name="Contact sheet")
    await sheet.locator("tbody tr").nth(2).wait_for(timeout=SOON_MS)
    assert await sheet.locator("tbody tr").count() == 3
    assert await sheet.locator("thead th").all_inner_texts() == ["2", "3", "4"]
    await screen.picture("Variations, the contact sheet fills")
    queue = await master.get("/queue")
    assert queue["queue_running"] and len(queue["queue_running"]) + len(queue["queue_pending"]) > 2
    await sheet.get_by_text("9 of 9 done").wait_for(timeout=RUN_MS)
    pictures = "document.querySelectorAll('.orc-contact .orc-cell-picture img').length === 9"
    await page.wait_for_function(pictures, timeout=SOON_MS)
    jobs = [job for job in await master.jobs() if job["job_id"] not in known]
    assert len(jobs) == 9 and {job["state"] for job in jobs} == {"done"}
    assert {job["peer"] for job in jobs} == {"peer-1", "peer-2"}
    history = await master.get("/history")
    ran = [history[job["job_id"]]["prompt"][2][str(SAMPLER)]["inputs"] for job in jobs]
    assert len({(inputs["seed"], inputs["steps"]) for inputs in ran}) == 9, "each with its own values"
    await screen.picture("Variations, the contact sheet")

    async with page.expect_download(timeout=SOON_MS) as download:
        await sheet.get_by_role("button", name="Save as picture").click()
    saved = await (await download.value).path()
    with Image.open(saved) as image:
        image.load()
        assert image.width > 900 and image.height > 900
        texts = dict(image.text)  # type: ignore[attr-defined]
        image.save(ARTIFACTS / f"saved-sheet-{screen.name.replace(' ', '-')}.png")
    nodes = {node["id"]: node for node in json.loads(texts["workflow"])["nodes"]}
    assert nodes[SAMPLER]["widgets_values"][STEPS] == 8  # as it was before
    assert json.loads(texts["prompt"])[str(SAMPLER)]["class_type"] == "KSampler"
    assert "steps: 2, 3, 4" in texts["parameters"]

    wanted = next(job["batch"] for job in jobs if job["batch"]["index"] == 5)["changes"]
    await sheet.locator(".orc-cell").nth(5).click()
    await sheet.wait_for(state="detached", timeout=SOON_MS)

    async def opened() -> bool:
        values = await page.evaluate(WIDGETS, SAMPLER)
        return bool(values) and (values[SEED], values[STEPS]) == (
            wanted[f"{SAMPLER}.seed"],
            wanted[f"{SAMPLER}.steps"],
        )

    await until(opened, "the page shows that variation's graph")
    await screen.picture("Variations, the graph of one")

    carried = await own_graph(screen, jobs, 7)
    assert carried[SAMPLER]["widgets_values"][STEPS] == 3

    await screen.reload()
    await screen.open_fleet_tab()
    await page.get_by_role("button", name="Contact sheet", exact=True).click()
    await sheet.get_by_text("9 of 9 done").wait_for(timeout=SOON_MS)
    assert await sheet.locator("tbody tr").count() == 3
    await page.keyboard.press("Escape")
    await sheet.wait_for(state="detached", timeout=SOON_MS)


async def own_graph(screen: Screen, jobs: list[dict[str, Any]], index: int) -> dict[int, dict[str, Any]]:
    """The nodes of the workflow that is in the file of one variation."""
    job = next(job for job in jobs if job["batch"]["index"] == index)
    return {node["id"]: node for node in (await own_workflow(screen, job))["nodes"]}


async def own_workflow(screen: Screen, job: dict[str, Any]) -> dict[str, Any]:
    output = next(output for output in job["outputs"] if output["type"] == "output")
    async with aiohttp.ClientSession() as http, http.get(screen.fleet.master.url + output["url"]) as answer:
        data = await answer.read()
    path = screen_file(screen)
    path.write_bytes(data)
    with Image.open(path) as image:
        workflow: dict[str, Any] = json.loads(image.text["workflow"])  # type: ignore[attr-defined]
    return workflow


async def test_variations_inside_a_subgraph_are_in_the_graphs_of_their_files(
    screen: Screen, master: Session
) -> None:
    await open_workflow(screen, steps=8)
    page = screen.page
    await page.evaluate(INTO_SUBGRAPH, SAMPLER)
    await page.evaluate("void window.app.extensionManager.command.execute('RemoteDispatch.QueueVariations')")
    dialog = page.get_by_role("dialog", name="Queue variations")
    await tick(screen, "seed")
    await page.get_by_label("seed: How many").fill("2")
    await tick(screen, "steps")
    await page.get_by_label("steps: Values").fill("2, 3")
    await dialog.get_by_label("Combine").select_option(label="Pair values (1st with 1st …)")
    known = {job["job_id"] for job in await master.jobs()}
    await dialog.get_by_role("button", name="Queue 2 jobs").click()
    sheet = page.get_by_role("dialog", name="Contact sheet")
    await sheet.get_by_text("2 of 2 done").wait_for(timeout=RUN_MS)
    await sheet.get_by_role("button", name="Close").click()
    jobs = [job for job in await master.jobs() if job["job_id"] not in known]
    for job in jobs:
        await page.evaluate("graph => window.app.loadGraphData(graph)", await own_workflow(screen, job))
        prompt = await page.evaluate("window.app.graphToPrompt().then(({output}) => output)")
        (inputs,) = [node["inputs"] for node in prompt.values() if node["class_type"] == "KSampler"]
        changes = {address.partition(".")[2]: value for address, value in job["batch"]["changes"].items()}
        assert changes.keys() == {"seed", "steps"}
        assert {name: inputs[name] for name in changes} == changes


def screen_file(screen: Screen) -> Path:
    return ARTIFACTS / f"variations-{screen.name.replace(' ', '-')}.png"


async def test_in_light_and_narrow_a_form_of_many_kinds_stays_whole(screen: Screen, master: Session) -> None:
    await open_workflow(screen, steps=8, palette="light")
    page = screen.page
    await screen.open_fleet_tab()
    await page.get_by_role("button", name="Variations").click()
    dialog = page.get_by_role("dialog", name="Queue variations")
    await dialog.wait_for(timeout=SOON_MS)
    row = await tick(screen, "steps")
    await row.get_by_label("How steps is varied").select_option(label="Range")
    await page.get_by_label("steps: From").fill("2")
    await page.get_by_label("steps: To").fill("6")
    await page.get_by_label("steps: step").fill("2")
    await dialog.get_by_text("3 jobs,").first.wait_for(timeout=SOON_MS)
    sampler = await tick(screen, "sampler_name")
    await sampler.get_by_label("euler_ancestral", exact=True).check()
    await dialog.get_by_text("6 jobs,").first.wait_for(timeout=SOON_MS)
    await dialog.get_by_label("Combine").select_option(label="Pair values (1st with 1st …)")
    await dialog.get_by_text("Pairing values needs the same number").wait_for(timeout=SOON_MS)
    await screen.picture("Variations, light")
    await page.set_viewport_size({"width": 400, "height": 700})
    await screen.picture("Variations, narrow")
    await page.keyboard.press("Escape")
    await dialog.wait_for(state="detached", timeout=SOON_MS)
