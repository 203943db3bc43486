"""What lies upstream of a Remote Dispatch node is cut out of a prompt and travels in its stash."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from orchestrator.core.models.job import Prompt, ResultLink
from orchestrator.core.workflow.boundaries import Boundaries
from orchestrator.core.workflow.cut import STASH_KEY, Stash, cut_prompt, workflow_fingerprint
from orchestrator.errors import WorkflowError

OUTPUT_CLASSES = {"SaveImage", "PreviewImage", "RemoteDispatch"}


def node(class_type: str, title: str = "", **inputs: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"class_type": class_type, "inputs": inputs}
    return {**made, "_meta": {"title": title}} if title else made


def cut(prompt: Prompt, **options: Any) -> Prompt:
    return cut_prompt(prompt, is_output=OUTPUT_CLASSES.__contains__, **options)


def stash_of(prompt: Prompt, node_id: str) -> Stash:
    stash = Stash.from_input(prompt[node_id]["inputs"]["value"])
    assert stash is not None
    return stash


def simple(seed: int = 1, title: str = "") -> Prompt:
    return {
        "1": node("PeerOnlyLoader", file="big.safetensors"),
        "2": node("KSampler", title, model=["1", 0], seed=seed),
        "3": node("RemoteDispatch", value=["2", 0]),
        "4": node("SaveImage", images=["3", 0]),
    }


def test_the_upstream_leaves_the_prompt_and_stays_as_a_constant() -> None:
    result = cut(simple())
    assert set(result) == {"3", "4"}
    stash = stash_of(result, "3")
    assert set(stash.prompt) == {"1", "2"}
    assert stash.link == ResultLink("2", 0)


def test_the_prompt_handed_in_is_not_changed() -> None:
    prompt = simple()
    before = copy.deepcopy(prompt)
    cut(prompt)
    assert prompt == before


def test_a_changed_seed_changes_the_constant_and_a_changed_title_does_not() -> None:
    first = cut(simple(seed=1))["3"]["inputs"]["value"]
    assert cut(simple(seed=2))["3"]["inputs"]["value"] != first
    assert cut(simple(seed=1, title="renamed"))["3"]["inputs"]["value"] == first


def test_a_title_that_the_overrides_speak_of_travels() -> None:
    prompt = simple(title="Base pass")
    prompt["3"]["inputs"]["overrides"] = "Base pass.seed = 4"
    assert stash_of(cut(prompt), "3").prompt["2"]["_meta"] == {"title": "Base pass"}


def test_upstream_that_a_local_output_needs_stays_local_too() -> None:
    prompt = simple()
    prompt["5"] = node("SaveImage", images=["2", 1])
    result = cut(prompt)
    assert set(result) == {"1", "2", "3", "4", "5"}
    assert set(stash_of(result, "3").prompt) == {"1", "2"}


def test_an_output_node_inside_what_was_sent_keeps_nothing_local() -> None:
    prompt = simple()
    prompt["2"]["class_type"] = "SaveImage"  # hands its picture on, as some packs' nodes do
    assert set(cut(prompt)) == {"3", "4"}


def test_nodes_that_nothing_sends_and_nothing_needs_stay_for_the_host_to_judge() -> None:
    prompt = {**simple(), "9": node("Note")}
    assert "9" in cut(prompt)


def test_a_dispatcher_upstream_of_another_becomes_a_boundary() -> None:
    prompt = simple()
    prompt["4"] = node("ImageScale", image=["3", 0])
    prompt["5"] = node("RemoteDispatch", value=["4", 0])
    prompt["6"] = node("SaveImage", images=["5", 0])
    result = cut(prompt)
    assert set(result) == {"3", "5", "6"}
    stash = stash_of(result, "5")
    assert set(stash.prompt) == {"4"}
    assert dict(stash.boundaries) == {"upstream_0": ResultLink("3", 0)}
    assert result["5"]["inputs"]["upstream_0"] == ["3", 0]


def test_two_dispatchers_share_their_upstream() -> None:
    prompt = simple()
    prompt["7"] = node("RemoteDispatch", value=["1", 0])
    result = cut(prompt)
    assert set(stash_of(result, "7").prompt) == {"1"}
    assert set(result) == {"3", "4", "7"}


def test_without_a_link_the_whole_graph_goes_except_what_hangs_on_dispatch_nodes() -> None:
    prompt = {
        "1": node("Loader"),
        "2": node("SaveImage", images=["1", 0]),
        "3": node("RemoteDispatch"),
        "4": node("PreviewImage", images=["3", 0]),
    }
    result = cut(prompt)
    assert set(result) == {"3", "4"}
    stash = stash_of(result, "3")
    assert stash.link is None
    assert set(stash.prompt) == {"1", "2"}


def test_whole_graphs_differ_by_what_the_workflow_computes_not_by_its_layout() -> None:
    workflow = {"nodes": [{"id": 1, "type": "KSampler", "widgets_values": [1], "pos": [0, 0]}], "links": []}
    moved = copy.deepcopy(workflow)
    moved["nodes"][0]["pos"] = [9, 9]
    changed = copy.deepcopy(workflow)
    changed["nodes"][0]["widgets_values"] = [2]
    assert workflow_fingerprint(moved) == workflow_fingerprint(workflow)
    assert workflow_fingerprint(changed) != workflow_fingerprint(workflow)


def test_a_prompt_without_dispatch_nodes_comes_back_equal() -> None:
    prompt = {"1": node("Loader"), "2": node("SaveImage", images=["1", 0])}
    assert cut(prompt) == prompt


def test_a_cut_prompt_is_not_cut_again() -> None:
    once = cut(simple())
    assert cut(once) == once


def test_a_cycle_upstream_ends() -> None:
    prompt = simple()
    prompt["1"]["inputs"]["loop"] = ["2", 0]
    assert set(stash_of(cut(prompt), "3").prompt) == {"1", "2"}


@pytest.mark.parametrize("rubbish", [None, 5, [], {"inputs": 3}, {"class_type": 7}, {"class_type": "X"}])
def test_a_malformed_node_hurts_nothing(rubbish: Any) -> None:
    assert "3" in cut({**simple(), "8": rubbish})


@pytest.mark.parametrize("value", ["{", "[]", "null", '{"prompt": 1, "link": null}', "[" * 100_000])
def test_a_forged_stash_is_a_clear_error(value: str) -> None:
    with pytest.raises(WorkflowError, match="damaged"):
        Stash.from_input({STASH_KEY: value})


def test_a_real_value_is_no_stash() -> None:
    assert Stash.from_input(3.5) is None


def staying(*classes: str, **types: str) -> Boundaries:
    return Boundaries(classes.__contains__, output_type=lambda name, slot: types.get(name, "*"))


def chosen() -> Prompt:
    """A chooser in the middle: what feeds it is light, what follows is for a peer."""
    return {
        "1": node("EmptyImage", width=64),
        "2": node("Chooser", images=["1", 0]),
        "3": node("BigUpscale", image=["2", 0], mask=["2", 1]),
        "4": node("RemoteDispatch", value=["3", 0]),
        "5": node("SaveImage", images=["4", 0]),
    }


def test_a_node_that_runs_here_is_a_boundary_and_what_feeds_it_runs_here_too() -> None:
    result = cut(chosen(), boundaries=staying("Chooser"))
    assert set(result) == {"1", "2", "4", "5"}
    stash = stash_of(result, "4")
    assert set(stash.prompt) == {"3"}
    assert dict(stash.boundaries) == {"upstream_0": ResultLink("2", 0), "upstream_1": ResultLink("2", 1)}
    assert result["4"]["inputs"]["upstream_1"] == ["2", 1]


def test_what_feeds_both_a_node_that_runs_here_and_the_sent_part_is_in_both() -> None:
    prompt = chosen()
    prompt["3"]["inputs"]["reference"] = ["1", 0]
    result = cut(prompt, boundaries=staying("Chooser"))
    assert "1" in result and set(stash_of(result, "4").prompt) == {"1", "3"}


def test_a_chain_goes_on_through_a_node_that_runs_here() -> None:
    prompt = {**chosen(), "6": node("RemoteDispatch", value=["1", 0])}
    prompt["2"] = node("Chooser", images=["6", 0])
    result = cut(prompt, boundaries=staying("Chooser"))
    assert set(stash_of(result, "6").prompt) == {"1"} and set(stash_of(result, "4").prompt) == {"3"}
    assert set(result) == {"2", "4", "5", "6"}


def test_a_node_that_runs_here_linked_directly_has_its_value_handed_on() -> None:
    prompt = chosen()
    prompt["4"]["inputs"]["value"] = ["2", 0]
    result = cut(prompt, boundaries=staying("Chooser", Chooser="MODEL"))
    stash = stash_of(result, "4")
    assert stash.prompt == {} and stash.refusal == ""
    assert set(result) >= {"1", "2", "4"}


def test_a_value_that_cannot_travel_is_refused_in_words() -> None:
    refusal = stash_of(cut(chosen(), boundaries=staying("Chooser", Chooser="MODEL")), "4").refusal
    assert "Node 2" in refusal and "MODEL" in refusal and "IMAGE" in refusal


def split(work: str) -> Prompt:
    return {
        "1": node("EmptyImage", width=64),
        "2": node("RemoteSplit", value=["1", 0]),
        "3": node(work, image=["2", 0], seed=["2", 2]),
        "4": node("RemoteDispatch", value=["3", 0]),
        "5": node("RemoteGather", value=["4", 0], pieces=["2", 1]),
        "6": node("SaveImage", images=["5", 0]),
    }


LISTS = Boundaries(
    {"RemoteSplit", "RemoteGather"}.__contains__,
    gives_list=lambda name, slot: name == "RemoteSplit" and slot != 1,
    takes_list={"Grid", "RemoteGather"}.__contains__,
)


def test_what_stands_between_split_and_dispatch_travels_and_the_pieces_come_by_links() -> None:
    result = cut(split("Upscale"), boundaries=LISTS)
    stash = stash_of(result, "4")
    assert set(stash.prompt) == {"3"} and stash.refusal == ""
    assert [result["4"]["inputs"][f"upstream_{n}"] for n in range(2)] == [["2", 0], ["2", 2]]
    assert set(result) == {"1", "2", "4", "5", "6"}


def test_a_node_that_takes_all_pieces_at_once_may_not_stand_between_split_and_dispatch() -> None:
    refusal = stash_of(cut(split("Grid"), boundaries=LISTS), "4").refusal
    assert refusal == (
        "Node 3 (Grid) takes all items of a list at once, and a peer gets one at a time. "
        "Put it behind Remote Dispatch."
    )


def test_a_whole_graph_leaves_what_runs_here_and_what_only_feeds_that() -> None:
    prompt = chosen()
    prompt["4"] = node("RemoteDispatch")
    prompt["5"] = node("SaveImage", images=["3", 0])
    result = cut(prompt, boundaries=staying("Chooser"))
    assert set(result) == {"1", "2", "4"}
    stash = stash_of(result, "4")
    assert set(stash.prompt) == {"3", "5"} and set(stash.boundaries) == {"upstream_0", "upstream_1"}


def test_a_stash_of_version_0_1_is_read_still() -> None:
    old = {"prompt": {}, "link": ["5", 0], "boundaries": {"upstream_0": "5"}, "fingerprint": ""}
    stash = Stash.from_input({STASH_KEY: json.dumps(old)})
    assert stash is not None and stash.boundaries == {"upstream_0": ResultLink("5", 0)}


def looped() -> Prompt:
    return {
        "1": node("EmptyImage", width=64),
        "2": node("StartLoop", initial_iteration_value=["1", 0]),
        "3": node("Sharpen", image=["2", 4]),
        "4": node("EndLoop", next_iteration_value=["3", 0], output_value=["3", 0]),
        "5": node("RemoteDispatch", value=["4", 0]),
        "6": node("SaveImage", images=["5", 0]),
    }


def test_a_whole_loop_travels() -> None:
    assert set(stash_of(cut(looped()), "5").prompt) == {"1", "2", "3", "4"}


def test_a_dispatch_node_within_a_loop_leaves_the_loop_here() -> None:
    prompt = looped()
    prompt["5"] = node("RemoteDispatch", value=["3", 0])
    prompt["4"] = node("EndLoop", output_value=["5", 0])
    prompt["6"]["inputs"]["images"] = ["4", 0]
    result = cut(prompt)
    assert set(result) == {"1", "2", "4", "5", "6"}
    assert set(stash_of(result, "5").prompt) == {"3"}
    assert stash_of(result, "5").boundaries == {"upstream_0": ResultLink("2", 4)}


def test_a_loop_with_a_node_that_runs_here_stays_here_whole() -> None:
    prompt = looped()
    prompt["5"] = node("RemoteDispatch", value=["7", 0])
    prompt["7"] = node("BigUpscale", image=["4", 0])
    result = cut(prompt, boundaries=staying("Sharpen"))
    assert set(result) == {"1", "2", "3", "4", "5", "6"}
    assert set(stash_of(result, "5").prompt) == {"7"}


def test_an_inner_loop_travels_from_within_an_outer_one() -> None:
    prompt = looped()
    prompt["12"] = node("StartLoop", parent_iteration=["2", 0], initial_iteration_value=["3", 0])
    prompt["13"] = node("Blur", image=["12", 4])
    prompt["14"] = node("EndLoop", output_value=["13", 0])
    prompt["5"] = node("RemoteDispatch", value=["14", 0])
    prompt["4"] = node("EndLoop", output_value=["5", 0])
    prompt["6"]["inputs"]["images"] = ["4", 0]
    result = cut(prompt)
    assert set(stash_of(result, "5").prompt) == {"3", "12", "13", "14"}
    assert set(result) == {"1", "2", "4", "5", "6"}


def test_a_whole_graph_with_a_dispatch_node_in_a_loop_leaves_the_loop_here() -> None:
    prompt = looped()
    prompt["5"] = node("RemoteDispatch", value=["3", 0])
    prompt["4"] = node("EndLoop", output_value=["5", 0])
    prompt["6"]["inputs"]["images"] = ["4", 0]
    prompt["8"] = node("RemoteDispatch")
    prompt["9"] = node("PreviewImage", images=["1", 0])
    assert set(stash_of(cut(prompt), "8").prompt) == {"1", "9"}
