"""Cuts dispatch nodes' upstream out of each prompt before ComfyUI validates it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from ...core.workflow.boundaries import Boundaries
from ...core.workflow.cut import cut_prompt
from ...errors import OrchestratorError
from ..comfy import gives_list, is_output_class, loop_side, output_type, takes_list

log = logging.getLogger(__name__)


class PromptHook:
    """ComfyUI's prompt handler: takes and returns the body of POST /prompt.

    It cannot refuse a prompt. What cannot be cut is left whole, and the node then says so. `stays_here`: of a
    class, whether this computer alone can run it.
    """

    def __init__(self, stays_here: Callable[[str], bool]) -> None:
        self._boundaries = Boundaries(stays_here, loop_side, output_type, gives_list, takes_list)

    def __call__(self, data: dict[str, Any]) -> dict[str, Any]:
        prompt = data.get("prompt")
        if not isinstance(prompt, dict):
            return data
        try:
            cut = cut_prompt(
                prompt, is_output=is_output_class, workflow=_workflow(data), boundaries=self._boundaries
            )
            return {**data, "prompt": cut}
        except OrchestratorError as exc:
            log.warning("Remote Dispatch left a prompt as it is: %s", exc)
            return data


def _workflow(data: dict[str, Any]) -> dict[str, Any] | None:
    value: Any = data
    for key in ("extra_data", "extra_pnginfo", "workflow"):
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else None
