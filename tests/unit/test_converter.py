"""A saved workflow becomes the prompt that the page itself would send."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.core.workflow.converter import workflow_to_api
from orchestrator.core.workflow.inspector import is_link
from orchestrator.core.workflow.text import dynamic_prompt, format_date
from orchestrator.errors import OrchestratorError, UnknownNodeError, WorkflowError


def definition(output: Sequence[str] = (), **inputs: Any) -> dict[str, Any]:
    return {"input": {"required": inputs}, "output": list(output), "output_name": list(output)}


SEED = ["INT", {"default": 0, "min": 0, "max": 2**64 - 1, "control_after_generate": True}]
DEFINITIONS: dict[str, Any] = {
    "Load": definition(["IMAGE"], image=[["a.png"], {"image_upload": True}]),
    "Blur": definition(["IMAGE"], image=["IMAGE"], radius=["INT", {"default": 3}]),
    "Mix": definition(["MASK", "IMAGE"], mask=["MASK"], image=["IMAGE"]),
    "Sample": definition(["LATENT"], seed=SEED, steps=["INT", {"default": 20}], text=["STRING", {}]),
    "Prompt": definition(["CONDITIONING"], text=["STRING", {"multiline": True, "dynamicPrompts": True}]),
    "SaveImage": definition([], images=["IMAGE"], filename_prefix=["STRING", {"default": "ComfyUI"}]),
    "Odd": definition(["A", "B", "IMAGE"], anything=["*"], image=["IMAGE"]),
    "Sizes": definition([], sizes=["STRING", {}]),
}


def node(node_id: Any, kind: str, values: Any = None, inputs: Any = None, **fields: Any) -> dict[str, Any]:
    slots = [{"name": name, "type": kind_, "link": link} for name, kind_, link in inputs or []]
    return {"id": node_id, "type": kind, "inputs": slots, "widgets_values": values, **fields}


def convert(nodes: list[dict[str, Any]], links: Any = (), **rest: Any) -> dict[str, dict[str, Any]]:
    return workflow_to_api({"nodes": nodes, "links": list(links), **rest}, DEFINITIONS)


def inputs_of(prompt: dict[str, dict[str, Any]], node_id: str) -> dict[str, Any]:
    inputs = prompt[node_id]["inputs"]
    assert isinstance(inputs, dict)
    return inputs


# Values and names


def test_values_skip_the_control_widget_behind_a_seed() -> None:
    prompt = convert([node(1, "Sample", [2**64 - 1, "randomize", 30, "x"])])
    assert inputs_of(prompt, "1") == {"seed": 2**64 - 1, "steps": 30, "text": "x"}


def test_the_upload_button_is_not_sent() -> None:
    assert inputs_of(convert([node(1, "Load", ["b.png", "image"])]), "1") == {"image": "b.png"}


def test_values_by_name_need_no_order() -> None:
    prompt = convert([node(1, "Sample", {"text": "x", "seed": 4})])
    assert inputs_of(prompt, "1") == {"seed": 4, "steps": 20, "text": "x"}


def test_missing_values_are_the_defaults() -> None:
    assert inputs_of(convert([node(1, "Sample", [])]), "1") == {"seed": 0, "steps": 20, "text": ""}


def test_arrays_are_wrapped_so_that_they_do_not_look_like_links() -> None:
    assert inputs_of(convert([node(1, "Sizes", [[1, 2]])]), "1") == {"sizes": {"__value__": [1, 2]}}


def test_a_linked_widget_sends_the_link() -> None:
    steps = {"name": "steps", "type": "INT", "link": 1, "widget": {"name": "steps"}}
    target = {**node(2, "Sample", [4, "fixed", 30, "x"]), "inputs": [steps]}
    prompt = convert([node(1, "Blur"), target], [[1, 1, 0, 2, 0, "INT"]])
    assert inputs_of(prompt, "2") == {"seed": 4, "steps": ["1", 0], "text": "x"}


def test_links_follow_the_name_of_the_saved_input_not_its_place() -> None:
    mix = node(3, "Mix", inputs=[("image", "IMAGE", 1)])
    prompt = convert([node(1, "Load", ["a.png"]), mix], [[1, 1, 0, 3, 0, "IMAGE"]])
    assert inputs_of(prompt, "3") == {"image": ["1", 0]}


def test_titles_travel_as_meta() -> None:
    assert convert([node(1, "Load", title="My picture")])["1"]["_meta"] == {"title": "My picture"}


def test_a_prompt_passes_through_as_a_copy() -> None:
    prompt = {"1": {"class_type": "Whatever", "inputs": {"x": 1}}}
    made = workflow_to_api(prompt, DEFINITIONS)
    assert made == prompt and made["1"]["inputs"] is not prompt["1"]["inputs"]


# Modes and virtual nodes


def chain(middle: dict[str, Any]) -> dict[str, dict[str, Any]]:
    save = node(9, "SaveImage", ["x"], [("images", "IMAGE", 2)])
    return convert([node(1, "Load", ["a.png"]), middle, save], [[1, 1, 0, 5, 0, "*"], [2, 5, 0, 9, 0, "*"]])


def test_a_bypassed_node_hands_on_the_input_of_the_same_type() -> None:
    prompt = chain(node(5, "Blur", [3], [("image", "IMAGE", 1)], mode=4))
    assert inputs_of(prompt, "9")["images"] == ["1", 0] and "5" not in prompt


def test_a_bypassed_node_without_a_fitting_input_cuts_the_link() -> None:
    prompt = chain(node(5, "Sample", [3], [("text", "STRING", 1)], mode=4))
    assert "images" not in inputs_of(prompt, "9")


def test_a_muted_node_cuts_the_link() -> None:
    prompt = chain(node(5, "Blur", [3], [("image", "IMAGE", 1)], mode=2))
    assert set(prompt) == {"1", "9"} and "images" not in inputs_of(prompt, "9")


def test_a_bypassed_node_prefers_the_input_of_exactly_the_wanted_type() -> None:
    odd = node(5, "Odd", None, [("anything", "*", 1), ("image", "IMAGE", 3)], mode=4)
    save = node(9, "SaveImage", ["x"], [("images", "IMAGE", 2)])
    links = [[1, 1, 0, 5, 0, "*"], [2, 5, 2, 9, 0, "*"], [3, 2, 0, 5, 1, "IMAGE"]]
    prompt = convert([node(1, "Load", ["a.png"]), node(2, "Load", ["b.png"]), odd, save], links)
    assert inputs_of(prompt, "9")["images"] == ["2", 0]


def test_a_widget_linked_to_a_muted_node_keeps_its_own_value() -> None:
    steps = {"name": "steps", "type": "INT", "link": 1, "widget": {"name": "steps"}}
    target = {**node(2, "Sample", [4, "fixed", 30, "x"]), "inputs": [steps]}
    prompt = convert([node(1, "Blur", mode=2), target], [[1, 1, 0, 2, 0, "INT"]])
    assert inputs_of(prompt, "2")["steps"] == 30


def test_a_reroute_is_passed_through() -> None:
    prompt = chain(node(5, "Reroute", None, [("", "*", 1)], outputs=[{"name": "", "type": "*"}]))
    assert inputs_of(prompt, "9")["images"] == ["1", 0]


def test_notes_are_left_out() -> None:
    assert convert([node(1, "Note", ["hi"]), node(2, "MarkdownNote", ["# hi"])]) == {}


def test_a_primitive_gives_its_value_to_what_it_is_linked_to() -> None:
    primitive = node(
        1, "PrimitiveNode", [77, "fixed"], outputs=[{"name": "INT", "type": "INT", "links": [1]}]
    )
    steps = {"name": "steps", "type": "INT", "link": 1, "widget": {"name": "steps"}}
    target = {**node(2, "Sample", [4, "fixed", 30, "x"]), "inputs": [steps]}
    prompt = convert([primitive, target], [[1, 1, 0, 2, 0, "INT"]])
    assert inputs_of(prompt, "2")["steps"] == 77 and set(prompt) == {"2"}


def test_a_link_from_nowhere_counts_as_no_link() -> None:
    prompt = convert([node(9, "SaveImage", ["x"], [("images", "IMAGE", 1)])], [[1, 8, 0, 9, 0, "IMAGE"]])
    assert inputs_of(prompt, "9") == {"filename_prefix": "x"}


# Subgraphs


def subgraph(name: str = "sub", **fields: Any) -> dict[str, Any]:
    """Blur inside: its picture comes from the first input, its radius from the second."""
    return {
        "id": name,
        "name": name,
        "inputs": [
            {"id": "a", "name": "image", "type": "IMAGE", "linkIds": [1]},
            {"id": "b", "name": "radius", "type": "INT", "linkIds": [2]},
        ],
        "outputs": [{"id": "c", "name": "IMAGE", "type": "IMAGE", "linkIds": [3]}],
        "nodes": [
            {
                **node(8, "Blur", [3]),
                "inputs": [
                    {"name": "image", "type": "IMAGE", "link": 1},
                    {"name": "radius", "type": "INT", "link": 2, "widget": {"name": "radius"}},
                ],
            }
        ],
        "links": [
            {"id": 1, "origin_id": -10, "origin_slot": 0, "target_id": 8, "target_slot": 0, "type": "IMAGE"},
            {"id": 2, "origin_id": -10, "origin_slot": 1, "target_id": 8, "target_slot": 1, "type": "INT"},
            {"id": 3, "origin_id": 8, "origin_slot": 0, "target_id": -20, "target_slot": 0, "type": "IMAGE"},
        ],
        **fields,
    }


def with_instance(**fields: Any) -> dict[str, dict[str, Any]]:
    return convert(
        [
            node(1, "Load", ["a.png"]),
            node(57, "sub", [11], [("image", "IMAGE", 1)], **fields),
            node(9, "SaveImage", ["x"], [("images", "IMAGE", 2)]),
        ],
        [[1, 1, 0, 57, 0, "IMAGE"], [2, 57, 0, 9, 0, "IMAGE"]],
        definitions={"subgraphs": [subgraph()]},
    )


def test_inner_nodes_get_path_ids_and_links_cross_the_walls() -> None:
    prompt = with_instance()
    assert inputs_of(prompt, "9")["images"] == ["57:8", 0]
    assert inputs_of(prompt, "57:8")["image"] == ["1", 0]


def test_an_instances_own_value_overrides_the_inner_widget() -> None:
    assert inputs_of(with_instance(), "57:8")["radius"] == 11


def test_a_bypassed_instance_disappears_and_its_picture_passes() -> None:
    prompt = with_instance(mode=4)
    assert set(prompt) == {"1", "9"} and inputs_of(prompt, "9")["images"] == ["1", 0]


def test_a_muted_instance_disappears_with_its_link() -> None:
    prompt = with_instance(mode=2)
    assert set(prompt) == {"1", "9"} and "images" not in inputs_of(prompt, "9")


def test_two_instances_keep_their_own_values() -> None:
    prompt = convert([node(1, "sub", [11]), node(2, "sub", [22])], definitions={"subgraphs": [subgraph()]})
    assert [inputs_of(prompt, i)["radius"] for i in ("1:8", "2:8")] == [11, 22]


def test_inner_ids_that_repeat_are_renumbered() -> None:
    prompt = convert([node(8, "sub", [5])], last_node_id=20, definitions={"subgraphs": [subgraph()]})
    assert set(prompt) == {"8:21"}


def test_older_files_name_promoted_widgets_in_a_property() -> None:
    inner = {"id": "old", "nodes": [node(8, "Blur", [3])], "links": [], "inputs": [], "outputs": []}
    host = node(57, "old", [44], properties={"proxyWidgets": [["8", "radius"]]})
    prompt = convert([host], definitions={"subgraphs": [inner]})
    assert inputs_of(prompt, "57:8")["radius"] == 44


def test_old_group_nodes_become_subgraphs_with_new_ids() -> None:
    group = {
        "nodes": [node(0, "Load", ["a.png", "image"]), node(0, "Blur", [3], [("image", "IMAGE", None)])],
        "links": [[0, 0, 1, 0, 1, "IMAGE"]],
    }
    instance = node(5, "workflow/pair", ["b.png", "image", 9])
    prompt = convert([instance], last_node_id=5, extra={"groupNodes": {"pair": group}})
    assert set(prompt) == {"8:6", "8:7"}
    assert inputs_of(prompt, "8:6")["image"] == "b.png"
    assert inputs_of(prompt, "8:7") == {"image": ["8:6", 0], "radius": 9}


# Text


def test_dynamic_prompts_lose_comments_and_choose_an_option() -> None:
    assert (
        dynamic_prompt("a // no\n{b|{c|d}} /* no */e \\{f\\}", lambda options: options[-1]) == "a \nd e {f}"
    )


def test_prompt_text_is_made_dynamic_only_where_the_class_says_so() -> None:
    prompt = convert([node(1, "Prompt", ["x // y"]), node(2, "Sample", [1, "fixed", 2, "x // y"])])
    assert inputs_of(prompt, "1")["text"] == "x " and inputs_of(prompt, "2")["text"] == "x // y"


def test_file_names_take_values_of_other_nodes_and_dates() -> None:
    nodes = [node(1, "Sample", [7, "fixed", 2, "a/b"], title="Main"), node(2, "SaveImage")]
    nodes[1]["widgets_values"] = ["%Sample.seed%_%Main.text%_%date:yyyy-MM-dd%_%nobody.x%"]
    prompt = workflow_to_api({"nodes": nodes}, DEFINITIONS, now=datetime(2031, 2, 3))
    assert inputs_of(prompt, "2")["filename_prefix"] == "7_a_b_2031-02-03_%nobody.x%"


def test_dates_know_short_and_long_parts() -> None:
    assert format_date("yy-M-d hh:m:ss", datetime(2031, 2, 3, 4, 5, 6)) == "31-2-3 04:5:06"


# Refusals


def test_every_active_node_of_unknown_class_is_named() -> None:
    nodes = [node(1, "Nope", title="A"), node(2, "Load"), node(3, "Neither"), node(4, "Muted one", mode=2)]
    with pytest.raises(UnknownNodeError, match="Neither") as caught:
        convert(nodes)
    assert caught.value.nodes == (("1", "Nope", "A"), ("3", "Neither", "Neither"))


def test_links_that_run_in_a_circle_are_an_error() -> None:
    loop = [node(i, "Reroute", None, [("", "*", i)], outputs=[{"type": "*"}]) for i in (1, 2)]
    save = node(3, "SaveImage", ["x"], [("images", "IMAGE", 3)])
    with pytest.raises(WorkflowError, match="circle"):
        convert([*loop, save], [[1, 2, 0, 1, 0, "*"], [2, 1, 0, 2, 0, "*"], [3, 1, 0, 3, 0, "*"]])


def test_a_subgraph_that_contains_itself_is_an_error() -> None:
    own = subgraph(nodes=[node(8, "sub")])
    with pytest.raises(WorkflowError, match="contain themselves"):
        convert([node(1, "sub")], definitions={"subgraphs": [own]})


def test_a_bomb_of_nested_subgraphs_is_an_error() -> None:
    levels = [{"id": "s0", "nodes": [node(1, "Load")]}]
    levels += [{"id": f"s{n}", "nodes": [node(i, f"s{n - 1}") for i in range(10)]} for n in range(1, 9)]
    with pytest.raises(WorkflowError, match="expands to more than"):
        convert([node(1, "s8")], definitions={"subgraphs": levels})


def test_long_chains_need_no_recursion() -> None:
    length = 3 * sys.getrecursionlimit()
    nodes = [node(0, "Load", ["a.png"])]
    nodes += [node(i, "Blur", [3], [("image", "IMAGE", i)], mode=4) for i in range(1, length)]
    nodes.append(node(length, "SaveImage", ["x"], [("images", "IMAGE", length)]))
    prompt = convert(nodes, [[i, i - 1, 0, i, 0, "IMAGE"] for i in range(1, length + 1)])
    assert inputs_of(prompt, str(length))["images"] == ["0", 0]


# Whatever comes in

slots = st.integers(-1, 3)
kinds = st.sampled_from(
    [*DEFINITIONS, "Reroute", "PrimitiveNode", "Note", "sub", "two", "workflow/g", "Blur", "Mix"]
)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(-1e9, 1e9), st.text(max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)
names = st.sampled_from(["image", "images", "mask", "radius", "text", "seed", "steps", ""])
saved_inputs = st.fixed_dictionaries(
    {"name": names},
    optional={
        "type": st.sampled_from(["IMAGE", "MASK", "*", "", "INT", "A,B"]),
        "link": st.one_of(st.none(), st.integers(0, 12)),
        "widget": st.one_of(st.none(), st.fixed_dictionaries({"name": names})),
    },
)
proxies = st.lists(
    st.lists(st.sampled_from(["8", "1", "-1", "radius", "1: radius", "$$x"]), max_size=3), max_size=3
)
saved_nodes = st.fixed_dictionaries(
    {"id": st.integers(0, 12), "type": kinds},
    optional={
        "mode": st.sampled_from([0, 2, 4, 1, None, "x"]),
        "inputs": st.lists(saved_inputs, max_size=4),
        "outputs": st.lists(
            st.fixed_dictionaries({"type": st.sampled_from(["IMAGE", "INT", "*"])}), max_size=3
        ),
        "widgets_values": st.one_of(st.none(), st.lists(values, max_size=5), st.dictionaries(names, values)),
        "properties": st.fixed_dictionaries({}, optional={"proxyWidgets": proxies}),
        "title": st.one_of(st.none(), st.text(max_size=5)),
    },
)
plain_links = st.tuples(
    st.integers(0, 12), st.integers(-20, 12), slots, st.integers(-20, 12), slots, st.just("*")
)
boundaries = st.lists(
    st.fixed_dictionaries(
        {
            "name": names,
            "type": st.sampled_from(["IMAGE", "*"]),
            "linkIds": st.lists(st.integers(0, 12), max_size=3),
        }
    ),
    max_size=3,
)
scopes = st.fixed_dictionaries(
    {
        "nodes": st.lists(saved_nodes, max_size=6),
        "links": st.lists(plain_links.map(list), max_size=8),
    }
)


def assemble(root: Any, inner: Any, ins: Any, outs: Any, group: Any) -> dict[str, Any]:
    named = zip(inner, ("sub", "two"), strict=False)
    subgraphs = [{**scope, "id": name, "inputs": ins, "outputs": outs} for scope, name in named]
    return {**root, "definitions": {"subgraphs": subgraphs}, "extra": {"groupNodes": {"g": group}}}


groups = scopes.map(
    lambda scope: {"nodes": scope["nodes"], "links": [link for link in scope["links"] if link]}
)
workflows = st.builds(assemble, scopes, st.lists(scopes, max_size=2), boundaries, boundaries, groups)


@settings(max_examples=60, deadline=None)
@given(workflows)
def test_any_workflow_ends_in_a_sound_prompt_or_an_error_of_the_family(workflow: dict[str, Any]) -> None:
    try:
        prompt = workflow_to_api(workflow, DEFINITIONS)
    except OrchestratorError as error:
        assert str(error)
        return
    for entry in prompt.values():
        assert entry["class_type"] in DEFINITIONS
        assert all(value[0] in prompt for value in entry["inputs"].values() if is_link(value))


@settings(max_examples=50, deadline=None)
@given(values)
def test_anything_at_all_ends_in_a_prompt_or_an_error_of_the_family(rubbish: Any) -> None:
    try:
        workflow_to_api(rubbish, DEFINITIONS)
    except OrchestratorError as error:
        assert str(error)
