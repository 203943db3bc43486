"""Workflow files of every version are read, and broken ones refused with a reason."""

from __future__ import annotations

import json
from typing import Any

import pytest

from orchestrator.core.models.workflow import NodeMode
from orchestrator.core.workflow.parser import MAX_NODES, WorkflowParser, is_api_format
from orchestrator.errors import WorkflowError


def parse(workflow: Any) -> Any:
    return WorkflowParser().parse(workflow)


def node(node_id: Any = 1, **fields: Any) -> dict[str, Any]:
    return {"id": node_id, "type": "KSampler", **fields}


def test_nodes_keep_the_order_of_the_file_and_ids_become_text() -> None:
    assert parse({"nodes": [node(3), node("b"), node(1.0)], "links": []})["node_ids"] == ["3", "b", "1"]


def test_links_as_arrays_and_as_objects_read_alike() -> None:
    array = [7, 1, 0, 2, 1, "LATENT"]
    names = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")
    mapping = dict(zip(names, array, strict=True))
    assert (
        parse({"nodes": [], "links": [array]}).graph.links
        == parse({"nodes": [], "links": [mapping]}).graph.links
    )


def test_missing_parts_of_a_node_are_empty() -> None:
    parsed = parse(
        {"nodes": [node(inputs=None, outputs=None, widgets_values=None)], "links": [None]}
    ).graph.nodes[0]
    assert (parsed.inputs, parsed.outputs, parsed.values) == ((), (), ())


def test_a_muted_or_bypassed_node_is_not_active() -> None:
    nodes = [node(1), node(2, mode=2), node(3, mode=4), node(4, mode=1)]
    assert [n.active for n in parse({"nodes": nodes}).graph.nodes] == [True, False, False, True]
    assert NodeMode.MUTED == 2 and NodeMode.BYPASSED == 4


def test_nested_subgraph_definitions_are_found() -> None:
    inner = {"id": "i", "nodes": [node(5)], "links": []}
    outer = {"id": "o", "nodes": [{"id": 4, "type": "i"}], "definitions": {"subgraphs": [inner]}}
    parsed = parse({"nodes": [{"id": 1, "type": "o"}], "definitions": {"subgraphs": [outer]}})
    assert set(parsed.subgraphs) == {"i", "o"}
    assert parsed.classes == {"o", "i", "KSampler"}


def test_a_prompt_is_told_apart_from_a_workflow() -> None:
    assert is_api_format({"1": {"class_type": "A", "inputs": {}}})
    assert not is_api_format({"nodes": []}) and not is_api_format({}) and not is_api_format([])


def test_link_records_without_an_id_or_an_end_are_passed_over_as_pages_do() -> None:
    void = [[None, 1, 0, 2, 0, "A"], [7, None, 0, 2, 0, "A"], [8, 1, None, 2, 0, "A"], {"origin_id": 1}]
    assert parse({"nodes": [], "links": void}).graph.links == ()


@pytest.mark.parametrize(
    ("first", "numbers"), [({"type": "A", "index": 0}, set()), (None, {("0", 1)}), ("2", {("2", 1)})]
)
def test_a_group_that_holds_a_node_in_place_of_its_number_loses_that_entry_as_in_pages(
    first: Any, numbers: set[tuple[str, int]]
) -> None:
    group = {"nodes": [{"type": "A"}], "links": [], "external": [[first, 1, "IMAGE"]]}
    found = parse({"nodes": [], "links": [], "extra": {"groupNodes": {"g": group}}})
    assert found.group_nodes["g"].outward == numbers


@pytest.mark.parametrize(
    ("workflow", "where"),
    [
        ([], "the workflow"),
        ({}, "no 'nodes' list"),
        ({"1": {"class_type": "A"}}, "API format"),
        ({"nodes": {}}, "nodes of workflow"),
        ({"nodes": [3]}, "node number 0"),
        ({"nodes": [{"id": 1}]}, "type of node 1"),
        ({"nodes": [{"id": True, "type": "A"}]}, "id of node number 0"),
        ({"nodes": [node("__proto__")]}, "__proto__"),
        ({"nodes": [node(inputs=[{"name": "constructor"}])]}, "constructor"),
        ({"nodes": [node(inputs=[3])]}, "input 0 of node 1"),
        ({"nodes": [node(widgets_values="x")]}, "widgets_values of node 1"),
        ({"nodes": [node(widgets_values=[1, float("nan")])]}, "value 1 of node 1"),
        ({"nodes": [], "links": [[1, 2]]}, "link number 0"),
        ({"nodes": [], "links": [[1, 2, "x", 3, 0, "A"]]}, "origin slot of link number 0"),
        ({"nodes": [], "definitions": {"subgraphs": [{"nodes": []}]}}, "subgraph definition 0"),
    ],
)
def test_a_malformed_file_is_an_error_that_says_where(workflow: Any, where: str) -> None:
    with pytest.raises(WorkflowError, match=where):
        parse(workflow)


def test_absurdly_nested_values_are_refused_without_recursion() -> None:
    value: Any = 1
    for _ in range(100_000):
        value = [value]
    with pytest.raises(WorkflowError, match="levels deep"):
        parse({"nodes": [node(widgets_values=[value])]})
    while isinstance(value, list):
        value = value[0]


def test_absurdly_nested_subgraphs_are_refused_without_recursion() -> None:
    definitions: dict[str, Any] = {"id": "s0", "nodes": []}
    for number in range(1, 500):
        definitions = {"id": f"s{number}", "nodes": [], "definitions": {"subgraphs": [definitions]}}
    with pytest.raises(WorkflowError, match="levels deep"):
        parse({"nodes": [], "definitions": {"subgraphs": [definitions]}})


def test_too_many_nodes_are_refused() -> None:
    with pytest.raises(WorkflowError, match=str(MAX_NODES)):
        parse({"nodes": [node(i) for i in range(MAX_NODES + 1)]})


def test_64_bit_seeds_survive_the_way_from_text() -> None:
    text = '{"nodes": [{"id": 1, "type": "KSampler", "widgets_values": [18446744073709551615]}]}'
    assert parse(json.loads(text)).graph.nodes[0].values == (2**64 - 1,)
