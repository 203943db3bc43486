"""LoraManager: LoRAs by name in an object, in a text, in a stack; a saver of its own."""

from __future__ import annotations

from typing import Any

from ..cases import Case, Node, Prompt, node, pictures, saved, shown
from .rgthree import with_loras


def loras(*names: str) -> dict[str, Any]:
    """As the page keeps them: the file's name without folder and ending."""
    return {
        "__value__": [
            {"name": name, "strength": 0.8, "active": True, "expanded": False, "clipStrength": 0.8}
            for name in names
        ]
    }


def loader(*names: str) -> Node:
    text = " ".join(f"<lora:{name}:0.8>" for name in names)
    return node("Lora Loader (LoraManager)", model=["1", 0], text=text, loras=loras(*names))


def stacked() -> Prompt:
    return with_loras(
        node(
            "LoRA Text Loader (LoraManager)",
            model=["1", 0],
            lora_syntax="<lora:detail:0.6>",
            lora_stack=["21", 0],
        )
    ) | {"21": node("Lora Stacker (LoraManager)", text="<lora:anna:0.8>", loras=loras("anna"))}


def save_image(images: list[Any], **more: Any) -> Node:
    usual = {
        "filename_prefix": "manager", "file_format": "png", "lossless_webp": False, "quality": 100,
        "webp_method": 6, "jpeg_subsampling": 0, "embed_workflow": True, "save_with_metadata": True,
        "add_loras_to_prompt": False, "add_counter_to_filename": True, "save_as_recipe": False,
    }  # fmt: skip
    return node("Save Image (LoraManager)", images=images, **{**usual, **more})


CASES = (
    Case("Lora Loader", with_loras(loader("ink", "detail")), value=("7", "images")),
    Case("Lora Loader, a LoRA that nobody has", with_loras(loader("nobody")), may_say="nobody"),
    Case("a stack and a text", stacked()),
    Case("Save Image", {"1": pictures(1, batch=2), "2": save_image(["1", 0])}),
    Case("Save Image as webp without a counter", {
        "1": pictures(2),
        "2": save_image(["1", 0], file_format="webp", lossless_webp=True, add_counter_to_filename=False),
    }),
    Case("Save Image, the prefix a pattern", {
        "1": pictures(3),
        "2": save_image(["1", 0], filename_prefix="%date:yyyy%/manager"),
    }),
    Case("a text, and a path of a LoRA", {
        "1": node("Text (LoraManager)", text="a house"),
        "2": shown("1"),
        "3": node("LoRA Syntax → Path (LoraManager)", lora_syntax="<lora:ink:0.8>"),
        "4": shown("3"),
    }, value=("2", "source")),
    Case("what was saved after the loader", {
        **with_loras(loader("ink")),
        "8": saved("6", prefix="again"),
        "9": save_image(["6", 0]),
    }),
)  # fmt: skip
