"""The journal on disk: peers as their owner wishes them, and every job with its attempts and outputs.

All SQL of the project is here and in ``job_rows``, in SQLAlchemy Core over the tables of ``schema``; what
only SQLite has is in ``sqlite_file``. One thread owns the connection: writes happen in the order of the
calls, and none on an event loop.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
import uuid
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from ..core.engine.estimates.learned import LearnedRow
from ..core.engine.faults.withdrawal import Unwanted
from ..core.models.backend import BackendConfig
from ..core.models.job import Job, JobState, Rank
from ..core.models.peer_work import Turn
from ..errors import OrchestratorError, StoreError
from . import graph_rows, job_rows, learned_rows, work_rows
from .copies import JournalCopies
from .counts import JournalCount
from .job_rows import BATCH, load_jobs
from .opening import JournalOpening
from .process_lock import OneProcess
from .quiet_timer import QuietTimer
from .schema import JOBS, META, PEERS, STEPS, UNWANTED, Moment, Step
from .sqlite_file import (
    changes_of,
    checkpoint,
    connect,
    copy_wishes,
    count_changes,
    disconnect,
    means_damage,
    rows_changed,
)
from .writer import RETRY_S, JobWriter

log = logging.getLogger(__name__)

T = TypeVar("T")
BUSY_TIMEOUT_S = 5.0
IDLE_S = 2.0  #: without a change for this long, all of them go into the file itself
LOCK_WAIT_S = 3.0  #: how long a ComfyUI that is just ending has to let go of the journal
_SETTINGS, _MASTER_ID, _BODY_LIMITS = "preferences", "master_id", "body_limits"  #: keys of the table meta


class Store:
    """Peers and jobs that survive a restart. Every method may raise StoreError.

    ``notice``: for the user, when the file on disk was damaged, or belongs to another process (``is_guest``);
    what is saved here then lives in memory, and ends with this process.
    """

    def __init__(
        self,
        path: Path,
        *,
        busy_timeout_s: float = BUSY_TIMEOUT_S,
        lock_wait_s: float = LOCK_WAIT_S,
        retry_s: float = RETRY_S,
        idle_s: float = IDLE_S,
        steps: Sequence[Step] = STEPS,
    ) -> None:
        self._path = path
        self._connect = partial(connect, timeout_s=busy_timeout_s, steps=steps)
        self._lock = OneProcess(path.with_suffix(".lock"))
        self._lock_wait_s = lock_wait_s
        self.is_guest = False
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="remote-dispatch store")
        self._connection: sa.Connection | None = None
        self._count, self._changes = JournalCount(path.with_suffix(".count")), 0
        self._quiet = QuietTimer(idle_s, lambda: self._thread.submit(self._checkpoint))
        self._writer = JobWriter(self._save_jobs, retry_s)
        self.notice = ""

    async def open(self) -> None:
        """Open the file, or make it. A damaged one is kept under another name, never a reason not to start.

        Raises:
            StoreError: the folder cannot be used, or a newer Remote Dispatch wrote the file.
        """
        await self._on_thread(self._open)

    async def aclose(self) -> None:
        """Finish what was asked before, then close. May be called twice, or without ``open``."""
        await self._writer.aclose()
        self._quiet.cancel()
        if self._connection is not None:
            await self._on_thread(self._close)
        self._thread.shutdown(wait=False)

    async def load_peers(self) -> tuple[BackendConfig, ...]:
        """All peers in the order they were added. Whether one has credentials is for Secrets to say."""
        return await self._transaction(_load_peers)

    async def save_peer(self, config: BackendConfig) -> None:
        values = {key: getattr(config, key) for key in _PEER_COLUMNS}
        await self._transaction(lambda db: _put_peer(db, values))

    async def delete_peer(self, backend_id: str) -> None:
        await self._transaction(lambda db: db.execute(PEERS.delete().where(PEERS.c.id == backend_id)))

    async def master_id(self) -> str:
        """32 hex digits that are this journal's for life; a guest gets some of its own."""
        if self.is_guest:
            return uuid.uuid4().hex
        return await self._transaction(_master_id)

    async def load_settings(self) -> dict[str, Any]:
        """What ``save_settings`` was given last; empty at first."""
        return await self._record(_SETTINGS)

    async def save_settings(self, record: Mapping[str, Any]) -> None:
        await self._save_record(_SETTINGS, record)

    async def load_body_limits(self) -> dict[str, int]:
        """What ``save_body_limits`` was given last; empty at first."""
        known = await self._record(_BODY_LIMITS)
        return {peer: limit for peer, limit in known.items() if isinstance(limit, int) and limit > 0}

    async def save_body_limits(self, limits: Mapping[str, int]) -> None:
        """The most bytes that peers, by their ids, were found to take in one request."""
        await self._save_record(_BODY_LIMITS, limits)

    async def _record(self, key: str) -> dict[str, Any]:
        where = META.c.key == key
        row = await self._transaction(lambda db: db.execute(sa.select(META.c.value).where(where)).scalar())
        try:
            record = json.loads(row or "{}")
        except ValueError:
            return {}
        return record if isinstance(record, dict) else {}

    async def _save_record(self, key: str, record: Mapping[str, Any]) -> None:
        def save(db: sa.Connection) -> None:
            db.execute(META.delete().where(META.c.key == key))
            db.execute(META.insert(), {"key": key, "value": json.dumps(dict(record))})

        await self._transaction(save)

    async def accept_jobs(self, jobs: Sequence[Job], places: Mapping[str, Rank]) -> None:
        """Write new jobs, and the places in the queue that some of them were given: all, or none.

        A request is written here only: it never changes (see ``save_request``).
        """
        await self._writer.accept(jobs, places)

    async def save_job(self, job: Job) -> None:
        """Write an accepted job with its attempts and outputs, all or nothing; on disk when this returns,
        which is later while the journal cannot be written (see ``trouble``)."""
        await self._writer.save(job)

    async def _save_jobs(self, jobs: Sequence[Job], places: Mapping[str, Rank]) -> None:
        def save(db: sa.Connection) -> None:
            for at in range(0, len(jobs), BATCH):  # of more parameters a database takes none
                job_rows.save_jobs(db, jobs[at : at + BATCH])
            job_rows.save_places(db, places)

        await self._transaction(save)

    def hurry(self) -> None:
        """This process ends: see JobWriter."""
        self._writer.hurry()

    @property
    def trouble(self) -> str:
        """Why accepted jobs wait to be written, in sentences; "" when they do not."""
        return self._writer.trouble

    def on_trouble(self, callback: Callable[[str], None]) -> Callable[[], None]:
        """Let it hear when that changes; returns its undo."""
        return self._writer.troubled.subscribe(callback)

    async def save_request(self, job: Job) -> None:
        """Write what a person changed in the request of a job that waits."""
        await self._transaction(partial(job_rows.save_request, job=job))

    async def save_places(self, places: Mapping[str, Rank]) -> None:
        """Keep the places of waiting jobs that a person, or a wish to be first, gave them."""
        await self._transaction(partial(job_rows.save_places, places=places))

    async def load_places(self) -> dict[str, Rank]:
        """Of the jobs that have not ended."""
        return await self._transaction(job_rows.load_places)

    async def save_unwanted(self, unwanted: Unwanted) -> None:
        """Keep that this prompt is to end on its peer."""
        values = vars(unwanted)

        def save(db: sa.Connection) -> None:
            db.execute(UNWANTED.delete().where(UNWANTED.c.prompt_id == unwanted.prompt_id))
            db.execute(UNWANTED.insert(), values)

        await self._transaction(save)

    async def forget_unwanted(self, prompt_id: str) -> None:
        await self._transaction(
            lambda db: db.execute(UNWANTED.delete().where(UNWANTED.c.prompt_id == prompt_id))
        )

    async def load_unwanted(self) -> tuple[Unwanted, ...]:
        rows = await self._transaction(lambda db: db.execute(UNWANTED.select()).mappings().all())
        return tuple(Unwanted(**row) for row in rows)

    async def load_learned(self) -> tuple[LearnedRow, ...]:
        """What was learned of peers and kinds of work."""
        return await self._transaction(learned_rows.load)

    async def save_learned(self, rows: Sequence[LearnedRow], *, only: bool = False) -> None:
        """Keep what is new or different, drop what has no values; `only`: these, and forget all others."""
        save = learned_rows.replace if only else learned_rows.save
        await self._transaction(partial(save, rows=rows))

    async def load_turns(self, since: datetime) -> tuple[Turn, ...]:
        return await self._transaction(partial(work_rows.load, since=since))

    async def has_job(self, job_id: str) -> bool:
        return await self._transaction(partial(job_rows.has_job, job_id=job_id))

    async def load_job(self, job_id: str) -> Job | None:
        return next(iter(await self._transaction(lambda db: load_jobs(db, JOBS.c.id == job_id, 1))), None)

    async def load_jobs(
        self, *, states: Collection[JobState] | None = None, limit: int = 200
    ) -> tuple[Job, ...]:
        """The newest jobs first, of these states or of all."""
        wanted = sa.true() if states is None else JOBS.c.state.in_([state.value for state in states])
        return await self._transaction(lambda db: load_jobs(db, wanted, limit))

    async def load_jobs_of(self, request_id: str) -> tuple[Job, ...]:
        """The jobs that were asked for under this id of their sender's, in the order of the batch."""
        found = await self._transaction(lambda db: load_jobs(db, JOBS.c.request_id == request_id, BATCH * 2))
        return tuple(sorted(found, key=lambda job: job.request.batch_index))

    async def delivered(self, paths: Sequence[str]) -> frozenset[str]:
        """Those of these paths that are outputs of a job."""
        found = await self._transaction(partial(job_rows.delivered, paths=paths[:BATCH]))
        return found | await self.delivered(paths[BATCH:]) if len(paths) > BATCH else found

    async def prune(self, *, keep: int, before: datetime) -> int:
        """Forget jobs that ended before this moment, and all but the newest `keep`; says how many."""
        final = JOBS.c.state.in_(job_rows.FINAL)
        newest = sa.select(JOBS.c.id).where(final).order_by(*job_rows.NEWEST_FIRST).limit(keep)
        ended_at = sa.func.coalesce(JOBS.c.ended_at, JOBS.c.created_at, type_=Moment)
        old = JOBS.delete().where(final, sa.or_(ended_at < before, JOBS.c.id.not_in(newest)))

        def forget(db: sa.Connection) -> int:
            gone = int(db.execute(old).rowcount)
            if gone:
                graph_rows.forget_unused(db)
            return gone

        return await self._transaction(forget)

    async def _transaction(self, work: Callable[[sa.Connection], T]) -> T:
        def run() -> T:
            if self._connection is None:
                raise StoreError("The journal is not open. Restart ComfyUI.")
            with self._connection.begin():
                before, changes = rows_changed(self._connection), self._changes
                result = work(self._connection)
                if rows_changed(self._connection) != before:
                    changes += 1
                    count_changes(self._connection, changes)
            if changes != self._changes and not self.is_guest:
                self._count.write(changes)
            self._changes = changes
            return result

        changes = self._changes
        try:
            return await self._on_thread(run)
        finally:
            if changes != self._changes:
                self._quiet.start_over()

    def _checkpoint(self) -> None:
        """A file that somebody copies while nothing happens holds everything."""
        if self._connection is not None:
            try:
                checkpoint(self._connection)
            except SQLAlchemyError as exc:
                log.info("The journal keeps its last changes beside it for now: %s", exc)

    async def copy_daily(self, today: date) -> None:
        """Keep a copy of today beside the journal, and those of some days before."""
        if self.is_guest:
            return
        try:
            await asyncio.to_thread(JournalCopies(self._path).make, today)
        except (OSError, sqlite3.Error) as exc:
            log.warning("Today's copy of the journal could not be made: %s", exc)

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
        if not self._lock.take(self._lock_wait_s):
            self._connection = self._as_guest()
            return
        try:
            self._connection = self._as_owner()
        except BaseException:
            self._lock.release()
            raise

    def _as_owner(self) -> sa.Connection:
        opening = JournalOpening(self._path, self._connect)
        connection = opening.open(self._count.read())
        self.notice = opening.notice
        with connection.begin():
            self._changes = changes_of(connection)
        self._count.write(self._changes)
        checkpoint(connection)
        return connection

    def _as_guest(self) -> sa.Connection:
        """Another process has the journal: its peers are ours too, its jobs are not."""
        self.is_guest = True
        holder = self._lock.holder()
        process = f" (process {holder})" if holder else ""
        self.notice = (
            f"Another ComfyUI{process} uses the same user folder. This one runs jobs with a copy of its peers"
            " and forgets its own jobs and changes when it ends. Give it a folder with --user-directory."
        )
        log.warning("%s", self.notice)
        connection = self._connect(None)
        try:
            with connection.begin():
                copy_wishes(self._path, connection)
        except SQLAlchemyError as exc:
            log.warning("The other ComfyUI's peers could not be read: %s", exc)
        return connection

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(SQLAlchemyError):
                checkpoint(connection)
            disconnect(connection)
        self._count.close()
        self._lock.release()


_PEER_COLUMNS = tuple(c.name for c in PEERS.c if c.name != "number")


def _translated(exc: Exception, path: Path) -> StoreError:
    cause = getattr(exc, "orig", None) or exc
    # Of a DBAPIError the disk is the cause, or who else has the file; its other children blame the row.
    is_disk = isinstance(exc, (OSError, OperationalError)) or means_damage(exc)
    if not is_disk:
        return StoreError(f"This cannot be kept in the journal {path}: {cause}. Please report it.")
    advice = "Check that the disk has room and the folder is writable."
    return StoreError(f"The journal {path} cannot be read or written: {cause}. {advice}", may_pass=True)


def _put_peer(db: sa.Connection, values: Mapping[str, Any]) -> None:
    if db.execute(PEERS.update().where(PEERS.c.id == values["id"]), values).rowcount == 0:
        db.execute(PEERS.insert(), values)


def _master_id(db: sa.Connection) -> str:
    if known := db.scalar(sa.select(META.c.value).where(META.c.key == _MASTER_ID)):
        return str(known)
    db.execute(META.insert(), {"key": _MASTER_ID, "value": (made := uuid.uuid4().hex)})
    return made


def _load_peers(db: sa.Connection) -> tuple[BackendConfig, ...]:
    def read(some: Sequence[str]) -> tuple[BackendConfig, ...]:
        rows = db.execute(PEERS.select().where(PEERS.c.id.in_(some)).order_by(PEERS.c.number)).mappings()
        return tuple(BackendConfig(**{key: row[key] for key in _PEER_COLUMNS}) for row in rows)

    return job_rows.readable(db.scalars(sa.select(PEERS.c.id).order_by(PEERS.c.number)).all(), read)
