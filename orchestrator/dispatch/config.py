"""How patient the dispatcher is, and what it takes for an outage or for silence."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..core.engine.outage import OutagePolicy
from ..core.engine.retry import RetryPolicy
from ..core.engine.silence import SilencePolicy
from .attempts.remote_prompt import FollowPolicy


@dataclass(frozen=True)
class DispatchConfig:
    follow: FollowPolicy = field(default_factory=FollowPolicy)
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    outage: OutagePolicy = field(default_factory=OutagePolicy)
    silence: SilencePolicy = field(default_factory=SilencePolicy)
