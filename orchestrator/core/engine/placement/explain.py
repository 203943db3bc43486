"""Why a job goes where it goes, in words: a forecast for each peer, and a sentence about the chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..estimates.knowledge import Origin
from ..estimates.memory import Shortage
from .eligibility import Eligibility, said_of
from .peers import PeerSnapshot, load_of

#: Where a time that is of this very graph comes from; one of other graphs may be off many times over.
SAME_GRAPH = frozenset({Origin.HERE, Origin.ELSEWHERE, Origin.SHAPE})
OTHERS_MAX = 4  #: other peers that are mentioned: a person compares no more, and each costs a forecast


@dataclass(frozen=True)
class Forecast:
    """What one peer would do with the job, in seconds from now. ``finish_s`` is None for a peer that may not
    take it; ``spread_s`` is about a standard deviation of it. ``cold``: the files it would load first.
    ``has_room``: it can be handed the job now. ``need_gb``: the memory in GiB that such a job is expected to
    need, 0 while unknown; ``shortage``: the peer has less, and is expected to be slower for it. ``ahead``:
    prompts in its queue, anybody's; ``before``: jobs that wait for a peer and go first. ``cautions``: what it
    may lack, or refuse.
    """

    eligibility: Eligibility
    peer: PeerSnapshot
    start_s: float = 0.0
    load_s: float = 0.0
    run_s: float = 0.0
    spread_s: float = 0.0
    origin: Origin = Origin.NOTHING
    cold: tuple[str, ...] = ()
    has_files: bool = False
    has_room: bool = True
    need_gb: float = 0.0
    shortage: Shortage | None = None
    ahead: int = 0
    before: int = 0
    cautions: tuple[str, ...] = ()

    @property
    def finish_s(self) -> float | None:
        return self.start_s + self.load_s + self.run_s if self.eligibility.eligible else None


@dataclass(frozen=True)
class Outlook:
    """What would become of a job that was sent now. ``peers``: the first to be done at the front, those that
    may not take it at the end. While the queue is ``paused``, or ``held`` for this reason, nothing starts;
    ``waiting`` jobs are before it."""

    peers: tuple[Forecast, ...] = ()
    paused: bool = False
    held: str = ""
    waiting: int = 0


def sentence(chosen: str, forecasts: Sequence[Forecast], *, unnamed: int = 0) -> str:
    """Why `chosen`, and what of the others; `unnamed` more are counted only."""
    mine = next(r for r in forecasts if r.eligibility.backend_id == chosen)
    others = [said_of(r.eligibility.name, in_short(r)) for r in forecasts if r is not mine]
    hidden = unnamed + max(len(others) - OTHERS_MAX, 0)
    listed = others[:OTHERS_MAX] + ([f"and {hidden} more"] if hidden else [])
    verb = "has" if mine.ahead else "is"
    why = f": {_timed(mine)}" if mine.origin in SAME_GRAPH else f" because it {verb} {_guessless(mine)}"
    said = f"on {mine.eligibility.name}{why}"
    return f"{said} ({'; '.join(listed)})" if listed else said


def in_short(forecast: Forecast) -> str:
    """What a peer other than the chosen one would do, or why it may not."""
    if not forecast.eligibility.eligible:
        return forecast.eligibility.reason
    words = (
        [duration(forecast.start_s + forecast.load_s + forecast.run_s), *_loads(forecast)]
        if forecast.origin in SAME_GRAPH
        else [load_of(forecast.peer, forecast.ahead)]
    )
    if not forecast.has_room:
        words.append("its slots are taken")
    return _with_caution(", ".join(words), forecast)


def in_full(forecast: Forecast) -> str:
    """For a table of peers: when it would be done and what of that is waiting and loading."""
    if not forecast.eligibility.eligible:
        return forecast.eligibility.reason
    return _timed(forecast) if forecast.origin in SAME_GRAPH else _guessless(forecast)


def caution(forecast: Forecast) -> str:
    """What may go wrong there, though the peer may take the job; "" for nothing."""
    if not forecast.eligibility.eligible:
        return ""
    return "; ".join((*forecast.cautions, *_shortage_words(forecast.shortage)))


def _shortage_words(short: Shortage | None) -> list[str]:
    if short is None:
        return []
    if short.ran_out:
        return [f"such a job ran out of memory with {_gib(short.need_gb)} GB, it has {_gib(short.memory_gb)}"]
    return [f"needs about {_gib(short.need_gb)} GB, it has {_gib(short.memory_gb)}"]


def duration(seconds: float) -> str:
    """In words: "0.4 s", "14 s", "3 min", "2.5 h"."""
    if seconds < 9.95:
        return f"{seconds:.1f} s" if seconds < 0.95 or seconds % 1 > 0.05 else f"{seconds:.0f} s"
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5_970 else f"{seconds / 3600:.1f} h"


def _timed(forecast: Forecast) -> str:
    """Of a peer whose time is known from this graph: when it is done, and what of that is waiting."""
    done = duration(forecast.start_s + forecast.load_s + forecast.run_s)
    warm = ["model loaded"] if forecast.has_files and not forecast.cold else []
    guess = {Origin.ELSEWHERE: ["guessed from other peers"], Origin.SHAPE: ["guessed from other sizes"]}
    words = [f"about {done}", *warm, *_loads(forecast), *_ahead(forecast), *guess.get(forecast.origin, [])]
    return _with_caution(", ".join(words), forecast)


def _guessless(forecast: Forecast) -> str:
    """Of a peer where nothing like it ran: how busy it is. A number taken from other graphs would mislead."""
    first = [_jobs_ahead(forecast.before)] if forecast.before else []
    return _with_caution(", ".join([load_of(forecast.peer, forecast.ahead), *first]), forecast)


def _ahead(forecast: Forecast) -> list[str]:
    ahead = forecast.before or forecast.ahead
    return [_jobs_ahead(ahead), f"starts in about {duration(forecast.start_s)}"] if ahead else []


def _jobs_ahead(count: int) -> str:
    return f"{count} job{'' if count == 1 else 's'} ahead"


def _loads(forecast: Forecast) -> list[str]:
    return [f"loads {duration(forecast.load_s)} first"] if forecast.cold else []


def _with_caution(said: str, forecast: Forecast) -> str:
    return f"{said}; {words}" if (words := caution(forecast)) else said


def _gib(gb: float) -> str:
    return f"{gb:.1f}".removesuffix(".0") if gb < 9.95 else f"{gb:.0f}"
