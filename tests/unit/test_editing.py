"""Waiting jobs that are to run another graph keep what they have of their own."""

from __future__ import annotations

from typing import Any

from orchestrator.core.models.job import JobRequest
from orchestrator.core.prompts.editing import Edited, edited, merged, prompt_of, workflow_of


def sampler(seed: Any, steps: float = 20, text: str = "a lake") -> dict[str, Any]:
    return {
        "3": {"class_type": "KSampler", "inputs": {"seed": seed, "steps": steps, "positive": ["6", 0]}},
        "6": {"class_type": "CLIPTextEncode", "inputs": {"text": text}},
    }


def page(seed: int, steps: int = 20) -> dict[str, Any]:
    return {"id": "g", "nodes": [{"id": 3, "type": "KSampler", "widgets_values": [seed, "randomize", steps]}]}


def request(found: JobRequest | None) -> JobRequest:
    assert found is not None
    return found


def pressed(seed: int) -> JobRequest:
    """As one press of Run sends several: each prompt with a seed of its own."""
    return JobRequest(
        prompt=sampler(seed), extra_data={"extra_pnginfo": {"workflow": page(seed)}, "client": 1}, held=True
    )


def test_each_job_of_a_batch_keeps_its_seed_and_gets_the_rest() -> None:
    edit = Edited(sampler(1, steps=30), page(1, steps=30), "portrait")
    first, second = map(request, edited([pressed(1), pressed(2)], edit))
    assert (prompt_of(first), prompt_of(second)) == (sampler(1, steps=30), sampler(2, steps=30))
    assert (workflow_of(first), workflow_of(second)) == (page(1, steps=30), page(2, steps=30))
    assert (first.title, second.title) == ("portrait · seed 1", "portrait · seed 2")
    assert (first.held, second.held, second.extra_data["client"]) == (False, False, 1)


def test_a_value_that_was_edited_is_the_same_in_all() -> None:
    found = [request(each) for each in edited([pressed(1), pressed(2)], Edited(sampler(7), page(7)))]
    assert [prompt_of(each) for each in found] == [sampler(7), sampler(7)]
    assert [workflow_of(each) for each in found] == [page(7), page(7)]


def test_variations_stay_variations() -> None:
    sent = [JobRequest(prompt=sampler(1), changes={"3.steps": steps}) for steps in (10, 20, 30)]
    found = [request(each) for each in edited(sent, Edited(sampler(1, steps=10, text="a hill")))]
    assert [each.changes for each in found] == [{"3.steps": 10}, {"3.steps": 20}, {"3.steps": 30}]
    assert [prompt_of(each) for each in found] == [sampler(1, steps, "a hill") for steps in (10, 20, 30)]


def test_fractions_stay_fractions_where_the_graph_has_a_whole_number() -> None:
    sent = [JobRequest(prompt=sampler(1, steps=7), changes={"3.steps": cfg}) for cfg in (6.5, 7.5)]
    found = edited(sent, Edited(sampler(1, steps=6.5, text="a hill")))
    assert [prompt_of(each) for each in found] == [sampler(1, cfg, "a hill") for cfg in (6.5, 7.5)]


def test_one_variation_alone_is_still_known_by_its_value() -> None:
    sent = [JobRequest(prompt=sampler(1), changes={"3.steps": 30})]
    found = request(edited(sent, Edited(sampler(1, 30, "a hill")))[0])
    assert (found.changes, prompt_of(found)) == ({"3.steps": 30}, sampler(1, 30, "a hill"))


def test_a_value_that_became_a_link_or_a_node_that_became_another_is_not_touched() -> None:
    linked = sampler(["9", 0])
    other = {**sampler(1), "3": {"class_type": "Other", "inputs": {"seed": 1}}}
    for now in (linked, other):
        found = [request(each) for each in edited([pressed(1), pressed(2)], Edited(now))]
        assert [prompt_of(each) for each in found] == [now, now]


def test_values_of_any_kind_stay_each_jobs_own() -> None:
    def stack(strength: float) -> dict[str, Any]:
        rows = {"lora_1": {"on": True, "strength": strength}, "sizes": {"__value__": [strength]}}
        return {"1": {"class_type": "Stack", "inputs": rows}}

    found = edited([JobRequest(prompt=stack(n)) for n in (1, 2)], Edited({**stack(1), **sampler(1)}))
    assert [prompt_of(request(each))["1"] for each in found] == [stack(1)["1"], stack(2)["1"]]


def test_a_seed_that_the_page_could_only_round_is_not_taken_for_edited() -> None:
    large = 2**60 + 1
    rounded = int(float(large))
    found = edited([pressed(large), pressed(large + 1)], Edited(sampler(rounded, 30), page(rounded, 30)))
    assert [prompt_of(request(each))["3"]["inputs"]["seed"] for each in found] == [large, large + 1]


def test_a_text_that_its_box_draws_anew_each_time_stays_what_it_was() -> None:
    box = {"nodes": [{"id": 6, "type": "CLIPTextEncode", "widgets_values": ["a {lake|hill}"]}]}

    def drawn(text: str) -> JobRequest:
        extra = {"extra_pnginfo": {"workflow": box}}
        return JobRequest(prompt=sampler(1, text=text), extra_data=extra)

    found = edited([drawn("a lake"), drawn("a hill")], Edited(sampler(1, 30, "a hill"), box))
    texts = [prompt_of(request(each))["6"]["inputs"]["text"] for each in found]
    assert texts == ["a lake", "a hill"]


def test_another_graph_is_left_out() -> None:
    other = {**sampler(1), "9": {"class_type": "SaveImage", "inputs": {}}}
    found = edited([pressed(1), JobRequest(prompt=other), pressed(2)], Edited(sampler(1, 30), page(1, 30)))
    assert [each is None for each in found] == [False, True, False]


def test_changes_of_a_graph_that_is_converted_on_its_peer_stay() -> None:
    sent = [JobRequest(workflow=page(0), changes={"KSampler.seed": seed}) for seed in (1, 2)]
    found = edited(sent, Edited(sampler(0, 30), page(0, 30)))
    assert [prompt_of(request(each)) for each in found] == [sampler(1, 30), sampler(2, 30)]


def test_an_unnamed_job_is_called_by_what_it_does_now() -> None:
    sent = JobRequest(prompt=sampler(1), title="a lake")
    (found,) = edited([sent], Edited(sampler(1, text="a hill"), name="a lake"))
    assert request(found).title == "a hill"


def test_a_node_without_inputs_is_no_obstacle() -> None:
    bare = {"1": {"class_type": "Bare"}}
    (found,) = edited([JobRequest(prompt=bare)], Edited(bare))
    assert request(found).prompt == bare


def test_a_workflow_with_new_and_moved_nodes_keeps_each_jobs_values() -> None:
    now = {"nodes": [{"id": 8, "type": "Note"}, {**page(1)["nodes"][0], "pos": [5, 5]}]}
    own = merged(page(1), page(2), now)
    assert own["nodes"] == [{"id": 8, "type": "Note"}, {**page(2)["nodes"][0], "pos": [5, 5]}]


def test_a_workflow_without_end_is_taken_as_it_was_edited() -> None:
    def deep(value: int) -> Any:
        found: Any = value
        for _ in range(400):
            found = {"a": found}
        return found

    assert merged(deep(1), deep(2), deep(1)) == deep(1)
