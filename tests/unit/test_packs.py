"""Workflows with nodes of packs, whose pages do more than definitions tell: exact, or refused by name."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.core.workflow.converter import workflow_to_api
from orchestrator.core.workflow.inspector import inspect_parameters
from orchestrator.errors import WorkflowError


def stock(output: list[str], /, *, is_output: bool = False, **inputs: Any) -> dict[str, Any]:
    return {
        "input": {"required": inputs},
        "output": output,
        "output_node": is_output,
        "python_module": "nodes",
    }


def pack(output: list[str], /, **inputs: Any) -> dict[str, Any]:
    return {**stock(output, **inputs), "python_module": "custom_nodes.some_pack"}


DEFINITIONS: dict[str, Any] = {
    "Load": stock(["MODEL", "VAE"], name=[["a"], {}]),
    "Sample": stock(["IMAGE"], model=["MODEL"], steps=["INT", {"default": 20}]),
    "Save": stock([], is_output=True, images=["IMAGE"]),
    "Loras": pack(["MODEL"], model=["MODEL"], strength=["FLOAT", {"default": 1.0}]),
    "Anything Everywhere": pack([], anything=["*"]),
    "Power Lora Loader (rgthree)": pack(["MODEL"]),
    "VHS_VideoCombine": pack(
        [],
        images=["IMAGE"],
        format=[["video/a", "video/b"], {"formats": {"video/a": [["crf", "INT", {"default": 20}]]}}],
        save_output=["BOOLEAN", {"default": True}],
    ),
    "PreviewBridge": pack(["IMAGE"], images=["IMAGE"], image=["STRING", {"default": ""}]),
    "Repeater|pysssss": pack(["*"], source=["*"]),
}
LOAD = {"id": 1, "type": "Load", "widgets_values": ["a"]}
SAVE = {"id": 9, "type": "Save", "inputs": [{"name": "images", "type": "IMAGE", "link": 9}]}


def node(node_id: int, kind: str, values: Any = None, link: int | None = None, **more: Any) -> dict[str, Any]:
    slots = [{"name": "model", "type": "MODEL", "link": link}]
    return {"id": node_id, "type": kind, "inputs": slots, "widgets_values": values, **more}


def workflow(*nodes: dict[str, Any], links: list[list[Any]], **extra: Any) -> dict[str, Any]:
    """A model goes through `nodes` into a sampler and a save node."""
    sampler = node(8, "Sample", [4], 8)
    return {
        "nodes": [LOAD, *nodes, sampler, SAVE],
        "links": [*links, [9, 8, 0, 9, 0, "IMAGE"]],
        "extra": extra,
    }


def with_loras(values: Any, **more: Any) -> dict[str, Any]:
    links = [[5, 1, 0, 5, 0, "MODEL"], [8, 5, 0, 8, 0, "MODEL"]]
    return workflow(node(5, "Loras", values, 5, **more), links=links)


def convert(found: dict[str, Any], definitions: Any = DEFINITIONS) -> dict[str, Any]:
    return {key: entry["inputs"] for key, entry in workflow_to_api(found, definitions).items()}


UNCLAIMED = {
    "more values than the definition has": with_loras([0.5, "ink.safetensors", 0.3]),
    "a value under a name that it does not have": with_loras({"strength": 0.5, "lora_1": {"on": True}}),
    "a name among the names of the file": with_loras(
        [0.5, {"a": 1}], widgets_values_named={"strength": 0.5, "stack": {"a": 1}}
    ),
    "a text where a number belongs": with_loras(["randomize"]),
}


@pytest.mark.parametrize("found", UNCLAIMED.values(), ids=UNCLAIMED)
def test_values_that_no_definition_claims_are_refused_and_the_sentence_says_what_helps(found: Any) -> None:
    with pytest.raises(WorkflowError, match=r"Node 5 'Loras'.*Export \(API\)"):
        convert(found)
    assert {p.address for p in inspect_parameters(found, DEFINITIONS)} >= {"8.steps"}


@pytest.mark.parametrize(
    "values",
    [
        [0.5],
        [0.5, "image"],
        [0.5, "randomize"],
        [0.5, None],
        [0.5, "", None],
        {"strength": 0.5, "button": None},
    ],
)
def test_what_buttons_leave_behind_hurts_nobody(values: Any) -> None:
    assert convert(with_loras(values))["5"] == {"strength": 0.5, "model": ["1", 0]}


def test_comfyuis_own_classes_and_definitions_that_tell_no_module_are_read_as_before() -> None:
    sampler = workflow(node(8, "Sample", [4, "old value"], 8), links=[[8, 1, 0, 8, 0, "MODEL"]])
    assert convert(sampler)["8"]["steps"] == 4
    told = {kind: {**each, "python_module": None} for kind, each in DEFINITIONS.items()}
    assert convert(with_loras([0.5, "x"]), told)["5"]["strength"] == 0.5


def test_a_required_input_of_a_pack_that_nothing_feeds_is_refused_where_it_would_run() -> None:
    through = workflow(node(5, "Loras", [0.5]), links=[[8, 5, 0, 8, 0, "MODEL"]])
    with pytest.raises(WorkflowError, match=r"Node 5 'Loras' .*neither link nor value for model"):
        convert(through)
    aside = workflow(node(5, "Loras", [0.5]), links=[[8, 1, 0, 8, 0, "MODEL"]])
    assert convert(aside)["5"] == {"strength": 0.5}


def everywhere(**extra: Any) -> dict[str, Any]:
    slots = [{"name": "anything", "type": "MODEL", "link": 5}]
    sender = {"id": 5, "type": "Anything Everywhere", "inputs": slots}
    return workflow(sender, links=[[5, 1, 0, 5, 0, "MODEL"]], **extra)


UE_LINK = {"downstream": 8, "downstream_slot": 0, "upstream": "1", "upstream_slot": 0, "type": "MODEL"}


def test_links_that_the_page_keeps_in_extra_are_made() -> None:
    assert convert(everywhere(ue_links=[UE_LINK]))["8"]["model"] == ["1", 0]


@pytest.mark.parametrize("extra", [{}, {"ue_links": []}])
def test_links_that_the_page_would_make_and_the_file_does_not_name_are_refused(extra: Any) -> None:
    with pytest.raises(
        WorkflowError, match=r"Node 5 .*links that it makes are not in the file.*model of node 8"
    ):
        convert(everywhere(**extra))


def set_and_get(setter: str, getter: str, name: str, **more: Any) -> dict[str, Any]:
    links = [[5, 1, 0, 5, 0, "MODEL"], [8, 6, 0, 8, 0, "MODEL"]]
    get = {"id": 6, "type": getter, "outputs": [{"name": "MODEL", "type": "MODEL"}], "widgets_values": [name]}
    return workflow(node(5, setter, ["shared"], 5, **more), get, links=links)


@pytest.mark.parametrize(("setter", "getter"), [("SetNode", "GetNode"), ("easy setNode", "easy getNode")])
def test_a_get_node_hands_on_what_its_set_node_takes(setter: str, getter: str) -> None:
    for mode in (0, 2, 4):
        made = convert(set_and_get(setter, getter, "shared", mode=mode))
        assert made["8"]["model"] == ["1", 0]
        assert set(made) == {"1", "8", "9"}
    with pytest.raises(WorkflowError, match=r"Node 6 .*no node sets 'other'"):
        convert(set_and_get(setter, getter, "other"))


def test_nodes_that_only_a_page_can_read_are_refused_where_something_hangs_on_them() -> None:
    preset = {"id": 6, "type": "PresetText|pysssss", "widgets_values": ["mine"]}
    assert "6" not in convert(workflow(preset, links=[[8, 1, 0, 8, 0, "MODEL"]]))
    with pytest.raises(WorkflowError, match=r"Node 6 .*kept in the browser"):
        convert(workflow(preset, links=[[8, 6, 0, 8, 0, "MODEL"]]))
    with pytest.raises(WorkflowError, match=r"Node 5 .*several nodes"):
        convert(workflow(node(5, "Repeater|pysssss"), links=[[8, 1, 0, 8, 0, "MODEL"]]))


def test_the_loras_of_a_power_lora_loader_are_sent() -> None:
    lora = {"on": True, "lora": "styles/ink.safetensors", "strength": 0.8, "strengthTwo": 0.4}
    values = [{}, {"type": "PowerLoraLoaderHeaderWidget"}, lora, {**lora, "on": False}, {}, ""]
    found = with_loras(values)
    found["nodes"][1]["type"] = "Power Lora Loader (rgthree)"
    made = convert(found)["5"]
    assert made["lora_1"] == {"on": True, "lora": "styles/ink.safetensors", "strength": 0.8}
    assert made["lora_2"]["on"] is False
    found["nodes"][1]["properties"] = {"Show Strengths": "Separate Model & Clip"}
    assert convert(found)["5"]["lora_1"] == lora


def test_a_file_of_another_version_of_a_pack_is_refused_where_its_values_would_shift() -> None:
    found = with_loras(["<lora:ink:1>", [{"name": "ink"}]])
    found["nodes"][1]["type"] = "Lora Loader (LoraManager)"
    definitions = {**DEFINITIONS, "Lora Loader (LoraManager)": pack(["MODEL"], model=["MODEL"])}
    with pytest.raises(WorkflowError, match="2 values for it, its page 3"):
        convert(found, definitions)
    found["nodes"][1]["widgets_values"] = [{"version": 1}, "<lora:ink:1>", [{"name": "ink"}]]
    made = convert(found, definitions)["5"]
    assert (made["text"], made["loras"]) == ("<lora:ink:1>", {"__value__": [{"name": "ink"}]})


def combined(**values: Any) -> dict[str, Any]:
    slots = [{"name": "images", "type": "IMAGE", "link": 10}]
    combine = {"id": 5, "type": "VHS_VideoCombine", "inputs": slots, "widgets_values": values}
    found = workflow(combine, links=[[8, 1, 0, 8, 0, "MODEL"]])
    found["links"].append([10, 8, 0, 5, 0, "IMAGE"])
    return found


def test_the_widgets_that_a_format_brings_are_sent_with_their_values_or_defaults() -> None:
    preview = {"hidden": False, "params": {"filename": "clip_00001.mp4"}}
    made = convert(combined(format="video/a", crf=19, save_output=False, videopreview=preview))["5"]
    assert made == {"format": "video/a", "crf": 19, "save_output": False, "images": ["8", 0]}
    assert convert(combined(format="video/a"))["5"]["crf"] == 20
    with pytest.raises(WorkflowError, match="'crf'"):
        convert(combined(format="video/b", crf=19))


def test_a_format_resets_what_the_first_format_set() -> None:
    formats = {
        "A": {"target_rate": 8, "dim": [8, 0, 512, 512]},
        "B": {"target_rate": 16, "dim": [8, 0, 832, 480]},
    }
    load = pack(
        ["IMAGE"],
        force_rate=["FLOAT", {"default": 0}],
        custom_width=["INT", {"default": 0}],
        format=[["None", "A", "B"], {"default": "A", "formats": {"None": {}, **formats}}],
    )
    found = combined(format="video/a")
    found["nodes"].append({"id": 20, "type": "VHS_LoadVideoPath"})
    for name, rate, width in (("B", 16, 640), ("A", 8, 640), ("None", 8, 640)):
        found["nodes"][-1]["widgets_values"] = {"force_rate": 8, "custom_width": 640, "format": name}
        made = convert(found, {**DEFINITIONS, "VHS_LoadVideoPath": load})["20"]
        assert made == {"force_rate": rate, "custom_width": width, "format": name}


def test_a_primitive_on_a_widget_that_the_page_made_is_refused() -> None:
    slots = [{"name": "value", "type": "FLOAT", "link": 7, "widget": {"name": "value"}}]
    target = {"id": 5, "type": "Power Primitive (rgthree)", "inputs": slots, "widgets_values": ["FLOAT", 1]}
    primitive = {
        "id": 6,
        "type": "PrimitiveNode",
        "outputs": [{"type": "FLOAT", "links": [7]}],
        "widgets_values": [3.5],
    }
    found = workflow(target, primitive, links=[[8, 1, 0, 8, 0, "MODEL"], [7, 6, 0, 5, 0, "FLOAT"]])
    with pytest.raises(WorkflowError, match=r"Node 5 .*a primitive sets its value"):
        convert(found, {**DEFINITIONS, "Power Primitive (rgthree)": pack(["*"])})


def bridged(picture: str) -> dict[str, Any]:
    """A picture goes through a bridge that keeps it in the memory of its server."""
    bridge = {"id": 7, "type": "PreviewBridge", "widgets_values": [picture]}
    bridge["inputs"] = [{"name": "images", "type": "IMAGE", "link": 10}]
    found = workflow(bridge, links=[[8, 1, 0, 8, 0, "MODEL"], [10, 8, 0, 7, 0, "IMAGE"]])
    found["links"][-1] = [9, 7, 0, 9, 0, "IMAGE"]
    return found


@pytest.mark.parametrize("picture", ["$7-1796055205.7", "$7-0", ""])
def test_a_picture_in_the_memory_of_another_server_is_sent_as_one_that_is_not_there(picture: str) -> None:
    assert convert(bridged(picture))["7"] == {"images": ["8", 0], "image": "$7-0"}


def test_a_picture_that_only_the_page_can_hand_to_its_server_is_refused() -> None:
    with pytest.raises(WorkflowError, match=r"clipspace/mask\.png.*Export \(API\)"):
        convert(bridged("clipspace/mask.png [input]"))
