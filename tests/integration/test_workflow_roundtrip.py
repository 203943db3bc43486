"""Contract: parse, convert, inspect, patch."""

from orchestrator.core.workflow.parser import WorkflowParser
from orchestrator.core.workflow.converter import workflow_to_api
from orchestrator.core.workflow.inspector import inspect_parameters
from orchestrator.core.engine.parameter_patcher import patch_parameters


def test_workflow_roundtrip() -> None:
    workflow = {"nodes": [{"id": 1, "type": "KSampler", "widgets_values": [42]}], "links": []}
    parser = WorkflowParser()
    parsed = parser.parse(workflow)
    api = workflow_to_api(workflow, {"KSampler": ["seed"]})
    params = inspect_parameters(workflow)
    updated = patch_parameters(api, params, {"seed": 99})
    assert parsed["node_ids"] == ["1"]
    assert updated["1"]["inputs"]["seed"] == 99
