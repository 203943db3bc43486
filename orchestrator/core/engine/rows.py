"""What each group of jobs would meet on each peer: matrices with a row for a group, a column for a peer."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

import numpy as np

from .kinds import Kind
from .levels import Bools, Floats
from .memory import MemoryNeed
from .need import Need


@dataclass(eq=False)
class GroupRow:
    """One group's part of all that ``Rows`` keeps, at `number`. ``gb`` and ``memory`` are as known at
    ``revision``; what its kind weighs is looked up again after ``look_at`` runs, or after more than
    ``seen_until`` of its own."""

    kind: Kind
    need: Need
    number: int
    _rows: Rows = field(repr=False)
    gb: float = 0.0
    memory: MemoryNeed | None = None
    revision: int = -1
    look_at: int = 0
    seen_until: int = 0

    @property
    def may(self) -> Bools:
        mine: Bools = self._rows.may[self.number]
        return mine

    @property
    def own(self) -> Bools:
        mine: Bools = self._rows.own[self.number]
        return mine

    @property
    def slower(self) -> Floats:
        mine: Floats = self._rows.slower[self.number]
        return mine

    @property
    def run(self) -> Floats:
        mine: Floats = self._rows.run[self.number]
        return mine

    @property
    def load(self) -> Floats:
        mine: Floats = self._rows.load[self.number]
        return mine

    @property
    def few(self) -> int:
        return self._rows.few.item(self.number)

    @property
    def warm(self) -> int:
        return self._rows.warm.item(self.number)

    @property
    def weight_s(self) -> float:
        return self._rows.weight_s.item(self.number)


class Rows:
    """By row and column, in seconds: ``run`` and ``load``; ``own``: runs of this kind were measured there;
    where not, it is ``slower`` by this factor for want of memory. By row: ``few`` peers may take its jobs,
    and on ``warm`` of these nothing has to load; ``seen`` runs of its kind told that it takes ``weight_s`` at
    speed 1; its model files are those with the number ``files`` in ``file_sets``. A row of no group is as one
    that nobody ``may`` take."""

    def __init__(self) -> None:
        self.of: dict[Hashable, GroupRow] = {}
        self.file_sets: dict[tuple[str, ...], int] = {}
        self.may, self.own = np.zeros((0, 0), np.bool_), np.zeros((0, 0), np.bool_)
        self.slower, self.run, self.load = np.zeros((0, 0)), np.zeros((0, 0)), np.zeros((0, 0))
        self.few, self.warm = np.zeros(0, np.int64), np.zeros(0, np.int64)
        self.seen, self.files = np.zeros(0, np.int64), np.zeros(0, np.int64)
        self.weight_s = np.zeros(0)
        self._free: list[int] = []

    def __len__(self) -> int:
        return len(self.of)

    def add(self, group: Hashable, kind: Kind, need: Need, may: Sequence[bool]) -> GroupRow:
        """A row for a group that has none, not yet computed; `may`: which peers may take its jobs."""
        if not self._free:
            before, columns = self.may.shape
            self._resize(2 * before + 16, columns)
            self._free.extend(range(before, len(self.may)))
        at = self._free.pop()
        self.may[at], self.own[at], self.slower[at], self.run[at], self.load[at] = may, False, 1.0, 1.0, 0.0
        self.few[at], self.warm[at] = sum(may), 0
        self.seen[at], self.weight_s[at] = 0, 0.0
        self.files[at] = self.file_sets.setdefault(kind.files, len(self.file_sets))
        row = self.of[group] = GroupRow(kind, need, at, self)
        return row

    def keep_only(self, groups: set[Hashable]) -> None:
        for group in [group for group in self.of if group not in groups]:
            at = self.of.pop(group).number
            self.may[at], self.few[at], self.warm[at], self.files[at] = False, 0, 0, 0
            self._free.append(at)
        self.file_sets = {}
        for row in self.of.values():
            files = row.kind.files
            self.files[row.number] = self.file_sets.setdefault(files, len(self.file_sets))

    def widen(self, columns: int) -> None:
        self._resize(len(self.may), columns)

    def set_eligible(self, column: int, may: Bools) -> None:
        """Other verdicts on one peer, by row."""
        before, is_warm = self.may[:, column], self.load[:, column] == 0.0
        self.few -= before
        self.warm -= before & is_warm
        self.few += may
        self.warm += may & is_warm
        self.may[:, column] = may

    def load_anew(self, column: int, load_s: Sequence[float]) -> None:
        """What loading costs on one peer, by the numbers of ``file_sets``."""
        if self.file_sets:
            may, load = self.may[:, column], np.array(load_s)[self.files]
            self.warm -= may & (self.load[:, column] == 0.0)
            self.warm += may & (load == 0.0)
            self.load[:, column] = load

    def _resize(self, rows: int, columns: int) -> None:
        before, columns_before = self.may.shape
        for name in ("may", "own", "slower", "run", "load"):
            old = getattr(self, name)
            new = np.zeros((rows, columns), old.dtype)
            new[:before, :columns_before] = old
            new[:, columns_before:] = name in ("slower", "run")
            setattr(self, name, new)
        for name in ("few", "warm", "seen", "files", "weight_s"):
            old = getattr(self, name)
            setattr(self, name, np.append(old, np.zeros(rows - before, old.dtype)))
