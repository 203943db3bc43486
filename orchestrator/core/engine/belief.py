"""How far a measurement is believed: pure numbers, times in seconds."""

from __future__ import annotations

import math

#: Seconds that any run takes more or less for reasons of its own, and the share of its time besides.
JITTER_S, JITTER_SHARE = 0.2, 0.15
SURE_AFTER = 3  #: measurements from which on they are believed alone
KNOWN_AFTER = 2.0  #: runs that told of a peer's speed: before, nobody can say what is likely there
ODD = 2.0  #: times as long as likely: fewer do not
FORGET_AFTER = 32  #: runs elsewhere for each own one, squared, and an old measurement is put to the test


def trust(run_s: float) -> float:
    """How much a run of that many seconds tells of its peer's speed, 0 to 1: its precision as a measurement
    of the logarithm, against that of a very long one. A tenth of a second is mostly chance."""
    chance = JITTER_S / max(run_s, 1e-3) / JITTER_SHARE
    return 1.0 / (1.0 + chance * chance)


def believed_s(mean_s: float, count: int, likely_s: float) -> float:
    """Of `count` measurements that took `mean_s`. Few of them that took much longer than is likely may have
    met a bad moment, and are half believed."""
    is_odd = count < SURE_AFTER and mean_s > ODD * likely_s
    return math.sqrt(mean_s * likely_s) if is_odd else mean_s


def is_stale(count: int, elsewhere: int) -> bool:
    """Whether `count` measurements are so old, by the runs there were `elsewhere` since, that it is time to
    see whether they still hold. The more there are, the longer they do."""
    return elsewhere >= FORGET_AFTER * count * count
