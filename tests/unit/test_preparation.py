"""The prompt one peer would get of a request, or why it gets none."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from orchestrator.core.models.job import JobRequest, ResultLink, Source
from orchestrator.core.prompts.preparation import prepare
from orchestrator.core.workflow.cut import Stash
from orchestrator.core.workflow.object_info import ObjectInfo
from orchestrator.errors import ParameterError, UnsupportedTypeError, WorkflowError
from orchestrator.host.node.request import node_request
from tests.fakes.graphs import picture, stock_classes


def info(*more: str, **changes: Any) -> ObjectInfo:
    return ObjectInfo({**stock_classes(*more), **changes})


def checkpoints(*names: str) -> dict[str, Any]:
    return {
        "input": {"required": {"ckpt_name": [list(names), {}]}},
        "output": ["MODEL", "CLIP", "VAE"],
        "python_module": "nodes",
    }


def loader(name: str) -> dict[str, Any]:
    return {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": name}}


def with_model(name: str) -> dict[str, Any]:
    prompt = picture()
    prompt["1"]["inputs"]["model"] = ["5", 0]
    return {**prompt, "5": loader(name)}


def test_a_graph_the_peer_can_run_goes_to_it_as_it_is() -> None:
    prepared = prepare(JobRequest(prompt=picture(7)), info())
    assert (prepared.prompt, prepared.unmet, prepared.error) == (picture(7), (), None)


def test_what_the_request_holds_is_never_changed() -> None:
    request = JobRequest(prompt=picture(), changes={"EmptyImage.color": 5}, result=ResultLink("1", 0))
    prepare(request, info())
    assert request.prompt == picture()


def test_a_class_the_peer_lacks_is_named() -> None:
    assert prepare(JobRequest(prompt=picture(made_by="RareNode")), info()).unmet == (
        "it lacks the node RareNode",
    )


def test_a_model_the_peer_lacks_is_named_with_one_that_is_nearly_it() -> None:
    prepared = prepare(JobRequest(prompt=with_model("base_v1.safetensors")), info())
    assert prepared.unmet == (
        "it lacks the file base_v1.safetensors, wanted by node 5 (ckpt_name) (it has base.safetensors)",
    )


@pytest.mark.parametrize("targets", [(), ("2",)])
def test_what_no_wanted_output_needs_is_not_asked_of_a_peer(targets: tuple[str, ...]) -> None:
    unused = {
        "5": loader("gone.safetensors"),
        "6": {"class_type": "LoadImage", "inputs": {"image": "no.png"}},
    }
    elsewhere = {"7": {"class_type": "PreviewImage", "inputs": {"images": ["6", 0]}}} if targets else {}
    prepared = prepare(JobRequest(prompt={**picture(), **unused, **elsewhere}, targets=targets), info())
    assert (prepared.unmet, prepared.error, prepared.inputs, prepared.cautions) == ((), None, (), ())


def test_a_class_that_the_peer_lacks_is_missed_even_where_nothing_needs_it() -> None:
    unused = {"5": {"class_type": "RareNode", "inputs": {}}}
    assert prepare(JobRequest(prompt={**picture(), **unused}), info()).unmet == (
        "it lacks the node RareNode",
    )


def test_a_choice_of_words_of_ones_own_is_in_no_list_of_a_peer() -> None:
    combo = {
        "input": {"required": {"choice": ["COMBO", {"options": []}]}},
        "output": ["STRING", "INT"],
        "python_module": "comfy_extras.nodes_logic",
    }
    prompt = picture()
    prompt["1"]["inputs"]["name"] = ["5", 0]
    for word in ("mine.safetensors", "red"):
        prompt["5"] = {"class_type": "CustomCombo", "inputs": {"choice": word, "index": 0, "option1": word}}
        prepared = prepare(JobRequest(prompt=prompt), info(CustomCombo=combo))
        assert (prepared.unmet, prepared.paths, prepared.cautions) == ((), (), ())


def test_a_models_path_is_spelled_as_the_peer_spells_it() -> None:
    windows = info(CheckpointLoaderSimple=checkpoints("sdxl\\base.safetensors"))
    prepared = prepare(JobRequest(prompt=with_model("sdxl/base.safetensors")), windows)
    assert prepared.unmet == ()
    assert prepared.prompt["5"]["inputs"]["ckpt_name"] == "sdxl\\base.safetensors"


def test_changes_are_made_before_the_peer_is_judged() -> None:
    changed = JobRequest(
        prompt=with_model("base.safetensors"),
        changes={"CheckpointLoaderSimple.ckpt_name": "other.safetensors"},
    )
    both = info(CheckpointLoaderSimple=checkpoints("base.safetensors", "other.safetensors"))
    assert prepare(changed, both).prompt["5"]["inputs"]["ckpt_name"] == "other.safetensors"


def test_a_change_may_replace_the_very_model_that_the_peer_lacks() -> None:
    changed = JobRequest(prompt=with_model("gone.safetensors"), changes={"ckpt_name": "base.safetensors"})
    prepared = prepare(changed, info())
    assert (prepared.unmet, prepared.error) == ((), None)
    assert prepared.prompt["5"]["inputs"]["ckpt_name"] == "base.safetensors"


def test_a_change_of_something_that_is_not_there_is_the_jobs_own_fault() -> None:
    prepared = prepare(JobRequest(prompt=picture(), changes={"KSampler.seed": 1}), info())
    assert isinstance(prepared.error, ParameterError)


def test_the_wanted_value_gets_a_node_that_carries_it_over() -> None:
    prepared = prepare(JobRequest(prompt={"1": picture()["1"]}, result=ResultLink("1", 0)), info())
    assert prepared.plan is not None and prepared.plan.type == "IMAGE"
    assert prepared.prompt[prepared.plan.node_id]["inputs"]["images"] == ["1", 0]


def test_a_value_that_cannot_travel_is_refused_with_what_to_link_instead() -> None:
    prepared = prepare(JobRequest(prompt=with_model("base.safetensors"), result=ResultLink("5", 0)), info())
    assert isinstance(prepared.error, UnsupportedTypeError)
    assert "Link the IMAGE or LATENT" in str(prepared.error)


def test_a_peer_without_the_node_for_the_result_lacks_it() -> None:
    classes = stock_classes()
    del classes["PreviewImage"]
    prepared = prepare(JobRequest(prompt=picture(), result=ResultLink("1", 0)), ObjectInfo(classes))
    assert prepared.unmet == ("it lacks the node PreviewImage",)


def test_a_graph_that_makes_nothing_is_refused() -> None:
    prepared = prepare(JobRequest(prompt={"1": picture()["1"]}), info())
    assert isinstance(prepared.error, WorkflowError)
    assert "Nothing in this graph makes a file" in str(prepared.error)


def test_an_empty_graph_is_refused() -> None:
    assert "empty" in str(prepare(JobRequest(), info()).error)


def test_for_a_script_a_dispatch_node_hands_on_what_is_linked_to_it() -> None:
    dispatch = {"class_type": "RemoteDispatch", "inputs": {"value": ["1", 0]}}
    chained = {"class_type": "RemoteDispatch", "inputs": {"value": ["8", 0]}}
    graph = {**picture(), "8": dispatch, "9": chained}
    graph["2"] = {**graph["2"], "inputs": {**graph["2"]["inputs"], "images": ["9", 0]}}
    dropped = frozenset({"RemoteDispatch"})
    prepared = prepare(JobRequest(prompt=graph, drop_classes=dropped), info())
    assert (prepared.prompt, prepared.error) == (picture(), None)
    of_a_node = prepare(JobRequest(prompt=graph, drop_classes=dropped, source=Source.NODE), info())
    assert "Nothing in this graph makes a file" in str(of_a_node.error)


def test_dropped_classes_go_with_all_that_hangs_on_them() -> None:
    graph = {
        **picture(),
        "8": {"class_type": "RareNode", "inputs": {"image": ["1", 0]}},
        "9": {"class_type": "SaveImage", "inputs": {"images": ["8", 0], "filename_prefix": "x"}},
    }
    prepared = prepare(JobRequest(prompt=graph, drop_classes=frozenset({"RareNode"})), info())
    assert (set(prepared.prompt), prepared.unmet) == ({"1", "2"}, ())


def test_a_prompt_that_a_page_made_is_never_made_again_from_the_workflow_beside_it() -> None:
    other = {
        "nodes": [
            {"id": 1, "type": "EmptyImage", "outputs": [{"links": [1]}], "widgets_values": [8, 99]},
            {
                "id": 2,
                "type": "SaveImage",
                "inputs": [{"name": "images", "link": 1}],
                "widgets_values": ["x"],
            },
        ],
        "links": [[1, 1, 0, 2, 0, "IMAGE"]],
    }
    changed = JobRequest(prompt=picture(7), workflow=other, changes={"EmptyImage.color": 5})
    assert prepare(changed, info()).prompt == picture(5)
    assert prepare(JobRequest(workflow=other), info()).prompt["1"]["inputs"]["color"] == 99


def test_files_and_models_inside_a_dynamic_combo_are_those_of_any_input() -> None:
    files = {
        "model": ["COMBO", {"options": ["sdxl\\a.safetensors"]}],
        "image": ["COMBO", {"options": ["b.png"], "image_upload": True}],
    }
    mode = ["COMFY_DYNAMICCOMBO_V3", {"options": [{"key": "on", "inputs": {"required": files}}]}]
    maker = {"input": {"required": {"mode": mode}}, "output": ["IMAGE"], "python_module": "comfy_extras.x"}
    prompt = picture(made_by="Maker")
    prompt["1"]["inputs"] = {"mode": "on", "mode.model": "sdxl/a.safetensors", "mode.image": "mine.png"}
    prepared = prepare(JobRequest(prompt=prompt), info(Maker=maker))
    assert prepared.prompt["1"]["inputs"]["mode.model"] == "sdxl\\a.safetensors"
    assert [(file.input, file.value, file.sure) for file in prepared.inputs] == [
        ("mode.image", "mine.png", True)
    ]
    prompt["1"]["inputs"]["mode.model"] = "gone.safetensors"
    assert "gone.safetensors" in prepare(JobRequest(prompt=prompt), info(Maker=maker)).unmet[0]


def test_dates_in_the_file_names_of_a_workflow_are_those_of_the_moment_it_was_asked_for() -> None:
    inputs = [{"name": "images", "type": "IMAGE", "link": 1}]
    saver = {"id": 2, "type": "SaveImage", "inputs": inputs, "widgets_values": ["%date:yyyy-MM%/cat"]}
    workflow = {
        "nodes": [{"id": 1, "type": "EmptyImage", "widgets_values": [8, 99]}, saver],
        "links": [[1, 1, 0, 2, 0, "IMAGE"]],
    }
    prepared = prepare(JobRequest(workflow=workflow), info(), datetime(2026, 12, 1))
    assert prepared.prompt["2"]["inputs"]["filename_prefix"] == "2026-12/cat"


def test_the_workflow_leads_where_the_page_did_not_know_a_class() -> None:
    workflow = {"nodes": [{"id": 1, "type": "SaveImage", "widgets_values": ["x"]}], "links": []}
    holed = {"1": {"inputs": {}, "_meta": {"title": "Save"}}}
    prepared = prepare(JobRequest(prompt=holed, workflow=workflow), info())
    assert prepared.prompt["1"]["class_type"] == "SaveImage"


def test_what_speaks_against_a_peer_does_not_keep_the_prompt_from_it() -> None:
    pack = {
        "input": {"required": {"mode": [["fast"], {}], "seed": ["INT", {"max": 9}]}},
        "output": ["IMAGE"],
        "python_module": "custom_nodes.pack",
    }
    graph = {**picture(), "1": {"class_type": "Maker", "inputs": {"mode": "slow", "seed": 10}}}
    prepared = prepare(JobRequest(prompt=graph), info(Maker=pack))
    assert (prepared.unmet, prepared.error) == ((), None)
    assert prepared.cautions == ("Value 10 bigger than max of 9 at node 1: seed",)
    assert [path.value for path in prepared.paths] == ["slow"]


def test_a_node_without_a_link_sends_the_pages_own_prompt_not_one_made_of_the_workflow() -> None:
    workflow = {"nodes": [{"id": 1, "type": "EmptyImage", "widgets_values": [8, 99]}], "links": []}
    asked = {"node_id": "90", "overrides": "1.color = 5", "peer": "automatic", "if_no_peer": "wait"}
    request = node_request(Stash(picture(7)), picture(7), extra_pnginfo={"workflow": workflow}, **asked)
    assert prepare(request, info()).prompt == picture(5)
