"""A peer at one moment, as placement sees it, and what follows from that alone."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field

from ...models.backend import BackendConfig, BackendStatus, Health
from ...models.rules import PeerRules
from ...prompts.kinds import UNKNOWN_KIND, Kind
from .need import Need

SLOTS_PER_PEER = 2  #: one job runs there, one more waits so that the peer never idles between two
_ALWAYS = PeerRules()
_UNTOLD = "privateuseone"  #: DirectML: ComfyUI takes it for 1 GiB, whatever it has
_SHARED = ("cpu", "mps")  #: devices whose memory is the machine's, with all that runs there


@dataclass(frozen=True)
class OurJob:
    """One of our jobs on a peer. ``begun_at_s`` is None until the peer starts it; until then it can be taken
    back, unless it is being taken back already. ``is_copied``: it runs elsewhere too, or did. ``cold``: what
    it had to load when it began. The rest is as it was in the queue."""

    job_id: str
    group: Hashable = None
    need: Need = field(default_factory=Need)
    kind: Kind = UNKNOWN_KIND
    begun_at_s: float | None = None
    taking_back: bool = False
    is_copied: bool = False
    cold: tuple[str, ...] = ()


@dataclass(frozen=True)
class PeerSnapshot:
    """``ours``: how many of our jobs are there, running or handed over; ``jobs`` are those of which more is
    known, in the order the peer will run them. ``foreign``: other people's prompts; ``foreign_since_s``:
    since when one of them runs. ``is_open``: its hours allow a start now. ``has_copies``: second copies may
    run there, and elsewhere those of what runs there. ``same_as``: the name of another row that is the same
    machine, and gets its jobs. Moments are seconds on the clock that ``plan`` is asked
    with.
    """

    config: BackendConfig
    status: BackendStatus
    ours: int = 0
    foreign: int = 0
    jobs: tuple[OurJob, ...] = ()
    rules: PeerRules = field(default=_ALWAYS)
    is_open: bool = True
    foreign_since_s: float | None = None
    has_copies: bool = True
    same_as: str = ""


def ours_on(peer: PeerSnapshot) -> int:
    return max(peer.ours, len(peer.jobs))


def waiting_on(peer: PeerSnapshot) -> int:
    """Prompts in its queue, the running one included; anybody's."""
    return ours_on(peer) + peer.foreign


def slots_of(peer: PeerSnapshot) -> int:
    """How many of our jobs it may have at once."""
    conduct = peer.status.conduct
    return 1 if conduct.slow_start or conduct.why else SLOTS_PER_PEER


def is_stuck(peer: PeerSnapshot) -> bool:
    """Whether what waits there should rather wait elsewhere, though it answers."""
    return peer.status.health in (Health.ZOMBIE, Health.EJECTED)


def is_idle(peer: PeerSnapshot) -> bool:
    """Whether it could start a job this moment."""
    config, status = peer.config, peer.status
    usable = config.enabled and not config.draining and status.health is Health.UP and peer.is_open
    return usable and waiting_on(peer) == 0


def memory_of(status: BackendStatus) -> int:
    """Bytes of its largest device, or of the machine where it tells no device; 0 while unknown."""
    vitals = status.vitals
    if vitals is None or any(device.type == _UNTOLD for device in vitals.devices):
        return 0
    return max((d.vram_total_bytes for d in vitals.devices), default=0) or vitals.ram_total_bytes


def free_memory_of(status: BackendStatus) -> int:
    """As ``memory_of``, what is free of it."""
    vitals = status.vitals
    if vitals is None:
        return 0
    return max((d.vram_free_bytes for d in vitals.devices), default=0) or vitals.ram_free_bytes


def used_memory_of(status: BackendStatus) -> int:
    """Bytes in use of its largest device, by anything; 0 while unknown, or where it is the machine's."""
    devices = status.vitals.devices if status.vitals else ()
    own = [device for device in devices if device.type != _UNTOLD and device.type not in _SHARED]
    largest = max(own, key=lambda device: device.vram_total_bytes, default=None)
    return max(largest.vram_total_bytes - largest.vram_free_bytes, 0) if largest else 0


def has_gpu(status: BackendStatus) -> bool:
    """Whether it computes on something else than its processor; True while unknown."""
    devices = status.vitals.devices if status.vitals else ()
    return not devices or any(device.type != "cpu" for device in devices)


def load_of(peer: PeerSnapshot, waiting: int) -> str:
    """How busy it is with that many prompts in its queue, in words."""
    free = free_memory_of(peer.status)
    queue = f"{waiting} in its queue" if waiting else "idle"
    return f"{queue}, {free / 2**30:.1f} GB free" if free else queue
