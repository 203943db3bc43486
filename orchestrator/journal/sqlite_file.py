"""The journal as an SQLite file: opened durably, checked, and read as far as it goes when it is damaged."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import DatabaseError, IntegrityError

from .schema import (
    ATTEMPTS,
    GRAPHS,
    INPUTS,
    JOBS,
    LEARNED,
    META,
    OUTPUTS,
    PEERS,
    PLACES,
    REQUESTS,
    UNWANTED,
    Step,
    upgrade,
)

COMPANIONS = ("-wal", "-shm")
CHANGES = "changes"  #: key of the table meta: how many there were
_OF_JOBS = (ATTEMPTS, INPUTS, OUTPUTS, PLACES)
_ROWS_MAX = 1 << 40  #: numbers of rows end before this


@dataclass(frozen=True)
class Rescued:
    """How many came over from a damaged file."""

    peers: int = 0
    jobs: int = 0


def connect(path: Path | None, timeout_s: float, steps: Sequence[Step]) -> sa.Connection:
    """A connection that is durable at each commit and was seen to be whole; in memory for None.

    Raises:
        DatabaseError: see ``means_damage``. StoreError: see ``upgrade``.
    """
    url = sa.URL.create("sqlite", database=None if path is None else str(path))
    connection = _connected(sa.create_engine(url, connect_args={"timeout": timeout_s}, hide_parameters=True))
    try:
        with connection.begin():
            finding = str(connection.exec_driver_sql("PRAGMA quick_check(1)").scalar())
            if finding != "ok":
                raise DatabaseError(None, None, sqlite3.DatabaseError(finding))
            upgrade(connection, steps)
    except BaseException:
        disconnect(connection)
        raise
    return connection


def changes_in(path: Path) -> int:
    """How many changes a journal has had, as far as it can be read; 0 for one that was not counted yet. The
    file stays as it is.

    Raises:
        DatabaseError
    """
    with contextlib.closing(_readable(path)) as raw:
        try:
            found = raw.execute("SELECT value FROM meta WHERE key = ?", (CHANGES,)).fetchone()
        except sqlite3.Error as exc:
            if "no such table" in str(exc):
                return 0  # it was made, and nothing written
            raise DatabaseError(None, None, exc) from exc
    return int(found[0]) if found and str(found[0]).isdigit() else 0


def changes_of(db: sa.Connection) -> int:
    """The same of an open journal."""
    found = str(db.scalar(sa.select(META.c.value).where(META.c.key == CHANGES)) or "")
    return int(found) if found.isdigit() else 0


def count_changes(db: sa.Connection, changes: int) -> None:
    """Within the transaction that makes them."""
    # Two of these for each job: as plain SQL it takes a third of the time.
    counted = db.exec_driver_sql("UPDATE meta SET value = ? WHERE key = ?", (str(changes), CHANGES))
    if counted.rowcount == 0:
        db.execute(META.insert(), {"key": CHANGES, "value": str(changes)})


def rows_changed(db: sa.Connection) -> int:
    """How many this connection has changed so far."""
    raw = db.connection.dbapi_connection
    return raw.total_changes if isinstance(raw, sqlite3.Connection) else 0


def checkpoint(db: sa.Connection) -> None:
    """Bring everything into the file itself: until the next change it is all there is to the journal."""
    db.connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").close()


def disconnect(connection: sa.Connection) -> None:
    connection.close()
    connection.engine.dispose()


def _connected(engine: sa.Engine) -> sa.Connection:
    @sa.event.listens_for(engine, "connect")
    def prepare(raw: sqlite3.Connection, record: object) -> None:
        raw.text_factory = _text
        try:
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
                raw.execute(f"PRAGMA {pragma}").close()
        except sqlite3.Error:
            raw.close()  # on Windows a file that is open cannot be moved aside
            raise

    @sa.event.listens_for(engine, "begin")
    def begin(db: sa.Connection) -> None:  # the driver's own leaves CREATE TABLE outside
        db.exec_driver_sql("BEGIN IMMEDIATE")

    try:
        return engine.connect()
    except BaseException:
        engine.dispose()
        raise


def means_damage(exc: Exception) -> bool:
    """Of sqlite3's errors the bare DatabaseError says "malformed" or "not a database"; its children say
    "locked", "no space", "no permission"."""
    return isinstance(exc, DatabaseError) and type(exc.orig) is sqlite3.DatabaseError


def rescue(damaged: Path, db: sa.Connection) -> Rescued:
    """Copy what can be read of a damaged file, or of one that another process uses, into new tables.

    The file stays as it is. A job comes over with its request only; one whose attempts are lost waits again.
    """
    with contextlib.closing(_readable(damaged)) as raw:
        for table in (
            META,
            PEERS,
            JOBS,
            GRAPHS,
            REQUESTS,
            ATTEMPTS,
            INPUTS,
            OUTPUTS,
            PLACES,
            LEARNED,
            UNWANTED,
        ):
            _copy(raw, table, db)
    _drop_what_makes_no_sense(db)
    return Rescued(*(int(db.scalar(sa.select(sa.func.count()).select_from(t)) or 0) for t in (PEERS, JOBS)))


def copy_wishes(path: Path, db: sa.Connection) -> None:
    """Copy peers and settings of a file that another process uses."""
    with contextlib.closing(_readable(path)) as raw:
        for table in (META, PEERS):
            _copy(raw, table, db)


def _readable(path: Path) -> sqlite3.Connection:
    try:
        raw = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    except sqlite3.Error as exc:
        raise DatabaseError(None, None, exc) from exc
    raw.text_factory = _text
    # Without it a file that is shorter than it says is refused as a whole.
    with contextlib.suppress(sqlite3.Error):
        raw.execute("PRAGMA writable_schema=ON").close()
    return raw


def _copy(raw: sqlite3.Connection, table: sa.Table, db: sa.Connection) -> None:
    known = {column.name for column in table.columns}
    for row in _rows(raw, table.name):
        kept = {name: row[name] for name in row.keys() if name in known}  # noqa: SIM118
        names = ", ".join(kept)
        places = ", ".join("?" * len(kept))
        # A row that the new tables do not allow was not written by us.
        with contextlib.suppress(IntegrityError):
            insert = f"INSERT OR IGNORE INTO {table.name} ({names}) VALUES ({places})"  # noqa: S608
            db.exec_driver_sql(insert, tuple(kept.values()))


def _rows(raw: sqlite3.Connection, table: str) -> Iterator[sqlite3.Row]:
    """All rows that can be read. Over a damaged stretch it jumps, further each time."""
    after, step = -1, 1
    while after < _ROWS_MAX:
        try:
            # The tables' names are our own.
            query = f"SELECT rowid AS at_row, * FROM {table} WHERE rowid > ? ORDER BY rowid"  # noqa: S608 # nosec B608
            cursor = raw.execute(query, (after,))
            cursor.row_factory = sqlite3.Row
            for row in cursor:
                after, step = row["at_row"], 1
                yield row
            return
        except sqlite3.Error:
            after, step = after + step, step * 2


def _drop_what_makes_no_sense(db: sa.Connection) -> None:
    db.execute(JOBS.delete().where(JOBS.c.id.not_in(sa.select(REQUESTS.c.job_id))))
    lost = JOBS.c.id.not_in(sa.select(ATTEMPTS.c.job_id))
    db.execute(JOBS.update().where(JOBS.c.state == "running", lost).values(state="waiting", backend_id=""))


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
