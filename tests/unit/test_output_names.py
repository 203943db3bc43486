"""Each attempt has a folder of its own on its peer, which no user ever sees."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.core.prompts.output_names import OutputNames, with_output_names
from orchestrator.core.workflow.object_info import ObjectInfo

INFO = ObjectInfo(
    {
        "SaveImage": {"python_module": "nodes"},
        "ModelSave": {"python_module": "comfy_extras.nodes_model_merging"},
        "SaveLoRA": {"python_module": "comfy_extras.nodes_train"},
        "Image Save": {"python_module": "custom_nodes.was-node-suite-comfyui"},
        "Unsaid": {},
    }
)


def named(class_type: str, prefix: object, name: str = "filename_prefix") -> tuple[Any, OutputNames]:
    """What becomes of one node's prefix."""
    prompt = {"7": {"class_type": class_type, "inputs": {name: prefix, "other": 1}}}
    made, names = with_output_names(prompt, INFO, "rd-1")
    assert prompt["7"]["inputs"] == {name: prefix, "other": 1}
    return made["7"]["inputs"][name], names


def test_comfyuis_own_save_nodes_get_a_folder_of_their_own() -> None:
    made, names = named("SaveImage", "cats/x")
    assert made == "rd-1/cats/x"
    assert names.wanted("rd-1/cats", "x_00001_.png") == ("cats", "x_00001_.png")


@pytest.mark.parametrize("class_type", ["Image Save", "Unsaid", "ModelSave"])
def test_a_node_that_may_make_no_folder_or_tell_nothing_gets_a_flat_prefix(class_type: str) -> None:
    made, names = named(class_type, "cats/x")
    assert made == "rd-1-1~cats~x"
    assert names.node_of("rd-1-1~cats~x_0001.png") == "7"
    assert names.wanted("", "rd-1-1~cats~x_0001.png") == ("cats", "x_0001.png")
    assert names.wanted("2026-01-01", "0001_rd-1-1~x.png") == ("2026-01-01", "0001_x.png")


def test_a_silent_node_of_comfyuis_own_may_call_its_prefix_otherwise() -> None:
    made, names = named("SaveLoRA", "loras/mine", "prefix")
    assert made == "rd-1-1~loras~mine"
    assert names.mark_of("7") == "rd-1-1~"


@pytest.mark.parametrize(
    ("prefix", "on_peer", "comes_back_as"),
    [
        ("%date%/a~b", "rd-1-1~~%date%~~a~b", ("2026", "a~b_1.png")),
        ("a\\b", "rd-1-1~a~b", ("a", "b_1.png")),
        ("a/", "rd-1-1~a", ("", "a_1.png")),
        ("./a//b", "rd-1-1~a~b", ("a", "b_1.png")),
        ("東京/猫", "rd-1-1~東京~猫", ("東京", "猫_1.png")),
    ],
)
def test_folders_within_a_prefix_survive_the_way_there_and_back(
    prefix: str, on_peer: str, comes_back_as: tuple[str, str]
) -> None:
    made, names = named("Image Save", prefix)
    assert made == on_peer
    assert names.wanted("", on_peer.replace("%date%", "2026") + "_1.png") == comes_back_as


def test_a_long_prefix_leaves_its_folder_here() -> None:
    made, names = named("Image Save", "f" * 200 + "/x")
    assert made == "rd-1-1~x"
    assert names.wanted("", "rd-1-1~x_1.png") == ("f" * 200, "x_1.png")


@pytest.mark.parametrize("class_type", ["SaveImage", "Image Save"])
@pytest.mark.parametrize(
    "prefix", ["/srv/pictures/x", "C:\\x", "\\\\nas\\x", "~/x", "../x", "a/../../x", ["3", 0], 7, None]
)
def test_a_prefix_that_is_linked_or_leads_elsewhere_stays_as_it_is(class_type: str, prefix: object) -> None:
    made, names = named(class_type, prefix)
    assert made == prefix
    assert names.flat == {}


def test_an_empty_prefix_is_a_name_to_comfyui_and_may_be_anything_to_others() -> None:
    assert named("SaveImage", "")[0] == "rd-1-1~"
    assert named("Image Save", "")[0] == ""


def test_two_nodes_with_the_same_prefix_are_told_apart() -> None:
    node = {"class_type": "Image Save", "inputs": {"filename_prefix": "x"}}
    _, names = with_output_names({"1": node, "2": node}, INFO, "rd-1")
    assert names.node_of("rd-1-2~x_0001.png") == "2"
    assert names.node_of("x_0001.png") == ""


def test_texts_that_quote_a_name_quote_the_one_that_was_asked_for() -> None:
    _, names = named("Image Save", "cats/x")
    said = 'saved "/out/rd-1-1~cats~x_0001.png" and rd-1/y.png ~ done'
    assert names.restored(said) == 'saved "/out/cats/x_0001.png" and y.png ~ done'


@pytest.mark.parametrize(
    "place", ["/srv/pictures", "D:\\pictures", "./ComfyUI/output/[time(%Y)]", "../x", "~/x"]
)
def test_names_in_a_folder_that_is_the_users_bear_no_mark(place: str) -> None:
    node = {"class_type": "Image Save", "inputs": {"filename_prefix": "x", "output_path": place}}
    prompt, names = with_output_names({"1": node}, INFO, "rd-1")
    assert (prompt["1"], names.flat) == (node, {})


@pytest.mark.parametrize("place", ["", "output", "portraits/anna", "[time(%Y-%m-%d)]"])
def test_a_folder_within_the_output_folder_changes_nothing(place: str) -> None:
    node = {"class_type": "Image Save", "inputs": {"filename_prefix": "x", "output_path": place}}
    prompt, _ = with_output_names({"1": node}, INFO, "rd-1")
    assert prompt["1"]["inputs"] == {"filename_prefix": "rd-1-1~x", "output_path": place}
