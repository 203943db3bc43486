"""The fleet as arrays: a column for each peer, a row for each group of waiting jobs, kept up to date."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from .eligibility import judge
from .kinds import Kind
from .knowledge import Knowledge, Origin
from .levels import Floats
from .need import Need
from .peers import OurJob, PeerSnapshot, free_memory_of, has_gpu, is_idle, memory_of, ours_on, slots_of

Bools = npt.NDArray[np.bool_]

#: An overdue prompt is taken to need so much of what it has had already.
OVERDUE = 0.2
#: A row is reckoned anew when what its kind weighs has moved by so much.
DRIFT = 0.1


@dataclass
class Row:
    """What jobs of one group would meet on each peer; arrays by column, in seconds."""

    kind: Kind
    need: Need
    may: Bools
    run: Floats
    load: Floats
    weight_s: float = 0.0
    few: int = 0  #: eligible peers


@dataclass
class Column:
    snapshot: PeerSnapshot
    standing: tuple[object, ...] = ()
    warm: frozenset[str] = frozenset()
    jobs: list[OurJob] = field(default_factory=list)


class Grid:
    def __init__(self, knowledge: Knowledge) -> None:
        self.knowledge = knowledge
        self.columns: list[Column | None] = []
        self.index: dict[str, int] = {}
        self.rows: dict[Hashable, Row] = {}
        #: The running prompt's expected end, the seconds queued behind it, when it began, free slots.
        self.end_s, self.rest_s = np.zeros(0), np.zeros(0)
        self.begun_s, self.room = np.zeros(0), np.zeros(0, np.int64)
        self.speed, self.tie = np.zeros(0), np.zeros(0)
        self.is_vague = np.zeros(0, np.bool_)  #: nothing is known of how long what is there will take
        self.idle = np.zeros(0, np.bool_)  #: it could start a job this moment
        self.behind: set[int] = set()  #: columns with a job of ours that has not begun

    # Peers

    def set_peer(self, snapshot: PeerSnapshot, now_s: float) -> None:
        """A peer is new, or what is known of it changed."""
        peer = snapshot.config.id
        at = self.index.get(peer)
        if at is None:
            at = self._new_column(snapshot)
        column = self.column(at)
        column.snapshot, column.jobs = snapshot, list(snapshot.jobs)
        self.knowledge.note_peer(
            peer, memory_gb=memory_of(snapshot.status) / 2**30, has_gpu=has_gpu(snapshot.status)
        )
        standing = _standing(snapshot)
        if standing != column.standing:
            column.standing = standing
            for row in self.rows.values():
                may = judge(row.need, snapshot).eligible
                row.few += int(may) - int(row.may[at])
                row.may[at] = may
        self.tie[at] = 1e-3 / (1.0 + free_memory_of(snapshot.status) / 2**30)
        self._reckon(at, now_s)

    def remove_peer(self, peer: str) -> None:
        at = self.index.pop(peer, None)
        if at is not None:
            self.columns[at] = None
            self.room[at], self.idle[at] = 0, False
            self.behind.discard(at)
            for row in self.rows.values():
                row.few -= int(row.may[at])
                row.may[at] = False

    def add_job(self, at: int, job: OurJob, now_s: float) -> None:
        """A job of ours goes to that peer."""
        column = self.column(at)
        column.jobs.append(job)
        self._reckon(at, now_s)

    def column(self, at: int) -> Column:
        column = self.columns[at]
        assert column is not None  # noqa: S101 - callers leave the columns of removed peers out
        return column

    def snapshot(self, at: int) -> PeerSnapshot:
        return self.column(at).snapshot

    def id(self, at: int) -> str:
        return self.column(at).snapshot.config.id

    def jobs(self, at: int) -> list[OurJob]:
        return self.column(at).jobs

    def ready_s(self, now_s: float) -> Floats:
        """When each peer is expected to have nothing ahead."""
        late = now_s + OVERDUE * np.maximum(now_s - self.begun_s, 0.0)
        ready: Floats = np.maximum(self.end_s, late) + self.rest_s
        return ready

    # Rows

    def row(self, group: Hashable, kind: Kind, need: Need) -> Row:
        """The row of a group, made when it is asked for first."""
        row = self.rows.get(group)
        weight_s = self.knowledge.weight_s(kind)
        if row is None:
            size = len(self.columns)
            row = Row(kind, need, np.zeros(size, np.bool_), np.ones(size), np.zeros(size))
            for at, column in enumerate(self.columns):
                if column is not None:
                    row.may[at] = judge(need, column.snapshot).eligible
            row.few = int(row.may.sum())
            self.rows[group] = row
        if row.weight_s == 0.0 or abs(weight_s / row.weight_s - 1.0) > DRIFT:
            row.weight_s = weight_s
            for at, column in enumerate(self.columns):
                if column is not None:
                    self._expect(row, at, column)
        return row

    def drop_rows(self, kept: Sequence[Hashable] | set[Hashable]) -> None:
        for group in [group for group in self.rows if group not in kept]:
            del self.rows[group]

    # Within

    def _new_column(self, snapshot: PeerSnapshot) -> int:
        try:
            at = self.columns.index(None)
        except ValueError:
            at = len(self.columns)
            self.columns.append(None)
            for name in ("end_s", "rest_s", "begun_s", "room", "speed", "tie", "is_vague", "idle"):
                setattr(self, name, np.append(getattr(self, name), 0).astype(getattr(self, name).dtype))
            for row in self.rows.values():
                row.may, row.run, row.load = (
                    np.append(row.may, False),
                    np.append(row.run, 1.0),
                    np.append(row.load, 0.0),
                )
        self.columns[at] = Column(snapshot)
        self.index[snapshot.config.id] = at
        return at

    def _reckon(self, at: int, now_s: float) -> None:
        """Everything of a column that hangs on its jobs and on what was learned."""
        column = self.column(at)
        knowledge, snapshot, peer = self.knowledge, column.snapshot, column.snapshot.config.id
        end_s, rest_s, begun_s, vague = now_s, 0.0, np.inf, False
        unseen = ours_on(snapshot) - len(snapshot.jobs)
        if snapshot.foreign or unseen > 0:
            each = knowledge.foreign_s(peer)
            rest_s += each * (snapshot.foreign + max(unseen, 0))
            if snapshot.foreign and snapshot.foreign_since_s is not None:
                rest_s -= each
                end_s, begun_s = snapshot.foreign_since_s + each, snapshot.foreign_since_s
            vague = True
        column.warm = knowledge.warm.of(peer)
        waits = False
        for job in column.jobs:
            found = knowledge.estimate(peer, job.kind, column.warm)
            vague = vague or found.origin is Origin.NOTHING
            if job.begun_at_s is not None:
                loading_s = knowledge.loading_s(peer, job.kind)
                end_s, begun_s = job.begun_at_s + loading_s + found.run_s, job.begun_at_s
            else:
                waits = True
                rest_s += found.load_s + found.run_s
                if job.kind.files:
                    column.warm = knowledge.warm.after(peer, [j.kind.files for j in column.jobs])
        self.end_s[at], self.rest_s[at], self.begun_s[at], self.is_vague[at] = end_s, rest_s, begun_s, vague
        self.room[at] = slots_of(snapshot) - max(len(column.jobs), ours_on(snapshot))
        self.idle[at] = is_idle(snapshot) and not column.jobs
        self.speed[at] = knowledge.speed(peer)
        (self.behind.add if waits else self.behind.discard)(at)
        for row in self.rows.values():
            self._expect(row, at, column)

    def _expect(self, row: Row, at: int, column: Column) -> None:
        found = self.knowledge.estimate(column.snapshot.config.id, row.kind, column.warm)
        row.run[at], row.load[at] = found.run_s, found.load_s


def _standing(snapshot: PeerSnapshot) -> tuple[object, ...]:
    """Everything that a verdict hangs on."""
    status, rules = snapshot.status, snapshot.rules
    is_used = bool(snapshot.foreign) and rules.only_idle
    return snapshot.config, status.health, status.reason, memory_of(status), rules, snapshot.is_open, is_used
