from __future__ import annotations

from orchestrator.core.engine.output_names import with_output_prefix


def test_every_output_gets_a_folder_of_its_own_and_the_prompt_handed_in_none() -> None:
    saved = {"1": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "cats/x"}}}
    assert with_output_prefix(saved, "rd-1")["1"]["inputs"]["filename_prefix"] == "rd-1/cats/x"
    assert saved["1"]["inputs"]["filename_prefix"] == "cats/x"
