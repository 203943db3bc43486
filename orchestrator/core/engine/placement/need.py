"""What a job asks of the peer that runs it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Need:
    """What a job asks of a peer. ``unmet`` holds, per peer id, what that peer lacks; a peer that is not
    in it has not told its node list yet. ``tried`` are peers that already failed this job, with the reason.
    ``memory_bytes``: the total memory that was too little for it; one with less need not try. ``avoid``: ids
    or names of peers that its sender does not want. ``peer_name``: what people call the peer it is pinned to.
    ``cautions``, per peer id: what may be missing there, or be refused; the peer decides. ``outranked``:
    peers with more of these than another that may take it.
    """

    peer: str = ""
    tags: tuple[str, ...] = ()
    unmet: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    tried: Mapping[str, str] = field(default_factory=dict)
    memory_bytes: int = 0
    avoid: tuple[str, ...] = ()
    peer_name: str = ""
    cautions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    outranked: frozenset[str] = frozenset()
