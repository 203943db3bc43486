from __future__ import annotations

from typing import Any

from orchestrator.core.engine.requirements import (
    InputReference,
    input_references,
    localise_paths,
    oversized,
    unmet,
)
from orchestrator.core.workflow.object_info import ObjectInfo


def info(**classes: dict[str, Any]) -> ObjectInfo:
    return ObjectInfo(
        {name: {"input": {"required": inputs}, "output": []} for name, inputs in classes.items()}
    )


PEER = info(
    Loader={"file": [["sd\\model.safetensors", "other.safetensors"], {}]},
    LoadImage={"image": [["theirs.png"], {"image_upload": True}]},
    LoadLatent={"latent": [[], {}]},
    SaveImage={"images": ["IMAGE", {}], "filename_prefix": ["STRING", {"default": "ComfyUI"}]},
    KSampler={"sampler_name": [["euler"], {}]},
)


def prompt(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"1": {"class_type": class_type, "inputs": inputs}}


def test_a_missing_class_is_named() -> None:
    assert unmet(prompt("Unheard"), PEER) == ("it lacks the node Unheard",)


def test_a_missing_model_is_named_with_the_nearest_one_the_peer_has() -> None:
    assert unmet(prompt("Loader", file="otter.safetensors"), PEER) == (
        "it lacks the file otter.safetensors, wanted by node 1 (file) (it has other.safetensors)",
    )


def test_a_model_in_a_subfolder_is_found_and_spelled_with_either_separator() -> None:
    wanted = prompt("Loader", file="sd/model.safetensors")
    assert unmet(wanted, PEER) == ()
    assert localise_paths(wanted, PEER)["1"]["inputs"]["file"] == "sd\\model.safetensors"


def test_a_choice_that_is_no_file_is_left_to_the_peers_own_validation() -> None:
    assert unmet(prompt("KSampler", sampler_name="unheard"), PEER) == ()


def test_inputs_with_an_upload_button_and_other_files_are_references() -> None:
    assert input_references(prompt("LoadImage", image="mine.png"), PEER) == (
        InputReference("1", "image", "mine.png", sure=True),
    )
    assert input_references(prompt("LoadLatent", latent="x.latent [temp]"), PEER) == (
        InputReference("1", "latent", "x.latent [temp]", sure=False),
    )
    assert input_references(prompt("Loader", file="other.safetensors"), PEER) == ()


def test_input_files_above_a_peers_upload_limit_are_named_with_both_sizes() -> None:
    files = {"b.png": 120 << 20, "a.wav": (100 << 20) + (1 << 19), "small.png": 100 << 20}
    assert oversized(files, 100 << 20) == (
        "its upload limit of 100 MiB is below a.wav (100.5 MiB)",
        "its upload limit of 100 MiB is below b.png (120 MiB)",
    )
    assert oversized(files, 200 << 20) == ()
