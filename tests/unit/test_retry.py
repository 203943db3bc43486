from __future__ import annotations

import pytest

from orchestrator.core.engine.retry import Verdict, decide, is_placement_surprise
from orchestrator.errors import (
    JobLostError,
    OrchestratorError,
    PeerExecutionError,
    PeerInterruptedError,
    PeerTimeoutError,
    PeerUnreachableError,
    PromptRefusedError,
    ResultError,
    UnsupportedTypeError,
)


def refused(kind: str) -> PromptRefusedError:
    return PromptRefusedError("no", {}, {"4": {"errors": [{"type": kind}], "class_type": "X"}})


@pytest.mark.parametrize(
    ("error", "verdict"),
    [
        (PeerUnreachableError("x"), Verdict.ELSEWHERE),
        (PeerTimeoutError("x"), Verdict.ELSEWHERE),
        (JobLostError("x"), Verdict.ELSEWHERE),
        (ResultError("x"), Verdict.ELSEWHERE),
        (UnsupportedTypeError("x"), Verdict.GIVE_UP),
        (refused("value_not_in_list"), Verdict.ELSEWHERE),
        (refused("value_smaller_than_min"), Verdict.GIVE_UP),
        (PromptRefusedError("no", {"type": "invalid_prompt"}, {}), Verdict.ELSEWHERE),
        (PeerExecutionError("x", {"exception_type": "RuntimeError"}), Verdict.GIVE_UP),
        (PeerExecutionError("x", {"exception_type": "torch.OutOfMemoryError"}), Verdict.ELSEWHERE),
        (PeerInterruptedError("x"), Verdict.GIVE_UP),
    ],
)
def test_the_errors_class_decides_after_the_first_attempt(error: OrchestratorError, verdict: Verdict) -> None:
    assert decide(error, attempts=1) is verdict


def test_three_attempts_are_all() -> None:
    assert decide(JobLostError("x"), attempts=2) is Verdict.ELSEWHERE
    assert decide(JobLostError("x"), attempts=3) is Verdict.GIVE_UP


def test_only_a_missing_class_or_file_means_that_the_node_list_is_stale() -> None:
    assert is_placement_surprise(refused("value_not_in_list"))
    assert not is_placement_surprise(refused("required_input_missing"))
    assert not is_placement_surprise(JobLostError("x"))
