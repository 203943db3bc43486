"""What is done after a failed attempt, by the error's class and how the attempts ended."""

from __future__ import annotations

import pytest

from orchestrator.core.engine.faults.retry import (
    OUTAGE,
    RetryDecision,
    RetryPolicy,
    decide,
    is_pardoned,
    is_peers_fault,
    is_placement_surprise,
    is_victim,
    set_aside,
    when_all_failed,
)
from orchestrator.errors import (
    GraphExecutionError,
    JobLostError,
    LocalDiskError,
    OrchestratorError,
    PeerAuthError,
    PeerBrokenError,
    PeerDiedError,
    PeerDiskFullError,
    PeerExecutionError,
    PeerInterruptedError,
    PeerNotPermittedError,
    PeerOutOfMemoryError,
    PeerProtocolError,
    PeerRefusedError,
    PeerTimeoutError,
    PeerUnreachableError,
    PromptRefusedError,
    ResultError,
    UnsupportedTypeError,
)

ELSEWHERE, FREE, AGAIN, SUSPECTED, GIVE_UP = RetryDecision
POLICY = RetryPolicy()
OOM = PeerOutOfMemoryError("x")
DIED = PeerDiedError("x", went_away=True)


def refused(kind: str) -> PromptRefusedError:
    return PromptRefusedError("no", {}, {"4": {"errors": [{"type": kind}], "class_type": "X"}})


@pytest.mark.parametrize(
    ("error", "decision", "peers_fault"),
    [
        (PeerUnreachableError("x"), ELSEWHERE, True),
        (PeerTimeoutError("x"), ELSEWHERE, True),
        (PeerAuthError("x"), ELSEWHERE, True),
        (PeerProtocolError("x"), ELSEWHERE, True),
        (PeerRefusedError("x", 500), ELSEWHERE, False),
        (JobLostError("x"), ELSEWHERE, True),
        (DIED, ELSEWHERE, True),
        (ResultError("x"), ELSEWHERE, False),
        (LocalDiskError("x"), GIVE_UP, False),
        (UnsupportedTypeError("x"), GIVE_UP, False),
        (refused("value_not_in_list"), ELSEWHERE, False),
        (refused("value_smaller_than_min"), GIVE_UP, False),
        (refused("ModelNotPermittedError"), ELSEWHERE, False),
        (PromptRefusedError("no", {"type": "invalid_prompt"}, {}), ELSEWHERE, False),
        (PeerExecutionError("x", {"exception_type": "RuntimeError"}), ELSEWHERE, False),
        (GraphExecutionError("x"), GIVE_UP, False),
        (PeerBrokenError("x"), ELSEWHERE, False),
        (PeerNotPermittedError("x"), ELSEWHERE, False),
        (OOM, ELSEWHERE, False),
        (PeerDiskFullError("x"), ELSEWHERE, False),
        (PeerInterruptedError("x"), GIVE_UP, False),
    ],
)
def test_the_errors_class_decides_after_the_first_attempt(
    error: OrchestratorError, decision: RetryDecision, peers_fault: bool
) -> None:
    assert decide(error, [error.code]) is decision
    assert is_peers_fault(error) is peers_fault


RAISED = PeerExecutionError("x")


@pytest.mark.parametrize(
    ("outcomes", "ran_s", "decision"),
    [
        (["execution_error"], 59.0, ELSEWHERE),
        (["execution_error"], 61.0, GIVE_UP),
        (["execution_error", "execution_error"], 1.0, GIVE_UP),
        (["peer_broken", "execution_error"], 1.0, ELSEWHERE),
        (["lost", "refused", "execution_error"], 1.0, GIVE_UP),
    ],
)
def test_what_raised_soon_is_tried_once_on_another_peer(
    outcomes: list[str], ran_s: float, decision: RetryDecision
) -> None:
    assert decide(RAISED, outcomes, ran_s=ran_s) is decision


def test_a_broken_machine_is_left_however_late_it_raised() -> None:
    assert decide(PeerBrokenError("x"), ["peer_broken"], ran_s=3600.0) is ELSEWHERE


@pytest.mark.parametrize("last", [RAISED, PeerBrokenError("x"), PeerNotPermittedError("x")])
def test_what_raised_is_not_run_again_where_it_raised(last: PeerExecutionError) -> None:
    assert when_all_failed(last, [last.code], POLICY) is GIVE_UP


def test_three_attempts_are_all() -> None:
    assert decide(JobLostError("x"), ["refused", "lost"]) is ELSEWHERE
    assert decide(JobLostError("x"), ["refused", "refused", "lost"]) is GIVE_UP


@pytest.mark.parametrize("error", [DIED, JobLostError("x"), PeerRefusedError("x", 502)])
@pytest.mark.parametrize(("victims", "decision"), [(0, ELSEWHERE), (1, ELSEWHERE), (2, SUSPECTED)])
def test_the_second_peer_that_went_away_with_a_job_sets_it_aside_whatever_was_heard_of_it(
    error: OrchestratorError, victims: int, decision: RetryDecision
) -> None:
    assert decide(error, [error.code], victims=victims) is decision


@pytest.mark.parametrize(
    ("error", "has_begun", "expected"),
    [
        (DIED, True, True),
        (JobLostError("x", went_away=True), True, True),
        (JobLostError("x", went_away=True), False, False),
        (JobLostError("its queue was cleared"), True, False),
        (PeerRefusedError("x", 500), True, False),
    ],
)
def test_a_peer_is_a_jobs_victim_when_it_went_away_in_the_middle_of_it(
    error: OrchestratorError, has_begun: bool, expected: bool
) -> None:
    assert is_victim(error, has_begun) is expected


@pytest.mark.parametrize(
    ("lost", "been_on", "outcomes", "expected"),
    [
        ("ab", "a", ["lost"], True),
        ("ab", "ab", ["lost", "lost"], False),
        ("ab", "a", [OUTAGE, "lost"], False),
        ("", "a", ["lost"], False),
    ],
)
def test_an_outage_excuses_a_job_once_and_not_where_it_was_on_every_machine_that_went(
    lost: str, been_on: str, outcomes: list[str], expected: bool
) -> None:
    assert is_pardoned(frozenset(lost), set(been_on), outcomes) is expected


def test_a_job_that_is_set_aside_names_the_peers_it_took_down() -> None:
    assert str(set_aside(["gpu-1", "gpu-2"])).startswith("gpu-1 and gpu-2 went away")
    assert str(set_aside(["gpu-1", "gpu-1"])).startswith("gpu-1 went away")


@pytest.mark.parametrize(
    ("outcomes", "freed", "decision"),
    [
        (["out_of_memory"], False, ELSEWHERE),
        (["out_of_memory"] * 2, False, FREE),
        (["out_of_memory"] * 3, True, GIVE_UP),
        (["out_of_memory"] * 2, True, GIVE_UP),
    ],
)
def test_too_little_memory_is_tried_elsewhere_and_at_last_where_it_was_freed(
    outcomes: list[str], freed: bool, decision: RetryDecision
) -> None:
    assert decide(OOM, outcomes, freed=freed) is decision


@pytest.mark.parametrize(
    ("last", "outcomes", "freed", "decision"),
    [
        (OOM, ["out_of_memory"], False, FREE),
        (OOM, ["out_of_memory"] * 2, True, GIVE_UP),
        (JobLostError("x"), ["lost"], False, AGAIN),
        (JobLostError("x"), ["lost"] * 3, False, GIVE_UP),
    ],
)
def test_when_every_peer_failed_it_those_get_another_chance(
    last: OrchestratorError, outcomes: list[str], freed: bool, decision: RetryDecision
) -> None:
    assert when_all_failed(last, outcomes, POLICY, freed=freed) is decision


def test_a_job_that_was_interrupted_there_goes_elsewhere_when_the_user_wants_that() -> None:
    wanted = RetryPolicy(retry_interrupted=True)
    assert decide(PeerInterruptedError("x"), ["interrupted_on_peer"], wanted) is ELSEWHERE


def test_only_a_missing_class_or_file_means_that_the_node_list_is_stale() -> None:
    assert is_placement_surprise(refused("value_not_in_list"))
    assert not is_placement_surprise(refused("required_input_missing"))
    assert not is_placement_surprise(JobLostError("x"))
