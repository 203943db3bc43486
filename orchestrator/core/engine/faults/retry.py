"""What to do after a failed attempt: a pure decision from the error's class and how the job's attempts ended.

=================  =========================================================================================
machine            unreachable, key, protocol, lost: elsewhere, up to `max_attempts`
this answer        4xx/5xx, too large, bad result: elsewhere, up to `max_attempts`; on the same peer again
                   only after a 5xx
peer went away     in the middle of it: elsewhere once; after the `deaths_max`-th peer that was not found to
                   be well since, the job is set aside: it may be what kills them
placement          a class or file is missing after all: elsewhere, and the peer's list is read again
memory             elsewhere with no less memory; at last once more on the roomiest, after it was freed
broken machine     a node raised what a broken installation says, or may not use a model there: elsewhere,
                   up to `max_attempts`
raised             any other error of a node, when it came soon: once elsewhere. What two peers cannot do, or
                   nobody else could try, is the job's fault
interrupted        somebody there did it: by the user's setting
job-caused         the graph is wrong, a type cannot travel: give up
=================  =========================================================================================
"""

from __future__ import annotations

from collections.abc import Collection, Sequence, Set
from dataclasses import dataclass, field
from enum import Enum

from ....errors import (
    AnswerError,
    JobLostError,
    JobSetAsideError,
    MachineError,
    OrchestratorError,
    PeerBrokenError,
    PeerDiskFullError,
    PeerExecutionError,
    PeerInterruptedError,
    PeerNotPermittedError,
    PeerOutOfMemoryError,
    PeerRefusedError,
    PromptRefusedError,
)
from .retry_tokens import BudgetPolicy


class RetryDecision(str, Enum):
    ELSEWHERE = "elsewhere"  #: place it again, not on this peer
    FREE = "free"  #: free the memory of the roomiest peer where it did not fit, and try once more there
    AGAIN = "again"  #: after a pause those that failed it get another chance
    SUSPECTED = "suspected"  #: it may be what takes peers down: it waits until they answer
    GIVE_UP = "give_up"  #: the job itself is at fault, or every chance was used


@dataclass(frozen=True)
class RetryPolicy:
    """How often, and how long to wait (seconds, doubling) before peers that failed a job get it again.

    `clear_within_s`: how long a job that may have killed peers waits for these to answer, which tells.
    `confirm_within_s`: what raised later than this after its start is not run again to see whether another
    peer can do it: that would take as long.
    """

    max_attempts: int = 3
    backoff_s: float = 1.0
    backoff_max_s: float = 60.0
    deaths_max: int = 2
    clear_within_s: float = 120.0
    confirm_within_s: float = 60.0
    retry_interrupted: bool = False
    budget: BudgetPolicy = field(default_factory=BudgetPolicy)

    def longest_pause_s(self, attempts: int) -> float:
        """The upper end of the pause after that many attempts; the caller draws from zero up to it."""
        return float(min(self.backoff_s * 2 ** max(attempts - 1, 0), self.backoff_max_s))


OUTAGE = "outage"  #: how an attempt ended that was lost with most of the fleet
SERVER_ERROR = 500  #: HTTP statuses from here up are failures of the server, no verdict on the request
# ComfyUI's words for "this peer lacks something": another one may have it.
_PLACEMENT_ERRORS = frozenset({"missing_node_type", "value_not_in_list", "custom_validation_failed"})


def decide(
    error: OrchestratorError,
    outcomes: Sequence[str],
    policy: RetryPolicy | None = None,
    *,
    freed: bool = False,
    ran_s: float = 0.0,
    victims: int = 0,
) -> RetryDecision:
    """Decide after an attempt ended in `error`.

    ``outcomes``: how all failed attempts ended (error codes), this one too. ``freed``: memory was freed for
    it. ``ran_s``: how long the peer had worked on it. ``victims``: peers that went away while they ran it.
    """
    policy = policy or RetryPolicy()
    if victims >= policy.deaths_max:
        return RetryDecision.SUSPECTED
    attempts_left = policy.max_attempts - len(outcomes)
    if isinstance(error, PeerOutOfMemoryError):
        if freed:
            return RetryDecision.GIVE_UP
        return RetryDecision.ELSEWHERE if attempts_left > 1 else RetryDecision.FREE
    if is_unconfirmed(error) and (ran_s > policy.confirm_within_s or outcomes.count(error.code) > 1):
        return RetryDecision.GIVE_UP
    may_help = attempts_left > 0 and _another_peer_may_help(error, policy)
    return RetryDecision.ELSEWHERE if may_help else RetryDecision.GIVE_UP


def when_all_failed(
    last: OrchestratorError, outcomes: Sequence[str], policy: RetryPolicy, *, freed: bool = False
) -> RetryDecision:
    """Decide when every peer that could take the job has failed it; `last` is how."""
    if isinstance(last, PeerOutOfMemoryError):
        return RetryDecision.GIVE_UP if freed else RetryDecision.FREE
    if isinstance(last, PeerExecutionError) and not isinstance(last, PeerDiskFullError):
        return RetryDecision.GIVE_UP  # it would raise there again
    return RetryDecision.AGAIN if len(outcomes) < policy.max_attempts else RetryDecision.GIVE_UP


def is_pardoned(lost: frozenset[str], been_on: Set[str], outcomes: Collection[str]) -> bool:
    """Whether a job that was lost with most of the fleet is not blamed for the outage: it was never pardoned
    before, and at least one of the `lost` machines has never run it (`been_on`: those that have)."""
    return bool(lost - been_on) and OUTAGE not in outcomes


def is_victim(error: OrchestratorError, has_begun: bool) -> bool:
    """Whether the peer of an attempt that ended so went away while it ran it."""
    return has_begun and isinstance(error, JobLostError) and error.went_away


def set_aside(names: Sequence[str]) -> JobSetAsideError:
    """The end of a job that took down these peers."""
    listed = " and ".join(dict.fromkeys(names))
    return JobSetAsideError(
        f"{listed} went away while running this job, so it was set aside and takes no other peer down. "
        "Look at the logs there; if it was not the job's fault, run it again."
    )


def is_placement_surprise(error: OrchestratorError) -> bool:
    """The peer lacks what its node list promised: that list is stale."""
    if not isinstance(error, PromptRefusedError):
        return False
    kinds = {
        str(reason.get("type"))
        for node in error.node_errors.values()
        if isinstance(node, dict)
        for reason in node.get("errors", ())
        if isinstance(reason, dict)
    }
    # 0.3.75 answers a missing class with invalid_prompt and no node errors.
    missing_class = error.error.get("type") in ("invalid_prompt", "missing_node_type") and not kinds
    return missing_class or bool(kinds & _PLACEMENT_ERRORS)


def is_unconfirmed(error: OrchestratorError) -> bool:
    """A node raised, and its words do not tell whether the graph or the machine is at fault."""
    return type(error) is PeerExecutionError


def may_be_the_machines(error: OrchestratorError) -> bool:
    """A node raised, or ComfyUI itself did (500), and that speaks against the peer as soon as another one can
    do the job."""
    is_internal = isinstance(error, PeerRefusedError) and error.status == SERVER_ERROR
    return is_internal or is_unconfirmed(error) or isinstance(error, (PeerBrokenError, PeerDiskFullError))


def is_peers_fault(error: OrchestratorError) -> bool:
    """Whether it speaks against the peer: such failures, one after another, have it rest for a while."""
    return isinstance(error, MachineError)


def is_final_there(error: OrchestratorError) -> bool:
    """Whether the same peer would answer the same again: too large, refused, a result that is no good."""
    is_passing = isinstance(error, PeerRefusedError) and error.status >= SERVER_ERROR
    return isinstance(error, AnswerError) and not is_passing


def _is_denied(error: PromptRefusedError) -> bool:
    """The peer may not use a model that it has."""
    return "ModelNotPermitted" in f"{error.error}{error.node_errors}"


def _another_peer_may_help(error: OrchestratorError, policy: RetryPolicy) -> bool:
    if isinstance(error, PromptRefusedError):
        return is_placement_surprise(error) or _is_denied(error)
    if isinstance(error, PeerInterruptedError):
        return policy.retry_interrupted
    return may_be_the_machines(error) or isinstance(error, (MachineError, AnswerError, PeerNotPermittedError))
