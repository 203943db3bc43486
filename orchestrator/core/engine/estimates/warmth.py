"""Which model files each peer has in memory, as far as one can tell from what ran there."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable

#: What a file counts for where nobody told its size.
UNKNOWN_SIZE_GB = 6.0
UNKNOWN_MEMORY_GB = 8.0
FILES_MAX = 64


class Warmth:
    """The least recently used file goes first when memory, in GB, is short. A single file too large for it is
    warm all the same: the peer keeps what it can of it."""

    def __init__(self, size_gb: Callable[[str], float | None]) -> None:
        self._size_gb = size_gb
        self._warm: dict[str, OrderedDict[str, None]] = {}
        self._memory_gb: dict[str, float] = {}
        self._fits_gb: dict[str, float] = {}  #: seen to hold less than its memory
        self._sets: dict[str, frozenset[str]] = {}

    def set_memory(self, peer: str, memory_gb: float) -> None:
        if memory_gb > 0 and memory_gb != self._memory_gb.get(peer):
            self._memory_gb[peer] = memory_gb
            self._fits_gb.pop(peer, None)

    def memory_gb(self, peer: str) -> float:
        """0 while unknown."""
        return self._memory_gb.get(peer, 0.0)

    def use(self, peer: str, files: Iterable[str]) -> tuple[str, ...]:
        """A prompt with these files begins there; returns those that it has to load."""
        warm = self._warm.setdefault(peer, OrderedDict())
        wanted = tuple(files)
        cold = tuple(file for file in wanted if file not in warm)
        if cold:
            self._sets.pop(peer, None)
        self._touch(peer, warm, wanted)
        return cold

    def loaded_again(self, peer: str, files: Iterable[str]) -> bool:
        """These were taken for warm and had to be loaded: what is warm by forecast does not all fit. False
        where there was nothing else that could have taken their place."""
        warm = self._warm.setdefault(peer, OrderedDict())
        wanted = tuple(files)
        others = [self._gb(file) for file in warm if file not in wanted]
        if wanted and others:
            self._fits_gb[peer] = self.gb(warm) - min(others) / 2
            self._touch(peer, warm, wanted)
            self._sets.pop(peer, None)
        return bool(wanted and others)

    def was_there(self, peer: str) -> None:
        """What was taken for cold there needed no loading: more fits than was thought."""
        self._fits_gb.pop(peer, None)

    def of(self, peer: str) -> frozenset[str]:
        """The files; the same object while they are the same."""
        known = self._sets.get(peer)
        if known is None:
            known = self._sets[peer] = frozenset(self._warm.get(peer, ()))
        return known

    def is_warm(self, peer: str, file: str) -> bool:
        return file in self._warm.get(peer, ())

    def after(self, peer: str, runs: Iterable[tuple[str, ...]]) -> frozenset[str]:
        """What is warm there once prompts with these files, in this order, have run too."""
        now, todo = self.of(peer), list(runs)
        if all(now.issuperset(files) for files in todo):
            return now
        warm = OrderedDict.fromkeys(self._warm.get(peer, ()))
        for files in todo:
            self._touch(peer, warm, files)
        return frozenset(warm)

    def room_gb(self, peer: str, warm: frozenset[str]) -> float:
        """What can be loaded there beside `warm` before something has to go."""
        return self._holds_gb(peer) - sum(map(self._gb, warm))

    def gb(self, files: Iterable[str]) -> float:
        return sum(map(self._gb, files))

    def forget(self, peer: str) -> None:
        self._warm.pop(peer, None)
        self._fits_gb.pop(peer, None)
        self._sets.pop(peer, None)

    def remove(self, peer: str) -> None:
        self._warm.pop(peer, None)
        self._sets.pop(peer, None)
        self._memory_gb.pop(peer, None)
        self._fits_gb.pop(peer, None)

    def _touch(self, peer: str, warm: OrderedDict[str, None], wanted: tuple[str, ...]) -> None:
        for file in wanted:
            warm[file] = None
            warm.move_to_end(file)
        memory = self._holds_gb(peer)
        sizes = {file: self._gb(file) for file in warm}
        total = sum(sizes.values())
        while (total > memory or len(warm) > FILES_MAX) and len(warm) > max(1, len(wanted)):
            file, _ = warm.popitem(last=False)
            total -= sizes[file]

    def _holds_gb(self, peer: str) -> float:
        memory_gb = self._memory_gb.get(peer, UNKNOWN_MEMORY_GB)
        return min(memory_gb, self._fits_gb.get(peer, memory_gb))

    def _gb(self, file: str) -> float:
        size = self._size_gb(file)
        return UNKNOWN_SIZE_GB if size is None else size
