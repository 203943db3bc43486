"""What placement may trade for what: the numbers that a plan is made by."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Policy:
    """``prefetch_lead_s``: how long before a busy peer is expected to need its next job it gets one. A job
    for which others would have to load again goes before those only if it is due earlier, by that loading
    times (``worth`` × loading / waiting work with its files) ** ``power``, at most by ``put_off_s``.
    After `starving_s` of waiting a job gets one of `starving_turn` starts of each peer that may run it,
    whatever its priority; so does one that came that much sooner than the jobs of few peers that go before
    it.
    ``take_back_s`` and ``take_back_share``: what another peer has to be sooner by. ``copy_share``: a second
    copy has to need less than this part of what the first one still needs.
    """

    prefetch_lead_s: float = 15.0
    worth: float = 100.0
    power: float = 1.5
    put_off_s: float = 600.0
    starving_s: float = 600.0
    starving_turn: int = 8
    take_back_s: float = 0.5
    take_back_share: float = 0.1
    second_copies: bool = False
    copy_share: float = 0.5
