"""Names under which the master's page is opened: the user accepts those that were refused."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ...core.models.settings import Settings
from ...runtime import Runtime
from ..doors.guard import Guard
from ..doors.refused_names import RefusedName
from ..page.page_events import PageEvent
from ..sanitise import sanitise
from .answers import AddressesView, RefusedNameView


class Addresses:
    """`send(event, data)` tells all pages: those that ask under a name that is ours."""

    def __init__(self, runtime: Runtime, guard: Guard, send: Callable[[str, Any], None]) -> None:
        self._runtime = runtime
        self._guard = guard
        self._send = send
        self._told: tuple[str, ...] = ()
        guard.expect_accepted()

    def start(self) -> None:
        """Once the settings are read."""
        self._apply(self._runtime.settings)
        self._runtime.on_settings(self._apply)
        self._guard.refused.subscribe(self._tell)

    def _apply(self, settings: Settings) -> None:
        self._guard.accept(settings.accepted_hosts)
        if settings.accepted_hosts != self._told:
            self._told = settings.accepted_hosts
            self._tell()

    def _tell(self) -> None:
        view = addresses_view(self._runtime.settings.accepted_hosts, self._guard.refused.listed())
        self._send(PageEvent.ADDRESSES, sanitise(view))


def addresses_view(accepted: Iterable[str], refused: Iterable[RefusedName]) -> AddressesView:
    """As in GET /orchestrator/addresses."""
    listed: list[RefusedNameView] = [
        {"name": each.name, "last_at": each.last_at.isoformat(), "times": each.times} for each in refused
    ]
    return {"accepted": list(accepted), "refused": listed}
