"""The families of failure: which error belongs to which, and what each may do to a peer."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone

import pytest

from orchestrator import errors
from orchestrator.core.engine.faults.health import HealthPolicy, after_failure
from orchestrator.core.engine.faults.retry import RetryDecision, decide, is_final_there, is_peers_fault
from orchestrator.core.models.backend import BackendStatus, Health
from orchestrator.errors import (
    AnswerError,
    BodyTooLargeError,
    JobError,
    MachineError,
    MasterError,
    NoEligiblePeerError,
    OrchestratorError,
    PeerError,
    PeerTimeoutError,
    PeerUnreachableError,
    ResultError,
)

FAMILIES = (MachineError, AnswerError, JobError, MasterError)
KINDS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, OrchestratorError) and kind not in FAMILIES
]


def made() -> Iterator[OrchestratorError]:
    for kind in KINDS:
        yield BodyTooLargeError("x", 1) if kind is BodyTooLargeError else kind("x")


def families_of(error: OrchestratorError) -> list[type[OrchestratorError]]:
    return [family for family in FAMILIES if isinstance(error, family)]


def test_what_goes_wrong_with_a_peer_or_its_results_belongs_to_exactly_one_family() -> None:
    judged = [error for error in made() if isinstance(error, (PeerError, ResultError))]
    judged = [error for error in judged if type(error) is not PeerError]
    assert len(judged) > 15
    assert {type(error): families_of(error) for error in judged if len(families_of(error)) != 1} == {}


def test_nothing_belongs_to_two_families() -> None:
    assert [type(error) for error in made() if len(families_of(error)) > 1] == []


def test_only_the_machines_family_has_a_peer_rest() -> None:
    for error in made():
        assert is_peers_fault(error) is isinstance(error, MachineError), type(error)


def test_only_the_answers_family_is_final_on_the_peer_that_gave_it() -> None:
    for error in made():
        assert is_final_there(error) <= isinstance(error, AnswerError), type(error)
    assert is_final_there(BodyTooLargeError("x", 1)) and is_final_there(ResultError("x"))
    assert not is_final_there(errors.PeerRefusedError("a proxy's bad moment", 502))


def test_no_failure_of_this_machine_ends_a_job_elsewhere() -> None:
    for error in made():
        if isinstance(error, MasterError):
            assert decide(error, [error.code]) is RetryDecision.GIVE_UP


def test_every_code_is_one_word_for_one_error() -> None:
    codes = [kind.code for kind in KINDS if "code" in vars(kind)]
    assert len(codes) == len(set(codes))
    assert NoEligiblePeerError.code in codes


@pytest.mark.parametrize(
    ("error", "is_at_work", "health"),
    [
        (PeerTimeoutError("x"), True, Health.SUSPECT),
        (PeerTimeoutError("x"), False, Health.DOWN),
        (PeerUnreachableError("x", is_closed=True), True, Health.DOWN),
    ],
)
def test_a_peer_at_work_for_us_that_does_not_answer_is_suspect_and_not_down(
    error: MachineError, is_at_work: bool, health: Health
) -> None:
    policy, status = HealthPolicy(), BackendStatus(Health.UP)
    for _ in range(10):
        status = after_failure(status, error, datetime.now(timezone.utc), policy, is_at_work=is_at_work)
    assert status.health is health
