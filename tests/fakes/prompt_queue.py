"""The prompt queue of ComfyUI, and how its server lets node packs change prompts, as far as they are used."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

Item = tuple[Any, ...]  #: number, prompt id, prompt, extra data, output nodes, sensitive data
Body = dict[str, Any]


class PromptQueue:
    """`on_change` hears of every change."""

    __module__ = "execution"

    def __init__(self, on_change: Callable[[], object] = lambda: None) -> None:
        self.mutex: Any = threading.RLock()
        self.queue: list[Item] = []
        self.currently_running: dict[int, Item] = {}
        self.history: dict[str, Any] = {}
        self._on_change = on_change

    def put(self, item: Item) -> None:
        self.queue = sorted([*self.queue, item], key=lambda one: one[0])
        self._on_change()

    def get_current_queue_volatile(self) -> tuple[list[Item], list[Item]]:
        return list(self.currently_running.values()), list(self.queue)

    def get_tasks_remaining(self) -> int:
        return len(self.queue) + len(self.currently_running)

    def wipe_queue(self) -> None:
        self.queue = []
        self._on_change()

    def delete_queue_item(self, function: Callable[[Item], bool]) -> bool:
        found = next((item for item in self.queue if function(item)), None)
        if found is not None:
            self.queue.remove(found)
            self._on_change()
        return found is not None

    def get_history(self, prompt_id: str | None = None) -> dict[str, Any]:
        if prompt_id is None:
            return dict(self.history)
        return {prompt_id: self.history[prompt_id]} if prompt_id in self.history else {}

    def wipe_history(self) -> None:
        self.history = {}

    def delete_history_item(self, id_to_delete: str) -> None:
        self.history.pop(id_to_delete, None)


for _method in vars(PromptQueue).values():
    if callable(_method):
        _method.__module__ = "execution"


class PromptHandling:
    """The part of a PromptServer that lets node packs change prompts."""

    def __init__(self) -> None:
        self.on_prompt_handlers: list[Callable[[Body], Body]] = []

    def add_on_prompt_handler(self, handler: Callable[[Body], Body]) -> None:
        self.on_prompt_handlers.append(handler)

    def trigger_on_prompt(self, body: Body) -> Body:
        for handler in self.on_prompt_handlers:
            try:
                body = handler(body)
            except Exception:
                logging.exception("A prompt handler failed")
        return body
