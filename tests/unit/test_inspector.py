"""The parameters of a graph, with their types, limits and titles."""

from __future__ import annotations

from typing import Any

from orchestrator.core.workflow.inspector import Parameter, inspect_parameters

DEFINITIONS: dict[str, Any] = {
    "KSampler": {
        "input": {
            "required": {
                "seed": ["INT", {"default": 0, "min": 0, "max": 2**64 - 1, "control_after_generate": True}],
                "steps": ["INT", {"default": 20, "min": 1, "max": 10000}],
                "sampler_name": [["euler", "ddim"], {}],
            }
        },
        "output": ["LATENT"],
    },
    "CLIPTextEncode": {
        "input": {"required": {"text": ["STRING", {"multiline": True}], "clip": ["CLIP"]}},
        "output": ["CONDITIONING"],
    },
}
PROMPT: dict[str, Any] = {
    "1": {
        "class_type": "KSampler",
        "inputs": {"seed": 5, "steps": 20, "sampler_name": "euler", "m": ["2", 0]},
    },
    "2": {"class_type": "CLIPTextEncode", "inputs": {"text": "a cat"}, "_meta": {"title": "Positive"}},
}


def by_address(parameters: tuple[Parameter, ...]) -> dict[str, Parameter]:
    return {parameter.address: parameter for parameter in parameters}


def test_a_prompts_values_are_parameters_and_its_links_are_not() -> None:
    found = by_address(inspect_parameters(PROMPT, DEFINITIONS))
    assert set(found) == {"1.seed", "1.steps", "1.sampler_name", "2.text"}


def test_prompts_come_first_then_seed_then_steps() -> None:
    assert [p.input for p in inspect_parameters(PROMPT, DEFINITIONS)] == [
        "text",
        "seed",
        "steps",
        "sampler_name",
    ]


def test_definitions_give_types_limits_and_choices() -> None:
    found = by_address(inspect_parameters(PROMPT, DEFINITIONS))
    seed, sampler, text = found["1.seed"], found["1.sampler_name"], found["2.text"]
    assert (seed.type, seed.value, seed.min, seed.max, seed.default) == ("INT", 5, 0, 2**64 - 1, 0)
    assert (sampler.type, sampler.choices) == ("COMBO", ("euler", "ddim"))
    assert (text.type, text.multiline, text.title, text.class_type) == (
        "STRING",
        True,
        "Positive",
        "CLIPTextEncode",
    )


def test_without_definitions_types_are_read_off_the_values() -> None:
    prompt = {"1": {"class_type": "X", "inputs": {"a": 1, "b": 1.5, "c": True, "d": "x", "e": {"k": 1}}}}
    assert {p.input: p.type for p in inspect_parameters(prompt)} == {
        "a": "INT", "b": "FLOAT", "c": "BOOLEAN", "d": "STRING", "e": "JSON",
    }  # fmt: skip


def test_arrays_are_shown_without_their_wrapper() -> None:
    prompt = {"1": {"class_type": "X", "inputs": {"sizes": {"__value__": [1, 2]}}}}
    assert inspect_parameters(prompt)[0].value == [1, 2]


def test_a_workflow_shows_its_inner_nodes_under_their_prompt_ids() -> None:
    subgraph = {"id": "sub", "nodes": [{"id": 8, "type": "CLIPTextEncode", "widgets_values": ["a dog"]}]}
    workflow = {"nodes": [{"id": 57, "type": "sub"}], "definitions": {"subgraphs": [subgraph]}}
    assert by_address(inspect_parameters(workflow, DEFINITIONS))["57:8.text"].value == "a dog"


def test_a_file_alone_names_the_widgets_its_inputs_name() -> None:
    saved = {
        "id": 3,
        "type": "Somebody's Node",
        "inputs": [
            {"name": "image", "type": "IMAGE", "link": None},
            {"name": "seed", "type": "INT", "link": None, "widget": {"name": "seed"}},
            {"name": "mode", "type": "COMBO", "link": None, "widget": {"name": "mode"}},
        ],
        "widgets_values": [7, "fixed", "fast"],
    }
    found = by_address(inspect_parameters({"nodes": [saved]}))
    assert (found["3.seed"].value, found["3.mode"].value) == (7, "fast")


def test_named_values_are_preferred_where_the_file_has_them() -> None:
    saved = {"id": 3, "type": "New", "widgets_values": [1, 2], "widgets_values_named": {"x": 1, "y": 2}}
    assert {p.input: p.value for p in inspect_parameters({"nodes": [saved]})} == {"x": 1, "y": 2}


def test_core_classes_are_named_without_help() -> None:
    saved = {"id": 3, "type": "KSampler", "widgets_values": [1, "randomize", 20, 7.5, "euler", "normal", 1]}
    found = {p.input: p.value for p in inspect_parameters({"nodes": [saved]})}
    assert (found["seed"], found["cfg"], found["denoise"]) == (1, 7.5, 1)


def test_unknown_classes_do_not_hide_the_known_ones() -> None:
    workflow = {
        "nodes": [{"id": 1, "type": "Nowhere"}, {"id": 2, "type": "CLIPTextEncode", "widgets_values": ["x"]}]
    }
    assert set(by_address(inspect_parameters(workflow, DEFINITIONS))) == {"2.text"}
