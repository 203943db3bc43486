"""The prompts of this master that lie on peers, told from other people's."""

from __future__ import annotations


class SentPrompts:
    """The ids of the prompts that we sent last. Each prompt in each peer's queue is looked for in here."""

    def __init__(self, kept: int = 2_000) -> None:
        self._kept = kept
        self._ids: dict[str, None] = {}

    def append(self, prompt_id: str) -> None:
        self._ids[prompt_id] = None
        if len(self._ids) > self._kept:
            del self._ids[next(iter(self._ids))]

    def __contains__(self, prompt_id: str) -> bool:
        return prompt_id in self._ids
