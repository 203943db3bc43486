"""One list of nodes for the page, of the master's and the peers' own."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from orchestrator.core.workflow.foreign_definition import fit_definition
from orchestrator.core.workflow.merged_info import Availability, Merged, merge_info
from orchestrator.core.workflow.object_info import ObjectInfo


def old(*values: Any, **options: Any) -> list[Any]:
    return [list(values), options]


def new(*values: Any, **options: Any) -> list[Any]:
    return ["COMBO", {"options": list(values), **options}]


def node(**inputs: Any) -> dict[str, Any]:
    return {"input": {"required": inputs}, "output": ["MODEL"], "name": "Loader", "description": "Loads."}


def merged(own: dict[str, Any], **peers: dict[str, Any]) -> Merged:
    return merge_info(own, {name: ObjectInfo(raw) for name, raw in peers.items()})


def loader(*files: str, spell: Any = old) -> dict[str, Any]:
    return {"Loader": node(file=spell(*files))}


def choices(result: Merged, name: str = "Loader", key: str = "file") -> Any:
    spec = result.info[name]["input"]["required"][key]
    return spec[1]["options"] if spec[0] == "COMBO" else spec[0]


@pytest.mark.parametrize("spell", [old, new])
@pytest.mark.parametrize("theirs", [old, new])
def test_a_choice_gains_the_peers_values_behind_the_masters(spell: Any, theirs: Any) -> None:
    result = merged(loader("a", spell=spell), gpu=loader("b", "a", spell=theirs))
    assert choices(result) == ["a", "b"]
    assert result.where.values == {"Loader": {"file": {"b": Availability(False, ("gpu",))}}}
    assert result.where.classes == {}


def test_the_masters_own_definition_wins() -> None:
    own = {"Loader": node(steps=["INT", {"default": 1}])}
    theirs = {"Loader": {**node(steps=["INT", {"default": 9}], more=["INT", {}]), "output": ["VAE"]}}
    assert merged(own, gpu=theirs).info == own


def test_what_was_given_is_not_changed() -> None:
    own, theirs = loader("a"), loader("b")
    before = copy.deepcopy((own, theirs))
    merged(own, gpu=theirs)
    assert (own, theirs) == before


def test_every_place_is_told_where_a_machine_that_has_the_class_lacks_the_value() -> None:
    result = merged(loader("all", "mine", "some"), p1=loader("all", "some"), p2=loader("all", "p2"))
    assert result.where.values["Loader"]["file"] == {
        "mine": Availability(True, ()),
        "some": Availability(True, ("p1",)),
        "p2": Availability(False, ("p2",)),
    }


def test_a_machine_without_the_class_lacks_the_class_and_not_each_value() -> None:
    result = merged(loader("a"), p1=loader("a"), p2={})
    assert result.where.classes == {"Loader": Availability(True, ("p1",))}
    assert result.where.values == {}


def test_a_class_of_the_peers_alone_is_added_and_says_where_it_is() -> None:
    result = merged({}, p1=loader("a"), p2=loader("a", "b"))
    added = result.info["Loader"]
    assert choices(result) == ["a", "b"]
    assert added["description"] == "Loads.\n\nNot on this computer, but on p1, p2."
    assert added["output"] == ["MODEL"] and added["output_is_list"] == [False]
    assert result.where.classes == {"Loader": Availability(False, ("p1", "p2"))}
    assert result.where.values == {"Loader": {"file": {"b": Availability(False, ("p2",))}}}


def test_a_file_in_a_folder_is_one_value_whichever_separator_a_machine_writes() -> None:
    result = merged(loader("sd/a.pt"), win=loader("sd\\a.pt", "sd\\b.pt"), mac=loader("sd/b.pt"))
    assert choices(result) == ["sd/a.pt", "sd\\b.pt"]
    assert result.where.values["Loader"]["file"] == {
        "sd/a.pt": Availability(True, ("win",)),
        "sd/b.pt": Availability(False, ("win", "mac")),
    }


def test_the_users_own_input_files_are_not_mixed_with_the_peers() -> None:
    own = {"Loader": node(file=old("cat.png", image_upload=True))}
    assert merged(own, gpu=loader("other.png")).info == own


def test_a_dynamic_choice_gains_values_within_and_choices_with_their_inputs() -> None:
    def dynamic(**brought: Any) -> dict[str, Any]:
        options = [{"key": key, "inputs": {"required": inputs}} for key, inputs in brought.items()]
        return {"Loader": node(kind=["COMFY_DYNAMICCOMBO_V3", {"options": options}])}

    result = merged(dynamic(a={"file": new("x")}), gpu=dynamic(a={"file": new("y")}, b={"n": ["INT", {}]}))
    options = result.info["Loader"]["input"]["required"]["kind"][1]["options"]
    assert options == [
        {"key": "a", "inputs": {"required": {"file": new("x", "y")}}},
        {"key": "b", "inputs": {"required": {"n": ["INT", {}]}}},
    ]
    gpu = Availability(False, ("gpu",))
    assert result.where.values["Loader"] == {
        "kind": {"b": gpu},
        "kind.file": {"x": Availability(True, ()), "y": gpu},
    }


DEEP: Any = []
for _ in range(40):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    "hostile",
    [
        {"__proto__": node()},
        {"": node()},
        {"x" * 300: node()},
        {"<img src=x>": node()},
        {"Bad": "text"},
        {"Bad": ["seed"]},
        {"Bad": node(deep=DEEP)},
        {"Bad": node(many=old(*range(60_000)))},
    ],
)
def test_what_no_honest_peer_sends_is_left_out(hostile: dict[str, Any]) -> None:
    result = merged(loader("a"), bad=hostile, gpu=loader("a"))
    assert set(result.info) == {"Loader"}


@pytest.mark.parametrize(
    "values",
    ["text", [{}, [], None, "", "<img src=x onerror=alert(1)>.pt", float("nan"), "__proto__", "x" * 300]],
)
def test_choices_that_are_none_are_left_out(values: Any) -> None:
    result = merged(loader("a"), bad={"Loader": node(file=[values, {}])})
    assert choices(result) == ["a"]


@pytest.mark.parametrize(
    "broken", [{"input": 1}, {"input": {"required": 1}}, {"input": {"required": {"file": 1}}}]
)
def test_a_broken_definition_of_a_peer_hurts_nobody(broken: dict[str, Any]) -> None:
    assert choices(merged(loader("a"), bad={"Loader": broken}, gpu=loader("b"))) == ["a", "b"]
    assert merged({}, bad={"Loader": broken}).info["Loader"]["input"]["required"] == {}


def test_a_foreign_definition_holds_only_what_the_page_knows_and_asks_no_server() -> None:
    raw = {
        **node(file=["COMBO", {"remote": {"route": "http://evil"}, "options": ["a"], "__proto__": 1}], bad=1),
        "python_module": "custom_nodes/../../x",
        "output": ["IMAGE", 5],
        "output_name": ["one"],
        "output_is_list": "yes",
        "price_badge": {"expr": "evil"},
        "display_name": "<b>Loader",
        "category": 7,
    }
    raw["input"]["required"]["old"] = [["a", "<b>"], {}]
    raw["input"]["required"]["number"] = ["FLOAT", {"max": float("inf")}]
    fit = fit_definition("Loader", raw)
    assert fit == {
        "input": {
            "required": {
                "file": ["COMBO", {"options": ["a"]}],
                "number": ["FLOAT", {"max": None}],
                "old": [["a"], {}],
            }
        },
        "name": "Loader",
        "display_name": "‹b>Loader",
        "description": "Loads.",
        "category": "",
        "python_module": "custom_nodes.peer",
        "output_node": False,
        "output": ["IMAGE", "COMBO"],
        "output_name": ["IMAGE", "COMBO"],
        "output_is_list": [False, False],
    }
    json.dumps(fit, allow_nan=False)
