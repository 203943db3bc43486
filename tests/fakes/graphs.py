"""Small graphs, and the classes that the fake peers of the engine's tests have (both spellings of inputs)."""

from __future__ import annotations

from typing import Any


def stock_classes(*more: str) -> dict[str, Any]:
    """The answer of GET /object_info; each of `more` makes a picture as EmptyImage does."""
    picture = {
        "input": {"required": {"width": ["INT", {"default": 512}], "color": ["INT", {"default": 0}]}},
        "output": ["IMAGE"],
    }
    prefix = ["STRING", {"default": "ComfyUI"}]
    stock = {
        "EmptyImage": picture,
        "LoadImage": {
            "input": {"required": {"image": [["example.png"], {"image_upload": True}]}},
            "output": ["IMAGE", "MASK"],
        },
        "CheckpointLoaderSimple": {
            "input": {"required": {"ckpt_name": ["COMBO", {"options": ["base.safetensors"]}]}},
            "output": ["MODEL", "CLIP", "VAE"],
        },
        "SaveImage": {
            "input": {"required": {"images": ["IMAGE"], "filename_prefix": prefix}},
            "output": [],
            "output_node": True,
        },
        "PreviewImage": {"input": {"required": {"images": ["IMAGE"]}}, "output": [], "output_node": True},
    }
    return {
        **{name: {**definition, "python_module": "nodes"} for name, definition in stock.items()},
        **{name: {**picture, "python_module": "custom_nodes.pack"} for name in more},
    }


def pack_saver() -> dict[str, Any]:
    """The definition of a node pack's class "PackSave", which takes what SaveImage does."""
    return {"PackSave": {**stock_classes()["SaveImage"], "python_module": "custom_nodes.pack"}}


def picture(
    seed: int = 0,
    *,
    prefix: str = "pictures/cat",
    made_by: str = "EmptyImage",
    saved_by: str = "SaveImage",
) -> dict[str, Any]:
    """A graph that saves one picture; another `seed` is another picture."""
    return {
        "1": {"class_type": made_by, "inputs": {"width": 64, "color": seed}},
        "2": {"class_type": saved_by, "inputs": {"images": ["1", 0], "filename_prefix": prefix}},
    }


def loaded_picture(name: str) -> dict[str, Any]:
    """A graph that saves a file of the input folder."""
    return {
        "1": {"class_type": "LoadImage", "inputs": {"image": name}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "loaded"}},
    }
