"""Old nodes that a peer takes by another name, as ComfyUI 0.33 tells in GET /node_replacements."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.core.models.job import JobRequest, Prompt
from orchestrator.core.prompts.preparation import prepare
from orchestrator.core.prompts.validation import validate
from orchestrator.core.workflow.object_info import ObjectInfo
from orchestrator.core.workflow.replacements import read_replacements
from tests.fakes.graphs import picture, stock_classes

# The shapes of ComfyUI 0.33's own list: inputs with new names and values, a mere new name.
TOLD: dict[str, Any] = {
    "OldPicture": [
        {
            "new_node_id": "EmptyImage",
            "old_node_id": "OldPicture",
            "old_widget_ids": ["w", "h"],
            "input_mapping": [
                {"new_id": "width", "old_id": "w"},
                {"new_id": "height", "old_id": "h"},
                {"new_id": "batch_size", "set_value": 1},
                {"new_id": "color", "set_value": 0},
            ],
            "output_mapping": [{"old_idx": 2, "new_idx": 0}],
        },
        {"new_node_id": "SaveImage", "input_mapping": None, "output_mapping": None},
    ],
    "EmptyImage ": [{"new_node_id": "EmptyImage", "input_mapping": None, "output_mapping": None}],
    "OfNobody": [{"new_node_id": "NotHere", "input_mapping": None, "output_mapping": None}],
}


def info() -> ObjectInfo:
    return ObjectInfo(stock_classes(), None, read_replacements(TOLD))


def old_prompt(class_type: str = "OldPicture", slot: int = 2, **inputs: Any) -> Prompt:
    prompt = picture(made_by=class_type)
    prompt["1"].update(inputs=inputs or {"w": 64, "h": 32}, _meta={"title": "A"})
    prompt["2"]["inputs"]["images"] = ["1", slot]
    return prompt


def made_of(prompt: Prompt) -> dict[str, Any]:
    prepared = prepare(JobRequest(prompt=prompt), info())
    assert (prepared.unmet, prepared.error) == ((), None)
    return prepared.prompt


def test_an_old_node_becomes_the_one_that_the_peer_takes_for_it() -> None:
    prompt = made_of(old_prompt())
    assert prompt["1"] == {
        "class_type": "EmptyImage",
        "inputs": {"width": 64, "height": 32, "batch_size": 1, "color": 0},
        "_meta": {"title": "A"},
    }
    assert prompt["2"]["inputs"]["images"] == ["1", 0]


def test_a_mere_new_name_keeps_the_inputs() -> None:
    prompt = made_of(old_prompt("EmptyImage ", 0, width=8, color=5))
    assert prompt["1"]["inputs"] == {"width": 8, "color": 5}


def test_the_prompt_as_it_was_sent_is_not_changed() -> None:
    prompt = old_prompt()
    made_of(prompt)
    assert prompt == old_prompt()


def test_an_old_node_is_no_reason_to_refuse_the_prompt() -> None:
    assert validate(old_prompt(), info()).error is None
    assert validate(old_prompt(), ObjectInfo(stock_classes())).error is not None


def test_what_the_peer_still_has_or_cannot_replace_stays() -> None:
    has_it = ObjectInfo({**stock_classes(), "OldPicture": {}}, None, read_replacements(TOLD))
    prepared = prepare(JobRequest(prompt=old_prompt()), has_it)
    assert prepared.prompt["1"]["class_type"] == "OldPicture"
    assert prepare(JobRequest(prompt=old_prompt("OfNobody")), info()).unmet == ("it lacks the node OfNobody",)


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        {"A": None, "B": [], "C": [3], "D": [{}], "E": [{"new_node_id": 4}]},
    ],
)
def test_what_cannot_be_read_replaces_nothing(body: object) -> None:
    assert read_replacements(body) == {}


def test_mappings_that_cannot_be_read_are_left_out() -> None:
    entry = {"new_node_id": "X", "input_mapping": [{"new_id": []}, 5], "output_mapping": [{"old_idx": "a"}]}
    (read,) = read_replacements({"A": [entry]}).values()
    assert (read.taken, read.given, read.slots) == ({}, {}, {})
