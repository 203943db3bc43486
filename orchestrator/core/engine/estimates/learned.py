"""The tables of what was learned, bounded, and their way to the disk and back as plain rows."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from ...prompts.kinds import Kind
from .samples import Samples
from .warmth import Warmth

SHORTEST_S = 1e-3  #: no run is noted that took less
_OF_PEERS = ("speed", "foreign", "s_per_gb", "loads")
_LOGARITHMS = ("kind", "shape", "speed")  #: topics whose first value is one
RUNS_MAX, KINDS_MAX, PEERS_MAX, FILES_MAX = 20_000, 1_000, 2_000, 5_000
TOLD_MAX = 40_000  #: sizes of files that no kind asked for yet


@dataclass(frozen=True)
class LearnedRow:
    """One thing that was learned, as it is kept on disk. ``topic`` and the two names are its key. Among
    changes, one without ``values`` was forgotten."""

    topic: str
    peer: str
    name: str
    values: tuple[float, ...]
    note: str = ""


@dataclass
class RunRecord:
    """``total`` from the first to the last sign of a run with warm models, ``head`` of it until the first
    step. While ``is_guessed``, only runs that also loaded, or left out much of the work, were seen.
    ``noted_at``: how many runs of the kind there were, anywhere, with its last one here."""

    total: Samples = field(default_factory=Samples)
    head: Samples = field(default_factory=Samples)
    is_guessed: bool = False
    noted_at: int = 0


@dataclass
class KindRecord:
    """``weight``: log seconds on a peer of speed 1, from ``count`` runs."""

    shape: str
    work: float
    weight: float = 0.0
    count: int = 0


@dataclass
class PeerRecord:
    """``speed`` is a logarithm, from ``count`` runs of kinds that others ran too, a short one counting for
    less than one; 0 is the usual speed."""

    speed: float = 0.0
    count: float = 0.0
    foreign: Samples = field(default_factory=Samples)
    s_per_gb: Samples = field(default_factory=Samples)
    loads: Samples = field(default_factory=Samples)


@dataclass
class News:
    """How many runs and loadings were noted of a peer, and the kind of the last run."""

    runs: int = 0
    loads: int = 0
    signature: str = ""


@dataclass
class MemoryRecord:
    """In GiB, 0 where nothing tells. ``peak_gb``: the least that a run of a kind was seen to use at its most.
    ``short_gb``: the total that was too little, ``failures`` times since one last ran with no more."""

    peak_gb: float = 0.0
    short_gb: float = 0.0
    failures: int = 0


_V = TypeVar("_V")


class _Bounded(OrderedDict[str, _V]):
    """What was used last stays when there is too much; `on_loss` hears the keys of what does not."""

    def __init__(self, bound: int, on_loss: Callable[[str], None]) -> None:
        super().__init__()
        self._bound = bound
        self._on_loss = on_loss

    def keep(self, key: str, value: _V) -> _V:
        self[key] = value
        self.move_to_end(key)
        while len(self) > self._bound:
            self._on_loss(self.popitem(last=False)[0])
        return value

    def lose(self, key: str) -> None:
        if self.pop(key, None) is not None:
            self._on_loss(key)


class Learned:
    """The row that was used last stays when a table is full."""

    def __init__(self) -> None:
        self._runs: _Bounded[RunRecord] = _Bounded(RUNS_MAX, self._mark_each("run", "head"))
        self._kinds: _Bounded[KindRecord] = _Bounded(KINDS_MAX, partial(self._mark, "kind", ""))
        self._shapes: _Bounded[KindRecord] = _Bounded(KINDS_MAX, partial(self._mark, "shape", ""))
        self._peers: _Bounded[PeerRecord] = _Bounded(PEERS_MAX, self._mark_peer)
        self._loads: _Bounded[Samples] = _Bounded(RUNS_MAX, self._mark_each("load"))
        self._sizes_gb: _Bounded[float] = _Bounded(FILES_MAX, partial(self._mark, "size", ""))
        self._memory: _Bounded[MemoryRecord] = _Bounded(KINDS_MAX, partial(self._mark, "memory", ""))
        self._told_gb: _Bounded[float] = _Bounded(TOLD_MAX, lambda file: None)
        self._fleet_foreign = Samples()
        self._changed: dict[tuple[str, str, str], None] = {}
        self.news: dict[str, News] = {}
        self.warm = Warmth(self._sizes_gb.get)

    def take_changes(self) -> tuple[LearnedRow, ...]:
        """The rows that are new, different or forgotten since this was asked last."""
        changed, self._changed = self._changed, {}
        return tuple(self._row(*key) or LearnedRow(*key, ()) for key in changed)

    def rows(self) -> tuple[LearnedRow, ...]:
        """All of it. What is warm is not in it: that is lost sooner than a file is read again. Nor are sizes
        that no kind asked for."""
        keys = [("size", "", file) for file in self._sizes_gb]
        for topic in _OF_PEERS:
            keys += [(topic, peer, "") for peer in self._peers]
        keys += [("kind", "", name) for name in self._kinds] + [("shape", "", name) for name in self._shapes]
        keys += [("memory", "", name) for name in self._memory]
        keys += [(topic, *_names(key)) for key in self._runs for topic in ("run", "head")]
        keys += [("load", *_names(key)) for key in self._loads]
        return tuple(row for key in keys if (row := self._row(*key)) is not None)

    def read(self, rows: Iterable[LearnedRow]) -> None:
        """Take over what ``rows`` gave once. A row that makes no sense is left out."""
        ran: list[LearnedRow] = []
        for row in rows:
            try:
                self._read(row)
            except (ValueError, OverflowError, IndexError):
                continue
            if row.topic == "run":
                ran.append(row)
        for row in ran:  # whichever came first, the kind's row or this one
            run, kind = self._runs.get(run_key(row.peer, Kind(row.name))), self._kinds.get(row.name)
            if run and kind:
                run.noted_at = kind.count

    def _run(self, peer: str, kind: Kind) -> RunRecord:
        key = run_key(peer, kind)
        return self._runs.keep(key, self._runs.get(key) or RunRecord())

    def _peer(self, peer: str) -> PeerRecord:
        return self._peers.keep(peer, self._peers.get(peer) or PeerRecord())

    def _mark(self, topic: str, peer: str, name: str) -> None:
        self._changed[topic, peer, name] = None

    def _mark_each(self, *topics: str) -> Callable[[str], None]:
        def mark(key: str) -> None:
            for topic in topics:
                self._mark(topic, *_names(key))

        return mark

    def _mark_peer(self, peer: str) -> None:
        for topic in _OF_PEERS:
            self._mark(topic, peer, "")

    def _row(self, topic: str, peer: str, name: str) -> LearnedRow | None:
        found: Samples | None = None
        if topic == "size":
            size = self._sizes_gb.get(name)
            return None if size is None else LearnedRow(topic, peer, name, (size,))
        if topic == "memory":
            need = self._memory.get(name)
            return (
                LearnedRow(topic, peer, name, (need.peak_gb, need.short_gb, need.failures)) if need else None
            )
        if topic in ("kind", "shape"):
            entry = (self._kinds if topic == "kind" else self._shapes).get(name)
            if entry is None:
                return None
            return LearnedRow(topic, peer, name, (entry.weight, entry.count, entry.work), entry.shape)
        if topic in ("run", "head"):
            run = self._runs.get(f"{peer}\n{name}")
            if run is not None:
                found = run.total if topic == "run" else run.head
            note = "guessed" if run and run.is_guessed else ""
            return LearnedRow(topic, peer, name, (found.count, *found.values()), note) if found else None
        if topic == "load":
            found = self._loads.get(f"{peer}\n{name}")
        elif record := self._peers.get(peer):
            if topic == "speed":
                return LearnedRow(topic, peer, "", (record.speed, record.count))
            found = getattr(record, topic)
        return LearnedRow(topic, peer, name, (found.count, *found.values())) if found else None

    def _read(self, row: LearnedRow) -> None:
        if not row.values or not all(isinstance(v, (int, float)) and abs(v) < 1e31 for v in row.values):
            return
        amounts = row.values[1:] if row.topic in _LOGARITHMS else row.values
        if any(value < (SHORTEST_S if row.topic == "run" else 0.0) for value in amounts):
            return
        samples = Samples(row.values[1:], min(int(row.values[0]), 1_000_000))
        if row.topic == "size":
            self._sizes_gb.keep(row.name, float(row.values[0]))
        elif row.topic == "memory":
            peak_gb, short_gb, failures = (min(float(v), 1e6) for v in row.values)
            self._memory.keep(row.name, MemoryRecord(peak_gb, short_gb, int(failures)))
        elif row.topic in ("kind", "shape"):
            weight, count, work = (float(v) for v in row.values[:3])
            entry = KindRecord(row.note, work, min(max(weight, -40.0), 40.0), int(count))
            (self._kinds if row.topic == "kind" else self._shapes).keep(row.name, entry)
        elif row.topic in ("run", "head"):
            run = self._run(row.peer, Kind(row.name))
            run.is_guessed = run.is_guessed or row.note == "guessed"
            setattr(run, "total" if row.topic == "run" else "head", samples)
        elif row.topic == "load":
            self._loads.keep(f"{row.peer}\n{row.name}", samples)
        elif row.topic == "speed":
            record = self._peer(row.peer)
            record.speed, record.count = min(max(float(row.values[0]), -12.0), 12.0), float(row.values[1])
        elif row.topic in _OF_PEERS:
            setattr(self._peer(row.peer), row.topic, samples)


def run_key(peer: str, kind: Kind) -> str:
    return f"{peer}\n{kind.signature}"


def _names(key: str) -> tuple[str, str]:
    peer, name = key.split("\n", 1)
    return peer, name
