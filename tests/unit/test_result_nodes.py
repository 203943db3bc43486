"""The node that brings a value back is added to a prompt."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.core.models.job import ResultLink
from orchestrator.core.workflow.carriers import SUPPORTED
from orchestrator.core.workflow.object_info import ObjectInfo
from orchestrator.core.workflow.result_nodes import add_result_node, link_type, replace_source
from orchestrator.errors import UnsupportedTypeError, WorkflowError


def classes(**outputs: list[str]) -> ObjectInfo:
    return ObjectInfo(
        {
            name: {"input": {"required": {"any": ["*", {}]}}, "output": types}
            for name, types in outputs.items()
        }
    )


def graph(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"5": {"class_type": class_type, "inputs": inputs}}


def switches(**sources: str) -> ObjectInfo:
    """A class Switch that takes and gives anything, and a class for each of the types."""
    described: dict[str, Any] = {name: {"input": {}, "output": [given]} for name, given in sources.items()}
    anything = {name: ["*", {}] for name in ("a", "b", "condition", "picture")}
    return ObjectInfo({"Switch": {"input": {"optional": anything}, "output": ["*"]}, **described})


def switch_of(links: dict[str, list[Any]]) -> dict[str, Any]:
    """A Switch, node 5, with these links; each comes from a node named as its class."""
    sources = {str(link[0]): {"class_type": link[0], "inputs": {}} for link in links.values()}
    return {**graph("Switch", **links), **sources}


@pytest.mark.parametrize("kind", SUPPORTED)
def test_every_supported_type_gets_a_stock_node_that_hangs_on_the_link(kind: str) -> None:
    prompt, plan = add_result_node(graph("Source"), ResultLink("5", 0), classes(Source=[kind]))
    assert plan.type == kind
    assert plan.node_id in prompt
    added = [node for node_id, node in prompt.items() if node_id != "5"]
    assert any(["5", 0] in node["inputs"].values() for node in added)


def test_a_type_that_cannot_travel_is_refused_with_what_to_link_instead() -> None:
    with pytest.raises(
        UnsupportedTypeError, match=r"cannot bring back CONDITIONING from node 5.*LATENT after"
    ):
        add_result_node(graph("Source"), ResultLink("5", 0), classes(Source=["CONDITIONING"]))


def test_an_any_type_output_has_the_type_of_what_is_linked_into_it() -> None:
    info = classes(Switch=["*"], Source=["MASK"])
    prompt = {**graph("Switch", any=["6", 0]), "6": {"class_type": "Source", "inputs": {}}}
    assert link_type(prompt, ResultLink("5", 0), info) == "MASK"


@pytest.mark.parametrize("order", [("condition", "picture"), ("picture", "condition")])
def test_a_condition_beside_a_picture_is_not_what_a_switch_gives(order: tuple[str, str]) -> None:
    info = switches(IMAGE="IMAGE", BOOLEAN="BOOLEAN")
    links = {"condition": ["BOOLEAN", 0], "picture": ["IMAGE", 0]}
    prompt = switch_of({name: links[name] for name in order})
    assert link_type(prompt, ResultLink("5", 0), info) == "IMAGE"


def test_what_is_computed_of_numbers_may_be_a_text() -> None:
    prompt, plan = add_result_node(
        switch_of({"a": ["INT", 0]}), ResultLink("5", 0), switches(INT="INT", STRING="STRING")
    )
    assert (plan.type, prompt[plan.node_id]["class_type"]) == ("INT,STRING", "PreviewAny")


def test_an_any_type_output_of_unknown_origin_is_refused() -> None:
    with pytest.raises(UnsupportedTypeError, match="an unknown type"):
        add_result_node(graph("Switch"), ResultLink("5", 0), classes(Switch=["*"]))


def test_any_type_nodes_in_a_ring_end() -> None:
    assert link_type(graph("Switch", any=["5", 0]), ResultLink("5", 0), classes(Switch=["*"])) == "*"


def test_a_slot_the_class_lacks_is_a_clear_error() -> None:
    with pytest.raises(WorkflowError, match="has no output number 3"):
        link_type(graph("Source"), ResultLink("5", 3), classes(Source=["IMAGE"]))


def datasets(folder: Any) -> dict[str, Any]:
    """The classes for training sets as a peer describes them: the folder to load is a text, or of a list."""
    loads = {"input": {"required": {"folder_name": [folder]}}}
    return {"SaveTrainingDataset": {}, "LoadTrainingDataset": loads}


@pytest.mark.parametrize(
    ("has", "saved_by", "files"),
    [
        (datasets("STRING"), "SaveTrainingDataset", 3),
        ({**datasets("STRING"), "SaveImageAdvanced": {}}, "SaveImageAdvanced", 0),
        (datasets(["a"]), "SaveImageAdvanced", 0),  # which it lacks, and will be told so
    ],
)
def test_an_exact_picture_comes_by_what_the_peer_has(has: dict[str, Any], saved_by: str, files: int) -> None:
    info = ObjectInfo({"Source": {"input": {}, "output": ["IMAGE"]}, **has})
    prompt, plan = add_result_node(graph("Source"), ResultLink("5", 0), info, exact=True)
    assert prompt[plan.node_id]["class_type"] == saved_by
    assert len(plan.shards) == files
    named = plan.placed(prompt, "rd-1")
    told = plan.told({"7": {}}, "rd-1").get(plan.node_id, {"files": []})["files"]
    assert [file["subfolder"] for file in told] == [named[i]["inputs"]["folder_name"] for i in plan.shards]
    assert len({file["subfolder"] for file in told}) == files


def test_what_is_no_picture_comes_exactly_anyway() -> None:
    ways = [
        add_result_node(graph("Source"), ResultLink("5", 0), classes(Source=["LATENT"]), exact=exact)
        for exact in (True, False)
    ]
    assert ways[0] == ways[1]


def test_links_from_a_boundary_are_replaced_and_others_are_not() -> None:
    prompt = graph("Scale", image=["3", 0], other=["4", 0], number=3)
    assert replace_source(prompt, "3", 7)["5"]["inputs"] == {"image": 7, "other": ["4", 0], "number": 3}
