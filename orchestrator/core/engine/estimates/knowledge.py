"""What was learned of peers: how long each kind of graph runs there, what loading costs, what is warm.

A pure model: it knows no clock and no disk. It is told of every run, and answers with an estimate that says
where it comes from. A run time is kept for each peer and kind, with the loading of models kept apart. What
was not seen on a peer is derived: log(run time) = log(weight of the kind) - log(speed of the peer), both
learned from what several peers ran.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum
from itertools import islice

from ...prompts.kinds import Kind
from .learned import SHORTEST_S, KindRecord, News, PeerRecord, RunRecord, run_key
from .memory import MemoryNeeds, Shortage
from .node_times import NodeTimes
from .samples import Samples

GUESSED_RUN_S = 30.0  #: with no knowledge at all
GUESSED_LOAD_S = 1.0  #: low: an idle peer that has not loaded it yet is tried, and then it is known
GUESSED_S_PER_GB = 1.0
LAST_PEERS = 20  #: peers that tell what loading usually costs
CPU_SPEED = 0.05  #: of a peer that computes without a GPU, until something ran there
LONGEST_S = 30 * 86_400.0
SHORTEST_LOG, LONGEST_LOG = math.log(SHORTEST_S), math.log(LONGEST_S)
SPEED_STEP_MAX = math.log(10.0)  #: no single run says more of a peer
OF_SHAPE = 0.1  #: what the run of a kind that was only known by its shape says of a peer, of a known one's
#: Seconds that any run takes more or less for reasons of its own, and the share of its time besides.
JITTER_S, JITTER_SHARE = 0.2, 0.15
FORGET_AFTER = 32  #: runs elsewhere for each own one, squared, and what was measured is put to the test
ODD = 2.0  #: times as long, or as short: then what was measured does not hold any more
ODD_LOAD_S = 2.0  #: a loading that nobody expected is told from chance when it took longer


class Origin(str, Enum):
    """Where an estimate of a run time comes from, the best first."""

    HERE = "here"  #: this kind ran on this peer
    ELSEWHERE = "elsewhere"  #: it ran on others, and this peer's speed is known or guessed
    SHAPE = "shape"  #: the same graph ran with other sizes
    PEER = "peer"  #: what usually runs, at this peer's speed
    FLEET = "fleet"  #: what usually runs, at no known speed
    NOTHING = "nothing"


@dataclass(frozen=True)
class Estimate:
    """Seconds that a kind would take on a peer. ``spread_s`` is about a standard deviation of their sum.
    ``shortage``: the peer has too little memory for it, and ``run_s`` is longer by that."""

    run_s: float
    load_s: float
    spread_s: float
    origin: Origin
    cold: tuple[str, ...] = ()
    shortage: Shortage | None = None


class Knowledge(MemoryNeeds):
    """See the module. Peers go by id, seconds are durations; nothing here knows what time it is."""

    def __init__(self) -> None:
        super().__init__()
        self.runs_noted = 0
        self.node_times = NodeTimes()
        #: the number of runs until which the second one holds, and that, in seconds
        self._typical = (0, GUESSED_RUN_S)
        self._s_per_gb = (0, GUESSED_S_PER_GB)

    # What happened

    def note_peer(self, peer: str, *, memory_gb: float = 0.0, has_gpu: bool = True) -> None:
        """A peer's devices are known: the memory that holds its models, and whether it computes on a GPU."""
        self.warm.set_memory(peer, memory_gb)
        if peer not in self._peers:
            self._peers.keep(peer, PeerRecord(0.0 if has_gpu else math.log(CPU_SPEED)))

    def note_begun(self, peer: str, kind: Kind) -> tuple[str, ...]:
        """A prompt of this kind begins there, anybody's; returns the files that it has to load first."""
        self.keep_sizes(kind.files)
        return self.warm.use(peer, kind.files)

    def note_run(
        self,
        peer: str,
        kind: Kind,
        total_s: float,
        head_s: float | None = None,
        cold: tuple[str, ...] = (),
    ) -> None:
        """A prompt that had begun there with these files `cold` was done after `total_s`, its first step told
        after `head_s`."""
        if not SHORTEST_S <= total_s <= LONGEST_S:
            return
        head_s = None if head_s is None else min(max(head_s, 0.0), total_s)
        run = self._run(peer, kind)
        load_s = self._load_part(run, bool(cold), peer, cold, total_s, head_s)
        if cold and load_s is not None:
            expected_s = sum(self.load_s(peer, file) for file in cold)
            if expected_s > ODD_LOAD_S and load_s < 0.1 * expected_s:
                self.warm.was_there(peer)
            else:
                self._note_load(peer, cold, load_s)
        elif load_s and self.warm.loaded_again(peer, kind.files):
            self._note_load(peer, kind.files, load_s)
        run_s = max(total_s - (load_s or 0.0), SHORTEST_S)
        if not load_s and not cold:
            if run.is_guessed or self._is_refuted(run, kind, run_s):
                run.total.clear()
                run.is_guessed = False
            run.total.add(run_s)
            if head_s is not None:
                run.head.add(head_s)
        else:
            self._guess(run, run_s)
        self._learn(peer, kind, run_s)
        self._had_enough(peer, kind)
        self._tell(peer, kind, run)

    def note_part(self, peer: str, kind: Kind, total_s: float) -> None:
        """A prompt that had begun there was done after `total_s`, but much of its work lay in the peer's
        cache. That stands for its run time only until a whole run is seen."""
        if SHORTEST_S <= total_s <= LONGEST_S:
            run = self._run(peer, kind)
            if run.total and not run.is_guessed and total_s > run.total.mean:
                run.total.add(total_s)  # the whole takes longer still
            self._guess(run, total_s)
            self._tell(peer, kind, run)

    def note_foreign(self, peer: str, run_s: float) -> None:
        """Somebody else's prompt ran there for that long."""
        if 0 < run_s <= LONGEST_S:
            self._peer(peer).foreign.add(run_s)
            self._fleet_foreign.add(run_s)
            self._mark("foreign", peer, "")

    def note_restart(self, peer: str) -> None:
        """It was started again, or it was asked to free its memory: nothing is warm there."""
        self.warm.forget(peer)

    def forget_peer(self, peer: str) -> None:
        """It was removed for good."""
        self._peers.lose(peer)
        self.warm.remove(peer)
        self.news.pop(peer, None)
        for key in [key for key in self._runs if key.startswith(f"{peer}\n")]:
            self._runs.lose(key)
        for key in [key for key in self._loads if key.startswith(f"{peer}\n")]:
            self._loads.lose(key)

    # What to expect

    def estimate(self, peer: str, kind: Kind, warm: frozenset[str] | None = None) -> Estimate:
        """What this kind would take there; `warm` in place of what is warm there now."""
        run_s, spread_s, origin, shortage = self._run_estimate(peer, kind)
        cold: tuple[str, ...] = ()
        load_s = 0.0
        if kind.files:
            cold = tuple(
                f for f in kind.files if (not self.warm.is_warm(peer, f) if warm is None else f not in warm)
            )
            load_s = sum(self.load_s(peer, file) for file in cold)
        return Estimate(run_s, load_s, spread_s + 0.3 * load_s, origin, cold, shortage)

    def run_s(self, peer: str, kind: Kind) -> float:
        """As ``estimate``, of the running alone."""
        run = self._runs.get(run_key(peer, kind))
        if run and run.total:
            return self._own_run_s(kind, run)
        return self._derived_s(peer, self._weight(kind), self.shortage(peer, kind))

    def loads_s(self, peer: str, files: tuple[str, ...], warm: frozenset[str]) -> float:
        """Seconds to load those of these files that are not `warm` there."""
        if not files or warm.issuperset(files):
            return 0.0
        return sum(self.load_s(peer, file) for file in files if file not in warm)

    @property
    def is_blank(self) -> bool:
        """Whether nothing ever ran."""
        return not self._kinds

    def load_s(self, peer: str, file: str) -> float:
        """Seconds to get this file into that peer's memory."""
        seen = self._loads.get(f"{peer}\n{file}")
        gb, known = self._sizes_gb.get(file), self._peers.get(peer)
        if seen:
            return seen.mean
        if gb is not None:
            return gb * (known.s_per_gb.mean if known and known.s_per_gb else self._usual_s_per_gb())
        return known.loads.mean if known and known.loads else GUESSED_LOAD_S

    def speed(self, peer: str) -> float:
        """How fast a peer is; 1 is the usual one."""
        known = self._peers.get(peer)
        return math.exp(known.speed) if known else 1.0

    def weight_s(self, kind: Kind) -> float:
        """Seconds of this kind on a peer of speed 1."""
        weight = self._weight(kind)
        return math.exp(weight) if weight is not None else self.typical_s()

    def typical_s(self) -> float:
        """The mean weight of the kinds that were seen: what an unknown one is taken for."""
        if self._typical[0] <= self.runs_noted:
            seen = [math.exp(min(kind.weight, 20.0)) for kind in self._kinds.values() if kind.count]
            value = sum(seen) / len(seen) if seen else GUESSED_RUN_S
            self._typical = (self.runs_noted + (1 if len(seen) < 20 else 16), value)
        return self._typical[1]

    def has_run(self, peer: str, kind: Kind) -> bool:
        """Whether ``run_s`` was measured there."""
        run = self._runs.get(run_key(peer, kind))
        return bool(run and run.total)

    def knows(self, kind: Kind, peer: str) -> bool:
        """Whether anything is known of this graph there, be it with other sizes or from another peer."""
        return self._weight(kind) is not None or self.has_run(peer, kind)

    def times_seen(self, kind: Kind) -> int:
        """How many runs of this kind there were, on any peer."""
        entry = self._kinds.get(kind.signature)
        return entry.count if entry else 0

    def foreign_s(self, peer: str) -> float:
        """How long other people's prompts tend to take there."""
        known = self._peers.get(peer)
        if known and known.foreign:
            return known.foreign.mean
        return self._fleet_foreign.mean or self.typical_s()

    # Within

    def _guess(self, run: RunRecord, run_s: float) -> None:
        if not run.total or run.is_guessed:
            run.is_guessed = True
            run.total.add(run_s)

    def _tell(self, peer: str, kind: Kind, run: RunRecord) -> None:
        run.noted_at = self.times_seen(kind)
        self._mark("run", peer, kind.signature)
        self._mark("head", peer, kind.signature)
        self.runs_noted += 1
        news = self.news.setdefault(peer, News())
        news.runs, news.signature = news.runs + 1, kind.signature

    def _usual_s_per_gb(self) -> float:
        """What loading costs on the peers that ran something last."""
        if self._s_per_gb[0] <= self.runs_noted:
            last = islice(reversed(self._peers.values()), LAST_PEERS)
            seen = [peer.s_per_gb.mean for peer in last if peer.s_per_gb]
            value = sum(seen) / len(seen) if seen else GUESSED_S_PER_GB
            self._s_per_gb = (self.runs_noted + (1 if len(seen) < LAST_PEERS else 16), value)
        return self._s_per_gb[1]

    def _load_part(
        self,
        run: RunRecord,
        was_cold: bool,
        peer: str,
        cold: tuple[str, ...],
        total_s: float,
        head_s: float | None,
    ) -> float | None:
        """How much of a run was loading; None where one cannot tell."""
        if not was_cold:
            usual_s = run.head.mean
            is_odd = head_s is not None and bool(run.head) and head_s > 2 * usual_s + ODD_LOAD_S
            return head_s - usual_s if is_odd and head_s is not None else 0.0
        if head_s is not None:
            return max(head_s - run.head.mean, 0.0)
        if run.total and not run.is_guessed:
            return max(total_s - run.total.mean, 0.0)
        known = [self._loads[key].mean for file in cold if (key := f"{peer}\n{file}") in self._loads]
        return min(sum(known), 0.9 * total_s) if len(known) == len(cold) else None

    def _note_load(self, peer: str, cold: tuple[str, ...], load_s: float) -> None:
        sizes = [self._sizes_gb.get(file) for file in cold]
        known = [size for size in sizes if size is not None]
        fallback = sum(known) / len(known) if known else 1.0
        shares = [fallback if size is None else size for size in sizes]
        whole = sum(shares) or 1.0
        for file, share in zip(cold, shares, strict=True):
            key = f"{peer}\n{file}"
            seen = self._loads.keep(key, self._loads.get(key) or Samples())
            seen.add(load_s * share / whole)
            self._mark("load", peer, file)
        record = self._peer(peer)
        self.news.setdefault(peer, News()).loads += 1
        record.loads.add(load_s / len(cold))
        self._mark("loads", peer, "")
        if len(known) == len(cold) and whole > 0.01:
            record.s_per_gb.add(load_s / whole)
            self._mark("s_per_gb", peer, "")

    def _learn(self, peer: str, kind: Kind, run_s: float) -> None:
        """Share what this run tells between the kind's weight and the peer's speed."""
        record = self._peer(peer)
        seen = math.log(run_s)
        known = self._weight(kind)
        entry = self._kinds.get(kind.signature) or KindRecord(kind.shape, kind.work)
        self._kinds.keep(kind.signature, entry)
        if known is None:
            entry.weight = seen + record.speed
        else:
            expected = known - record.speed
            error = min(max(seen - expected, -SPEED_STEP_MAX), SPEED_STEP_MAX)
            gain_kind = 1.0 / (1.0 + min(entry.count, 30))
            weighs = _trust(min(run_s, math.exp(_bounded(expected))))
            if entry.count == 0:
                entry.weight = known
                weighs *= OF_SHAPE
            gain_peer = weighs / (1.0 + min(record.count, 30.0))
            share = gain_kind / (gain_kind + gain_peer)
            step = max(gain_kind, gain_peer, 0.05)
            entry.weight += error * step * share
            record.speed -= error * step * (1.0 - share)
            record.count += weighs
        entry.count += 1
        if kind.shape and kind.work > 0:
            shape = self._shapes.keep(kind.shape, self._shapes.get(kind.shape) or KindRecord(kind.shape, 1.0))
            per_work = entry.weight - math.log(kind.work)
            shape.weight += (per_work - shape.weight) / (1 + min(shape.count, 10))
            shape.count += 1
            self._mark("shape", "", kind.shape)
        self._mark("kind", "", kind.signature)
        self._mark("speed", peer, "")

    def _weight(self, kind: Kind) -> float | None:
        entry = self._kinds.get(kind.signature)
        if entry and entry.count:
            return _bounded(entry.weight)
        shape = self._shapes.get(kind.shape) if kind.shape else None
        is_known = shape is not None and shape.count and kind.work > 0
        return _bounded(shape.weight + math.log(kind.work)) if shape and is_known else None

    def _run_estimate(self, peer: str, kind: Kind) -> tuple[float, float, Origin, Shortage | None]:
        run = self._runs.get(run_key(peer, kind))
        if run and run.total:
            run_s = self._own_run_s(kind, run)
            doubt = 0.3 * run_s if run.is_guessed else 0.0
            return run_s, run.total.spread + doubt, Origin.HERE, None
        record = self._peers.get(peer)
        shortage, weight = self.shortage(peer, kind), self._weight(kind)
        run_s = self._derived_s(peer, weight, shortage)
        if weight is not None:
            is_same = kind.signature in self._kinds
            doubt = 0.15 + 0.35 / (1.0 + (record.count if record else 0.0))
            spread_s = run_s * (doubt + (0 if is_same else 0.3))
            return run_s, spread_s, Origin.ELSEWHERE if is_same else Origin.SHAPE, shortage
        if self.is_blank:
            return run_s, run_s, Origin.NOTHING, shortage
        return run_s, 0.8 * run_s, Origin.PEER if record and record.count >= 1.0 else Origin.FLEET, shortage

    def _derived_s(self, peer: str, weight: float | None, shortage: Shortage | None) -> float:
        """What a run would take where none was measured."""
        record = self._peers.get(peer)
        speed = record.speed if record else 0.0
        if shortage is not None:
            speed -= math.log(shortage.slower)
        run_s = self.typical_s() * math.exp(-speed) if weight is None else math.exp(weight - speed)
        return min(run_s, LONGEST_S)

    def _is_old(self, run: RunRecord, kind: Kind) -> bool:
        """Whether its measurements are so old, by the runs there were elsewhere since, that it is time to see
        whether they still hold. The more there are, the longer they do."""
        return self.times_seen(kind) - run.noted_at >= FORGET_AFTER * run.total.count**2

    def _is_refuted(self, run: RunRecord, kind: Kind, run_s: float) -> bool:
        """Whether what was measured there is old, and this run shows that it does not hold any more."""
        is_odd = not 1 / ODD < run_s / max(run.total.mean, SHORTEST_S) < ODD
        return is_odd and bool(run.total) and self._is_old(run, kind)

    def _own_run_s(self, kind: Kind, run: RunRecord) -> float:
        """What was measured there. What is old is put to the test: the kind is then taken to run as on a
        usual peer, until it did or did not."""
        mean_s = run.total.mean
        return min(mean_s, self.weight_s(kind)) if self._is_old(run, kind) else mean_s


def _bounded(log_s: float) -> float:
    """The logarithm of seconds that anything could take."""
    return min(max(log_s, SHORTEST_LOG), LONGEST_LOG)


def _trust(run_s: float) -> float:
    """How much a run of that many seconds tells of its peer's speed, 0 to 1: its precision as a measurement
    of the logarithm, against that of a very long one. A tenth of a second is mostly chance."""
    chance = JITTER_S / max(run_s, 1e-3) / JITTER_SHARE
    return 1.0 / (1.0 + chance * chance)
