"""A peer's node definitions, however badly formed."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.core.workflow.object_info import ObjectInfo
from orchestrator.errors import WorkflowError

RAW: dict[str, Any] = {
    "Sampler": {
        "input": {
            "required": {
                "model": ["MODEL", {"tooltip": "?"}],
                "seed": ["INT", {"default": 0, "min": 0, "max": 2**64 - 1, "control_after_generate": True}],
                "cfg": ["FLOAT", {"default": 8.0, "min": 0.0, "max": 100.0, "step": 0.1}],
                "old": [["euler", "ddim"], {}],
                "new": ["COMBO", {"options": ["a", "b"]}],
            },
            "optional": {
                "text": ["STRING", {"multiline": True}],
                "strength": ["FLOAT", {"forceInput": True}],
            },
            "hidden": {"prompt": "PROMPT"},
        },
        "input_order": {"required": ["seed", "model", "cfg", "old", "new"], "optional": ["text", "strength"]},
        "output": ["LATENT", ["x", "y"]],
        "output_name": ["latent"],
        "output_node": True,
        "display_name": "A Sampler",
    },
    "Loader": {"input": {"required": {"image": [["a.png"], {"image_upload": True}]}}, "output": []},
}


@pytest.fixture
def info() -> ObjectInfo:
    return ObjectInfo(RAW)


def test_inputs_come_in_the_order_the_class_gives(info: ObjectInfo) -> None:
    names = [spec.name for spec in info.inputs("Sampler")]
    assert names == ["seed", "model", "cfg", "old", "new", "text", "strength", "prompt"]


def test_only_widget_types_that_are_not_forced_are_widgets(info: ObjectInfo) -> None:
    assert [spec.name for spec in info.widgets("Sampler")] == ["seed", "cfg", "old", "new", "text"]


def test_choices_of_both_schemas_read_alike(info: ObjectInfo) -> None:
    old, new = info.input("Sampler", "old"), info.input("Sampler", "new")
    assert old is not None and new is not None
    assert (old.type, old.choices, new.type, new.choices) == ("COMBO", ("euler", "ddim"), "COMBO", ("a", "b"))


def test_limits_are_exact_for_64_bit_seeds(info: ObjectInfo) -> None:
    seed = info.input("Sampler", "seed")
    assert seed is not None and (seed.minimum, seed.maximum) == (0, 18446744073709551615)


def test_outputs_have_types_names_and_the_output_mark(info: ObjectInfo) -> None:
    assert info.output_types("Sampler") == ("LATENT", "COMBO")
    assert info.output_names("Sampler") == ("latent", "COMBO")
    assert info.is_output_node("Sampler") and not info.is_output_node("Loader")


def test_an_upload_flag_tells_the_kind_of_file(info: ObjectInfo) -> None:
    image = info.input("Loader", "image")
    assert image is not None and (image.upload, image.folder) == ("image", "input")


def test_plain_definitions_name_the_widgets_in_order() -> None:
    info = ObjectInfo({"KSampler": ["seed", "steps"]})
    assert "KSampler" in info
    assert [spec.name for spec in info.widgets("KSampler")] == ["seed", "steps"]


def test_more_definitions_do_not_replace_what_is_there(info: ObjectInfo) -> None:
    more = info.extended({"Loader": ["other"], "Extra": ["x"]})
    assert [spec.name for spec in more.inputs("Loader")] == ["image"]
    assert "Extra" in more and "Extra" not in info


def test_an_unknown_class_is_an_error_that_names_it(info: ObjectInfo) -> None:
    with pytest.raises(WorkflowError, match="'Nowhere'"):
        info.inputs("Nowhere")


@pytest.mark.parametrize(
    "definition",
    [
        7,
        {"input": 3},
        {"input": {"required": [1]}},
        {"input": {"required": {"x": []}}},
        {"input": {"required": {"x": [5]}}},
    ],
)
def test_a_broken_class_is_an_error_only_when_it_is_asked_for(definition: Any) -> None:
    info = ObjectInfo({"Broken": definition, "Fine": ["seed"]})
    assert info.inputs("Fine")
    with pytest.raises(WorkflowError, match="'Broken'"):
        info.inputs("Broken")


@pytest.mark.parametrize("rubbish", [[], "text", 3])
def test_definitions_that_are_no_object_are_refused(rubbish: Any) -> None:
    with pytest.raises(WorkflowError, match="object_info"):
        ObjectInfo(rubbish)


def test_comfyuis_own_classes_are_told_from_those_of_packs() -> None:
    modules = {
        "Own": "nodes",
        "Extra": "comfy_extras.nodes_audio",
        "Partner": "comfy_api_nodes.nodes_veo2",
        "Pack": "custom_nodes.some-pack",
        "Shipped": "custom_nodes.websocket_image_save",
        "Odd": 7,
    }
    info = ObjectInfo(
        {name: {"python_module": module, "api_node": name == "Partner"} for name, module in modules.items()}
        | {"Plain": ["seed"]}
    )
    assert {name for name in (*info, "Unknown") if info.is_stock(name)} == {"Own", "Extra", "Partner"}
    assert {name for name in (*info, "Unknown") if info.is_api_node(name)} == {"Partner"}


def test_an_input_inside_a_dynamic_one_is_what_all_choices_that_bring_it_agree_on() -> None:
    def option(key: str, **inputs: Any) -> dict[str, Any]:
        return {"key": key, "inputs": {"required": inputs}}

    factor, file = ["FLOAT", {"min": 0.1}], ["COMBO", {"options": ["a.pth"]}]
    inner = ["COMFY_DYNAMICCOMBO_V3", {"options": [option("x", factor=factor)]}]
    options = [
        option("by factor", factor=factor, model=file, odd=["INT"]),
        option("by model", model=["COMBO", {"options": ["b.pth"]}], odd=["STRING"], deep=inner),
    ]
    grown = ["COMFY_AUTOGROW_V3", {"template": {"input": {"required": {"image": ["IMAGE"]}}, "prefix": "i"}}]
    made = {"mode": ["COMFY_DYNAMICCOMBO_V3", {"options": options}], "images": grown}
    info = ObjectInfo({"Resize": {"input": {"required": made}}})

    def told(name: str) -> Any:
        spec = info.input("Resize", name)
        return spec and (spec.name, spec.type, spec.minimum, spec.choices)

    assert told("mode.factor") == ("mode.factor", "FLOAT", 0.1, None)
    assert told("mode.model") == ("mode.model", "COMBO", None, ("a.pth", "b.pth"))
    assert told("mode.deep.factor") == ("mode.deep.factor", "FLOAT", 0.1, None)
    assert told("images.i3") == ("images.i3", "IMAGE", None, None)
    assert [told(name) for name in ("mode.odd", "mode.nothing", "nobody.x")] == [None] * 3
