"""How many retries a fleet may afford."""

from __future__ import annotations

import pytest

from orchestrator.core.engine.faults.retry_tokens import BudgetPolicy, RetryTokens

POLICY = BudgetPolicy(per_job=0.25, reserve=2.0, per_s=0.5, most=4.0)


def spent(budget: RetryTokens, retries: int) -> RetryTokens:
    for _ in range(retries):
        assert budget.wait_s() == 0
        budget = budget.with_retry()
    return budget


def test_a_few_retries_are_free_and_then_they_wait_for_time_to_pass() -> None:
    empty = spent(RetryTokens.full(POLICY, 100.0), 2)
    assert empty.wait_s() == 2.0
    assert empty.at(101.0).wait_s() == 1.0
    assert spent(empty.at(102.0), 1).wait_s() == 2.0


def test_jobs_pay_for_a_share_of_retries() -> None:
    budget = spent(RetryTokens.full(POLICY, 0.0), 2)
    for _ in range(4):
        budget = budget.with_job()
    assert spent(budget, 1).wait_s() > 0


def test_time_fills_no_more_than_the_reserve_and_jobs_no_more_than_the_most() -> None:
    assert RetryTokens.full(POLICY, 0.0).at(1e6).retries == 2.0
    budget = RetryTokens.full(POLICY, 0.0)
    for _ in range(100):
        budget = budget.with_job()
    assert (budget.retries, budget.at(1e6).retries) == (4.0, 4.0)


@pytest.mark.parametrize("back", [0.0, -3600.0])
def test_a_clock_that_does_not_move_on_takes_nothing_away(back: float) -> None:
    assert spent(RetryTokens.full(POLICY, 0.0), 1).at(back).retries == 1.0
