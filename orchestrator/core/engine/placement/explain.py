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
    because = f"on {mine.eligibility.name} because {_reason(mine)}"
    return f"{because} ({'; '.join(listed)})" if listed else because


def in_short(forecast: Forecast) -> str:
    """What a peer other than the chosen one would do, or why it may not."""
    if not forecast.eligibility.eligible:
        return forecast.eligibility.reason
    words = (
        [load_of(forecast.peer, forecast.ahead)]
        if forecast.origin is Origin.NOTHING
        else [f"{duration(forecast.start_s + forecast.load_s + forecast.run_s)}", *_loads(forecast)]
    )
    if not forecast.has_room:
        words.append("its slots are taken")
    return _with_caution(", ".join(words), forecast)


def in_full(forecast: Forecast) -> str:
    """For a table of peers: when it would be done and what of that is waiting and loading."""
    if not forecast.eligibility.eligible:
        return forecast.eligibility.reason
    return _guessless(forecast) if forecast.origin is Origin.NOTHING else _reason(forecast)


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


def _reason(forecast: Forecast) -> str:
    if forecast.origin is Origin.NOTHING:
        return f"it has {_guessless(forecast)}"
    done = duration(forecast.start_s + forecast.load_s + forecast.run_s)
    guess = {
        Origin.ELSEWHERE: ["guessed from other peers"],
        Origin.SHAPE: ["guessed from other sizes"],
        Origin.PEER: ["guessed from other graphs"],
        Origin.FLEET: ["guessed from other graphs"],
    }.get(forecast.origin, [])
    about = "about" if forecast.origin in SAME_GRAPH else "perhaps"
    return _with_caution(", ".join([f"done in {about} {done}: {_words(forecast)}", *guess]), forecast)


def _guessless(forecast: Forecast) -> str:
    """Of a peer of which nothing was learned: how busy it is."""
    first = [_first(forecast)] if forecast.before else []
    return _with_caution(", ".join([load_of(forecast.peer, forecast.ahead), *first]), forecast)


def _words(forecast: Forecast) -> str:
    warm = ["model warm"] if forecast.has_files and not forecast.cold else []
    ahead = "nothing ahead"
    if forecast.before:
        ahead = f"{_first(forecast)}, its turn in {duration(forecast.start_s)}"
    elif forecast.ahead:
        ahead = f"{forecast.ahead} ahead for {duration(forecast.start_s)}"
    return ", ".join([*warm, *_loads(forecast), ahead])


def _first(forecast: Forecast) -> str:
    return f"{forecast.before} waiting job{'s go' if forecast.before > 1 else ' goes'} first"


def _loads(forecast: Forecast) -> list[str]:
    return [f"loads {duration(forecast.load_s)} first"] if forecast.cold else []


def _with_caution(said: str, forecast: Forecast) -> str:
    return f"{said}; {words}" if (words := caution(forecast)) else said


def _gib(gb: float) -> str:
    return f"{gb:.1f}".removesuffix(".0") if gb < 9.95 else f"{gb:.0f}"
