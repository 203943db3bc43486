"""python -m orchestrator jobs: list, look at, cancel, retry and wait for the jobs of a fleet."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import TYPE_CHECKING, TypedDict

from ..errors import ConfigError
from .fleet import OVER, Fleet
from .options import DONE, EXIT_CODES, Commands, common, exit_code_of, fleet_of
from .terminal import as_json, shortened, shown, table
from .waiting import add_out, line_of, reason_of, stay

if TYPE_CHECKING:
    from ..host.api.answers import JobView

LISTED = 20
_TITLE_WIDTH, _DETAIL_WIDTH = 40, 60


class LogLine(TypedDict):
    """Something that happened to a job; ``at`` is None where nobody noted when."""

    at: str | None
    peer: str
    text: str


VERBS = ("list", "show", "cancel", "retry", "wait", "logs")


def add_command(commands: Commands) -> None:
    group = commands.add_parser(
        "jobs", help="list, look at, cancel, retry and wait for jobs", parents=[common()], epilog=EXIT_CODES
    )
    group.set_defaults(run=show_all, code_of=exit_code_of, state="", peer="", batch="", limit=LISTED)
    verbs = group.add_subparsers(metavar="|".join(VERBS))
    inner = common(is_inner=True)
    listing = verbs.add_parser("list", help="the newest first (the default)", parents=[inner])
    listing.set_defaults(run=show_all)
    listing.add_argument("--state", default="", help="one or several, with commas: waiting,running,done,…")
    listing.add_argument("--peer", default="", help="on this peer, now or last")
    listing.add_argument("--batch", default="", metavar="ID", help="made by this request")
    listing.add_argument(
        *("--limit",),
        **{"type": int, "default": LISTED, "metavar": "N"},
        help=f"at most this many that wait, and that ended ({LISTED}); running ones are always there",
    )
    _add_verb(verbs.add_parser("show", help="all that is known of them", parents=[inner]), show)
    _add_verb(verbs.add_parser("cancel", help="end them, on their peers too", parents=[inner]), cancel)
    retrying = verbs.add_parser("retry", help="do ended ones once more, as new jobs", parents=[inner])
    _add_verb(retrying, retry)
    retrying.add_argument("--peer", help='on this peer; "" for any')
    retrying.add_argument("--priority", type=float, help="a higher one goes first")
    waiting = verbs.add_parser("wait", help="stay until all are over", parents=[inner])
    _add_verb(waiting, wait)
    add_out(waiting)
    _add_verb(verbs.add_parser("logs", help="what happened to them, and when", parents=[inner]), logs)


def show_all(options: argparse.Namespace) -> int:
    fleet = fleet_of(options)
    jobs = fleet.jobs(state=options.state, peer=options.peer, batch=options.batch, limit=options.limit)
    if options.json:
        print(as_json(jobs))
        return DONE
    rows = [
        (
            *(job["job_id"][:8], job["state"], _peer_of(job)),
            *(shortened(job["title"], _TITLE_WIDTH), shortened(_detail(job), _DETAIL_WIDTH)),
        )
        for job in jobs
    ]
    for line in table([("JOB", "STATE", "PEER", "TITLE", ""), *rows]):
        print(line)
    return DONE


def show(options: argparse.Namespace) -> int:
    jobs = _chosen(fleet_of(options), options)
    if options.json:
        print(as_json(jobs))
    for job in () if options.json else jobs:
        for name, value in _facts(job):
            print(shown(f"{name + ':':<12} {value}"))
    return DONE


def cancel(options: argparse.Namespace) -> int:
    fleet = fleet_of(options)
    ended = []
    for job in _chosen(fleet, options):
        ended.append(fleet.cancel(job["job_id"]))
        if not options.json:
            was_over = " (it had ended before)" if job["state"] in OVER else ""
            print(shown(line_of(ended[-1]) + was_over), flush=True)
    if options.json:
        print(as_json(ended))
    return DONE


def retry(options: argparse.Namespace) -> int:
    fleet = fleet_of(options)
    ids = [
        fleet.retry(job["job_id"], peer=options.peer, priority=options.priority)
        for job in _chosen(fleet, options)
    ]
    print(as_json(ids) if options.json else "\n".join(map(shown, ids)))
    return DONE


def wait(options: argparse.Namespace) -> int:
    fleet = fleet_of(options)
    ids = [job["job_id"] for job in _chosen(fleet, options)]
    return stay(fleet, ids, out=options.out, json=options.json)


def logs(options: argparse.Namespace) -> int:
    jobs = _chosen(fleet_of(options), options)
    lines = [{"job_id": job["job_id"], **line} for job in jobs for line in log_of(job)]
    if options.json:
        print(as_json(lines))
    for job in () if options.json else jobs:
        for line in log_of(job):
            words = (line["at"] or " " * 24, job["job_id"][:8], line["peer"], line["text"])
            print(shown("  ".join(filter(None, words))))
    return DONE


def log_of(job: JobView) -> Iterator[LogLine]:
    """What happened to it, in order; then the error with its traceback."""
    yield {"at": job["created_at"], "peer": "", "text": f"accepted: {job['title']}"}
    for attempt in job["attempts"]:
        told = (
            ("started_at", "sent"),
            ("begun_at", "begun"),
            ("loaded_at", "models loaded"),
        )
        moments = ((attempt[name], text) for name, text in told)  # type: ignore[literal-required]
        for at, text in moments:
            if at is not None:
                yield {"at": at, "peer": attempt["peer"], "text": text}
        if attempt["outcome"]:
            text = ": ".join(filter(None, (attempt["outcome"], attempt["reason"])))
            yield {"at": attempt["ended_at"], "peer": attempt["peer"], "text": text}
    if job["state"] in OVER:
        text = f"{job['state']}: {reason_of(job)}" if job["error"] else job["state"]
        yield {"at": job["ended_at"], "peer": "", "text": text}
    else:
        text = ": ".join(filter(None, (job["state"], job["progress_text"] or job["explanation"])))
        yield {"at": None, "peer": job["peer"], "text": text}
    for note in job["notes"]:
        yield {"at": None, "peer": "", "text": f"note: {note}"}
    traceback = (job["error"] or {}).get("traceback")
    for part in traceback if isinstance(traceback, list) else ():
        for text in str(part).splitlines():
            yield {"at": None, "peer": "", "text": text}


def _add_verb(command: argparse.ArgumentParser, run: object) -> None:
    command.set_defaults(run=run)
    command.add_argument("ids", nargs="*", metavar="JOB", help="a job's id, or its beginning")
    command.add_argument("--batch", default="", metavar="ID", help="all jobs of this request instead")


def _chosen(fleet: Fleet, options: argparse.Namespace) -> list[JobView]:
    """
    Raises:
        ConfigError: none are named. NotFoundError: one is not there.
    """
    if bool(options.ids) == bool(options.batch):
        raise ConfigError("Name the jobs by their ids, or all of one request with --batch.")
    if options.batch:
        found = fleet.jobs(batch=options.batch)
        if not found:
            raise ConfigError(f"There are no jobs of the request {options.batch}.")
        return found
    return [fleet.job(job_id) for job_id in options.ids]


def _peer_of(job: JobView) -> str:
    """Where it is, or was last."""
    return job["peer"] or (job["attempts"][-1]["peer"] if job["attempts"] else "")


def _detail(job: JobView) -> str:
    if job["error"]:
        return reason_of(job)
    if job["state"] == "running":
        return job["progress_text"]
    return ", ".join(output["filename"] for output in job["outputs"]) or job["explanation"]


def _facts(job: JobView) -> Iterator[tuple[str, str]]:
    batch = job["batch"]
    facts = (
        ("job", job["job_id"]),
        ("title", job["title"]),
        ("state", job["state"]),
        ("peer", _peer_of(job)),
        ("batch", batch["id"] if batch else ""),
        ("changes", "  ".join(f"{a}={v}" for a, v in batch["changes"].items()) if batch else ""),
        ("created", job["created_at"] or ""),
        ("began", job["begun_at"] or ""),
        ("ended", job["ended_at"] or ""),
        ("progress", job["progress_text"]),
        ("why", job["explanation"]),
        ("error", reason_of(job)),
        *(("file", output["filename"]) for output in job["outputs"]),
        *(("text", text) for text in job["texts"]),
        *(("note", note) for note in job["notes"]),
        ("retry of", job["retry_of"]),
    )
    return ((name, value) for name, value in facts if value)
