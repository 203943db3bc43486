"""When a prompt that nobody waits for has ended, and how often its peer is asked. Closing ends the asking."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from orchestrator.backends.manager import BackendManager
from orchestrator.core.engine.faults.withdrawal import (
    Sight,
    Unwanted,
    WithdrawalPolicy,
    has_ended,
    is_too_old,
    pause_s,
)
from orchestrator.core.models.backend import BackendConfig
from orchestrator.dispatch.attempts.withdrawals import Withdrawals
from orchestrator.dispatch.sent_prompts import SentPrompts

NOW = datetime(2026, 11, 30, tzinfo=timezone.utc)
POLICY = WithdrawalPolicy()
POSTED = Unwanted("p", "gpu", NOW, was_there=True)
PERHAPS_POSTED = Unwanted("p", "gpu", NOW)


@pytest.mark.parametrize(
    ("unwanted", "sight", "ended"),
    [
        (POSTED, Sight(is_listed=True), False),
        (POSTED, Sight(is_listed=False), True),
        (PERHAPS_POSTED, Sight(is_listed=False), False),
        (PERHAPS_POSTED, Sight(is_listed=False, is_in_history=True), True),
        (PERHAPS_POSTED, Sight(is_listed=False, absent_s=59.0), False),
        (PERHAPS_POSTED, Sight(is_listed=False, absent_s=61.0), True),
    ],
)
def test_a_prompt_has_ended_when_it_was_there_and_is_gone_or_can_no_longer_arrive(
    unwanted: Unwanted, sight: Sight, ended: bool
) -> None:
    assert has_ended(unwanted, sight, POLICY) is ended


def test_a_peer_is_asked_soon_at_first_and_then_now_and_then_for_days() -> None:
    pauses = [pause_s(looks, POLICY) for looks in range(40)]
    assert pauses[:3] == [0.1, 0.2, 0.4] and pauses[-1] == 5.0
    assert not is_too_old(POSTED, NOW + timedelta(days=1), POLICY)
    assert is_too_old(POSTED, NOW + timedelta(days=8), POLICY)


class Deaf:
    """A peer that does not answer, and whose question swallows a cancellation, as Python 3.11 may."""

    client_id = "c"
    cuts = 0

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    def __call__(self, config: BackendConfig) -> Any:
        return self

    def events(self, config: BackendConfig) -> Any:
        return self

    async def queued(self, asked_by: Collection[str]) -> tuple[()]:
        self.asked.set()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return ()


class Nobody:
    """Wants nothing."""

    def may_want(self, prompt_id: str) -> bool:
        return False

    def takes(self, prompt_id: str, has_begun: bool) -> bool:
        return False


class Forgetful:
    """A journal that keeps nothing."""

    def __getattr__(self, name: str) -> Any:
        async def nothing(*_: Any) -> tuple[()]:
            return ()

        return nothing


async def test_closing_ends_also_where_a_cancellation_gets_lost() -> None:
    manager, deaf = BackendManager(), Deaf()
    manager.register(BackendConfig("gpu", host="gpu"))
    withdrawals = Withdrawals(manager, deaf, Forgetful(), SentPrompts(), Nobody(), POLICY)  # type: ignore[arg-type]
    await withdrawals.withdraw(PERHAPS_POSTED)
    await asyncio.wait_for(deaf.asked.wait(), 10)
    closing = asyncio.create_task(withdrawals.aclose())
    done, _ = await asyncio.wait({closing}, timeout=10)
    assert done == {closing}
