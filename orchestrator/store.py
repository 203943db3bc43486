"""The journal on disk: peers as their owner wishes them, and every job with its attempts and outputs.

All SQL of the project is here, in SQLAlchemy Core; what only SQLite has is in ``_connect_sqlite``. One thread
owns the connection: writes happen in the order of the calls, and none on an event loop.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import DatabaseError, DBAPIError, SQLAlchemyError, StatementError

from .core.models.backend import BackendConfig
from .core.models.job import Attempt, Job, JobState, OutputFile
from .core.models.request_record import request_of, request_record
from .damaged import move_aside
from .errors import OrchestratorError, StoreError

log = logging.getLogger(__name__)

T = TypeVar("T")
BUSY_TIMEOUT_S = 5.0
BATCH = 500  #: rows asked for by id at once; SQLite's limit on parameters is above it everywhere
_FINAL = tuple(state.value for state in JobState if state.is_final)
_UNHOLDABLE = {0: "\ufffd"} | dict.fromkeys(range(0xD800, 0xE000), "\ufffd")


class _Words(sa.types.TypeDecorator[str]):
    """Text, some of it a peer's: what no database can hold (NUL, half a surrogate pair) becomes U+FFFD."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:
        return None if value is None else value.translate(_UNHOLDABLE)


class _Json(sa.types.TypeDecorator[Any]):
    """JSON as Python writes it: integers of any size and NaN survive, other objects become their text."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> str | None:
        return None if value is None else json.dumps(value, separators=(",", ":"), default=str)

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> Any:
        return None if value is None else json.loads(value)


class _Moment(sa.types.TypeDecorator[datetime]):
    """A moment with a time zone; kept as UTC in ISO 8601 of one width, which sorts as text."""

    impl = sa.String
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> str | None:
        return None if value is None else value.astimezone(timezone.utc).isoformat(timespec="microseconds")

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> datetime | None:
        return None if value is None else datetime.fromisoformat(value)


def _owner() -> sa.Column[str]:
    return sa.Column("job_id", sa.String, sa.ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)


_TABLES = sa.MetaData()
_META = sa.Table(
    "meta", _TABLES, sa.Column("key", sa.Text, primary_key=True), sa.Column("value", sa.Text, nullable=False)
)
_PEERS = sa.Table(
    "peers",
    _TABLES,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("id", sa.String, nullable=False, unique=True),
    sa.Column("name", _Words, nullable=False),
    sa.Column("url", _Words, nullable=False),
    sa.Column("enabled", sa.Boolean, nullable=False),
    sa.Column("draining", sa.Boolean, nullable=False),
    sa.Column("tags", _Json, nullable=False),
)
_JOBS = sa.Table(
    "jobs",
    _TABLES,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("id", sa.String, nullable=False, unique=True),
    sa.Column("state", sa.String, nullable=False, index=True),
    sa.Column("backend_id", sa.String, nullable=False),
    sa.Column("texts", _Json, nullable=False),
    sa.Column("result_type", _Words, nullable=False),
    sa.Column("error", _Json),
    sa.Column("explanation", _Words, nullable=False),
    sa.Column("progress", sa.Float, nullable=False),
    sa.Column("progress_text", _Words, nullable=False),
    sa.Column("created_at", _Moment, nullable=False, index=True),
    sa.Column("started_at", _Moment),
    sa.Column("ended_at", _Moment),
)
# Apart from its job: a request can be megabytes, and changing a row means writing all of it again.
_REQUESTS = sa.Table("requests", _TABLES, _owner(), sa.Column("body", _Json, nullable=False))
_ATTEMPTS = sa.Table(
    "attempts",
    _TABLES,
    _owner(),
    sa.Column("position", sa.Integer, primary_key=True),
    sa.Column("prompt_id", sa.String, nullable=False),
    sa.Column("backend_id", sa.String, nullable=False),
    sa.Column("started_at", _Moment, nullable=False),
    sa.Column("ended_at", _Moment),
    sa.Column("outcome", sa.String, nullable=False),
    sa.Column("reason", _Words, nullable=False),
)
_OUTPUTS = sa.Table(
    "outputs",
    _TABLES,
    _owner(),
    sa.Column("position", sa.Integer, primary_key=True),
    sa.Column("node_id", _Words, nullable=False),
    sa.Column("path", _Words, nullable=False),
    sa.Column("filename", _Words, nullable=False),
    sa.Column("subfolder", _Words, nullable=False),
    sa.Column("type", _Words, nullable=False),
)

Step = Callable[[sa.Connection], None]
# Step n turns schema n + 1 into n + 2. A step spells its SQL out: the tables above will have moved on.
_STEPS: tuple[Step, ...] = ()


class Store:
    """Peers and jobs that survive a restart. Every method may raise StoreError.

    ``notice`` is a sentence for the user when the file on disk was damaged and a new one was begun.
    """

    def __init__(
        self, path: Path, *, busy_timeout_s: float = BUSY_TIMEOUT_S, steps: Sequence[Step] = _STEPS
    ) -> None:
        self._path = path
        self._connect = partial(_connect_sqlite, path, busy_timeout_s, steps)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="remote-dispatch store")
        self._connection: sa.Connection | None = None
        self.notice = ""

    async def open(self) -> None:
        """Open the file, or make it. A damaged one is kept under another name, never a reason not to start.

        Raises:
            StoreError: the folder cannot be used, or a newer Remote Dispatch wrote the file.
        """
        await self._on_thread(self._open)

    async def aclose(self) -> None:
        """Finish what was asked before, then close. May be called twice, or without ``open``."""
        if self._connection is not None:
            await self._on_thread(self._close)
        self._thread.shutdown(wait=False)

    async def load_peers(self) -> tuple[BackendConfig, ...]:
        """All peers in the order they were added. Whether one has credentials is for Secrets to say."""
        return await self._transaction(_load_peers)

    async def save_peer(self, config: BackendConfig) -> None:
        values = {key: getattr(config, key) for key in _PEER_COLUMNS}
        await self._transaction(lambda db: _put(db, _PEERS, values))

    async def delete_peer(self, backend_id: str) -> None:
        await self._transaction(lambda db: db.execute(_PEERS.delete().where(_PEERS.c.id == backend_id)))

    async def save_job(self, job: Job) -> None:
        """Write the job with its attempts and outputs, all or nothing; on disk when this returns.

        The request is written at the first save of a job only: it never changes.
        """
        await self._transaction(lambda db: _save_job(db, job))

    async def load_job(self, job_id: str) -> Job | None:
        return next(iter(await self._transaction(lambda db: _load_jobs(db, _JOBS.c.id == job_id, 1))), None)

    async def load_jobs(
        self, *, states: Collection[JobState] | None = None, limit: int = 200
    ) -> tuple[Job, ...]:
        """The newest jobs first, of these states or of all."""
        wanted = sa.true() if states is None else _JOBS.c.state.in_([state.value for state in states])
        return await self._transaction(lambda db: _load_jobs(db, wanted, limit))

    async def prune(self, *, keep: int, before: datetime) -> int:
        """Forget finished jobs that ended before this moment, but not the newest ``keep``; says how many."""
        final = _JOBS.c.state.in_(_FINAL)
        newest = sa.select(_JOBS.c.id).where(final).order_by(*_NEWEST_FIRST).limit(keep)
        ended_at = sa.func.coalesce(_JOBS.c.ended_at, _JOBS.c.created_at, type_=_Moment)
        old = _JOBS.delete().where(final, ended_at < before, _JOBS.c.id.not_in(newest))
        return await self._transaction(lambda db: int(db.execute(old).rowcount))

    async def _transaction(self, work: Callable[[sa.Connection], T]) -> T:
        def run() -> T:
            if self._connection is None:
                raise StoreError("The journal is not open. Restart ComfyUI.")
            with self._connection.begin():
                return work(self._connection)

        return await self._on_thread(run)

    async def _on_thread(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except OrchestratorError:
            raise
        except (SQLAlchemyError, OSError, TypeError, ValueError, RuntimeError) as exc:
            raise _translated(exc, self._path) from exc

    def _open(self) -> None:
        if self._connection is not None:
            return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._connection = self._connect()
        except DatabaseError as exc:
            if not _means_damage(exc):
                raise
            aside = move_aside(self._path, companions=("-wal", "-shm"))
            self.notice = (
                f"The journal of Remote Dispatch was damaged ({exc.orig}), so a new one was begun: "
                f"add your peers again. The old file is {aside}."
            )
            log.warning("%s", self.notice)
            self._connection = self._connect()

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
            connection.engine.dispose()


_PEER_COLUMNS, _JOB_COLUMNS = (tuple(c.name for c in t.c if c.name != "number") for t in (_PEERS, _JOBS))
_NEWEST_FIRST = (_JOBS.c.created_at.desc(), _JOBS.c.number.desc())


def upgrade(db: sa.Connection, steps: Sequence[Step] = _STEPS) -> None:
    """Bring the tables to the schema this code knows, which has the number ``len(steps) + 1``.

    A new file gets the newest tables at once, an older one goes through each step it lacks, in the caller's
    transaction.

    Raises:
        StoreError: a newer Remote Dispatch wrote the file.
    """
    newest = len(steps) + 1
    _META.create(db, checkfirst=True)
    version = int(db.scalar(sa.select(_META.c.value).where(_META.c.key == "schema")) or 0)
    if version > newest:
        raise StoreError(
            f"A newer Remote Dispatch wrote the journal (schema {version}, this one knows {newest}). "
            "Update Remote Dispatch, or move the file away to begin a new one."
        )
    if version == 0:
        _TABLES.create_all(db)
        db.execute(_META.insert().values(key="schema", value=str(newest)))
        return
    for step in steps[version - 1 :]:
        step(db)
    db.execute(_META.update().where(_META.c.key == "schema").values(value=str(newest)))


def _connect_sqlite(path: Path, timeout_s: float, steps: Sequence[Step]) -> sa.Connection:
    """A connection that is durable at each commit and was seen to be whole."""
    url = sa.URL.create("sqlite", database=str(path))
    engine = sa.create_engine(url, connect_args={"timeout": timeout_s}, hide_parameters=True)

    @sa.event.listens_for(engine, "connect")
    def prepare(raw: sqlite3.Connection, record: object) -> None:
        raw.text_factory = lambda text: text.decode("utf-8", "replace")
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            raw.execute(f"PRAGMA {pragma}").close()

    @sa.event.listens_for(engine, "begin")
    def begin(db: sa.Connection) -> None:  # the driver's own leaves CREATE TABLE outside
        db.exec_driver_sql("BEGIN IMMEDIATE")

    connection = None
    try:
        connection = engine.connect()
        with connection.begin():
            finding = str(connection.exec_driver_sql("PRAGMA quick_check(1)").scalar())
            if finding != "ok":
                raise DatabaseError(None, None, sqlite3.DatabaseError(finding))
            upgrade(connection, steps)
    except BaseException:
        if connection is not None:
            connection.close()
        engine.dispose()
        raise
    return connection


def _translated(exc: Exception, path: Path) -> StoreError:
    cause = getattr(exc, "orig", None) or exc
    unfit = isinstance(exc, StatementError) and not isinstance(exc, DBAPIError)
    if unfit or not isinstance(exc, (SQLAlchemyError, OSError)):
        return StoreError(f"This cannot be kept in the journal {path}: {cause}. Please report it.")
    advice = "Check that the disk has room and the folder is writable, then restart ComfyUI."
    return StoreError(f"The journal {path} cannot be read or written: {cause}. {advice}")


def _means_damage(exc: DatabaseError) -> bool:
    """Of sqlite3's errors the bare DatabaseError says "malformed" or "not a database"; its children say
    "locked", "no space", "no permission"."""
    return type(exc.orig) is sqlite3.DatabaseError


def _put(db: sa.Connection, table: sa.Table, values: Mapping[str, Any]) -> bool:
    """Update the row of this id, or insert it; True when it is new."""
    is_new = db.execute(table.update().where(table.c.id == values["id"]), values).rowcount == 0
    if is_new:
        db.execute(table.insert(), values)
    return is_new


def _readable(ids: Sequence[str], read: Callable[[Sequence[str]], tuple[T, ...]]) -> tuple[T, ...]:
    """What `read` makes of these rows. One that makes no sense (a flipped bit, an edit by hand) must not hide
    all others, so it is looked for by halving, and left out."""
    if len(ids) <= BATCH:
        try:
            return read(ids)
        except (ValueError, TypeError, KeyError) as exc:
            if len(ids) == 1:
                log.warning("The journal's record of %s cannot be read and is left out: %s", ids[0], exc)
                return ()
    half = len(ids) // 2
    return (*_readable(ids[:half], read), *_readable(ids[half:], read))


def _load_peers(db: sa.Connection) -> tuple[BackendConfig, ...]:
    def read(some: Sequence[str]) -> tuple[BackendConfig, ...]:
        rows = db.execute(_PEERS.select().where(_PEERS.c.id.in_(some)).order_by(_PEERS.c.number)).mappings()
        return tuple(BackendConfig(**{key: row[key] for key in _PEER_COLUMNS}) for row in rows)

    return _readable(db.scalars(sa.select(_PEERS.c.id).order_by(_PEERS.c.number)).all(), read)


def _load_jobs(db: sa.Connection, wanted: sa.ColumnElement[bool], limit: int) -> tuple[Job, ...]:
    def read(some: Sequence[str]) -> tuple[Job, ...]:
        attempts, outputs = _parts(db, _ATTEMPTS, some, Attempt), _parts(db, _OUTPUTS, some, OutputFile)
        query = sa.select(_JOBS, _REQUESTS.c.body).join(_REQUESTS).where(_JOBS.c.id.in_(some))
        return tuple(
            _job_from(row, tuple(attempts.get(row["id"], ())), tuple(outputs.get(row["id"], ())))
            for row in db.execute(query.order_by(*_NEWEST_FIRST)).mappings()
        )

    chosen = sa.select(_JOBS.c.id).where(wanted).order_by(*_NEWEST_FIRST).limit(limit)
    return _readable(db.scalars(chosen).all(), read)


def _parts(
    db: sa.Connection, table: sa.Table, job_ids: Sequence[str], make: Callable[..., T]
) -> dict[str, list[T]]:
    query = table.select().where(table.c.job_id.in_(job_ids)).order_by(table.c.position)
    found: dict[str, list[T]] = {}
    for row in db.execute(query).mappings():
        values = {key: value for key, value in row.items() if key not in ("job_id", "position")}
        found.setdefault(row["job_id"], []).append(make(**values))
    return found


def _save_job(db: sa.Connection, job: Job) -> None:
    values = {key: getattr(job, key) for key in _JOB_COLUMNS}
    values["state"] = job.state.value
    values["error"] = None if job.error is None else dict(job.error)
    if _put(db, _JOBS, values):
        db.execute(_REQUESTS.insert(), {"job_id": job.id, "body": request_record(job.request)})
    _put_parts(db, _ATTEMPTS, job.id, job.attempts)
    _put_parts(db, _OUTPUTS, job.id, job.outputs)


def _put_parts(db: sa.Connection, table: sa.Table, job: str, parts: Sequence[Attempt | OutputFile]) -> None:
    db.execute(table.delete().where(table.c.job_id == job))
    if parts:
        db.execute(table.insert(), [{"job_id": job, "position": i, **vars(p)} for i, p in enumerate(parts)])


def _job_from(row: Any, attempts: tuple[Attempt, ...], outputs: tuple[OutputFile, ...]) -> Job:
    values = {key: row[key] for key in _JOB_COLUMNS}
    values.update(state=JobState(row["state"]), texts=tuple(row["texts"]))
    return Job(request=request_of(row["body"]), attempts=attempts, outputs=outputs, **values)
