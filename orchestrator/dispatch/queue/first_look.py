"""Whether a request can be run at all, told before it is accepted: as the queue would judge it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ...backends.manager import BackendManager
from ...core.engine.parameter_patcher import find_parameter
from ...core.models.job import JobRequest, Prompt
from ...core.prompts.requirements import Doubt
from ...core.workflow.inspector import inspect_parameters
from ...errors import NoEligiblePeerError, OrchestratorError
from .fleet_eligibility import FleetEligibility
from .prompt_variants import PromptVariants
from .queued_job import QueuedJob

CHECKED_MAX = 32  #: of the jobs of one request; the queue looks at each of them


@dataclass(frozen=True)
class FirstLook:
    """``error``: what would end the job at once; None when it would run, or wait. ``waits_for``: why it would
    wait; "" when a peer may take it. ``prompt``: what a peer that has all it needs would get; None while no
    such peer is known. ``doubts``: what those peers can be asked, by id, on whose lists the error rests."""

    error: OrchestratorError | None = None
    waits_for: str = ""
    prompt: Prompt | None = None
    notes: tuple[str, ...] = ()
    doubts: Mapping[str, Doubt] = field(default_factory=dict)


def fault_of(queued: QueuedJob, found: FleetEligibility) -> OrchestratorError | None:
    """What is wrong with the request itself, as the peers' definitions have it. None while a peer that has
    all it needs is only away."""
    if any(verdict.awaited for verdict in found.verdicts):
        return None
    return next((made.error for made in queued.prepared.values() if made.error), None)


def first_look(
    queued: QueuedJob, found: FleetEligibility, variants: PromptVariants, manager: BackendManager
) -> FirstLook:
    """Of a job that is prepared and waits for no other reason than its peers."""
    if found.refusal is None or found.fits_here:
        waits_for, error = "", None
    elif (fault := fault_of(queued, found) or _sure_fault(queued)) is not None:
        waits_for, error = "", fault
    elif any(verdict.settling for verdict in found.verdicts):
        waits_for, error = "waiting for peers whose answer is still due", None
    else:
        waits_for, error = found.waiting_reason, found.refusal if found.refusal.permanent else None
    wanted = [verdict.backend_id for verdict in found.verdicts if verdict.eligible]
    wanted += [verdict.backend_id for verdict in found.verdicts if verdict.awaited]
    for backend_id in wanted:
        known = variants.prepared(queued, backend_id)
        if known is not None:
            notes = variants.notes(queued, manager.get(backend_id))
            return FirstLook(error, waits_for, known[1].prompt, (*queued.request.notes, *notes))
    doubts = variants.doubts(queued) if isinstance(error, NoEligiblePeerError) else {}
    return FirstLook(error, waits_for, None, queued.request.notes, doubts)


def telling(requests: Sequence[JobRequest]) -> Iterator[JobRequest]:
    """Those of the requests of one question that change something which no earlier one does: the rest would
    be told the same. At most CHECKED_MAX of them."""
    seen: set[tuple[str, str]] = set()
    given = 0
    for request in requests:
        changes = {(address, repr(value)) for address, value in request.changes.items()}
        if given and changes <= seen:
            continue
        seen |= changes
        given += 1
        yield request
        if given == CHECKED_MAX:
            return


def _sure_fault(queued: QueuedJob) -> OrchestratorError | None:
    """What the prompt alone shows to be wrong, while no peer has told its nodes."""
    request = queued.request
    if queued.prepared or not request.prompt or request.workflow:
        return None
    try:
        parameters = inspect_parameters(request.prompt)
        for target in request.changes:
            find_parameter(request.prompt, parameters, target)
    except OrchestratorError as exc:
        return exc
    return None
