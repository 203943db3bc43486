"""Cuts dispatch nodes' upstream out of each prompt before ComfyUI validates it."""

from __future__ import annotations

import logging
from typing import Any

from ..core.workflow.cut import cut_prompt
from ..errors import OrchestratorError
from .comfy import is_output_class

log = logging.getLogger(__name__)


def on_prompt(data: dict[str, Any]) -> dict[str, Any]:
    """ComfyUI's prompt handler: takes and returns the body of POST /prompt.

    It cannot refuse a prompt. What cannot be cut is left whole, and the node then says so.
    """
    prompt = data.get("prompt")
    if not isinstance(prompt, dict):
        return data
    try:
        return {**data, "prompt": cut_prompt(prompt, is_output=is_output_class, workflow=_workflow(data))}
    except OrchestratorError as exc:
        log.warning("Remote Dispatch left a prompt as it is: %s", exc)
        return data


def _workflow(data: dict[str, Any]) -> dict[str, Any] | None:
    value: Any = data
    for key in ("extra_data", "extra_pnginfo", "workflow"):
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else None
