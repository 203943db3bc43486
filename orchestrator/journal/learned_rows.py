"""What was learned of peers, as rows of the journal, and back: for the store alone."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence

import sqlalchemy as sa

from ..core.engine.estimates.learned import LearnedRow
from .schema import LEARNED

log = logging.getLogger(__name__)

_KEY = (LEARNED.c.topic, LEARNED.c.peer, LEARNED.c.name)
_DELETE = LEARNED.delete().where(
    LEARNED.c.topic == sa.bindparam("a_topic"),
    LEARNED.c.peer == sa.bindparam("a_peer"),
    LEARNED.c.name == sa.bindparam("a_name"),
)


def load(db: sa.Connection) -> tuple[LearnedRow, ...]:
    """All rows; one that makes no sense is left out."""
    found = []
    # As text: one row that is no JSON must not hide all others.
    query = sa.select(*_KEY, sa.type_coerce(LEARNED.c.numbers, sa.Text), LEARNED.c.note)
    for topic, peer, name, numbers, note in db.execute(query).all():
        try:
            found.append(LearnedRow(topic, peer, name, tuple(map(float, json.loads(numbers))), note))
        except (ValueError, TypeError, OverflowError, RecursionError) as exc:
            log.warning("What was learned as %s of %s cannot be read and is left out: %s", topic, name, exc)
    return tuple(found)


def save(db: sa.Connection, rows: Sequence[LearnedRow]) -> None:
    """New ones, and others in place of those of the same key; those without values are no more."""
    gone = [{"a_topic": row.topic, "a_peer": row.peer, "a_name": row.name} for row in rows]
    kept = [
        {
            "topic": row.topic,
            "peer": row.peer,
            "name": row.name,
            "numbers": list(row.values),
            "note": row.note,
        }
        for row in rows
        if row.values
    ]
    for statement, about in ((_DELETE, gone), (LEARNED.insert(), kept)):
        if about:  # without it the statement would still be executed once
            db.execute(statement, about)


def replace(db: sa.Connection, rows: Sequence[LearnedRow]) -> None:
    """These and no others."""
    db.execute(LEARNED.delete())
    save(db, rows)
