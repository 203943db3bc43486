"""Prompts as people keep them: wrapped, with comments, inside a history entry."""

from __future__ import annotations

import json
from typing import Any

import pytest

from orchestrator.core.prompts.input_names import name_on_peer
from orchestrator.core.workflow.converter import workflow_to_api
from orchestrator.core.workflow.documents import document_of
from orchestrator.errors import WorkflowError

PROMPT: dict[str, Any] = {
    "3": {"class_type": "EmptyImage", "inputs": {"width": 8}},
    "4": {"class_type": "SaveImage", "inputs": {"images": ["3", 0]}},
}
WORKFLOW: dict[str, Any] = {"nodes": [], "links": []}
PNGINFO = {"extra_pnginfo": {"workflow": WORKFLOW}}
WRAPPED = {
    "as posted": {"prompt": PROMPT, "client_id": "a", "extra_data": PNGINFO},
    "as the page's function gives it": {"output": PROMPT, "workflow": WORKFLOW},
    "as text": {"prompt": json.dumps(PROMPT), "workflow": json.dumps(WORKFLOW)},
    "an answer of the history": {"5f3a": {"prompt": [1, "5f3a", PROMPT, PNGINFO, ["4"]], "outputs": {}}},
    "an entry of the history": {"prompt": [1, "5f3a", PROMPT, PNGINFO, ["4"]], "outputs": {}},
}


@pytest.mark.parametrize("found", WRAPPED.values(), ids=WRAPPED)
def test_a_wrapped_prompt_is_unwrapped(found: dict[str, Any]) -> None:
    document = document_of(found)
    assert (document.prompt, document.workflow, document.notes) == (PROMPT, WORKFLOW, ())
    assert workflow_to_api(found, {}) == PROMPT


def test_a_wrapped_workflow_is_unwrapped() -> None:
    document = document_of({"workflow": WORKFLOW})
    assert (document.prompt, document.workflow) == (None, WORKFLOW)


def test_a_prompt_under_the_key_of_workflows_is_a_prompt() -> None:
    assert document_of({"workflow": PROMPT}).graph == PROMPT


@pytest.mark.parametrize(
    "extra",
    [
        {"_comment": "made by me"},
        {"//": ["a", "b"]},
        {"version": 0.4, "extra": {"ds": {"scale": 1}}, "last_node_id": 4},
        {"client_id": "abc", "extra_data": {}},
    ],
)
def test_what_is_not_a_node_is_left_out_and_named(extra: dict[str, Any]) -> None:
    document = document_of({**extra, **PROMPT})
    assert document.prompt == PROMPT
    assert document.notes == (f"Left out what is not a node: {', '.join(extra)}.",)


def test_a_node_without_a_class_is_no_comment() -> None:
    with pytest.raises(WorkflowError, match=r"Node 9 has no class_type.*where the pack is installed"):
        document_of({**PROMPT, "9": {"inputs": {"seed": 1}}})


def test_a_link_to_what_is_left_out_is_refused() -> None:
    linked = {**PROMPT, "4": {"class_type": "SaveImage", "inputs": {"images": ["7", 0]}}, "7": {"note": "x"}}
    with pytest.raises(WorkflowError, match="Node 4 takes its images from '7', which is not a node"):
        document_of(linked)


@pytest.mark.parametrize("found", [{}, {"a": 1}, {"prompt": "a cat"}, {"prompt": {"text": "a cat"}}])
def test_a_document_of_something_else_says_what_to_save(found: dict[str, Any]) -> None:
    with pytest.raises(WorkflowError, match=r"Export \(API\)"):
        document_of(found)


def test_a_prompt_that_a_peer_ran_has_the_names_that_were_asked_for() -> None:
    def prompt(folder: str, flat: str, file: str) -> dict[str, Any]:
        return {
            "1": {"class_type": "LoadImage", "inputs": {"image": file}},
            "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": folder}},
            "3": {"class_type": "Image Save", "inputs": {"images": ["1", 0], "filename_prefix": flat}},
        }

    load = {"id": 1, "type": "LoadImage", "widgets_values": ["holiday/sea.png", "image"]}
    ran = prompt("rd-0a1b2c3d/cats/a", "rd-0a1b2c3d-1~~dogs~~b", f"remote-dispatch/{'ab' * 20}.png")
    found = document_of({"prompt": ran, "workflow": {"nodes": [load], "links": []}})
    assert found.prompt == prompt("cats/a", "dogs/b", "holiday/sea.png")
    assert document_of({"prompt": ran}).graph["1"] == ran["1"]


@pytest.mark.parametrize("asked", ["holiday/Sea.PNG", "holiday\\Sea.PNG", "Sea.PNG [output]"])
def test_a_file_that_kept_its_name_on_a_peer_has_its_place_here_again(asked: str) -> None:
    def load(file: str) -> dict[str, Any]:
        return {"1": {"class_type": "LoadImage", "inputs": {"image": file, "other": "mySea.PNG"}}}

    saved = {"id": 1, "type": "LoadImage", "widgets_values": [asked, "mySea.PNG"]}
    ran = load("/".join(name_on_peer("Sea.PNG", "ab" * 32)))
    workflow = {"nodes": [saved], "links": []}
    assert document_of({"prompt": ran, "workflow": workflow}).prompt == load(asked)
    assert document_of({"prompt": ran}).graph == ran  # another file may have that name here
