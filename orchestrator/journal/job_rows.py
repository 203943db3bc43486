"""Jobs as rows of the journal's tables, and back: for the store alone."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa

from ..core.models.job import Attempt, InputFile, Job, JobState, OutputFile, Rank
from ..core.models.request_record import request_of, request_record
from ..core.workflow.result_files import kept
from .graph_rows import GraphReader, GraphWriter
from .schema import ATTEMPTS, INPUTS, JOBS, OUTPUTS, PLACES, REQUESTS

log = logging.getLogger(__name__)

T = TypeVar("T")
BATCH = 500  #: rows asked for by id, or written, at once; SQLite's limit on parameters is above it everywhere
FINAL = tuple(state.value for state in JobState if state.is_final)
_PARTS = {"attempts": (ATTEMPTS, Attempt), "outputs": (OUTPUTS, OutputFile), "inputs": (INPUTS, InputFile)}
_JOB_COLUMNS = tuple(c.name for c in JOBS.c if c.name not in ("number", "request_id"))
#: made once: each statement that is built costs time, and is freed by a full collection only
_SOME: sa.BindParameter[list[str]] = sa.bindparam("some", expanding=True)
_DELIVERED = sa.select(OUTPUTS.c.path).where(OUTPUTS.c.path.in_(_SOME))
_KNOWN = sa.select(JOBS.c.id).where(JOBS.c.id.in_(_SOME))
_PART_COUNTS = sa.select(
    JOBS.c.id,
    *(
        sa.select(sa.func.count()).where(table.c.job_id == JOBS.c.id).scalar_subquery().label(name)
        for name, (table, _) in _PARTS.items()
    ),
).where(JOBS.c.id.in_(_SOME))
_DELETE_PARTS = {
    name: table.delete().where(table.c.job_id == sa.bindparam("this_id"))
    for name, (table, _) in _PARTS.items()
}
_PUT_PARTS = {name: table.insert().prefix_with("OR REPLACE") for name, (table, _) in _PARTS.items()}
_DELETE_PLACES = PLACES.delete().where(PLACES.c.job_id.in_(_SOME))
_UPDATE_JOB = JOBS.update().where(JOBS.c.id == sa.bindparam("this_id"))
NEWEST_FIRST = (JOBS.c.created_at.desc(), JOBS.c.number.desc())


def readable(ids: Sequence[str], read: Callable[[Sequence[str]], tuple[T, ...]]) -> tuple[T, ...]:
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
    return (*readable(ids[:half], read), *readable(ids[half:], read))


def has_job(db: sa.Connection, job_id: str) -> bool:
    return db.scalar(sa.select(JOBS.c.id).where(JOBS.c.id == job_id)) is not None


def load_jobs(db: sa.Connection, wanted: sa.ColumnElement[bool], limit: int) -> tuple[Job, ...]:
    graphs = GraphReader(db)

    def read(some: Sequence[str]) -> tuple[Job, ...]:
        found = {name: _parts(db, table, some, make) for name, (table, make) in _PARTS.items()}
        query = sa.select(JOBS, REQUESTS.c.body, REQUESTS.c.parts).join(REQUESTS).where(JOBS.c.id.in_(some))
        return tuple(
            _job_from(row, graphs, {name: tuple(parts.get(row["id"], ())) for name, parts in found.items()})
            for row in db.execute(query.order_by(*NEWEST_FIRST)).mappings()
        )

    chosen = sa.select(JOBS.c.id).where(wanted).order_by(*NEWEST_FIRST).limit(limit)
    return readable(db.scalars(chosen).all(), read)


def _parts(
    db: sa.Connection, table: sa.Table, job_ids: Sequence[str], make: Callable[..., T]
) -> dict[str, list[T]]:
    query = table.select().where(table.c.job_id.in_(job_ids)).order_by(table.c.position)
    found: dict[str, list[T]] = {}
    for row in db.execute(query).mappings():
        values = {key: value for key, value in row.items() if key not in ("job_id", "position")}
        found.setdefault(row["job_id"], []).append(make(**values))
    return found


def save_jobs(db: sa.Connection, jobs: Sequence[Job]) -> None:
    """Few statements for many jobs: what SQLAlchemy does for each of them costs more than the disk, and after
    each the thread waits for its turn beside a busy event loop."""
    latest = {job.id: job for job in jobs}
    known = {row["id"]: row for row in db.execute(_PART_COUNTS, {"some": list(latest)}).mappings()}
    for is_new in (False, True):
        chosen = [job for job in latest.values() if (job.id not in known) is is_new]
        if not chosen:
            continue
        if is_new:
            db.execute(JOBS.insert(), [_job_values(job) for job in chosen])
            graphs = GraphWriter(db)
            db.execute(REQUESTS.insert(), [{"job_id": job.id, **_request(job, graphs)} for job in chosen])
        else:
            db.execute(_UPDATE_JOB, [{**_job_values(job), "this_id": job.id} for job in chosen])
        for name in _PARTS:
            parts_of = {job.id: getattr(job, name) for job in chosen}
            if fewer := [i for i, parts in parts_of.items() if i in known and known[i][name] > len(parts)]:
                db.execute(_DELETE_PARTS[name], [{"this_id": job_id} for job_id in fewer])
            _put_parts(db, name, parts_of)


def _put_parts(db: sa.Connection, name: str, parts_of: Mapping[str, Sequence[Any]]) -> None:
    """Each in its place: there are no others behind them."""
    table = _PARTS[name][0]
    rows = [
        {"job_id": job_id, "position": position} | {k: v for k, v in vars(part).items() if k in table.c}
        for job_id, parts in parts_of.items()
        for position, part in enumerate(parts)
    ]
    if rows:
        db.execute(_PUT_PARTS[name], rows)


def _job_values(job: Job) -> dict[str, Any]:
    values = {key: getattr(job, key) for key in _JOB_COLUMNS}
    values.update(state=job.state.value, request_id=job.request.request_id)
    values["texts"] = kept(job.texts)  # a value's is whole in memory, where its node takes it
    values["error"] = None if job.error is None else dict(job.error)
    return values


def _request(job: Job, graphs: GraphWriter) -> dict[str, Any]:
    body, parts = graphs.parted(request_record(job.request))
    return {"body": body, "parts": parts or None}


def _job_from(row: Any, graphs: GraphReader, parts: Mapping[str, tuple[Any, ...]]) -> Job:
    values = {key: row[key] for key in _JOB_COLUMNS}
    values.update(parts, state=JobState(row["state"]), texts=tuple(row["texts"]))
    values.update(notes=tuple(row["notes"]))
    return Job(request=request_of(graphs.whole(row["body"], row["parts"])), **values)


def save_request(db: sa.Connection, job: Job) -> None:
    values = _request(job, GraphWriter(db))
    db.execute(REQUESTS.update().where(REQUESTS.c.job_id == job.id).values(values))


def save_places(db: sa.Connection, places: Mapping[str, Rank]) -> None:
    """Of jobs that are in the journal; a node's job that waits is not."""
    ids = list(places)
    for some in (ids[at : at + BATCH] for at in range(0, len(ids), BATCH)):
        db.execute(_DELETE_PLACES, {"some": some})
        known = db.scalars(_KNOWN, {"some": some}).all()
        if known:
            rows = [{"job_id": i, "urgency": places[i][0], "number": places[i][1]} for i in known]
            db.execute(PLACES.insert(), rows)


def load_places(db: sa.Connection) -> dict[str, Rank]:
    rows = db.execute(sa.select(PLACES).join(JOBS).where(JOBS.c.state.not_in(FINAL))).mappings()
    return {row["job_id"]: (row["urgency"], row["number"]) for row in rows}


def delivered(db: sa.Connection, paths: Collection[str]) -> frozenset[str]:
    return frozenset(db.scalars(_DELIVERED, {"some": list(paths)}).all())
