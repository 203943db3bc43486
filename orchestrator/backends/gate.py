"""When the next request to one peer may be sent: at once, until it or a proxy before it asks for less."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from time import monotonic
from typing import TypeVar

from ..clock import utc_now
from ..errors import PeerBusyError, PeerRefusedError

TOO_MANY, UNAVAILABLE = 429, 503
RETRY_AFTER_MAX_S = 300.0
UNTOLD_S = 1.0  #: how long nothing is sent where the answer does not say
SPACING_FIRST_S, SPACING_MAX_S = 0.25, 5.0
UNTOLD_SPACING_MAX_S = 1.0  #: where the answer may as well mean that nobody is there
UNTOLD_PATIENCE_S = 30.0
RELAX_EVERY_S = 20.0  #: without a refusal for this long, requests may follow each other sooner
RELAX_BY = 0.8

T = TypeVar("T")


def retry_after_s(status: int, headers: Mapping[str, str], now: datetime) -> float | None:
    """How long the answer asks us to wait, None where it does not ask for it. 0 where it says no time.

    ``Retry-After`` is in seconds or a date (RFC 9110).
    """
    told = headers.get("Retry-After", "").strip()
    if status != TOO_MANY and not (status == UNAVAILABLE and told):
        return None
    try:
        wait_s = float(told) if told.replace(".", "", 1).isdigit() else _until(told, now)
    except (ValueError, OverflowError):
        return 0.0
    return min(max(wait_s, 0.0), RETRY_AFTER_MAX_S)


def _until(told: str, now: datetime) -> float:
    moment = parsedate_to_datetime(told) if told else now
    return ((moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)) - now).total_seconds()


class Gate:
    """Every request to a peer passes here first. Belongs to one event loop."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._opens_at_s = 0.0
        self._spacing_s = 0.0
        self._last_at_s = 0.0
        self._refused_at_s = 0.0

    async def enter(self) -> float:
        """Wait for the turn of a request; return when it is sent, on the monotonic clock."""
        if not self._spacing_s:
            return monotonic()
        async with self._turn:
            while (wait_s := self._due_at_s() - monotonic()) > 0:  # noqa: ASYNC110  a refusal may put it off meanwhile
                await asyncio.sleep(wait_s)
            self._last_at_s = monotonic()
            return self._last_at_s

    def _due_at_s(self) -> float:
        return max(self._opens_at_s, self._last_at_s + self._spacing_s)

    def note(self, sent_at_s: float, status: int, headers: Mapping[str, str]) -> None:
        """Take in how a request was answered."""
        if status not in (TOO_MANY, UNAVAILABLE):
            if self._spacing_s:
                self._relax(monotonic())
            return
        now_s = monotonic()
        wait_s = retry_after_s(status, headers, utc_now())
        self._opens_at_s = max(self._opens_at_s, now_s + (wait_s or UNTOLD_S))
        if sent_at_s >= self._refused_at_s:  # several that were under way are one refusal
            most_s = UNTOLD_SPACING_MAX_S if wait_s is None else SPACING_MAX_S
            self._spacing_s = max(min(self._spacing_s * 2 or SPACING_FIRST_S, most_s), self._spacing_s)
            self._refused_at_s = now_s

    def _relax(self, now_s: float) -> None:
        if now_s - self._refused_at_s > RELAX_EVERY_S:
            self._refused_at_s = now_s
            self._spacing_s *= RELAX_BY
            if self._spacing_s < SPACING_FIRST_S / 2:
                self._spacing_s = 0.0


async def when_let(
    ask: Callable[[], Awaitable[T]], patience_s: float, untold_s: float = UNTOLD_PATIENCE_S
) -> T:
    """The answer of `ask`, which is asked again as long as the peer only wants to be asked later. A 503 that
    does not say so, as nginx gives above its limit of requests, is believed to mean it for `untold_s`.

    Raises:
        PeerRefusedError: it still does.
    """
    clock = asyncio.get_running_loop().time
    began_s = clock()
    while True:
        try:
            return await ask()
        except PeerRefusedError as exc:  # its gate lets the next one wait
            is_told = isinstance(exc, PeerBusyError)
            patience = patience_s if is_told else min(untold_s, patience_s)
            if not (is_told or exc.status == UNAVAILABLE) or clock() - began_s >= patience:
                raise
