"""What a prompt's own events told of it, for when its history cannot be read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...backends.events import EventStream, Message, PeerEvent
from ...core.workflow.result_files import outputs_told

NODES_MAX = 2_000  #: whose outputs are kept; of a prompt with more the history itself is needed
ENDINGS = frozenset({"execution_success", "execution_error", "execution_interrupted"})


class ToldHistory:
    """Of one prompt. ``entry`` has the shape of its history entry. `is_late`: it was there before."""

    def __init__(self, events: EventStream, *, is_late: bool) -> None:
        self._events = events
        self._hears_all = events.is_connected and not is_late
        self._cuts_before = events.cuts
        self._outputs: dict[str, Any] = {}
        self._ending: list[Any] | None = None

    def hear(self, message: Message) -> None:
        if not isinstance(message, PeerEvent):
            return
        if told := outputs_told(message.type, message.data):
            self._outputs.update(told)
            if len(self._outputs) > NODES_MAX:
                self._outputs, self._hears_all = {}, False
        if message.type in ENDINGS:
            self._ending = [message.type, message.data]

    def entry(self) -> Mapping[str, Any] | None:
        """None where not all of it was heard."""
        if self._ending is None or not self._hears_all or self._events.cuts > self._cuts_before:
            return None
        return {"outputs": dict(self._outputs), "status": {"messages": [self._ending]}}
