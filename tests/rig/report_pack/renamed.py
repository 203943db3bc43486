"""A node that the pack once had under another name, as a ComfyUI takes it that knows of such (0.33 does)."""

from __future__ import annotations

from types import SimpleNamespace

from server import PromptServer

_OLD_NAME = "ReportOldPicture"
_MAPPING = [
    {"new_id": "width", "old_id": "size"},
    {"new_id": "height", "old_id": "size"},
    {"new_id": "batch_size", "set_value": 1},
    {"new_id": "color", "old_id": "colour"},
]
_TOLD = {
    "new_node_id": "EmptyImage",
    "old_node_id": _OLD_NAME,
    "input_mapping": _MAPPING,
    "output_mapping": None,
}

if hasattr(PromptServer.instance, "node_replace_manager"):
    PromptServer.instance.node_replace_manager.register(SimpleNamespace(**_TOLD, as_dict=lambda: _TOLD))
