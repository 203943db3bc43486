"""Names under which somebody lately opened this ComfyUI and was refused, for its user to accept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from ...clock import utc_now
from ...core.models.host_names import HostName
from ...signals import Signal

KEPT = 8  #: a hostile page can invent any number of them
NAME_MAX = 253  #: characters of a host name, by its standard


@dataclass(frozen=True)
class RefusedName:
    """``name`` is as it goes into the list of accepted addresses; ``times``: how often it was refused."""

    name: str
    last_at: datetime
    times: int = 1


class RefusedNames:
    """The newest names, the last first."""

    def __init__(self) -> None:
        self._names: dict[str, RefusedName] = {}
        self._news = Signal[[]]("refused names")

    def subscribe(self, callback: Callable[[], object]) -> Callable[[], None]:
        """Hear of each name that was not among them; returns its undo."""
        return self._news.subscribe(callback)

    def note(self, place: HostName) -> None:
        name, now = str(place), utc_now()
        if len(place.name) > NAME_MAX:
            return
        known = self._names.pop(name, None)
        self._names[name] = RefusedName(name, now, known.times + 1 if known else 1)
        if len(self._names) > KEPT:
            del self._names[next(iter(self._names))]
        if known is None:
            self._news.tell()

    def drop(self, is_ours: Callable[[str], bool]) -> None:
        """Forget those that are accepted by now."""
        self._names = {name: known for name, known in self._names.items() if not is_ours(name)}

    def listed(self) -> tuple[RefusedName, ...]:
        return tuple(reversed(self._names.values()))
