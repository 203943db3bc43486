"""The prompts of this master that lie on peers, told from other people's."""

from __future__ import annotations


class SentPrompts:
    """The ids of the prompts that we sent last. Each prompt in each peer's queue is looked for in here."""

    def __init__(self, kept: int = 2_000) -> None:
        self._kept = kept
        self._peers: dict[str, str] = {}

    def append(self, prompt_id: str, backend_id: str) -> None:
        self._peers[prompt_id] = backend_id
        if len(self._peers) > self._kept:
            del self._peers[next(iter(self._peers))]

    def __contains__(self, prompt_id: str) -> bool:
        return prompt_id in self._peers

    def peer_of(self, prompt_id: str) -> str:
        """The id of the peer that it was sent to; "" where it is not ours."""
        return self._peers.get(prompt_id, "")
