"""How many retries a fleet may afford: a share of its jobs, and a few a minute besides. Pure.

One job's retries are bounded by its own attempts. When something fails everywhere, all jobs together could
still triple the load of the peers that are left; so all retries come out of one purse, and wait when it is
empty. Nothing is given up for that.
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class BudgetPolicy:
    """``per_job``: retries that each accepted job pays in. ``reserve``: what is there at the start, and the
    most that time alone fills up to. ``per_s``: paid in as time passes. ``most``: what can be saved up."""

    per_job: float = 0.2
    reserve: float = 20.0
    per_s: float = 1 / 6
    most: float = 200.0


@dataclass(frozen=True)
class RetryTokens:
    """What is in the purse, as of a moment (seconds of a monotonic clock)."""

    policy: BudgetPolicy
    retries: float
    at_s: float

    @classmethod
    def full(cls, policy: BudgetPolicy, now_s: float) -> RetryTokens:
        return cls(policy, policy.reserve, now_s)

    def at(self, now_s: float) -> RetryTokens:
        earned = max(now_s - self.at_s, 0.0) * self.policy.per_s
        room = max(self.policy.reserve - self.retries, 0.0)
        return replace(self, retries=self.retries + min(earned, room), at_s=now_s)

    def with_job(self) -> RetryTokens:
        return replace(self, retries=min(self.retries + self.policy.per_job, self.policy.most))

    def wait_s(self) -> float:
        """How long until the next retry is paid for, if no job pays in meanwhile; 0 for now."""
        return max(1.0 - self.retries, 0.0) / self.policy.per_s

    def with_retry(self) -> RetryTokens:
        return replace(self, retries=self.retries - 1.0)
