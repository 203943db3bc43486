"""A job's error as it is kept in the journal and shown: ``Job.error``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...errors import NoEligiblePeerError, OrchestratorError, PeerExecutionError, PromptRefusedError


def error_view(failure: OrchestratorError | None) -> Mapping[str, Any] | None:
    """An error as it is kept and shown: its word, its sentence, and the peer's own details."""
    if failure is None:
        return None
    view: dict[str, Any] = {}
    if isinstance(failure, PromptRefusedError):
        view = {"error": failure.error, "node_errors": failure.node_errors}
    elif isinstance(failure, PeerExecutionError):
        view = dict(failure.details)
    elif isinstance(failure, NoEligiblePeerError):
        view = {"reasons": failure.reasons}
    return {**view, "code": failure.code, "message": str(failure)}
