"""Who runs a job: a pure choice over snapshots of all peers, with a reason for each of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ...errors import NoEligiblePeerError
from ..models.backend import BackendConfig, BackendStatus, Health

SLOTS_PER_PEER = 2  #: one job runs there, one more waits so that the peer never idles between two


@dataclass(frozen=True)
class Need:
    """What a job asks of a peer. ``unmet`` holds, per peer id, what that peer lacks; a peer that is not
    in it has not told its node list yet. ``tried`` are peers that already failed this job, with the reason.
    ``memory_bytes``: so much memory in all was too little for it; one with less need not try.
    """

    peer: str = ""
    tags: tuple[str, ...] = ()
    unmet: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    tried: Mapping[str, str] = field(default_factory=dict)
    memory_bytes: int = 0


@dataclass(frozen=True)
class PeerSnapshot:
    """A peer at one moment. ``ours``: jobs of ours there, running or handed over."""

    config: BackendConfig
    status: BackendStatus
    ours: int = 0
    foreign: int = 0


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


@dataclass(frozen=True)
class Placement:
    """The peer chosen, and why, in words."""

    backend_id: str
    explanation: str


class Scheduler:
    """Eligible peers, then the shortest queue (other people's prompts included), then the most free
    memory, then the name."""

    def select_backend(self, need: Need | None, peers: Sequence[PeerSnapshot] | None) -> Placement | None:
        """Choose a peer; None when all that could take the job have their hands full of ours.

        Raises:
            NoEligiblePeerError: no peer can take it, with the reason for each.
        """
        need, peers = need or Need(), peers or ()
        return self.choose(peers, tuple(judge(need, peer) for peer in peers))

    def choose(self, peers: Sequence[PeerSnapshot], verdicts: Sequence[PeerVerdict]) -> Placement | None:
        """As ``select_backend``, for peers that were judged already. A verdict does not depend on `ours`."""
        eligible = [p for p, verdict in zip(peers, verdicts, strict=True) if verdict.eligible]
        if not eligible:
            raise no_peer_error(verdicts)
        free = sorted((p for p in eligible if p.ours < slots_of(p)), key=_rank)
        if not free:
            return None
        return Placement(free[0].config.id, _explain(free[0], peers, verdicts))


def judge(need: Need, peer: PeerSnapshot) -> PeerVerdict:
    """May this peer take a job with this need?"""
    config, status = peer.config, peer.status

    def no(reason: str, *, permanent: bool = False, settling: bool = False) -> PeerVerdict:
        return PeerVerdict(config.id, config.name, False, reason, permanent, settling)

    if need.peer and need.peer not in (config.id, config.name):
        return no(f"the job is pinned to {need.peer}", permanent=True)
    absent = [tag for tag in need.tags if tag not in config.tags]
    if absent:
        return no(f"it has no tag {', '.join(absent)}", permanent=True)
    if not config.enabled:
        return no("it is switched off in the Fleet tab")
    if config.draining:
        return no("it is draining and takes no new jobs")
    if config.id in need.tried:
        return no(need.tried[config.id])
    if 0 < memory_of(status) < need.memory_bytes:
        return no(f"a peer with more memory had too little for it ({need.memory_bytes / 2**30:.0f} GiB)")
    if status.health is Health.UNKNOWN:
        return no("it has not answered yet", settling=True)
    if status.health is not Health.UP:
        return no(status.reason or f"it is {status.health.value}")
    if config.id not in need.unmet:
        return no("its list of nodes is still being read", settling=True)
    if need.unmet[config.id]:
        return no("; ".join(need.unmet[config.id]), permanent=True)
    return PeerVerdict(config.id, config.name, True)


def slots_of(peer: PeerSnapshot) -> int:
    """How many jobs of ours it may have at once."""
    return 1 if peer.status.conduct.slow_start else SLOTS_PER_PEER


def is_stuck(peer: PeerSnapshot) -> bool:
    """Whether what waits there had better wait elsewhere, though it answers."""
    return peer.status.health in (Health.ZOMBIE, Health.EJECTED)


def is_idle(peer: PeerSnapshot) -> bool:
    """Whether it could start a job this moment."""
    config, status = peer.config, peer.status
    usable = config.enabled and not config.draining and status.health is Health.UP
    return usable and _waiting(peer) == 0


def no_peer_error(verdicts: Sequence[PeerVerdict]) -> NoEligiblePeerError:
    """The refusal for these verdicts; permanent when waiting cannot help with any of them."""
    if not verdicts:
        return NoEligiblePeerError("No peer is registered. Open the Fleet tab and add the address of one.")
    reasons = {verdict.name: verdict.reason for verdict in verdicts}
    listed = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
    return NoEligiblePeerError(
        f"No peer can run this. {listed}.", reasons, permanent=all(v.permanent for v in verdicts)
    )


def _waiting(peer: PeerSnapshot) -> int:
    return peer.ours + peer.foreign


def memory_of(status: BackendStatus) -> int:
    """Bytes of its largest device, or of the machine where it tells no device; 0 while unknown."""
    vitals = status.vitals
    if vitals is None:
        return 0
    return max((d.vram_total_bytes for d in vitals.devices), default=0) or vitals.ram_total_bytes


def _free_memory(peer: PeerSnapshot) -> int:
    vitals = peer.status.vitals
    if vitals is None:
        return 0
    return max((d.vram_free_bytes for d in vitals.devices), default=0) or vitals.ram_free_bytes


def _rank(peer: PeerSnapshot) -> tuple[int, int, str]:
    return _waiting(peer), -_free_memory(peer), peer.config.name


def load_of(peer: PeerSnapshot) -> str:
    """How busy it is, in words."""
    waiting, free = _waiting(peer), _free_memory(peer)
    queue = "nothing in its queue" if not waiting else f"{waiting} in its queue"
    return f"{queue}, {free / 2**30:.1f} GiB free" if free else queue


def _explain(chosen: PeerSnapshot, peers: Sequence[PeerSnapshot], verdicts: Sequence[PeerVerdict]) -> str:
    others = [
        f"{v.name}: {v.reason or load_of(p)}"
        + (", its slots are taken" if v.eligible and p.ours >= slots_of(p) else "")
        for p, v in zip(peers, verdicts, strict=True)
        if v.backend_id != chosen.config.id
    ]
    because = f"on {chosen.config.name} because it has {load_of(chosen)}"
    return f"{because} ({'; '.join(others)})" if others else because
