"""Which peers may take a job, with the reason for each that may not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...errors import NoEligiblePeerError
from ..models.backend import Health
from .need import Need
from .peers import PeerSnapshot, memory_of


@dataclass(frozen=True)
class PeerVerdict:
    """Whether a peer may take the job, and why not.

    ``permanent``: only a change at that peer or in the job would help. ``settling``: wait a moment, it is
    being asked right now.
    """

    backend_id: str
    name: str
    eligible: bool
    reason: str = ""
    permanent: bool = False
    settling: bool = False


def judge(need: Need, peer: PeerSnapshot) -> PeerVerdict:
    """May this peer take a job with this need?"""
    config, status, rules = peer.config, peer.status, peer.rules

    def no(reason: str, *, permanent: bool = False, settling: bool = False) -> PeerVerdict:
        return PeerVerdict(config.id, config.name, False, reason, permanent, settling)

    if need.peer and need.peer not in (config.id, config.name):
        return no(f"the job is pinned to {need.peer}", permanent=True)
    absent = [tag for tag in need.tags if tag not in config.tags]
    if absent:
        return no(f"it has no tag {', '.join(absent)}", permanent=True)
    if config.id in need.avoid or config.name in need.avoid:
        return no("the job avoids it", permanent=True)
    if rules.exclusive and not need.peer and not need.tags:
        return no("it takes only jobs that name it or one of its tags", permanent=True)
    if not config.enabled:
        return no("it is switched off in the Fleet tab")
    if config.draining:
        return no("it is draining and takes no new jobs")
    if config.id in need.tried:
        return no(need.tried[config.id])
    if need.memory_bytes and 0 < memory_of(status) < need.memory_bytes:
        return no(f"a peer with more memory had too little for it ({need.memory_bytes / 2**30:.0f} GiB)")
    if status.health is Health.UNKNOWN:
        return no("it has not answered yet", settling=True)
    if status.health is not Health.UP:
        return no(status.reason or f"it is {status.health.value}")
    if config.id not in need.unmet:
        return no("its list of nodes is still being read", settling=True)
    if need.unmet[config.id]:
        return no("; ".join(need.unmet[config.id]), permanent=True)
    if not peer.is_open:
        return no("it is outside its hours")
    if rules.only_idle and peer.foreign:
        return no("somebody else uses it, and it is for idle times only")
    return PeerVerdict(config.id, config.name, True)


def no_peer_error(verdicts: Sequence[PeerVerdict]) -> NoEligiblePeerError:
    """The refusal for these verdicts; permanent when waiting cannot help with any of them."""
    if not verdicts:
        return NoEligiblePeerError("No peer is registered. Open the Fleet tab and add the address of one.")
    reasons = {verdict.name: verdict.reason for verdict in verdicts}
    listed = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
    return NoEligiblePeerError(
        f"No peer can run this. {listed}.", reasons, permanent=all(v.permanent for v in verdicts)
    )
