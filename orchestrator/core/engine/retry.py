"""What to do after a failed attempt: a pure decision from the error's class and the attempts so far."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from ...errors import (
    JobLostError,
    OrchestratorError,
    PeerAuthError,
    PeerExecutionError,
    PeerProtocolError,
    PeerRefusedError,
    PeerUnreachableError,
    PromptRefusedError,
    ResultError,
    UnsupportedTypeError,
)


class Verdict(str, Enum):
    ELSEWHERE = "elsewhere"  #: place it again, not on this peer
    GIVE_UP = "give_up"  #: the job itself is at fault, or every chance was used


@dataclass(frozen=True)
class RetryPolicy:
    """How often, and how long to wait (seconds, doubling) before peers that failed a job get it again."""

    max_attempts: int = 3
    backoff_s: float = 1.0
    backoff_max_s: float = 60.0

    def longest_pause_s(self, attempts: int) -> float:
        """The upper end of the pause after so many attempts; the caller draws from zero up to it."""
        return float(min(self.backoff_s * 2 ** max(attempts - 1, 0), self.backoff_max_s))


# ComfyUI's words for "this peer lacks something": another one may have it.
_PLACEMENT_ERRORS = frozenset({"missing_node_type", "value_not_in_list", "custom_validation_failed"})
_OUT_OF_MEMORY = ("OutOfMemoryError", "OOM_EXCEPTION")


def decide(error: OrchestratorError, attempts: int, policy: RetryPolicy | None = None) -> Verdict:
    """Decide after the `attempts`-th attempt ended in `error`."""
    if attempts >= (policy or RetryPolicy()).max_attempts:
        return Verdict.GIVE_UP
    return Verdict.ELSEWHERE if _another_peer_may_help(error) else Verdict.GIVE_UP


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


def _another_peer_may_help(error: OrchestratorError) -> bool:
    if isinstance(error, PromptRefusedError):
        return is_placement_surprise(error)
    if isinstance(error, PeerExecutionError):
        return any(word in str(error.details.get("exception_type")) for word in _OUT_OF_MEMORY)
    if isinstance(error, UnsupportedTypeError):
        return False
    return isinstance(
        error,
        (PeerUnreachableError, PeerAuthError, PeerProtocolError, PeerRefusedError, JobLostError, ResultError),
    )
