"""What POST /prompt of a peer would answer, from its node list alone."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.core.prompts.requirements import Doubt
from orchestrator.core.prompts.validation import Validation, agree, doubtful, validate
from orchestrator.core.workflow.object_info import ObjectInfo

CLASSES: dict[str, Any] = {
    "Load": {
        "input": {"required": {"name": [["a.safetensors", "sub\\b.safetensors"]]}},
        "output": ["MODEL"],
    },
    "Picture": {
        "input": {"required": {"image": [["here.png"], {"image_upload": True}]}},
        "output": ["IMAGE", "MASK"],
    },
    "Sample": {
        "input": {
            "required": {
                "model": ["MODEL"],
                "steps": ["INT", {"min": 1, "max": 100}],
                "cfg": ["FLOAT", {"min": 0.0, "max": 10.0}],
            },
            "optional": {"image": ["IMAGE,MASK"], "any": ["*"], "kind": ["COMBO", {"options": ["x", "y"]}]},
        },
        "output": ["IMAGE", "COMFY_MATCHTYPE_V3"],
    },
    "Save": {"input": {"required": {"images": ["IMAGE"]}}, "output": [], "output_node": True},
    "Grow": {
        "input": {"required": {"images": ["COMFY_AUTOGROW_V3", {}]}},
        "output": ["IMAGE"],
    },
}


def info(module: str = "nodes", **changes: Any) -> ObjectInfo:
    """All of these classes as ComfyUI's own, or as a pack's."""
    classes = {**CLASSES, **changes}
    return ObjectInfo({name: {**classes[name], "python_module": module} for name in classes})


INFO = info()


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


def graph(**sample: Any) -> dict[str, Any]:
    inputs = {"model": ["1", 0], "steps": 20, "cfg": 7.5, **sample}
    wanted = {name: value for name, value in inputs.items() if value is not ...}
    return {
        "1": node("Load", name="a.safetensors"),
        "2": node("Sample", **wanted),
        "3": node("Save", images=["2", 0]),
    }


def kinds(found: Validation) -> dict[str, list[str]]:
    return {i: [error["type"] for error in node["errors"]] for i, node in found.node_errors.items()}


def test_a_good_prompt_has_no_errors_and_names_its_outputs() -> None:
    assert validate(graph(), INFO) == Validation(("3",))


@pytest.mark.parametrize(
    ("sample", "kind"),
    [
        ({"steps": 0}, "value_smaller_than_min"),
        ({"steps": 101}, "value_bigger_than_max"),
        ({"steps": "many"}, "invalid_input_type"),
        ({"steps": None}, "invalid_input_type"),
        ({"steps": float("inf")}, "invalid_input_type"),
        ({"cfg": -0.5}, "value_smaller_than_min"),
        ({"model": ...}, "required_input_missing"),
        ({"model": ["2"]}, "bad_linked_input"),
        ({"model": ["9", 0]}, "bad_linked_input"),
        ({"model": ["1", 5]}, "bad_linked_input"),
        ({"image": ["1", 0]}, "return_type_mismatch"),
        ({"kind": "z"}, "value_not_in_list"),
        ({"kind": ["1", 7]}, "bad_linked_input"),
    ],
)
def test_what_is_wrong_is_an_error_of_its_node_in_comfyuis_words(sample: dict[str, Any], kind: str) -> None:
    found = validate(graph(**sample), INFO)
    assert kinds(found) == {"2": [kind]}
    assert found.outputs == () and found.error is not None
    assert found.error["type"] == "prompt_outputs_failed_validation"
    wrong = found.node_errors["2"]
    assert (wrong["class_type"], wrong["dependent_outputs"]) == ("Sample", ["3"])
    assert wrong["errors"][0]["extra_info"]["input_name"] in sample


@pytest.mark.parametrize(
    "sample",
    [
        {"steps": "20"},
        {"steps": 20.0},
        {"steps": {"__value__": 3}},
        {"any": ["1", 0]},
        {"image": ["4", 1]},
        {"image": ["2", 1], "model": ["1", 0]},
        {"kind": "y"},
        {"kind": ["1", 0]},
    ],
    ids=str,
)
def test_what_the_host_would_take_is_taken(sample: dict[str, Any]) -> None:
    prompt = {**graph(**sample), "4": node("Picture", image="here.png"), "5": node("Save", images=["4", 0])}
    if sample.get("image") == ["2", 1]:
        prompt["6"] = node("Sample", model=["1", 0], steps=1, cfg=1, image=["2", 1])
        del prompt["2"]["inputs"]["image"]
    assert validate(prompt, INFO).node_errors == {}


@pytest.mark.parametrize(
    "sample",
    [{"steps": 0}, {"cfg": 11.0}, {"kind": "z"}, {"image": ["1", 0]}],
    ids=str,
)
def test_what_a_packs_class_may_decide_by_itself_is_no_error(sample: dict[str, Any]) -> None:
    pack = info("custom_nodes.some-pack")
    assert validate(graph(**sample), pack) == Validation(("3",))
    assert [words.split(" at node ")[0] for _, words, _ in doubtful(graph(**sample), pack)] != []


@pytest.mark.parametrize("sample", [{"model": ...}, {"steps": "many"}, {"model": ["9", 0]}], ids=str)
def test_what_the_host_itself_refuses_is_an_error_of_a_packs_node_too(sample: dict[str, Any]) -> None:
    assert validate(graph(**sample), info("custom_nodes.some-pack")).error is not None


def test_an_error_tells_what_it_was_read_from() -> None:
    assert validate(graph(steps=0), INFO).rests_on == Doubt(frozenset({"Sample"}))
    assert validate({"1": node("Rare")}, INFO).rests_on == Doubt(frozenset({"Rare"}))
    assert not validate(graph(), INFO).rests_on


def test_a_model_is_found_with_either_separator() -> None:
    prompt = graph()
    prompt["1"]["inputs"]["name"] = "sub/b.safetensors"
    assert validate(prompt, INFO).error is None
    prompt["1"]["inputs"]["name"] = "sub/c.safetensors"
    assert kinds(validate(prompt, INFO)) == {"1": ["value_not_in_list"]}


def test_an_input_file_of_this_machine_counts_as_there() -> None:
    prompt = {"1": node("Picture", image="mine.png"), "2": node("Save", images=["1", 0])}
    assert validate(prompt, INFO, has_file=lambda name: name == "mine.png").error is None
    assert kinds(validate(prompt, INFO)) == {"1": ["value_not_in_list"]}


def test_a_file_below_or_beside_the_input_folder_is_the_peers_to_find() -> None:
    for name in ("sub/theirs.png", "theirs.png [output]"):
        prompt = {"1": node("Picture", image=name), "2": node("Save", images=["1", 0])}
        assert validate(prompt, INFO).error is None


@pytest.mark.parametrize("name", ["theirs.exr", "theirs.mp4"])
def test_a_file_that_a_list_of_pictures_leaves_out_is_the_peers_to_find(name: str) -> None:
    prompt = {"1": node("Picture", image=name), "2": node("Save", images=["1", 0])}
    assert validate(prompt, INFO).error is None


def test_a_file_of_this_machine_counts_for_a_list_without_an_upload_button_too() -> None:
    latents = info(Picture={"input": {"required": {"image": [[]]}}, "output": ["IMAGE"]})
    prompt = {"1": node("Picture", image="a.latent"), "2": node("Save", images=["1", 0])}
    assert validate(prompt, latents, has_file=lambda name: name == "a.latent").error is None
    assert kinds(validate(prompt, latents)) == {"1": ["value_not_in_list"]}


def test_an_output_that_cannot_run_leaves_the_others_to_run() -> None:
    prompt = {**graph(), "8": node("Save", images=["7", 0])}
    found = validate(prompt, INFO)
    assert (found.outputs, found.error, list(found.node_errors)) == (("3",), None, ["8"])


def test_only_the_targets_are_checked_when_there_are_any() -> None:
    prompt = {**graph(steps=0), "4": node("Picture", image="here.png"), "5": node("Save", images=["4", 0])}
    assert validate(prompt, INFO, targets=["5"]) == Validation(("5",))
    assert validate(prompt, INFO, targets=["1"]).error == {
        "type": "prompt_no_outputs",
        "message": "Prompt has no outputs",
        "details": "",
        "extra_info": {},
    }


def test_every_node_of_an_unknown_class_is_named() -> None:
    prompt = {**graph(), "7": node("Rare"), "8": node("Rarer")}
    found = validate(prompt, INFO)
    assert kinds(found) == {"7": ["missing_node_type"], "8": ["missing_node_type"]}
    assert found.error is not None and "Rare, Rarer" in found.error["message"]


def test_dynamic_inputs_are_left_to_the_peer() -> None:
    prompt = {"1": node("Grow", **{"images.image0": ["1", 0]}), "2": node("Save", images=["1", 0])}
    assert "required_input_missing" not in str(validate(prompt, INFO))


@pytest.mark.parametrize("length", [1, 2, 20_000])
def test_a_circle_of_any_length_is_an_error_and_no_end(length: int) -> None:
    prompt = {
        str(n): node("Sample", model=["m", 0], steps=1, cfg=1, image=[str((n + 1) % length), 0])
        for n in range(length)
    }
    prompt |= {"m": node("Load", name="a.safetensors"), "out": node("Save", images=["0", 0])}
    assert kinds(validate(prompt, INFO)) == {"out": ["dependency_cycle"]}


def test_nodes_that_are_used_twice_are_no_circle() -> None:
    prompt = graph(image=["4", 0], any=["4", 1])
    prompt["4"] = node("Picture", image="here.png")
    assert validate(prompt, INFO).error is None


# The fleet's answer


BAD = validate(graph(steps=0), INFO)
WORSE = validate(graph(steps=0, cfg=-1.0, kind="z"), info(Load=CLASSES["Picture"]))
GOOD = validate(graph(), INFO)


def test_one_peer_that_can_is_enough() -> None:
    assert agree({"a": BAD, "b": GOOD, "c": "it is down"}) is GOOD


def test_the_nearest_miss_leads_and_every_peer_says_what_it_lacks() -> None:
    found = agree({"a": WORSE, "b": BAD, "c": "it is down"})
    assert found.node_errors == BAD.node_errors and found.error is not None
    lines = found.error["details"].split("\n")
    assert lines[0].startswith("a: ") and "smaller than min" in found.error["details"]
    assert lines[-1] == "c: it is down"


def test_peers_that_lack_the_same_say_so_once_and_name_the_nearest_file() -> None:
    classes = {
        "Loader": {"input": {"required": {"ckpt_name": [["one-2.safetensors"]]}}, "output": ["MODEL"]},
        "Save": {"input": {"required": {"model": ["MODEL"]}}, "output": [], "output_node": True},
    }
    prompt = {
        "1": {"class_type": "Loader", "inputs": {"ckpt_name": "one-1.safetensors"}},
        "2": {"class_type": "Save", "inputs": {"model": ["1", 0]}},
        "3": {"class_type": "Save", "inputs": {}},
    }
    stock = {name: {**classes[name], "python_module": "nodes"} for name in classes}
    lacking = validate(prompt, ObjectInfo(stock))
    found = agree({"a": lacking, "b": lacking, "c": "it is switched off in the Fleet tab"})
    assert found.error is not None
    assert found.error["details"].split("\n") == [
        "a, b: it lacks the file one-1.safetensors, wanted by node 1 (ckpt_name) (it has one-2.safetensors); "
        "Required input is missing: model",
        "c: it is switched off in the Fleet tab",
    ]


def test_what_is_wrong_with_the_prompt_itself_is_said_without_the_peers() -> None:
    found = agree({name: validate({"1": graph()["1"]}, INFO) for name in ("a", "b")})
    assert found.error is not None and found.error["message"] == "Prompt has no outputs"


def test_without_any_peer_a_person_is_told_what_to_do() -> None:
    found = agree({})
    assert found.error is not None and "Open the Fleet tab" in found.error["details"]


def test_peers_that_cannot_be_asked_say_why() -> None:
    found = agree({"a": "it is down"})
    assert found.error is not None and found.error["type"] == "no_peer"
    assert found.error["details"] == "a: it is down"
