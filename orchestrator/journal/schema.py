"""The journal's tables, and how an older file becomes one of today's."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from typing import Any

import sqlalchemy as sa

from ..errors import StoreError

_UNHOLDABLE = {0: "\ufffd"} | dict.fromkeys(range(0xD800, 0xE000), "\ufffd")


def json_text(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), default=str)


class Words(sa.types.TypeDecorator[str]):
    """Text, some of it a peer's: what no database can hold (NUL, half a surrogate pair) becomes U+FFFD."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: sa.Dialect) -> str | None:
        return None if value is None else value.translate(_UNHOLDABLE)


class Json(sa.types.TypeDecorator[Any]):
    """JSON as Python writes it: integers of any size and NaN survive, other objects become their text."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> str | None:
        return None if value is None else json_text(value)

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> Any:
        return None if value is None else json.loads(value)


class Moment(sa.types.TypeDecorator[datetime]):
    """A moment with a time zone; kept as UTC in ISO 8601 of one width, which sorts as text."""

    impl = sa.String
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> str | None:
        return None if value is None else value.astimezone(timezone.utc).isoformat(timespec="microseconds")

    def process_result_value(self, value: str | None, dialect: sa.Dialect) -> datetime | None:
        return None if value is None else datetime.fromisoformat(value)


def _owner() -> sa.Column[str]:
    return sa.Column("job_id", sa.String, sa.ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True)


TABLES = sa.MetaData()
META = sa.Table(
    "meta", TABLES, sa.Column("key", sa.Text, primary_key=True), sa.Column("value", sa.Text, nullable=False)
)
PEERS = sa.Table(
    "peers",
    TABLES,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("id", sa.String, nullable=False, unique=True),
    sa.Column("name", Words, nullable=False),
    sa.Column("url", Words, nullable=False),
    sa.Column("enabled", sa.Boolean, nullable=False),
    sa.Column("draining", sa.Boolean, nullable=False),
    sa.Column("tags", Json, nullable=False),
    sa.Column("tls", sa.Text, nullable=False, server_default=""),
    sa.Column("exclusive", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("only_idle", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("hours", sa.Text, nullable=False, server_default=""),
    sa.Column("relay_events", sa.Boolean),
)
JOBS = sa.Table(
    "jobs",
    TABLES,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("id", sa.String, nullable=False, unique=True),
    sa.Column("state", sa.String, nullable=False, index=True),
    sa.Column("backend_id", sa.String, nullable=False),
    sa.Column("texts", Json, nullable=False),
    sa.Column("notes", Json, nullable=False, server_default="[]"),
    sa.Column("result_type", Words, nullable=False),
    sa.Column("error", Json),
    sa.Column("explanation", Words, nullable=False),
    sa.Column("progress", sa.Float, nullable=False),
    sa.Column("progress_text", Words, nullable=False),
    sa.Column("created_at", Moment, nullable=False, index=True),
    sa.Column("started_at", Moment),
    sa.Column("ended_at", Moment),
    sa.Column("request_id", Words, nullable=False, server_default="", index=True),
)
# Apart from its job: a request can be megabytes, and changing a row means writing all of it again.
REQUESTS = sa.Table(
    "requests", TABLES, _owner(), sa.Column("body", Json, nullable=False), sa.Column("parts", Json)
)
# The parts of large graphs, which many requests may share.
GRAPHS = sa.Table(
    "graphs",
    TABLES,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("digest", sa.String, nullable=False, unique=True),
    sa.Column("body", sa.Text, nullable=False),
)
ATTEMPTS = sa.Table(
    "attempts",
    TABLES,
    _owner(),
    sa.Column("position", sa.Integer, primary_key=True),
    sa.Column("prompt_id", sa.String, nullable=False),
    sa.Column("backend_id", sa.String, nullable=False),
    sa.Column("started_at", Moment, nullable=False),
    sa.Column("ended_at", Moment),
    sa.Column("outcome", sa.String, nullable=False),
    sa.Column("reason", Words, nullable=False),
    sa.Column("begun_at", Moment),
    sa.Column("loaded_at", Moment),
    sa.Column("is_victim", sa.Boolean, nullable=False, server_default=sa.false()),
)
OUTPUTS = sa.Table(
    "outputs",
    TABLES,
    _owner(),
    sa.Column("position", sa.Integer, primary_key=True),
    sa.Column("node_id", Words, nullable=False),
    sa.Column("path", Words, nullable=False),
    sa.Column("filename", Words, nullable=False),
    sa.Column("subfolder", Words, nullable=False),
    sa.Column("type", Words, nullable=False),
)
INPUTS = sa.Table(
    "inputs",
    TABLES,
    _owner(),
    sa.Column("position", sa.Integer, primary_key=True),
    sa.Column("name", Words, nullable=False),
    sa.Column("sha256", sa.String, nullable=False),
)
# Of waiting jobs that somebody moved, or wanted to be first; all others stand as they came.
PLACES = sa.Table(
    "places",
    TABLES,
    _owner(),
    sa.Column("urgency", sa.Float, nullable=False),
    sa.Column("number", sa.Float, nullable=False),
)
# Prompts that are to end on a peer, and of which nobody knows yet that they have.
UNWANTED = sa.Table(
    "unwanted",
    TABLES,
    sa.Column("prompt_id", sa.String, primary_key=True),
    sa.Column("backend_id", sa.String, nullable=False),
    sa.Column("since", Moment, nullable=False),
    sa.Column("was_there", sa.Boolean, nullable=False),
)
# What was learned of peers and kinds of work, a row for each thing.
LEARNED = sa.Table(
    "learned",
    TABLES,
    sa.Column("topic", sa.String, primary_key=True),
    sa.Column("peer", sa.String, primary_key=True),
    sa.Column("name", Words, primary_key=True),
    sa.Column("numbers", Json, nullable=False),
    sa.Column("note", Words, nullable=False),
)

Step = Callable[[sa.Connection], None]


def _time_attempts(db: sa.Connection) -> None:
    for column in ("begun_at", "loaded_at"):
        db.execute(sa.text(f"ALTER TABLE attempts ADD COLUMN {column} VARCHAR"))


def _keep_trust(db: sa.Connection) -> None:
    db.execute(sa.text("ALTER TABLE peers ADD COLUMN tls TEXT NOT NULL DEFAULT ''"))


def _name_requests(db: sa.Connection) -> None:
    db.execute(sa.text("ALTER TABLE jobs ADD COLUMN request_id TEXT NOT NULL DEFAULT ''"))
    db.execute(sa.text("CREATE INDEX ix_jobs_request_id ON jobs (request_id)"))


def _keep_inputs_and_places(db: sa.Connection) -> None:
    owner = "job_id VARCHAR NOT NULL REFERENCES jobs (id) ON DELETE CASCADE"
    db.execute(
        sa.text(
            f"CREATE TABLE inputs ({owner}, position INTEGER NOT NULL, name TEXT NOT NULL, "
            "sha256 VARCHAR NOT NULL, PRIMARY KEY (job_id, position))"
        )
    )
    db.execute(
        sa.text(
            f"CREATE TABLE places ({owner}, urgency FLOAT NOT NULL, number FLOAT NOT NULL, "
            "PRIMARY KEY (job_id))"
        )
    )


def _keep_rules_and_lessons(db: sa.Connection) -> None:
    for column in ("exclusive BOOLEAN NOT NULL DEFAULT 0", "only_idle BOOLEAN NOT NULL DEFAULT 0"):
        db.execute(sa.text(f"ALTER TABLE peers ADD COLUMN {column}"))
    db.execute(sa.text("ALTER TABLE peers ADD COLUMN hours TEXT NOT NULL DEFAULT ''"))
    db.execute(
        sa.text(
            "CREATE TABLE learned (topic VARCHAR NOT NULL, peer VARCHAR NOT NULL, name TEXT NOT NULL, "
            "numbers TEXT NOT NULL, note TEXT NOT NULL, PRIMARY KEY (topic, peer, name))"
        )
    )


def _keep_notes(db: sa.Connection) -> None:
    db.execute(sa.text("ALTER TABLE jobs ADD COLUMN notes TEXT NOT NULL DEFAULT '[]'"))


def _keep_relays(db: sa.Connection) -> None:
    db.execute(sa.text("ALTER TABLE peers ADD COLUMN relay_events BOOLEAN"))


def _keep_withdrawals(db: sa.Connection) -> None:
    db.execute(
        sa.text(
            "CREATE TABLE unwanted (prompt_id VARCHAR NOT NULL, backend_id VARCHAR NOT NULL, "
            "since VARCHAR NOT NULL, was_there BOOLEAN NOT NULL, PRIMARY KEY (prompt_id))"
        )
    )
    db.execute(sa.text("ALTER TABLE attempts ADD COLUMN is_victim BOOLEAN NOT NULL DEFAULT 0"))


def _share_graphs(db: sa.Connection) -> None:
    db.execute(sa.text("ALTER TABLE requests ADD COLUMN parts TEXT"))
    db.execute(
        sa.text(
            "CREATE TABLE graphs (number INTEGER NOT NULL, digest VARCHAR NOT NULL, body TEXT NOT NULL, "
            "PRIMARY KEY (number), UNIQUE (digest))"
        )
    )


def _give_the_master_one_id(db: sa.Connection) -> None:
    db.execute(sa.text("UPDATE OR REPLACE learned SET peer = 'this machine' WHERE peer = 'this-machine'"))


# Step n turns schema n + 1 into n + 2. A step spells its SQL out: the tables above will have moved on.
STEPS: tuple[Step, ...] = (
    *(_time_attempts, _keep_trust, _name_requests, _keep_inputs_and_places),
    *(_keep_rules_and_lessons, _keep_notes, _keep_relays, _keep_withdrawals),
    *(_share_graphs, _give_the_master_one_id),
)


def upgrade(db: sa.Connection, steps: Sequence[Step] = STEPS) -> None:
    """Bring the tables to the schema this code knows, which has the number ``len(steps) + 1``.

    A new file gets the newest tables at once, an older one goes through each step it lacks, in the caller's
    transaction.

    Raises:
        StoreError: a newer Remote Dispatch wrote the file.
    """
    newest = len(steps) + 1
    META.create(db, checkfirst=True)
    version = int(db.scalar(sa.select(META.c.value).where(META.c.key == "schema")) or 0)
    if version > newest:
        raise StoreError(
            f"A newer Remote Dispatch wrote the journal (schema {version}, this one knows {newest}). "
            "Update Remote Dispatch, or move the file away to begin a new one."
        )
    if version == 0:
        TABLES.create_all(db)
        db.execute(META.insert().values(key="schema", value=str(newest)))
        return
    for step in steps[version - 1 :]:
        step(db)
    db.execute(META.update().where(META.c.key == "schema").values(value=str(newest)))
