"""A peer's health from one poll to the next: a pure state machine. Moments are seconds on one steady clock.

::

    unknown ──good──> up ──miss──> suspect ──3 misses──> down ──2 goods──> up, one job at a time at first
       └────miss────> down             └──good──> up
    any ──wants a key──> needs_key ──good──> up
    up ──3 jobs in a row failed by its fault──> ejected ──its time is over──> up, one job at a time at first
       (a node that raised there counts until it turns out that no other peer can do that job either)
    up ──our work is there and shows no sign──> zombie ──a sign of work──> up
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum

from ....errors import MachineError, PeerAuthError, PeerTimeoutError, PeerUnfitError, PeerUnreachableError
from ...models.backend import BackendStatus, Conduct, Health, Vitals
from .silence import SILENT_AFTER_S, in_words, silent_peer


@dataclass(frozen=True)
class HealthPolicy:
    """Seconds between polls, and how many of them decide. A pause varies by up to ±`jitter` of itself.

    A peer rests for `eject_s` times the number of its ejections, at most `eject_max_s`; for `broken_s` and
    `broken_max_s` where its machine seems to be broken, which time alone seldom mends.
    """

    poll_s: float = 2.0
    jitter: float = 0.2
    timeout_s: float = 5.0
    down_after: int = 3
    up_after: int = 2
    eject_after: int = 3
    eject_s: float = 30.0
    eject_max_s: float = 600.0
    broken_s: float = 300.0
    broken_max_s: float = 3600.0
    silent_after_s: float = SILENT_AFTER_S


class JobEnd(Enum):
    """What the end of a job says about the peer it ran on."""

    WELL = "it was done"
    FAILED = "it failed by the peer's fault"
    RAISED = "a node raised there, and another peer may be able to do it"
    ACQUITTED = "a node raised there, and no other peer did it better"
    UNFIT = "no job can be done there"


@dataclass(frozen=True)
class Work:
    """What is known of the prompt that a peer should be at: whether it is ours, and when it last told
    something. ``heard_at_s`` is None where no event stream could tell. ``is_deaf``: none can be had from
    there although it answers. ``same_as``: the
    names of other peers that are this computer.
    """

    is_ours: bool = False
    heard_at_s: float | None = None
    is_deaf: bool = False
    same_as: tuple[str, ...] = ()


NO_EVENTS = (
    "Jobs run there, but their progress cannot be shown: no websocket reaches this peer. If there is a proxy "
    "in front of it, let that pass on the headers Upgrade and Connection."
)
_NOTHING_KNOWN = Work()
_ANSWERING = (Health.UP, Health.SUSPECT, Health.EJECTED, Health.ZOMBIE)


def after_answer(
    status: BackendStatus,
    vitals: Vitals | None,
    now: datetime,
    policy: HealthPolicy,
    *,
    at_s: float = 0.0,
    work: Work = _NOTHING_KNOWN,
    note: str = "",
) -> BackendStatus:
    """The status after a good answer. `vitals` is None when the check said only that all is well. `note`:
    what else of the peer its owner should know."""
    goods = status.goods + 1
    old = status.vitals
    updated = bool(old and vitals and old.comfyui_version != vitals.comfyui_version)
    answered = replace(
        status,
        vitals=vitals or old,
        is_closed=False,
        misses=0,
        goods=goods,
        # After an outage it may be another process: what was known of it has to be read again.
        generation=status.generation + (1 if status.misses or updated else 0),
        still_since_s=_still_since(status, vitals, at_s),
        checked_at=now,
    )
    if status.health is Health.DOWN and goods < policy.up_after:
        return replace(
            answered, health=Health.DOWN, reason="it answers again; one more answer and it is used"
        )
    if status.health is Health.DOWN:
        conduct = replace(status.conduct, slow_start=True)
        # Its owner may have mended what was broken, and started it again.
        conduct = replace(conduct, ejected_until_s=0.0) if conduct.why else conduct
        answered = replace(answered, conduct=conduct)
    if answered.conduct.ejected_until_s > at_s:
        return replace(answered, health=Health.EJECTED, reason=_resting(answered.conduct, policy))
    if _stands_still(answered, work, at_s, policy):
        return replace(answered, health=Health.ZOMBIE, reason=silent_peer(policy.silent_after_s))
    notes = (_remark(work), vitals.note if vitals else "", note)
    return replace(answered, health=Health.UP, reason=" ".join(filter(None, notes)))


def _remark(work: Work) -> str:
    if work.same_as:
        return f"The same machine as {', '.join(work.same_as)}: jobs go to one of these rows at a time."
    return NO_EVENTS if work.is_deaf else ""


def after_failure(
    status: BackendStatus,
    error: MachineError,
    now: datetime,
    policy: HealthPolicy,
    *,
    is_at_work: bool = False,
) -> BackendStatus:
    """The status after no answer, or one that is not a healthy ComfyUI's. `is_at_work`: one of our jobs runs
    there, and a node that keeps a ComfyUI from answering is no sign that it is gone."""
    misses = status.misses + 1
    is_busy = is_at_work and isinstance(error, PeerTimeoutError)
    if isinstance(error, PeerAuthError):
        health = Health.NEEDS_KEY
    elif isinstance(error, PeerUnfitError):
        health = Health.DOWN
    elif status.health in _ANSWERING and (misses < policy.down_after or is_busy):
        health = Health.SUSPECT
    else:
        health = Health.DOWN
    is_closed = isinstance(error, PeerUnreachableError) and error.is_closed
    status = replace(status, misses=misses, goods=0, checked_at=now, is_closed=is_closed)
    return replace(status, health=health, reason=str(error))


def after_job(
    status: BackendStatus, end: JobEnd, at_s: float, policy: HealthPolicy, *, why: str = ""
) -> BackendStatus:
    """The status after a job there came to its end. `why`: what a node said that raised."""
    conduct = status.conduct
    if end is JobEnd.WELL:
        return status if conduct == Conduct() else replace(status, conduct=Conduct())
    if end is JobEnd.ACQUITTED:
        return _acquitted(status, policy)
    failures = conduct.failures + 1
    conduct = replace(conduct, failures=failures, why=why if end is JobEnd.RAISED else "")
    if failures < policy.eject_after or conduct.ejected_until_s > at_s:
        return replace(status, conduct=conduct)
    conduct = replace(conduct, ejections=conduct.ejections + 1, slow_start=True)
    conduct = replace(conduct, ejected_until_s=at_s + _rest_s(conduct, policy))
    status = replace(status, conduct=conduct)
    if status.health is not Health.UP:
        return status
    return replace(status, health=Health.EJECTED, reason=_resting(conduct, policy))


def _acquitted(status: BackendStatus, policy: HealthPolicy) -> BackendStatus:
    """One failure less; a rest that rested on it is over."""
    failures = max(status.conduct.failures - 1, 0)
    conduct = replace(status.conduct, failures=failures, why=status.conduct.why if failures else "")
    if conduct.failures >= policy.eject_after or not conduct.ejected_until_s:
        return replace(status, conduct=conduct)
    conduct = replace(conduct, ejections=max(conduct.ejections - 1, 0), ejected_until_s=0.0)
    is_back = status.health is Health.EJECTED
    return replace(
        status,
        conduct=conduct,
        health=Health.UP if is_back else status.health,
        reason="" if is_back else status.reason,
    )


def _still_since(status: BackendStatus, vitals: Vitals | None, at_s: float) -> float | None:
    """Since when the same prompt is at the head of the peer's queue; None while it has nothing to do."""
    if vitals is None or not vitals.queue.length:
        return None
    old = status.vitals
    is_same = old is not None and bool(old.queue.length) and old.queue.running == vitals.queue.running
    return status.still_since_s if is_same and status.still_since_s is not None else at_s


def _stands_still(status: BackendStatus, work: Work, at_s: float, policy: HealthPolicy) -> bool:
    if status.still_since_s is None or not work.is_ours or status.vitals is None:
        return False
    since = status.still_since_s
    if status.vitals.queue.running:
        if work.heard_at_s is None:
            # It may tell somebody, and we cannot hear it; what was seen before stands until it tells us.
            return status.health is Health.ZOMBIE
        since = max(since, work.heard_at_s)
    return at_s - since >= policy.silent_after_s


def _rest_s(conduct: Conduct, policy: HealthPolicy) -> float:
    once_s, most_s = (
        (policy.broken_s, policy.broken_max_s) if conduct.why else (policy.eject_s, policy.eject_max_s)
    )
    return min(once_s * conduct.ejections, most_s)


def _resting(conduct: Conduct, policy: HealthPolicy) -> str:
    rest = in_words(_rest_s(conduct, policy))
    if not conduct.why:
        return f"job after job failed there, so it rests for {rest}. Look at its log"
    return (
        f"{conduct.failures} jobs in a row failed there, so it rests for {rest}, or until ComfyUI is "
        f"restarted there. The last error: {conduct.why}"
    )
