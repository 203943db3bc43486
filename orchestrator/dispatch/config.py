"""How patient the dispatcher is, and what it takes for an outage or for silence."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..backends.second_look import ANSWER_S
from ..core.engine.faults.outage import OutagePolicy
from ..core.engine.faults.retry import RetryPolicy
from ..core.engine.faults.silence import SilencePolicy
from .attempts.remote_prompt import FollowPolicy


@dataclass(frozen=True)
class DispatchConfig:
    follow: FollowPolicy = field(default_factory=FollowPolicy)
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    outage: OutagePolicy = field(default_factory=OutagePolicy)
    silence: SilencePolicy = field(default_factory=SilencePolicy)
    second_look_s: float = ANSWER_S
