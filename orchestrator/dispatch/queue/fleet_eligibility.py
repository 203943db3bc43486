"""What one look at the fleet finds for all waiting jobs that are the same to placement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ...core.engine.placement.eligibility import (
    Eligibility,
    check_eligibility,
    is_eligible,
    no_peer_error,
    outranked,
    waiting_for,
)
from ...core.engine.placement.need import Need
from ...core.engine.placement.peers import PeerSnapshot
from ...errors import NoEligiblePeerError


@dataclass(frozen=True)
class FleetEligibility:
    """``refusal`` where no peer may take them; what they wait for then is ``waiting_reason``. ``fits_here``:
    the master itself may."""

    need: Need
    verdicts: tuple[Eligibility, ...]
    fits_here: bool = False
    refusal: NoEligiblePeerError | None = None
    waiting_reason: str = ""

    @property
    def is_doubted(self) -> bool:
        """Whether something speaks against each peer that may take them."""
        able = [verdict.backend_id for verdict in self.verdicts if verdict.eligible]
        return bool(able) and all(map(self.need.cautions.get, able))

    @property
    def may_do_better(self) -> bool:
        """Whether that is so, while other peers have not answered yet."""
        return self.is_doubted and any(verdict.settling for verdict in self.verdicts)


def fleet_eligibility(
    need: Need, snapshots: Sequence[PeerSnapshot], here: PeerSnapshot | None
) -> FleetEligibility:
    """`here`: the master, where it takes jobs itself. Of the peers that may take them only those with the
    fewest cautions are left, see ``Need.outranked``."""
    need = replace(need, outranked=frozenset()) if need.outranked else need
    verdicts = tuple(check_eligibility(need, snapshot) for snapshot in snapshots)
    refusal = None if any(verdict.eligible for verdict in verdicts) else no_peer_error(verdicts)
    fits_here = here is not None and is_eligible(need, here)
    reason = waiting_for(verdicts) if refusal else ""
    if ahead := outranked(need, verdicts):
        need = replace(need, outranked=ahead)
    return FleetEligibility(need, verdicts, fits_here, refusal, reason)
