"""Whether the host's prompt queue is ComfyUI's own: some node packs put another one in its place.

Fleet jobs are shown in the host's queue and history by adding them where ComfyUI's own queue keeps or tells
them. What another pack has put there may neither keep nor tell them, and then a client would wait for ever.
"""

from __future__ import annotations

import re
from typing import Any

_TOLD = ("get_current_queue", "get_current_queue_volatile", "get_tasks_remaining", "get_history")
#: what this computer needs to run fleet jobs itself
_NEEDED_TO_RUN = ("put", "queue", "currently_running", "history", "mutex", "delete_queue_item")
_OWN_MODULE = "execution"
_PACK = re.compile(r"custom_nodes[/\\.]([^/\\.]+)")


class CurrentQueue:
    """Reads the queue that the host has at this moment; an unreadable one is empty."""

    def __init__(self, server: Any) -> None:
        self._server = server

    def get_current_queue_volatile(self) -> tuple[list[Any], list[Any]]:
        try:
            running, waiting = self._server.prompt_queue.get_current_queue_volatile()
        except Exception:  # whatever another pack's code may raise
            return [], []
        return running, waiting


def pack_behind(queue: Any) -> str:
    """The node pack that made this queue, or changed how it tells what is in it; "" for ComfyUI's own."""
    told = (getattr(getattr(queue, name, None), "__module__", "") for name in _TOLD)
    modules = (type(queue).__module__, *(module for module in told if isinstance(module, str)))
    foreign = next((module for module in modules if module and module != _OWN_MODULE), "")
    found = _PACK.search(foreign)
    return found[1] if found else foreign


def is_replaced(queue: Any) -> bool:
    return type(queue).__module__ != _OWN_MODULE


def can_run_prompts(queue: Any) -> bool:
    """Whether it has all that is used of ComfyUI's own to run a prompt on this computer."""
    return all(hasattr(queue, name) for name in _NEEDED_TO_RUN)


def notice_about(pack: str, *, shows_queue: bool, keeps_history: bool) -> str:
    """What a person has to know of another pack's queue, and what helps."""
    who = f"The node pack {pack}" if pack else "Another node pack"
    begin = f"{who} has replaced ComfyUI's own queue"
    if not keeps_history:
        return (
            f"{begin}, so what the fleet makes cannot be put into ComfyUI's history. Run therefore uses this "
            "computer only. Remote Dispatch nodes and jobs of scripts go to the fleet as before. Remove or "
            "update that pack to use fleet mode."
        )
    if not shows_queue:
        return f"{begin}, so it does not show what the fleet runs. You find that in the Fleet tab."
    return f"{begin}. Should jobs of the fleet be missing there, you find them in the Fleet tab."
