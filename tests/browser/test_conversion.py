"""The graph that stands in the open page: our conversion of it against the prompt the page would send."""

from __future__ import annotations

import gzip
import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from orchestrator.core.workflow.converter import workflow_to_api
from orchestrator.core.workflow.object_info import ObjectInfo
from tests.rig.comfy import request

from .conftest import Screen

pytestmark = [pytest.mark.e2e, pytest.mark.browser]

DATA = Path(__file__).parents[1] / "data" / "converter"
WORKFLOWS = {
    "a template": ("templates_fe1.58.1", "image_qwen_image.json"),
    "a template with subgraphs": ("templates_fe1.58.1", "02_qwen_Image_edit_subgraphed.json"),
    "primitives and muted nodes": ("mutated_fe1.32.9", "s1_flux_redux_model_example.json"),
    "bypassed nodes and reroutes": ("mutated_fe1.32.9", "s1_image_omnigen2_image_edit.json"),
    "everything in nested subgraphs": ("mutated_fe1.32.9", "s1_hunyuan_video_text_to_video.json"),
    "primitives through a subgraph": ("mutated_fe1.32.9", "s1_controlnet_example.json"),
    "subgraphs that are muted or bypassed": ("mutated_fe1.32.9", "s1_flux1_dev_uso_reference_image_gen.json"),
}
LOAD = "async workflow => { await window.app.loadGraphData(workflow); }"
ASK = """async () => {
  const plain = (value) => JSON.parse(JSON.stringify(value));
  const saved = plain(window.app.graph.serialize());
  return { saved, prompt: plain((await window.app.graphToPrompt()).output) };
}"""
SWITCH_OFF = """([place, mode]) => {
  const nodes = window.app.graph.nodes.filter(node => !node.isVirtualNode && node.outputs?.length);
  nodes[place % nodes.length].mode = mode;
}"""
MUTED, BYPASSED = 2, 4


@cache
def workflow_of(name: str, workflow: str) -> Any:
    with gzip.open(DATA / f"{name}.json.gz", "rt", encoding="utf-8") as file:
        return next(r["workflow_file"] for r in json.load(file) if r["name"] == workflow)


@pytest.fixture(scope="module")
def definitions(screen_fleet: Any) -> ObjectInfo:
    return ObjectInfo(request(f"{screen_fleet.master.url}/object_info"))


def inputs(prompt: dict[str, Any]) -> dict[str, Any]:
    return {node_id: (node["class_type"], node["inputs"]) for node_id, node in prompt.items()}


async def assert_converted_as_the_page_does(screen: Screen, definitions: ObjectInfo) -> None:
    live = await screen.page.evaluate(ASK)
    assert live["prompt"]
    assert inputs(workflow_to_api(live["saved"], definitions)) == inputs(live["prompt"])


async def test_an_open_graph_is_converted_as_the_page_does(screen: Screen, definitions: ObjectInfo) -> None:
    await screen.open()
    for what, (name, workflow) in WORKFLOWS.items():
        await screen.page.evaluate(LOAD, workflow_of(name, workflow))
        print(f"{what}: {workflow}")
        await assert_converted_as_the_page_does(screen, definitions)


async def test_what_a_person_switches_off_in_the_page_is_off_in_our_conversion(
    screen: Screen, definitions: ObjectInfo
) -> None:
    await screen.open()
    await screen.page.evaluate(LOAD, workflow_of("templates_fe1.58.1", "image_qwen_image.json"))
    for place, mode in ((1, MUTED), (3, BYPASSED), (4, BYPASSED), (5, MUTED)):
        await screen.page.evaluate(SWITCH_OFF, [place, mode])
        await assert_converted_as_the_page_does(screen, definitions)
