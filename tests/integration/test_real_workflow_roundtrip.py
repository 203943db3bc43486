"""The contract's round trip with a real workflow: parse, convert, inspect, patch, compare."""

from __future__ import annotations

import gzip
import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from orchestrator.core.engine.parameter_patcher import patch_parameters
from orchestrator.core.prompts.overrides import parse_overrides
from orchestrator.core.workflow.converter import workflow_to_api
from orchestrator.core.workflow.inspector import inspect_parameters
from orchestrator.core.workflow.object_info import ObjectInfo
from orchestrator.core.workflow.parser import WorkflowParser
from orchestrator.errors import ParameterError

DATA = Path(__file__).parents[1] / "data" / "converter"


def load(name: str) -> Any:
    with gzip.open(DATA / f"{name}.json.gz", "rt", encoding="utf-8") as file:
        return json.load(file)


@cache
def definitions() -> ObjectInfo:
    return ObjectInfo(load("object_info"))


@cache
def template(name: str) -> Any:
    return next(r["workflow_file"] for r in load("templates_fe1.58.1") if r["name"] == name)


def test_a_template_is_parsed_converted_inspected_and_patched() -> None:
    workflow = template("image_qwen_image.json")
    parsed = WorkflowParser().parse(workflow)
    prompt = workflow_to_api(parsed, definitions())
    parameters = inspect_parameters(workflow, definitions())

    after = patch_parameters(
        prompt, parameters, parse_overrides("seed = 18446744073709551615\nsteps = 7\nwidth = 512\n")
    )

    changes = {
        name: value
        for node_id, node in after.items()
        for name, value in node["inputs"].items()
        if value != prompt[node_id]["inputs"].get(name)
    }
    assert after.keys() == prompt.keys()
    assert changes == {"seed": 2**64 - 1, "steps": 7, "width": 512}
    assert set(parsed["node_ids"]) >= set(prompt)
    assert parameters[0].multiline and parameters[0].type == "STRING"
    assert all(parameter.address.count(".") >= 1 for parameter in parameters)


def test_a_choice_that_the_class_does_not_offer_is_refused_with_the_nearest() -> None:
    prompt = workflow_to_api(template("image_qwen_image.json"), definitions())
    with pytest.raises(ParameterError, match="euler"):
        patch_parameters(prompt, inspect_parameters(prompt, definitions()), {"sampler_name": "oiler"})


def test_parameters_of_the_prompt_are_those_of_the_workflow() -> None:
    workflow = template("image_qwen_image.json")
    prompt = workflow_to_api(workflow, definitions())
    assert inspect_parameters(prompt, definitions()) == inspect_parameters(workflow, definitions())
