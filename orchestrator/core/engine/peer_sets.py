"""Which peers may take jobs, as numbered sets, of which there are few; and which lie within which."""

from __future__ import annotations

import numpy as np

from .levels import Bools


class PeerSets:
    """``members``: by number and column, whether a peer is in a set. ``within[a, b]``: all peers of the set
    `b`, and there are any, are in the set `a`."""

    def __init__(self, peers: int) -> None:
        self.peers = peers
        self.within: Bools = np.zeros((0, 0), np.bool_)
        self._numbers: dict[bytes, int] = {}
        self.members: Bools = np.zeros((0, peers), np.bool_)

    def __len__(self) -> int:
        return len(self._numbers)

    def number(self, may: Bools) -> int:
        """The number of this set, the next one for a new set."""
        key = may.tobytes()
        known = self._numbers.get(key)
        return self._add(key, may) if known is None else known

    def _add(self, key: bytes, may: Bools) -> int:
        at = self._numbers[key] = len(self._numbers)
        if at == len(self.members):
            room = at + 16
            sets, within = np.zeros((at + room, len(may)), np.bool_), np.zeros((at + room,) * 2, np.bool_)
            sets[:at], within[:at, :at] = self.members, self.within
            self.members, self.within = sets, within
        self.members[at] = may
        known = self.members[: at + 1]
        self.within[at, : at + 1] = known.any(axis=1) & ~(known & ~may).any(axis=1)
        self.within[: at + 1, at] = may.any() & ~(may & ~known).any(axis=1)
        return at
