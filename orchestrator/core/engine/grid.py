"""The fleet as arrays: a column for each peer, a row for each group of waiting jobs, kept up to date."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from itertools import repeat

import numpy as np

from .eligibility import is_eligible
from .kinds import Kind
from .knowledge import LONGEST_S, Knowledge
from .levels import Floats
from .need import Need
from .peers import (
    OurJob,
    PeerSnapshot,
    free_memory_of,
    has_gpu,
    is_idle,
    is_stuck,
    memory_of,
    ours_on,
    slots_of,
)
from .rows import GroupRow, Rows

#: An overdue prompt is expected to need this share again of the time that it is late by.
OVERDUE = 0.5
#: A row is computed again when its kind's weight has moved by this share, a column when its peer's speed has.
DRIFT = 0.1
SPEED_DRIFT = 0.03
_LOOK_SELDOM = 64
_BY_COLUMN = ("end_s", "rest_s", "overdue", "speed", "tie", "room", "is_vague", "idle", "stuck", "behind")


@dataclass(eq=False)
class Column:
    """``late``: the kind of what should have ended there by now, and how long that has run."""

    snapshot: PeerSnapshot
    jobs: list[OurJob] = field(default_factory=list)
    warm: frozenset[str] = frozenset()
    evicts: dict[tuple[str, ...], frozenset[str]] = field(default_factory=dict)
    memory: int = -1
    revision: int = -1
    standing: tuple[object, ...] = ()
    runs: int = 0
    loads: int = 0
    speed: float = 1.0
    late: tuple[str, float] = ("", 0.0)

    def slow_s(self, kind: Kind) -> float:
        """What a run of this kind takes there at least, as one that is late shows. Both what is in its queue
        and what may come there go by it: a job taken back would return otherwise."""
        return self.late[1] if self.late[0] == kind.signature else 0.0


class Grid:
    """``end_s``: the expected end of what runs there; ``rest_s``: seconds queued behind it; ``overdue``: how
    its lateness counts; ``room``: free slots; ``is_vague``: nobody knows how long what is there will take;
    ``idle``: it could start a job this moment; ``stuck``: what waits there should rather wait elsewhere;
    ``behind``: one of our jobs waits there behind something else. ``eligibility_changes`` counts them."""

    def __init__(self, knowledge: Knowledge) -> None:
        self.knowledge = knowledge
        self.columns: list[Column | None] = []
        self.index: dict[str, int] = {}
        self.rows = Rows()
        self.end_s, self.rest_s, self.overdue = np.zeros(0), np.zeros(0), np.zeros(0)
        self.speed, self.tie = np.zeros(0), np.zeros(0)
        self.room = np.zeros(0, np.int64)
        self.is_vague, self.idle = np.zeros(0, np.bool_), np.zeros(0, np.bool_)
        self.stuck, self.behind = np.zeros(0, np.bool_), np.zeros(0, np.bool_)
        self.eligibility_changes = 0

    # Peers

    def set_peer(self, snapshot: PeerSnapshot, now_s: float) -> None:
        """A peer is new, or what is known of it changed."""
        at = self.index.get(snapshot.config.id)
        is_new = at is None
        if at is None:
            at = self._new_column(snapshot)
        column = self.column(at)
        status, memory_before = snapshot.status, column.memory
        is_told = status.vitals is not None and (is_new or column.snapshot.status.vitals is None)
        if is_new or status is not column.snapshot.status:
            column.memory = memory_of(status)
            if status.vitals is not None:  # before it tells its devices nothing is known of it
                self.knowledge.note_peer(
                    snapshot.config.id, memory_gb=column.memory / 2**30, has_gpu=has_gpu(status)
                )
            self.tie[at] = 1e-3 / (1.0 + free_memory_of(status) / 2**30)
        column.snapshot, column.jobs = snapshot, list(snapshot.jobs)
        column.evicts.clear()
        standing = _standing(snapshot, column.memory)
        if standing != column.standing:
            column.standing = standing
            self.eligibility_changes += 1
            may = np.zeros(len(self.rows.few), np.bool_)
            for row in self.rows.of.values():
                may[row.number] = is_eligible(row.need, snapshot)
            self.rows.set_eligible(at, may)
        was_late = column.late[0]
        self._compute(at, column, now_s)
        is_another = is_new or is_told or column.memory != memory_before
        self._expect_anew(at, column, everything=is_another)
        if slow := {was_late, column.late[0]} - {""}:
            for row in self.rows.of.values():
                if row.kind.signature in slow:
                    self._expect_run(row, at, snapshot.config.id)

    def remove_peer(self, peer: str) -> None:
        at = self.index.pop(peer, None)
        if at is not None:
            self.eligibility_changes += 1
            self.rows.set_eligible(at, np.zeros(len(self.rows.few), np.bool_))
            self.columns[at] = None
            self.room[at], self.idle[at], self.end_s[at] = 0, False, np.inf
            self.stuck[at] = self.behind[at] = False

    def add_job(self, at: int, job: OurJob, row: GroupRow, now_s: float) -> None:
        """A job of this row goes to that peer."""
        column, peer = self.column(at), self.id(at)
        column.jobs.append(job)
        column.evicts.clear()
        if self.idle[at]:
            self.end_s[at], self.idle[at] = now_s, False
        self.rest_s[at] += row.load[at] + row.run[at]
        self.room[at] -= 1
        self.behind[at] = self._is_behind(at, column)
        warm = self.knowledge.warm.after(peer, [job.kind.files for job in column.jobs])
        if warm is not column.warm and warm != column.warm:
            self._now_warm(at, column, warm)

    def column(self, at: int) -> Column:
        column = self.columns[at]
        assert column is not None  # noqa: S101 - callers leave the columns of removed peers out
        return column

    def snapshot(self, at: int) -> PeerSnapshot:
        return self.column(at).snapshot

    def id(self, at: int) -> str:
        return self.column(at).snapshot.config.id

    def ahead(self, at: int) -> int:
        """Prompts in its queue, those included that were given to it since its snapshot was taken."""
        column = self.column(at)
        return column.snapshot.foreign + max(len(column.jobs), ours_on(column.snapshot))

    def jobs(self, at: int) -> list[OurJob]:
        return self.column(at).jobs

    def evicted(self, at: int, row: GroupRow) -> frozenset[str]:
        """The warm files that the peer would have to let go for this row's."""
        column, files = self.column(at), row.kind.files
        if column.revision != self.knowledge.revision:  # a file's size has changed
            column.revision = self.knowledge.revision
            column.evicts.clear()
        known = column.evicts.get(files)
        if known is None:
            known = frozenset()
            if column.warm and row.gb > self.knowledge.warm.room_gb(self.id(at), column.warm):
                runs = [*(job.kind.files for job in column.jobs), files]
                known = column.warm - self.knowledge.warm.after(self.id(at), runs)
            column.evicts[files] = known
        return known

    def ready_s(self, now_s: float) -> Floats:
        """When each peer is expected to have nothing ahead."""
        late = now_s + self.overdue * np.maximum(now_s - self.end_s, 0.0)
        ready: Floats = np.maximum(self.end_s, late) + self.rest_s
        return ready

    def ready_at(self, at: int, now_s: float) -> float:
        """The same of one peer."""
        end_s = float(self.end_s[at])
        late = now_s + float(self.overdue[at]) * max(now_s - end_s, 0.0)
        return max(end_s, late) + float(self.rest_s[at])

    # Rows

    def row(self, group: Hashable, kind: Kind, need: Need) -> GroupRow:
        """The row of a group, made when it is asked for first."""
        row = self.rows.of.get(group)
        if row is None:
            may = [column is not None and is_eligible(need, column.snapshot) for column in self.columns]
            row = self.rows.add(group, kind, need, may)
            self.eligibility_changes += 1
        if self.is_outdated(row):
            self.look_up(row)
        return row

    def is_outdated(self, row: GroupRow) -> bool:
        """Whether what its kind weighs or needs is to be looked up again."""
        knowledge = self.knowledge
        return (
            row.revision != knowledge.revision
            or knowledge.runs_noted >= row.look_at
            or knowledge.times_seen(row.kind) > row.seen_until
        )

    def look_up(self, row: GroupRow) -> None:
        """Look up what its kind weighs and needs; if that has changed, compute the row again."""
        rows, knowledge, seen = self.rows, self.knowledge, self.knowledge.times_seen(row.kind)
        is_revised = row.revision != knowledge.revision and self._weigh(row)
        weight_s = knowledge.weight_s(row.kind)
        rows.seen[row.number], row.seen_until = seen, seen + seen // 8
        row.look_at = knowledge.runs_noted + (_LOOK_SELDOM if seen else 1)
        if is_revised:
            rows.weight_s[row.number] = weight_s
            self._expect_row(row)
        elif abs(weight_s / row.weight_s - 1.0) > DRIFT:
            rows.weight_s[row.number] = weight_s
            run_s = np.minimum(weight_s * row.slower / self.speed, LONGEST_S)
            np.copyto(row.run, run_s, where=~row.own)

    # Within

    def _new_column(self, snapshot: PeerSnapshot) -> int:
        if None not in self.columns:
            self.columns.append(None)
            for name in _BY_COLUMN:
                old = getattr(self, name)
                setattr(self, name, np.append(old, np.zeros(1, old.dtype)))
            self.rows.widen(len(self.columns))
        at = self.columns.index(None)
        self.columns[at] = Column(snapshot)
        self.index[snapshot.config.id] = at
        return at

    def _weigh(self, row: GroupRow) -> bool:
        """Look up its files' sizes and its need of memory; whether they are others than before."""
        knowledge, kind, before = self.knowledge, row.kind, (row.gb, row.memory)
        knowledge.keep_sizes(kind.files)
        row.revision = knowledge.revision
        row.gb, row.memory = knowledge.warm.gb(kind.files), knowledge.memory_need(kind)
        return (row.gb, row.memory) != before

    def _compute(self, at: int, column: Column, now_s: float) -> None:
        """When a peer will have finished what it has."""
        knowledge, snapshot, peer = self.knowledge, column.snapshot, column.snapshot.config.id
        end_s, rest_s, overdue = now_s, 0.0, 0.0
        unseen = max(ours_on(snapshot) - len(snapshot.jobs), 0)
        if snapshot.foreign or unseen:
            each = knowledge.foreign_s(peer)
            rest_s += each * (snapshot.foreign + unseen)
            if snapshot.foreign and snapshot.foreign_since_s is not None:
                rest_s -= each
                end_s, overdue = snapshot.foreign_since_s + each, OVERDUE
        warm, waits = knowledge.warm.of(peer), False
        column.late = ("", 0.0)
        for job in column.jobs:
            if job.begun_at_s is None:
                found = knowledge.estimate(peer, job.kind, warm)
                rest_s += found.load_s + max(found.run_s, column.slow_s(job.kind))
                waits = True
            else:
                computes_at_s = job.begun_at_s + sum(knowledge.load_s(peer, file) for file in job.cold)
                end_s, overdue = computes_at_s + knowledge.run_s(peer, job.kind), OVERDUE
                if now_s > end_s and job.kind.signature:
                    column.late = job.kind.signature, now_s - computes_at_s
        if waits:
            warm = knowledge.warm.after(peer, [job.kind.files for job in column.jobs])
        count = max(len(column.jobs), ours_on(snapshot))
        self.end_s[at], self.rest_s[at], self.overdue[at] = end_s, rest_s, overdue
        self.is_vague[at] = knowledge.is_blank
        self.room[at] = slots_of(snapshot) - count
        self.idle[at] = not column.jobs and is_idle(snapshot)
        self.stuck[at] = is_stuck(snapshot)
        self.behind[at] = waits and self._is_behind(at, column)
        if warm is not column.warm and warm != column.warm:
            self._now_warm(at, column, warm)

    def _is_behind(self, at: int, column: Column) -> bool:
        """Whether one of our jobs there is not the next to begin."""
        return bool(self.stuck[at]) or column.snapshot.foreign + len(column.jobs) > 1

    def _now_warm(self, at: int, column: Column, warm: frozenset[str]) -> None:
        column.warm = warm
        self._loads_anew(at, column)

    def _expect_anew(self, at: int, column: Column, *, everything: bool = False) -> None:
        """What runs would take there, as far as something was learned."""
        knowledge, peer = self.knowledge, column.snapshot.config.id
        news = knowledge.news.get(peer)
        runs, loads, last = (news.runs, news.loads, news.signature) if news else (0, 0, "")
        if everything or runs != column.runs:
            speed = knowledge.speed(peer)
            self.speed[at] = speed
            drifted = abs(speed / column.speed - 1.0) > SPEED_DRIFT
            if drifted:
                column.speed = speed
            is_all = everything or drifted or runs != column.runs + 1
            column.runs = runs
            for row in self.rows.of.values():
                if is_all or row.kind.signature == last:
                    self._expect_run(row, at, peer)
        if everything or loads != column.loads:
            column.loads = loads
            self._loads_anew(at, column)

    def _loads_anew(self, at: int, column: Column) -> None:
        knowledge, peer = self.knowledge, column.snapshot.config.id
        self.rows.load_anew(at, [knowledge.loads_s(peer, f, column.warm) for f in self.rows.file_sets])

    def _expect_row(self, row: GroupRow) -> None:
        knowledge, files = self.knowledge, row.kind.files
        live = {at: column for at, column in enumerate(self.columns) if column is not None}
        if live:
            at, peers = list(live), [column.snapshot.config.id for column in live.values()]
            row.run[at], row.own[at], row.slower[at] = zip(*knowledge.runs(row.kind, peers), strict=True)
            warm = (column.warm for column in live.values())
            row.load[at] = list(map(knowledge.loads_s, peers, repeat(files), warm))
        self.rows.warm[row.number] = (row.may & (row.load == 0.0)).sum()

    def _expect_run(self, row: GroupRow, at: int, peer: str) -> None:
        ((run_s, row.own[at], row.slower[at]),) = self.knowledge.runs(row.kind, (peer,))
        row.run[at] = max(run_s, self.column(at).slow_s(row.kind))


def _standing(snapshot: PeerSnapshot, memory: int) -> tuple[object, ...]:
    """Everything that a verdict depends on."""
    status, rules = snapshot.status, snapshot.rules
    is_used = bool(snapshot.foreign) and rules.only_idle
    return snapshot.config, status.health, status.reason, memory, rules, snapshot.is_open, is_used
