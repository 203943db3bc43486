"""When, and for which jobs, its owner lets a peer be used."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ...errors import ConfigError

MINUTES_A_DAY = 24 * 60
_SPAN = re.compile(r"\s*(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})\s*")


@dataclass(frozen=True)
class PeerRules:
    """``exclusive``: it takes only jobs that name it, or one of its tags. ``only_idle``: it takes a job only
    while nobody else's prompt is there. ``hours``: spans of minutes of the day at its place, from and until;
    one that ends before it begins goes over midnight. None at all: always.
    """

    exclusive: bool = False
    only_idle: bool = False
    hours: tuple[tuple[int, int], ...] = ()

    def is_open_at(self, minute: int) -> bool:
        """Whether a job may begin there at this minute of the day."""
        return not self.hours or any(
            start <= minute < end if start < end else minute >= start or minute < end
            for start, end in self.hours
        )


def parse_hours(text: str) -> tuple[tuple[int, int], ...]:
    """Read "22:00-07:00, 12:30-13:30"; nothing means always.

    Raises:
        ConfigError: it is not of this form.
    """
    spans = []
    for part in filter(str.strip, text.split(",")):
        match = _SPAN.fullmatch(part)
        numbers = [int(number) for number in match.groups()] if match else []
        if not match or numbers[1] > 59 or numbers[3] > 59 or numbers[0] > 23 or numbers[2] > 24:
            message = f"{part.strip()!r} is no span of hours. Write them like 22:00-07:00."
            raise ConfigError(message, field="hours")
        start, end = numbers[0] * 60 + numbers[1], numbers[2] * 60 + numbers[3]
        spans.append((start, min(end, MINUTES_A_DAY)))
    return tuple(spans)
