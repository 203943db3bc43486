"""What kinds of graphs need of a device's memory, and what it costs where there is less.

A ComfyUI that is short of memory computes all the same: it keeps parts of the models outside the device, and
is slower for it. So nobody is refused for too little; a job that never ran there is expected to take longer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from ...prompts.kinds import Kind
from .learned import Learned, MemoryRecord, News, run_key

#: Needs are estimates: a peer is short only of clearly less.
SHORT = 1.1
#: With half of the memory a run is taken for twice as long; never for more than this factor.
SLOWER_MAX = 4.0
#: Where one ran out of memory before, the next may too, and would then be run elsewhere all over.
RAN_OUT, RAN_OUT_MAX = 10.0, 100.0
#: A memory as full as that tells nothing: what there was no room for is not in it.
FULL = 0.85
_NEWS = 0.9
_SIZE_MAX_GB = 10_000


class MemoryNeed(NamedTuple):
    """In GiB. ``gb``: 0 while unknown. ``short_gb``: the total that was too little, ``failures`` times since
    such a job last ran with no more."""

    gb: float = 0.0
    short_gb: float = 0.0
    failures: int = 0


@dataclass(frozen=True)
class Shortage:
    """A peer has ``memory_gb`` in all for what needs ``need_gb``, in GiB. A run is expected to take that many
    times as long there: ``slower``. ``ran_out``: such a job failed with ``need_gb``."""

    need_gb: float
    memory_gb: float
    slower: float
    ran_out: bool = False


def shortage_of(need: MemoryNeed, memory_gb: float) -> Shortage | None:
    """Whether that much memory, 0 while unknown, is clearly less than is needed."""
    if not memory_gb:
        return None
    if memory_gb < SHORT * need.short_gb:
        slower = min(RAN_OUT * need.failures, RAN_OUT_MAX)
        return Shortage(need.short_gb, memory_gb, max(slower, 1.0), ran_out=True)
    if SHORT * memory_gb < need.gb:
        return Shortage(need.gb, memory_gb, min(need.gb / memory_gb, SLOWER_MAX))
    return None


class MemoryNeeds(Learned):
    """``revision`` changes whenever a need or a file's size turned out to be different."""

    def __init__(self) -> None:
        super().__init__()
        self.revision = 0

    def note_size(self, file: str, gb: float) -> None:
        if 0 <= gb < _SIZE_MAX_GB:
            self._sizes_gb.keep(file, gb)
            self._mark("size", "", file)
            self.revision += 1

    def note_sizes(self, sizes_gb: Mapping[str, float]) -> None:
        """All files of a peer, as it tells them. The last word counts: a file may have been replaced."""
        for file, gb in sizes_gb.items():
            if file in self._sizes_gb:
                if gb != self._sizes_gb[file]:
                    self.note_size(file, gb)
            elif gb != self._told_gb.get(file) and 0 <= gb < _SIZE_MAX_GB:
                self._told_gb.keep(file, gb)
                self.revision += 1

    def keep_sizes(self, files: Iterable[str]) -> None:
        """A kind uses these: from now on what was told of them counts, and is kept."""
        for file in files:
            if file not in self._sizes_gb and file in self._told_gb:
                self._sizes_gb.keep(file, self._told_gb.pop(file))
                self._mark("size", "", file)
                self.revision += 1

    def note_peak(self, peer: str, kind: Kind, used_gb: float) -> None:
        """While this kind ran there, no more of the memory was in use. That tells its need where nothing else
        can have been in it; other programs can, so the least of several runs counts."""
        is_alone = self.warm.of(peer).issubset(kind.files)
        if not (kind.signature and is_alone and 0 < used_gb < FULL * self.warm.memory_gb(peer)):
            return
        record = self._memory_record(kind)
        before, record.peak_gb = record.peak_gb, min(used_gb, record.peak_gb or used_gb)
        if record.peak_gb != before:
            self._mark("memory", "", kind.signature)
            self.revision += record.peak_gb < _NEWS * before or not before

    def note_too_little(self, peer: str, kind: Kind) -> None:
        """One of this kind ran out of memory there. What earlier runs there took does not count any more."""
        memory_gb = self.warm.memory_gb(peer)
        if not (kind.signature and memory_gb):
            return
        record = self._memory_record(kind)
        record.short_gb = max(record.short_gb, memory_gb)
        record.failures += 1
        self._runs.lose(run_key(peer, kind))
        self.news.setdefault(peer, News()).runs += 2  # more than one: everything is estimated again
        self._mark("memory", "", kind.signature)
        self.revision += 1

    def memory_need(self, kind: Kind) -> MemoryNeed:
        """What runs have told; else what its files weigh, if all of their sizes are known."""
        record = self._memory.get(kind.signature)
        if record is None:
            return MemoryNeed(self._files_gb(kind))
        gb = max(record.peak_gb or self._files_gb(kind), record.short_gb)
        return MemoryNeed(gb, record.short_gb, record.failures)

    def shortage(self, peer: str, kind: Kind) -> Shortage | None:
        """Whether the peer has clearly less memory than this kind needs."""
        return shortage_of(self.memory_need(kind), self.warm.memory_gb(peer))

    def _had_enough(self, peer: str, kind: Kind) -> None:
        """One of this kind ran there: where as much was too little once, it was bad luck."""
        record = self._memory.get(kind.signature)
        if record is not None and 0 < self.warm.memory_gb(peer) < SHORT * record.short_gb:
            record.short_gb, record.failures = 0.0, 0
            self._mark("memory", "", kind.signature)
            self.revision += 1

    def _memory_record(self, kind: Kind) -> MemoryRecord:
        return self._memory.keep(kind.signature, self._memory.get(kind.signature) or MemoryRecord())

    def _files_gb(self, kind: Kind) -> float:
        total = 0.0
        for file in kind.files:
            gb = self._sizes_gb.get(file)
            if gb is None:
                return 0.0
            total += gb
        return total
