"""The time of day, as records and the journal have it. What only measures uses the event loop's clock."""

from __future__ import annotations

from datetime import datetime, timezone


def utc_now() -> datetime:
    return datetime.now(timezone.utc)
