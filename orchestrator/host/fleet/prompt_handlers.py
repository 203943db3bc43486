"""Run other packs' prompt handlers once per prompt, wherever it runs in the end, and ours after them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

Body = dict[str, Any]

log = logging.getLogger(__name__)


class PromptHandlers:
    """Stands before the `trigger_on_prompt` of `server` (a PromptServer). Within one request, what a prompt
    became here is what the host's own handler of POST /prompt gets, should it go on with it.

    `cut` comes last, whatever the order in which packs were loaded: they fill in seeds and texts and set one
    node's widget from another, so they have to see what the page sent, not what is left of it here.
    """

    def __init__(self, server: Any, cut: Callable[[Body], Body]) -> None:
        self._of_packs = server.trigger_on_prompt
        self._cut = cut
        self._handled: ContextVar[Body | None] = ContextVar("remote_dispatch_handled", default=None)
        server.trigger_on_prompt = self._once

    def forget(self) -> None:
        """Another request begins; it may have the task of the one before."""
        self._handled.set(None)

    def apply(self, body: Body) -> Body:
        """Let all packs see and change the body of POST /prompt."""
        handled = self._run(body)
        self._handled.set(handled)
        return handled

    def _once(self, body: Body) -> Body:
        handled = self._handled.get()
        self._handled.set(None)
        return handled if handled is not None else self._run(body)

    def _run(self, body: Body) -> Body:
        body = self._of_packs(body)
        try:
            return self._cut(body)
        except Exception:  # as the host does with a handler's
            log.exception("Remote Dispatch left a prompt as it is")
            return body
