"""What makes two prompts one kind of work."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.core.prompts.kinds import kind_of
from orchestrator.core.workflow.object_info import ObjectInfo


def graph(**changes: Any) -> dict[str, Any]:
    """Checkpoint, text, latent, sampler, save; `changes` go to the sampler and the latent."""
    sizes = {"width": 512, "height": 512, "batch_size": 1, "steps": 20, **changes}
    return {
        "1": {
            "class_type": "CheckpointLoaderSimple",
            "inputs": {"ckpt_name": sizes.pop("model", "a.safetensors")},
        },
        "2": {
            "class_type": "CLIPTextEncode",
            "inputs": {"clip": ["1", 1], "text": sizes.pop("text", "a cat")},
        },
        "3": {
            "class_type": "EmptyLatentImage",
            "inputs": {key: sizes[key] for key in ("width", "height", "batch_size")},
        },
        "4": {
            "class_type": "KSampler",
            "inputs": {
                "model": ["1", 0],
                "positive": ["2", 0],
                "latent_image": ["3", 0],
                "seed": sizes.pop("seed", 1),
                "steps": sizes["steps"],
                "sampler_name": sizes.pop("sampler", "euler"),
            },
        },
        "5": {"class_type": "SaveImage", "inputs": {"images": ["4", 0], "filename_prefix": "x"}},
    }


def renamed(prompt: dict[str, Any]) -> dict[str, Any]:
    """The same graph with other node ids in another order."""

    def link(value: Any) -> Any:
        return [f"n{value[0]}", value[1]] if isinstance(value, list) else value

    return {
        f"n{node_id}": {**node, "inputs": {name: link(value) for name, value in node["inputs"].items()}}
        for node_id, node in reversed(prompt.items())
    }


def test_a_kind_does_not_depend_on_ids_seeds_texts_or_names_of_results() -> None:
    kind = kind_of(graph())
    assert kind_of(renamed(graph())) == kind
    assert kind_of(graph(seed=7, text="a dog")) == kind


@pytest.mark.parametrize(
    "change", [{"width": 1024}, {"steps": 30}, {"batch_size": 4}], ids=lambda change: next(iter(change))
)
def test_another_size_is_another_kind_of_the_same_shape_with_other_work(change: dict[str, int]) -> None:
    kind, other = kind_of(graph()), kind_of(graph(**change))
    assert other.signature != kind.signature
    assert other.shape == kind.shape
    (name, value), base = next(iter(change.items())), {"width": 512, "steps": 20, "batch_size": 1}
    assert other.work / kind.work == pytest.approx(value / base[name])


def test_another_model_or_sampler_is_another_shape() -> None:
    kind = kind_of(graph())
    assert kind_of(graph(model="b.safetensors")).shape != kind.shape
    assert kind_of(graph(sampler="heun")).shape != kind.shape


def test_another_wiring_is_another_shape() -> None:
    twisted = graph()
    twisted["4"]["inputs"]["positive"] = ["1", 0]
    assert kind_of(twisted).shape != kind_of(graph()).shape


def test_model_files_are_named_with_slashes_and_spelled_either_way_are_one_kind() -> None:
    windows, linux = kind_of(graph(model="xl\\a.safetensors")), kind_of(graph(model="xl/a.safetensors"))
    assert windows == linux
    assert linux.files == ("xl/a.safetensors",)


def test_a_text_that_looks_like_a_file_is_none_where_the_definitions_tell() -> None:
    info = ObjectInfo({"CLIPTextEncode": {"input": {"required": {"text": ["STRING", {}], "clip": ["CLIP"]}}}})
    assert kind_of(graph(text="paint a.safetensors"), info).files == ("a.safetensors",)


def test_a_graph_that_goes_in_circles_or_makes_no_sense_has_a_kind_too() -> None:
    circle = {
        "1": {"class_type": "A", "inputs": {"x": ["2", 0]}},
        "2": {"class_type": "B", "inputs": {"y": ["1", 0]}},
    }
    assert kind_of(circle).signature
    assert kind_of({"1": None, "2": {"inputs": 3}}).signature
    assert kind_of({}).signature
