"""Values are put into a prompt: found, converted, or refused by name."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from orchestrator.core.engine.parameter_patcher import patch_parameters
from orchestrator.core.workflow.inspector import inspect_parameters
from orchestrator.errors import ParameterError, WorkflowError

DEFINITIONS: dict[str, Any] = {
    "KSampler": {
        "input": {
            "required": {
                "seed": ["INT", {"min": 0, "max": 2**64 - 1}],
                "cfg": ["FLOAT", {"min": 0.0, "max": 100.0}],
                "sampler_name": [["euler", "euler_ancestral", "ddim"], {}],
                "add_noise": ["BOOLEAN", {}],
                "latent_image": ["LATENT"],
            }
        }
    },
    "CLIPTextEncode": {"input": {"required": {"text": ["STRING", {"multiline": True}]}}},
    "LoadImage": {"input": {"required": {"image": [["a.png"], {"image_upload": True}]}}},
    "Loader": {"input": {"required": {"name": [["sub/model.safetensors"], {}]}}},
}
PROMPT: dict[str, Any] = {
    "3": {
        "class_type": "KSampler",
        "inputs": {
            "seed": 5,
            "cfg": 8.0,
            "sampler_name": "euler",
            "add_noise": True,
            "latent_image": ["9", 0],
        },
    },
    "57:8": {
        "class_type": "CLIPTextEncode",
        "inputs": {"text": "a cat"},
        "_meta": {"title": "Pos v1.5 = good"},
    },
    "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "bad"}, "_meta": {"title": "Negative"}},
    "9": {"class_type": "LoadImage", "inputs": {"image": "a.png"}},
    "10": {"class_type": "Loader", "inputs": {"name": "sub/model.safetensors"}},
}


def patched(changes: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return patch_parameters(PROMPT, inspect_parameters(PROMPT, DEFINITIONS), changes)


@pytest.mark.parametrize(
    ("target", "value", "node_id", "name"),
    [
        ("3.seed", 42, "3", "seed"),
        ("57:8.text", "a dog", "57:8", "text"),
        ("Negative.text", "ugly", "7", "text"),
        ("Pos v1.5 = good.text", "hm", "57:8", "text"),
        ("KSampler.cfg", 3.5, "3", "cfg"),
        ("seed", 7, "3", "seed"),
    ],
)
def test_a_parameter_is_found_by_address_title_class_or_bare_name(
    target: str, value: Any, node_id: str, name: str
) -> None:
    assert patched({target: value})[node_id]["inputs"][name] == value


def test_a_whole_number_that_no_definition_describes_may_become_a_fraction() -> None:
    """Pages write 2.0 as 2, and inputs of a dynamic combo stand in no list of a class's inputs."""
    prompt = {"3": {"class_type": "KSampler", "inputs": {"cfg": 7, "resize.multiplier": 2, "seed": 1}}}
    changes = {"cfg": 7.5, "3.resize.multiplier": "1.5", "seed": "9007199254740993"}
    for parameters in ((), inspect_parameters(prompt, {"KSampler": {"input": {}}})):
        inputs = patch_parameters(prompt, parameters, changes)["3"]["inputs"]
        assert inputs == {"cfg": 7.5, "resize.multiplier": 1.5, "seed": 2**53 + 1}


def test_several_changes_at_once_leave_everything_else_alone() -> None:
    expected = copy.deepcopy(PROMPT)
    expected["3"]["inputs"]["seed"], expected["7"]["inputs"]["text"] = 1, "x"
    assert patched({"seed": 1, "Negative.text": "x"}) == expected


def test_the_prompt_that_is_given_stays_untouched() -> None:
    before = copy.deepcopy(PROMPT)
    patched({"seed": 1})
    assert before == PROMPT


def test_64_bit_seeds_are_exact() -> None:
    assert patched({"seed": 2**64 - 1})["3"]["inputs"]["seed"] == 18446744073709551615
    assert patched({"seed": "9007199254740993"})["3"]["inputs"]["seed"] == 2**53 + 1


def test_an_ambiguous_target_names_the_candidates() -> None:
    with pytest.raises(ParameterError, match="fits 2 inputs") as caught:
        patched({"text": "x"})
    assert set(caught.value.candidates) == {"57:8.text", "7.text"}


def test_an_unknown_target_names_what_is_near() -> None:
    with pytest.raises(ParameterError, match=r"3\.seed") as caught:
        patched({"KSampler.sed": 1})
    assert "3.seed" in caught.value.candidates


def test_a_linked_input_is_refused_with_its_source() -> None:
    with pytest.raises(ParameterError, match="node 9"):
        patched({"3.latent_image": 1})


@pytest.mark.parametrize(("value", "limit"), [(-1, "0"), (2**64, "18446744073709551615")])
def test_a_value_out_of_range_is_refused_with_the_limits(value: int, limit: str) -> None:
    with pytest.raises(ParameterError, match=limit):
        patched({"seed": value})


def test_a_value_that_is_not_in_the_list_is_refused_with_the_nearest() -> None:
    with pytest.raises(ParameterError, match="euler_ancestral") as caught:
        patched({"sampler_name": "euler_a"})
    assert "euler_ancestral" in caught.value.candidates


@pytest.mark.parametrize("listed", ["sub/model.safetensors", "sub\\model.safetensors"])
@pytest.mark.parametrize("given", ["sub/model.safetensors", "sub\\model.safetensors"])
def test_a_choice_is_found_under_either_path_separator_and_spelled_as_listed(listed: str, given: str) -> None:
    prompt = {"10": {"class_type": "Loader", "inputs": {"name": "old"}}}
    info = {"Loader": {"input": {"required": {"name": [[listed], {}]}}}}
    after = patch_parameters(prompt, inspect_parameters(prompt, info), {"name": given})
    assert after["10"]["inputs"]["name"] == listed


def of_a_class(module: str, **options: Any) -> Any:
    spec = ["COMBO", {"options": ["a.mp4", "b"], **options}]
    return {"Loader": {"input": {"required": {"name": spec}}, "python_module": module}}


@pytest.mark.parametrize(
    ("definitions", "value", "sent"),
    [
        (of_a_class("nodes"), "mine.latent", "mine.latent"),
        (of_a_class("custom_nodes.videos"), "mine.mp4", "mine.mp4"),
        (of_a_class("custom_nodes.styles"), "my style", "my style"),
        (of_a_class("nodes", multi_select=True), ["b"], {"__value__": ["b"]}),
    ],
)
def test_a_list_that_does_not_say_all_refuses_nothing(definitions: Any, value: Any, sent: Any) -> None:
    parameters = inspect_parameters({"10": PROMPT["10"]}, definitions)
    after = patch_parameters({"10": PROMPT["10"]}, parameters, {"10.name": value})
    assert after["10"]["inputs"]["name"] == sent


def test_an_input_file_need_not_be_in_the_list_yet() -> None:
    assert patched({"image": "new.png"})["9"]["inputs"]["image"] == "new.png"


@pytest.mark.parametrize(
    ("target", "value", "expected"),
    [("3.seed", "42", 42), ("3.seed", 41.6, 42), ("3.cfg", "3.5", 3.5), ("3.cfg", 4, 4),
     ("3.add_noise", "no", False), ("3.add_noise", 1, True), ("7.text", 5, "5"), ("7.text", True, "true")],
)  # fmt: skip
def test_values_are_coerced_as_the_widget_would(target: str, value: Any, expected: Any) -> None:
    node_id, _, name = target.partition(".")
    after = patched({target: value})[node_id]["inputs"][name]
    assert after == expected and type(after) is type(expected)


@pytest.mark.parametrize(
    ("target", "value"),
    [
        ("seed", "many"),
        ("seed", True),
        ("cfg", None),
        ("cfg", "nan"),
        ("add_noise", "maybe"),
        ("7.text", ["a"]),
    ],
)
def test_values_of_the_wrong_kind_are_refused(target: str, value: Any) -> None:
    with pytest.raises(WorkflowError):
        patched({target: value})


def test_inputs_without_definition_take_any_json() -> None:
    prompt = {"1": {"class_type": "X", "inputs": {"data": {"a": 1}}}}
    assert patch_parameters(prompt, (), {"data": [1, 2]})["1"]["inputs"]["data"] == {"__value__": [1, 2]}
