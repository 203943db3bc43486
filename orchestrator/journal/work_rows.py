"""What peers did, from the rows of their attempts: for the store alone."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from ..core.models.peer_work import Turn
from .schema import ATTEMPTS

_COUNTED = sa.select(*(ATTEMPTS.c[name] for name in ("backend_id", "outcome", "begun_at", "ended_at")))


def load(db: sa.Connection, since: datetime) -> tuple[Turn, ...]:
    """The attempts that ended since then: few columns, for a day may have thousands."""
    return tuple(Turn(*row) for row in db.execute(_COUNTED.where(ATTEMPTS.c.ended_at >= since)))
