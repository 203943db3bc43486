"""What the HTTP API answers instead: an error's status, its word and its sentence."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ...errors import (
    ConfigError,
    IllegalTransitionError,
    NoEligiblePeerError,
    NotFoundError,
    OrchestratorError,
    ParameterError,
    PeerError,
    StoreError,
    UnknownNodeError,
    WorkflowError,
)

INTERNAL = {
    "error": "internal",
    "message": "Remote Dispatch failed. ComfyUI's log has the details; please report them.",
}
NOT_RUNNING = "not_running"
NOT_FOUND = "not_found"
WRONG_METHOD = "method_not_allowed"
# The first class that fits decides.
_STATUSES: tuple[tuple[type[OrchestratorError], int], ...] = (
    (WorkflowError, 400),
    (ConfigError, 400),
    (NotFoundError, 404),
    (NoEligiblePeerError, 409),
    (IllegalTransitionError, 409),
    (StoreError, 503),
    (PeerError, 502),
)
#: Words that stand for no exception, by status
_OTHER_WORDS = {
    403: ("bad_host", "bad_origin", "bad_token", "not_json", "not_our_page"),
    405: (WRONG_METHOD,),
    500: (INTERNAL["error"],),
    503: (NOT_RUNNING,),
}


def status_of(kind: type[OrchestratorError]) -> int:
    return next((status for known, status in _STATUSES if issubclass(kind, known)), 500)


def words_of(status: int) -> tuple[str, ...]:
    """Every ``error`` that an answer of this status may have."""
    found = {kind.code for kind in _family(OrchestratorError) if status_of(kind) == status}
    return tuple(sorted({*found, *_OTHER_WORDS.get(status, ())}))


def error_answer(exc: OrchestratorError) -> tuple[int, dict[str, Any]]:
    """Status and body for an error: its word, its sentence, and what its class knows beside them."""
    body: dict[str, Any] = {"error": exc.code, "message": str(exc)}
    if isinstance(exc, UnknownNodeError):
        body["nodes"] = [{"node_id": i, "class_type": c, "title": t} for i, c, t in exc.nodes]
    elif isinstance(exc, ParameterError):
        body["candidates"] = exc.candidates
    elif isinstance(exc, NoEligiblePeerError):
        body["reasons"] = exc.reasons
    elif isinstance(exc, ConfigError) and exc.field:
        body["field"] = exc.field
    return status_of(type(exc)), body


def _family(kind: type[OrchestratorError]) -> Iterator[type[OrchestratorError]]:
    yield kind
    for one in kind.__subclasses__():
        yield from _family(one)
