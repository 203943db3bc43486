"""Who hears of one prompt at a time: clients that could not tell the messages of two of them apart.

A plain ComfyUI runs one prompt after the other; a fleet runs several. Frames without metadata name no prompt,
and many clients take whatever comes for the prompt that started last.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

from .outbox import BACKLOG_MAX_BYTES, Outgoing

Send = Callable[[str, Outgoing], None]


@dataclass
class _Prompt:
    """What of a prompt is still to be told."""

    held: list[Outgoing] = field(default_factory=list)
    has_ended: bool = False

    def hold(self, message: Outgoing) -> None:
        if message.replaces is not None:
            self.held = [older for older in self.held if older.replaces != message.replaces]
        self.held.append(message)


class Turns:
    """Prompts have their turn in the order in which they began to be told. `send` tells a client at once;
    `one_by_one`: whether this client needs its prompts one by one."""

    def __init__(self, send: Send, one_by_one: Callable[[str], bool]) -> None:
        self._send = send
        self._one_by_one = one_by_one
        self._lines: dict[str, dict[Hashable, _Prompt]] = {}

    def send(self, client_id: str, prompt: Hashable, message: Outgoing) -> None:
        """Tell it now, or when the prompts before it have ended."""
        line = self._lines.get(client_id)
        if line is None and not self._one_by_one(client_id):
            self._send(client_id, message)
            return
        line = self._lines.setdefault(client_id, {})
        mine = line.setdefault(prompt, _Prompt())
        if next(iter(line)) == prompt:
            self._send(client_id, message)
            return
        mine.hold(message)
        if sum(held.size for each in line.values() for held in each.held) > BACKLOG_MAX_BYTES:
            self._tell_all(client_id)

    def end(self, client_id: str, prompt: Hashable) -> None:
        """All of it was sent: the next one's turn comes."""
        line = self._lines.get(client_id, {})
        if prompt in line:
            line[prompt].has_ended = True
        while line:
            first = next(iter(line))
            self._release(client_id, line[first])
            if not line[first].has_ended:
                return
            del line[first]
        self._lines.pop(client_id, None)

    def _tell_all(self, client_id: str) -> None:
        """It is more than can be kept."""
        for each in self._lines[client_id].values():
            self._release(client_id, each)

    def _release(self, client_id: str, prompt: _Prompt) -> None:
        held, prompt.held = prompt.held, []
        for message in held:
            self._send(client_id, message)
