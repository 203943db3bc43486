"""What is sent to a peer as JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from orchestrator.backends.request_body import IN_PLACE, is_small, json_body
from orchestrator.errors import WorkflowError


def graph(nodes: int, text: str = "a cat") -> dict[str, Any]:
    inputs = {"text": text, "seed": 2**64 - 1, "clip": ["1", 0], "on": True}
    return {str(n): {"class_type": "CLIPTextEncode", "inputs": dict(inputs)} for n in range(nodes)}


@pytest.mark.parametrize("nodes", [1, 100, 2000])
async def test_the_body_is_the_json_of_it_whatever_its_size(nodes: int) -> None:
    body = {"prompt": graph(nodes), "prompt_id": "p"}
    assert json.loads((await json_body(body)).read()) == body


def test_an_ordinary_graph_is_small_and_a_heavy_one_is_not() -> None:
    assert is_small({"prompt": graph(20), "extra_data": {}})
    assert not is_small({"prompt": graph(2000)})
    assert not is_small({"prompt": graph(1, text="x" * IN_PLACE)})
    assert not is_small({"prompt": {"1": list(range(IN_PLACE))}})
    assert not is_small({"x" * IN_PLACE: 1})


@pytest.mark.parametrize("filler", ["", "x" * IN_PLACE])
async def test_what_json_does_not_know_is_the_graphs_fault(filler: str) -> None:
    with pytest.raises(WorkflowError, match="JSON does not know"):
        await json_body({"prompt": {"1": {"inputs": {"value": object(), "text": filler}}}})


async def test_a_graph_that_holds_itself_is_refused() -> None:
    prompt = graph(1)
    prompt["1"] = prompt
    with pytest.raises(WorkflowError):
        await json_body({"prompt": prompt})
