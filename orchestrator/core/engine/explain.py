"""Why a job goes where it goes, in words: a reckoning for each peer, and a sentence about the chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .eligibility import PeerVerdict, said_of
from .knowledge import Origin
from .memory import Shortage
from .peers import PeerSnapshot, load_of

#: Where a time that is of this very graph comes from; one of other graphs may be off many times over.
SAME_GRAPH = frozenset({Origin.HERE, Origin.ELSEWHERE, Origin.SHAPE})
OTHERS_MAX = 8  #: so many other peers are spoken of


@dataclass(frozen=True)
class Reckoning:
    """What one peer would do with the job, in seconds from now. ``finish_s`` is None for a peer that may not
    take it; ``spread_s`` is about a standard deviation of it. ``cold``: the files it would load first.
    ``has_room``: it can be handed the job now. ``need_gb``: the memory in GiB that such a job is expected to
    need, 0 while unknown; ``shortage``: the peer has less, and is expected to be slower for it. ``ahead``:
    prompts in its queue, anybody's; ``before``: jobs that wait for a peer and go first. ``cautions``: what it
    may lack, or refuse.
    """

    verdict: PeerVerdict
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
        return self.start_s + self.load_s + self.run_s if self.verdict.eligible else None


@dataclass(frozen=True)
class Outlook:
    """What would become of a job that was sent now. ``peers``: the first to be done at the front, those that
    may not take it at the end. While the line is ``paused``, or ``held`` for this reason, nothing starts, and
    ``waiting`` jobs are before it."""

    peers: tuple[Reckoning, ...] = ()
    paused: bool = False
    held: str = ""
    waiting: int = 0


def sentence(chosen: str, reckonings: Sequence[Reckoning], *, unnamed: int = 0) -> str:
    """Why `chosen`, and what of the others; `unnamed` more are counted only."""
    mine = next(r for r in reckonings if r.verdict.backend_id == chosen)
    others = [said_of(r.verdict.name, in_short(r)) for r in reckonings if r is not mine]
    hidden = unnamed + max(len(others) - OTHERS_MAX, 0)
    listed = others[:OTHERS_MAX] + ([f"and {hidden} more"] if hidden else [])
    because = f"on {mine.verdict.name} because {_reason(mine)}"
    return f"{because} ({'; '.join(listed)})" if listed else because


def in_short(reckoning: Reckoning) -> str:
    """What a peer other than the chosen one would do, or why it may not."""
    if not reckoning.verdict.eligible:
        return reckoning.verdict.reason
    words = (
        [load_of(reckoning.peer, reckoning.ahead)]
        if reckoning.origin is Origin.NOTHING
        else [f"{duration(reckoning.start_s + reckoning.load_s + reckoning.run_s)}", *_loads(reckoning)]
    )
    if not reckoning.has_room:
        words.append("its slots are taken")
    return _with_caution(", ".join(words), reckoning)


def in_full(reckoning: Reckoning) -> str:
    """For a table of peers: when it would be done and what of that is waiting and loading."""
    if not reckoning.verdict.eligible:
        return reckoning.verdict.reason
    return _guessless(reckoning) if reckoning.origin is Origin.NOTHING else _reason(reckoning)


def caution(reckoning: Reckoning) -> str:
    """What may go wrong there, though the peer may take the job; "" for nothing."""
    if not reckoning.verdict.eligible:
        return ""
    return "; ".join((*reckoning.cautions, *_shortage_words(reckoning.shortage)))


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


def _reason(reckoning: Reckoning) -> str:
    if reckoning.origin is Origin.NOTHING:
        return f"it has {_guessless(reckoning)}"
    done = duration(reckoning.start_s + reckoning.load_s + reckoning.run_s)
    guess = {
        Origin.ELSEWHERE: ["guessed from other peers"],
        Origin.SHAPE: ["guessed from other sizes"],
        Origin.PEER: ["guessed from other graphs"],
        Origin.FLEET: ["guessed from other graphs"],
    }.get(reckoning.origin, [])
    about = "about" if reckoning.origin in SAME_GRAPH else "perhaps"
    return _with_caution(", ".join([f"done in {about} {done}: {_words(reckoning)}", *guess]), reckoning)


def _guessless(reckoning: Reckoning) -> str:
    """Of a peer of which nothing was learned: how busy it is."""
    first = [_first(reckoning)] if reckoning.before else []
    return _with_caution(", ".join([load_of(reckoning.peer, reckoning.ahead), *first]), reckoning)


def _words(reckoning: Reckoning) -> str:
    warm = ["model warm"] if reckoning.has_files and not reckoning.cold else []
    ahead = "nothing ahead"
    if reckoning.before:
        ahead = f"{_first(reckoning)}, its turn in {duration(reckoning.start_s)}"
    elif reckoning.ahead:
        ahead = f"{reckoning.ahead} ahead for {duration(reckoning.start_s)}"
    return ", ".join([*warm, *_loads(reckoning), ahead])


def _first(reckoning: Reckoning) -> str:
    return f"{reckoning.before} waiting job{'s go' if reckoning.before > 1 else ' goes'} first"


def _loads(reckoning: Reckoning) -> list[str]:
    return [f"loads {duration(reckoning.load_s)} first"] if reckoning.cold else []


def _with_caution(said: str, reckoning: Reckoning) -> str:
    return f"{said}; {words}" if (words := caution(reckoning)) else said


def _gib(gb: float) -> str:
    return f"{gb:.1f}".removesuffix(".0") if gb < 9.95 else f"{gb:.0f}"
