"""What each group of jobs would meet on each peer, in seconds: a row for a group, a column for a peer."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field

import numpy as np

from ...prompts.kinds import Kind
from ..estimates.knowledge import LONGEST_S, Knowledge
from ..estimates.memory import MemoryNeed
from ..estimates.node_times import OVERDUE
from .eligibility import is_eligible
from .levels import Bools, Floats
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

#: A row is computed again when its kind's weight has moved by this share, or after that many runs of it; a
#: column when its peer's speed has moved by this share.
DRIFT = 0.1
RENEW_EVERY = 128
SPEED_DRIFT = 0.03
#: New rows times peers that are computed in one go, which takes about a twentieth of a second.
_CELLS_AT_ONCE = 10_000
_BY_COLUMN = ("end_s", "rest_s", "overdue", "speed", "tie", "room", "is_vague", "idle", "stuck", "behind")


@dataclass(eq=False)
class Row:
    """A group's part of the matrix, by column: whether the peer ``may`` take its jobs, how long one would
    ``run`` there, its ``own`` where that was measured, and ``load`` before. One takes ``weight_s`` at speed 1
    and needs ``gb`` for its files. It was looked up with the runs and sizes in ``learned``, computed after
    ``timed_at`` runs of its kind."""

    kind: Kind
    need: Need
    may: Bools
    run: Floats
    load: Floats
    own: Bools
    weight_s: float = 0.0
    gb: float = 0.0
    memory: MemoryNeed | None = None
    learned: tuple[int, int] = (-1, -1)
    timed_at: int = 0


@dataclass(eq=False)
class Column:
    """``standing``: all that a verdict depends on. The times in it were computed with its ``condition``, this
    ``speed``, these ``runs``, and what is ``loaded``. ``evicts``: what the peer would have to let go, by the
    files that come. ``late``: the kind of what should have ended there by now, and how long that has run."""

    snapshot: PeerSnapshot
    jobs: list[OurJob] = field(default_factory=list)
    warm: frozenset[str] = frozenset()
    memory: int = -1
    standing: tuple[object, ...] = ()
    condition: tuple[object, ...] = ()
    speed: float = 1.0
    runs: int = 0
    loaded: tuple[object, ...] = ()
    evicts: dict[tuple[tuple[str, ...], int], frozenset[str]] = field(default_factory=dict)
    late: tuple[str, float] = ("", 0.0)

    def slow_s(self, kind: Kind) -> float:
        """What a run of this kind takes there at least, as one that is late shows. Both what is in its queue
        and what may come there go by it: a job taken back would return otherwise."""
        return self.late[1] if self.late[0] == kind.signature else 0.0


class CostMatrix:
    """``end_s``: the expected end of what runs there; ``rest_s``: seconds queued behind it; ``overdue``: how
    its lateness counts; ``room``: free slots; ``is_vague``: nobody knows how long what is there will take;
    ``idle``: it could start a job this moment; ``stuck``: what waits there should rather wait elsewhere;
    ``behind``: one of our jobs waits there behind something else."""

    def __init__(self, knowledge: Knowledge) -> None:
        self.knowledge = knowledge
        self.columns: list[Column | None] = []
        self.index: dict[str, int] = {}
        self.rows: dict[Hashable, Row] = {}
        self.end_s, self.rest_s, self.overdue = np.zeros(0), np.zeros(0), np.zeros(0)
        self.speed, self.tie = np.zeros(0), np.zeros(0)
        self.room = np.zeros(0, np.int64)
        self.is_vague, self.idle = np.zeros(0, np.bool_), np.zeros(0, np.bool_)
        self.stuck, self.behind = np.zeros(0, np.bool_), np.zeros(0, np.bool_)

    # Peers

    def set_peer(self, snapshot: PeerSnapshot, now_s: float) -> None:
        """A peer is new, or what is known of it changed."""
        peer, status = snapshot.config.id, snapshot.status
        at = self.index.get(peer)
        is_new = at is None
        if at is None:
            at = self._new_column(snapshot)
        column = self.column(at)
        if is_new or status is not column.snapshot.status:
            column.memory = memory_of(status)
            if status.vitals is not None:  # before it tells its devices nothing is known of it
                self.knowledge.note_peer(peer, memory_gb=column.memory / 2**30, has_gpu=has_gpu(status))
            self.tie[at] = 1e-3 / (1.0 + free_memory_of(status) / 2**30)
        was_late = column.late[0]
        column.snapshot, column.jobs = snapshot, list(snapshot.jobs)
        column.evicts.clear()
        self.speed[at] = self.knowledge.speed(peer)
        self._compute(at, column, now_s)
        standing = _standing(snapshot, column.memory)
        if standing != column.standing:
            column.standing = standing
            for row in self.rows.values():
                row.may[at] = is_eligible(row.need, snapshot)
        self._time_all(at, column)
        if slow := {was_late, column.late[0]} - {""}:
            for row in self.rows.values():
                if row.kind.signature in slow:
                    self._run(row, at, column)

    def remove_peer(self, peer: str) -> None:
        at = self.index.pop(peer, None)
        if at is not None:
            for row in self.rows.values():
                row.may[at] = False
            self.columns[at] = None
            self.room[at], self.idle[at], self.end_s[at] = 0, False, np.inf
            self.stuck[at] = self.behind[at] = False

    def add_job(self, at: int, job: OurJob, row: Row, now_s: float) -> None:
        """A job of this row goes to that peer."""
        column, peer = self.column(at), self.id(at)
        column.jobs.append(job)
        column.evicts.clear()
        if self.idle[at]:
            self.end_s[at], self.idle[at] = now_s, False
        self.rest_s[at] += row.load[at] + row.run[at]
        self.room[at] -= 1
        self.behind[at] = self._is_behind(at, column)
        column.warm = self.knowledge.warm.after(peer, [job.kind.files for job in column.jobs])
        self._time_all(at, column)

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

    def evicted(self, at: int, row: Row) -> frozenset[str]:
        """The warm files that the peer would have to let go for this row's."""
        column, files, warm = self.column(at), row.kind.files, self.knowledge.warm
        asked = files, self.knowledge.revision  # with files of that size
        known = column.evicts.get(asked)
        if known is None:
            known = frozenset()
            if column.warm and row.gb > warm.room_gb(self.id(at), column.warm):
                runs = [*(job.kind.files for job in column.jobs), files]
                known = column.warm - warm.after(self.id(at), runs)
            column.evicts[asked] = known
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

    @property
    def rows_max(self) -> int:
        """How many there may be before a turn of the event loop: computing new ones takes time."""
        return len(self.rows) + _CELLS_AT_ONCE // max(len(self.index), 1) + 1

    def row(self, group: Hashable, kind: Kind, need: Need) -> Row:
        """The row of a group, made when it is asked for first, and as true as what was learned since."""
        row, knowledge = self.rows.get(group), self.knowledge
        if row is None:
            may = [column is not None and is_eligible(need, column.snapshot) for column in self.columns]
            none = np.zeros(len(may))
            row = Row(kind, need, np.array(may, np.bool_), none, none.copy(), none.astype(np.bool_))
            self.rows[group] = row
        seen = knowledge.times_seen(kind)
        learned = seen or -knowledge.runs_noted, knowledge.revision
        if row.learned != learned:
            knowledge.keep_sizes(kind.files)
            row.learned, weight_s = learned, knowledge.weight_s(kind)
            weighs = knowledge.warm.gb(kind.files), knowledge.memory_need(kind)
            if weighs != (row.gb, row.memory) or seen - row.timed_at >= RENEW_EVERY or not row.weight_s:
                row.weight_s, row.gb, row.timed_at = weight_s, weighs[0], seen
                self._time(row)
            elif abs(weight_s - row.weight_s) > DRIFT * row.weight_s:  # thousands may, with one run
                run_s = np.minimum(row.run * (weight_s / row.weight_s), LONGEST_S)
                np.copyto(row.run, run_s, where=~row.own)
                row.weight_s = weight_s
        return row

    def keep_only(self, groups: Iterable[Hashable]) -> None:
        """Forget the rows of all other groups."""
        self.rows = {group: self.rows[group] for group in groups if group in self.rows}

    # Within

    def _new_column(self, snapshot: PeerSnapshot) -> int:
        if None not in self.columns:
            self.columns.append(None)
            for name in _BY_COLUMN:
                setattr(self, name, _longer(getattr(self, name)))
            for row in self.rows.values():
                row.may, row.own = _longer(row.may), _longer(row.own)
                row.run, row.load = _longer(row.run), _longer(row.load)
        at = self.columns.index(None)
        self.columns[at] = Column(snapshot)
        self.index[snapshot.config.id] = at
        return at

    def _compute(self, at: int, column: Column, now_s: float) -> None:
        """When a peer will have finished what it has, and what is warm there then."""
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
        column.warm = warm

    def _is_behind(self, at: int, column: Column) -> bool:
        """Whether one of our jobs there is not the next to begin."""
        return bool(self.stuck[at]) or column.snapshot.foreign + len(column.jobs) > 1

    def _time_all(self, at: int, column: Column) -> None:
        """Compute what jobs would take on this peer again, as far as anything of it was learned since."""
        knowledge, peer = self.knowledge, column.snapshot.config.id
        news = knowledge.news.get(peer)
        runs, loads, last = (news.runs, news.loads, news.signature) if news else (0, 0, "")
        speed, condition = knowledge.speed(peer), (column.memory, knowledge.is_blank)
        has_drifted = abs(speed - column.speed) > SPEED_DRIFT * column.speed
        is_other = has_drifted or condition != column.condition
        is_other = is_other or runs not in (column.runs, column.runs + 1)
        if is_other:
            column.speed, column.condition = speed, condition
        if is_other or runs != column.runs:
            for row in self.rows.values():
                if is_other or row.kind.signature == last:
                    self._run(row, at, column)
        if is_other or (loads, column.warm) != column.loaded:
            column.loaded = loads, column.warm
            for row in self.rows.values():
                self._load(row, at, column)
        column.runs = runs

    def _time(self, row: Row) -> None:
        """What its jobs would take on each peer."""
        row.memory = self.knowledge.memory_need(row.kind)
        for at, column in enumerate(self.columns):
            if column is not None:
                self._run(row, at, column)
                self._load(row, at, column)

    def _run(self, row: Row, at: int, column: Column) -> None:
        run_s = self.knowledge.run_s(column.snapshot.config.id, row.kind)
        row.run[at] = max(run_s, column.slow_s(row.kind))
        row.own[at] = self.knowledge.has_run(column.snapshot.config.id, row.kind)

    def _load(self, row: Row, at: int, column: Column) -> None:
        row.load[at] = self.knowledge.loads_s(column.snapshot.config.id, row.kind.files, column.warm)


def _longer(array: np.ndarray) -> np.ndarray:
    return np.append(array, np.zeros(1, array.dtype))


def _standing(snapshot: PeerSnapshot, memory: int) -> tuple[object, ...]:
    """Everything that a verdict depends on."""
    status, rules = snapshot.status, snapshot.rules
    is_used = bool(snapshot.foreign) and rules.only_idle
    same_as = snapshot.same_as
    return snapshot.config, status.health, status.reason, memory, rules, snapshot.is_open, is_used, same_as
