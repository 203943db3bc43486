"""Which peers may take a job, with the reason for each that may not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ....errors import NoEligiblePeerError
from ...models.backend import Health
from .need import Need
from .peers import PeerSnapshot, memory_of


@dataclass(frozen=True)
class Eligibility:
    """Whether a peer may take the job, and why not.

    ``permanent``: only a change at that peer or in the job would help. ``settling``: wait a moment, it is
    being asked right now. ``awaited``: it has all that the job wants, and this alone keeps it from it; the
    end of a sentence that begins with "which".
    """

    backend_id: str
    name: str
    eligible: bool
    reason: str = ""
    permanent: bool = False
    settling: bool = False
    awaited: str = ""


NAMED_MAX = 8  #: peers of one reason
_AWAY: Mapping[Health, str] = {
    Health.SUSPECT: "does not answer",
    Health.DOWN: "is down",
    Health.EJECTED: "is resting",
    Health.ZOMBIE: "shows no sign of work",
    Health.NEEDS_KEY: "needs a key",
}


def check_eligibility(need: Need, peer: PeerSnapshot) -> Eligibility:  # noqa: C901  a list of rules in their order
    """May this peer take a job with this need?"""
    config, status, rules = peer.config, peer.status, peer.rules

    def no(reason: str, *, permanent: bool = False, settling: bool = False) -> Eligibility:
        return Eligibility(config.id, config.name, False, reason, permanent, settling)

    def away(reason: str, which: str) -> Eligibility:
        awaited = which if need.unmet.get(config.id) == () else ""
        # The next poll tells; of one that has ended it would tell the same.
        settling = status.health is Health.SUSPECT and not status.is_closed
        return Eligibility(config.id, config.name, False, reason, settling=settling, awaited=awaited)

    if need.peer and need.peer not in (config.id, config.name):
        return no(f"the job is pinned to {need.peer_name or need.peer}", permanent=True)
    absent = [tag for tag in need.tags if tag not in config.tags]
    if absent:
        return no(f"it has no tag {', '.join(absent)}", permanent=True)
    if config.id in need.avoid or config.name in need.avoid:
        return no("the job avoids it", permanent=True)
    if rules.exclusive and not need.peer and not need.tags:
        return no("it takes only jobs that name it or one of its tags", permanent=True)
    if config.id in need.tried:
        return no(need.tried[config.id])
    if not config.enabled:
        return away("it is switched off in the Fleet tab", "is switched off")
    if config.draining:
        return away("it is draining and takes no new jobs", "is draining")
    if need.memory_bytes and 0 < memory_of(status) < need.memory_bytes:
        return no(f"a peer with more memory had too little for it ({need.memory_bytes / 2**30:.0f} GB)")
    if status.health is Health.UNKNOWN:
        return no("it has not answered yet", settling=True)
    if status.health is not Health.UP:
        return away(status.reason or f"it is {status.health.value}", _AWAY[status.health])
    if peer.same_as and not need.peer and not need.tags:
        return no(f"it is the same machine as {peer.same_as}, which is used")
    if config.id not in need.unmet:
        return no("its list of nodes is still being read", settling=True)
    if need.unmet[config.id]:
        return no("; ".join(need.unmet[config.id]), permanent=True)
    if not peer.is_open:
        return away("it is outside its hours", "is outside its hours")
    if rules.only_idle and peer.foreign:
        return away("somebody else uses it, and it is for idle times only", "is in use by somebody else")
    if config.id in need.outranked:
        return no(f"another peer may have what this one lacks: {'; '.join(need.cautions[config.id])}")
    return Eligibility(config.id, config.name, True)


def is_eligible(need: Need, peer: PeerSnapshot) -> bool:
    return check_eligibility(need, peer).eligible


def outranked(need: Need, verdicts: Sequence[Eligibility]) -> frozenset[str]:
    """The peers that may take the job, but for which there are more cautions than for the best."""
    counts = {v.backend_id: len(need.cautions.get(v.backend_id, ())) for v in verdicts if v.eligible}
    fewest = min(counts.values(), default=0)
    return frozenset(backend_id for backend_id, count in counts.items() if count > fewest)


def no_peer_error(verdicts: Sequence[Eligibility]) -> NoEligiblePeerError:
    """The refusal for these verdicts; permanent when waiting cannot help with any of them."""
    if not verdicts:
        return NoEligiblePeerError("No peer is registered. Open the Fleet tab and add the address of one.")
    reasons = {verdict.name: verdict.reason for verdict in verdicts}
    return NoEligiblePeerError(
        f"No peer can run this. {_listed(verdicts)}", reasons, permanent=all(v.permanent for v in verdicts)
    )


def waiting_for(verdicts: Sequence[Eligibility]) -> str:
    """What a job waits for. What a person can mend stands first, as a row of the tab shows little more. The
    refusal where no peer would do."""
    awaited = [verdict for verdict in verdicts if verdict.awaited]
    if not awaited:
        return str(no_peer_error(verdicts))
    first, *more = awaited
    also = f", or {len(more)} other peer{'s' if len(more) > 1 else ''}" if more else ""
    unfit = [verdict for verdict in verdicts if not verdict.awaited]
    rest = f" No other peer can run it. {_listed(unfit)}" if unfit else ""
    return f"waiting for {first.name}, which {first.awaited}{also}. {_listed(awaited)}{rest}"


def said_of(name: str, words: str) -> str:
    """With the peer's name before it, unless it begins with that."""
    return words if words.startswith(f"{name} ") else f"{name}: {words}"


def _named(names: Sequence[str]) -> str:
    if len(names) <= NAMED_MAX + 1:
        return ", ".join(names)
    return f"{', '.join(names[:NAMED_MAX])} and {len(names) - NAMED_MAX} more"


def _listed(verdicts: Sequence[Eligibility]) -> str:
    alike: dict[str, list[str]] = {}
    for verdict in verdicts:
        alike.setdefault(verdict.reason, []).append(verdict.name)
    listed = "; ".join(said_of(_named(names), reason) for reason, names in alike.items())
    return listed if listed.endswith((".", "?", "!")) else f"{listed}."
