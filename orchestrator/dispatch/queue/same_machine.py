"""Peers that are one machine under several addresses: each lists a prompt that we sent to the other."""

from __future__ import annotations

from ...backends.manager import BackendManager
from ...core.models.backend import BackendConfig, Health, QueueState
from ..sent_prompts import SentPrompts

_Seen = tuple[str, int]  #: an address, and which of the processes that were seen there
#: of a machine that is reached; whatever keeps it from working is true at its other address too
_REACHED = frozenset({Health.UP, Health.ZOMBIE, Health.EJECTED})


class SameMachines:
    """What was seen holds while both are at the same address and have not been away."""

    def __init__(self, manager: BackendManager, sent: SentPrompts) -> None:
        self._manager = manager
        self._sent = sent
        self._pairs: dict[frozenset[str], frozenset[_Seen]] = {}

    def note(self, config: BackendConfig, queue: QueueState) -> None:
        """Only this master and the machine that a prompt was sent to know its id."""
        for prompt_id in (*queue.running, *queue.pending):
            other = self._sent.peer_of(prompt_id)
            pair = frozenset({config.id, other})
            if other and len(pair) == 2 and self._manager.find(other) is not None:
                self._pairs[pair] = self._now(pair)

    def of(self, backend_id: str) -> tuple[BackendConfig, ...]:
        """The other peers that are this computer, in the order in which they were added."""
        if not self._pairs:
            return ()
        there = {config.id for config in self._manager.all()}
        pairs = [pair for pair in self._pairs if backend_id in pair and pair <= there]
        others = {name for pair in pairs if self._pairs[pair] == self._now(pair) for name in pair}
        return tuple(c for c in self._manager.all() if c.id in others and c.id != backend_id)

    def instead_of(self, backend_id: str) -> str:
        """The name of the peer that gets this one's jobs, as it is the same machine; "" for none."""
        others = self.of(backend_id)
        order = [config.id for config in self._manager.all()] if others else []
        for config in others:
            is_reached = self._manager.get_status(config.id).health in _REACHED
            is_first = order.index(config.id) < order.index(backend_id)
            if is_first and is_reached and config.enabled and not config.draining:
                return config.name
        return ""

    def _now(self, pair: frozenset[str]) -> frozenset[_Seen]:
        get, status = self._manager.get, self._manager.get_status
        return frozenset((get(peer).url, status(peer).generation) for peer in pair)
