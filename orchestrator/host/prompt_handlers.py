"""Run the prompt handlers of other packs once per prompt, wherever it runs in the end."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

Body = dict[str, Any]


class PromptHandlers:
    """Stands before the `trigger_on_prompt` of `server` (a PromptServer). Within one request, what a prompt
    became here is what the host's own handler of POST /prompt gets, should it go on with it."""

    def __init__(self, server: Any) -> None:
        self._run = server.trigger_on_prompt
        self._handled: ContextVar[Body | None] = ContextVar("remote_dispatch_handled", default=None)
        server.trigger_on_prompt = self._once

    def forget(self) -> None:
        """Another request begins; it may have the task of the one before."""
        self._handled.set(None)

    def apply(self, body: Body) -> Body:
        """Let all packs see and change the body of POST /prompt."""
        handled: Body = self._run(body)
        self._handled.set(handled)
        return handled

    def _once(self, body: Body) -> Body:
        handled = self._handled.get()
        self._handled.set(None)
        if handled is not None:
            return handled
        result: Body = self._run(body)
        return result
