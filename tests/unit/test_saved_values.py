"""Values written into a workflow as the page saves it."""

from __future__ import annotations

import copy
from typing import Any

from orchestrator.core.workflow.saved_values import with_values

INNER, DEEPER = "b1b8-inner", "c2c9-deeper"


def workflow() -> dict[str, Any]:
    """A sampler in the root graph, one in a subgraph, one in a subgraph of that."""
    return {
        "nodes": [
            {"id": 3, "type": "KSampler", "widgets_values": [1, 20]},
            {"id": 9, "type": INNER, "widgets_values": [5]},
            {"id": 10, "type": "Note"},
        ],
        "definitions": {
            "subgraphs": [
                {
                    "id": INNER,
                    "nodes": [
                        {"id": 4, "type": "KSampler", "widgets_values": [2, 30]},
                        {"id": 7, "type": DEEPER},
                    ],
                },
                {"id": DEEPER, "nodes": [{"id": 4, "type": "KSampler", "widgets_values": [3, 40]}]},
            ]
        },
    }


def test_each_change_lands_in_its_place_and_the_original_stays() -> None:
    before = workflow()
    places = {"3.seed": ("3", 0), "9:4.steps": ("9:4", 1), "9:7:4.seed": ("9:7:4", 0), "9:4.cfg": ("9", 0)}
    after = with_values(before, places, {"3.seed": 11, "9:4.steps": 31, "9:7:4.seed": 13, "9:4.cfg": 6})
    assert before == workflow()
    wanted = workflow()
    inner, deeper = wanted["definitions"]["subgraphs"]
    wanted["nodes"][0]["widgets_values"] = [11, 20]
    wanted["nodes"][1]["widgets_values"] = [6]
    inner["nodes"][0]["widgets_values"] = [2, 31]
    deeper["nodes"][0]["widgets_values"] = [13, 40]
    assert after == wanted


def test_places_that_are_not_there_are_passed_over() -> None:
    before = workflow()
    places = {
        "a": ("99", 0),
        "b": ("10:4", 0),
        "c": ("9:99", 0),
        "d": ("3", 9),
        "e": ("", 0),
        "f": ("9:4:4", 0),
    }
    assert with_values(before, places, dict.fromkeys("abcdefg", 1)) == workflow()


def test_a_file_of_another_shape_comes_back_as_it_is() -> None:
    places = {"x": ("9:4", 0), "y": ("3", 0)}
    for odd in (
        {"nodes": None, "definitions": 5},
        {
            "nodes": [1, {"id": 9, "type": INNER}],
            "definitions": {"subgraphs": [2, {"id": INNER, "nodes": 3}]},
        },
    ):
        assert with_values(odd, places, {"x": 1, "y": 2}) == copy.deepcopy(odd)
