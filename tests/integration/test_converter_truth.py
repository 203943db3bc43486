"""The conversion, held against what ComfyUI's frontend made of the same workflows."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from orchestrator.core.workflow.converter import workflow_to_api
from orchestrator.core.workflow.object_info import ObjectInfo

DATA = Path(__file__).parents[1] / "data" / "converter"
SETS = {
    "templates_fe1.58.1": "object_info",
    "mutated_fe1.58.1": "object_info",
    "probes_fe1.58.1": "object_info_plus",
    "own_plain_fe1.58.1": "object_info",
    "own_plus_fe1.58.1": "object_info_plus",
    "old_fe1.58.1": "object_info",
}
# What the older frontend does differently is listed in tests/data/converter/README.md.
OLDER = {"templates_fe1.32.9": (169, 169), "mutated_fe1.32.9": (78, 77)}


@cache
def load(name: str) -> Any:
    with gzip.open(DATA / f"{name}.json.gz", "rt", encoding="utf-8") as file:
        return json.load(file)


@cache
def definitions(name: str) -> ObjectInfo:
    return ObjectInfo(load(name))


def records(name: str) -> list[dict[str, Any]]:
    return [record for record in load(name) if not record["flags"] and record["api"]]


def differences(made: dict[str, Any], wanted: dict[str, Any]) -> Iterator[str]:
    for node_id in sorted({*made, *wanted}):
        if node_id not in made or node_id not in wanted:
            verb = "is missing" if node_id in wanted else "should not be there"
            yield f"node {node_id} {verb}: {(wanted.get(node_id) or made[node_id])['class_type']}"
            continue
        got, want = made[node_id], wanted[node_id]
        if got["class_type"] != want["class_type"]:
            yield f"node {node_id} is a {got['class_type']}, wanted a {want['class_type']}"
        for name in sorted({*got["inputs"], *want["inputs"]}):
            ours, theirs = got["inputs"].get(name, "<absent>"), want["inputs"].get(name, "<absent>")
            if ours != theirs or isinstance(ours, bool) != isinstance(theirs, bool):
                yield f"node {node_id} ({want['class_type']}) {name}: {ours!r}, wanted {theirs!r}"


def misses(name: str, form: str, info: ObjectInfo) -> dict[str, list[str]]:
    found = {}
    for record in records(name):
        lines = list(differences(workflow_to_api(record[f"workflow_{form}"], info), record["api"]))
        if lines:
            found[record["name"]] = lines
    return found


@pytest.mark.parametrize("form", ["frontend", "file"])
@pytest.mark.parametrize("name", SETS)
def test_every_workflow_becomes_the_frontends_prompt(name: str, form: str) -> None:
    found = misses(name, form, definitions(SETS[name]))

    assert not found, "\n".join(f"{workflow}: {line}" for workflow, lines in found.items() for line in lines)


@pytest.mark.parametrize("name", OLDER)
def test_the_older_frontend_is_matched_as_far_as_the_newer_agrees_with_it(name: str) -> None:
    for form, expected in zip(("frontend", "file"), OLDER[name], strict=True):
        exact = len(records(name)) - len(misses(name, form, definitions("object_info")))
        assert exact >= expected


@pytest.mark.parametrize("name", SETS)
def test_saved_titles_are_kept(name: str) -> None:
    for record in records(name):
        made = workflow_to_api(record["workflow_file"], definitions(SETS[name]))
        titled = {str(node["id"]) for node in record["workflow_file"]["nodes"] if node.get("title")}
        for node_id in titled & set(record["api"]):
            assert made[node_id]["_meta"]["title"] == record["api"][node_id]["_meta"]["title"]
