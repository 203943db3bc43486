"""python -m orchestrator submit: run a saved workflow on the fleet, as it is or in variations."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from ..core.prompts.variations import Axis, combined
from ..errors import (
    ConfigError,
    NoEligiblePeerError,
    OrchestratorError,
    PeerError,
    WorkflowError,
)
from .embedded.document import KINDS
from .master import TOKEN_VARIABLE, Master
from .sources import add_from_workflow, read_workflow

DONE, JOB_FAILED, WRONG, NO_MASTER, NO_PEER, INTERRUPTED = 0, 1, 2, 3, 4, 130
EXIT_CODES = (
    "exit codes: 0 all done; 1 a job failed or was cancelled; 2 wrong usage or file; 3 the master cannot be "
    "reached or refuses the token; 4 no peer can run it; 130 Ctrl-C, what was submitted is cancelled"
)
LOOK_EVERY_S = 0.5
JOBS_MAX = 1_000  #: the master takes no more at once
_BAR_WIDTH = 30
_OVER = ("done", "failed", "cancelled", "set_aside")


def add_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("file", type=Path, metavar="FILE", help=f"a file with a workflow: {KINDS}")
    add_from_workflow(command)
    command.add_argument(
        "--set",
        action="append",
        nargs="+",
        default=[],
        metavar="ADDRESS=VALUE",
        help="change a parameter (see inspect); more values make variations: --set KSampler.seed=1 2 3",
    )
    command.add_argument("--server", default="http://127.0.0.1:8188", metavar="URL", help="the master")
    command.add_argument(
        "--token", default=os.environ.get(TOKEN_VARIABLE, ""), help=f"the master's {TOKEN_VARIABLE}"
    )
    command.add_argument("--peer", default="", help="only this peer, by name")
    command.add_argument("--tag", action="append", default=[], help="only peers with this tag")
    command.add_argument("--count", type=int, help="how many jobs, each with its own seeds")
    command.add_argument("--wait", action="store_true", help="stay until all are over, with a progress bar")
    command.add_argument("--out", type=Path, metavar="DIR", help="wait, and put all result files there")
    command.add_argument("--json", action="store_true", help="print the jobs as JSON at the end")


def run(options: argparse.Namespace) -> int:
    """Do it; returns the exit code."""
    try:
        master = Master(options.server, options.token)
        return _submit(master, _body(options), options)
    except (WorkflowError, ConfigError) as exc:
        return _failed(exc, WRONG)
    except NoEligiblePeerError as exc:
        return _failed(exc, NO_PEER)
    except PeerError as exc:
        return _failed(exc, NO_MASTER)
    except OrchestratorError as exc:
        return _failed(exc, JOB_FAILED)


def _submit(master: Master, body: Mapping[str, Any], options: argparse.Namespace) -> int:
    ids: list[str] = []
    try:
        with _ctrl_c_waits():
            ids = master.submit(body)
        print(f"{len(ids)} job{'s' * (len(ids) != 1)} submitted to {master.url}", file=sys.stderr)
        if not options.wait and options.out is None:
            print(json.dumps(ids) if options.json else "\n".join(ids))
            return DONE
        return _stay(master, ids, options)
    except KeyboardInterrupt:
        _cancel(master, ids)
        return INTERRUPTED


@contextmanager
def _ctrl_c_waits() -> Iterator[None]:
    """Ctrl-C takes effect at the end of the block: a job whose id is not known yet cannot be cancelled.

    A second one takes effect at once.
    """
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler:  # ignored, as in a shell's background
        yield
        return
    pressed = False

    def note(_: int, __: FrameType | None) -> None:
        nonlocal pressed
        if pressed:
            raise KeyboardInterrupt
        pressed = True

    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if pressed:
        raise KeyboardInterrupt


def _cancel(master: Master, ids: Sequence[str]) -> None:
    if not ids:
        said = f"{master.url} had not answered yet: see in its Fleet tab whether it has the jobs."
        print(f"\n{said}", file=sys.stderr)
        return
    print("\ncancelling what was submitted", file=sys.stderr)
    for number, job_id in enumerate(ids):
        try:
            master.cancel(job_id)
        except PeerError as exc:  # the others would only wait for the same silence
            print(f"{len(ids) - number} of {len(ids)} are not cancelled: {exc}", file=sys.stderr)
            return
        except OrchestratorError as exc:
            print(f"{job_id[:8]} is not cancelled: {exc}", file=sys.stderr)


def changes_of(given: Sequence[Sequence[str]]) -> list[dict[str, Any]]:
    """The variations that ``--set`` options ask for: every combination of their values, in order.

    Raises:
        ConfigError: one is not like ADDRESS=VALUE, or an address comes twice, or they are too many.
    """
    axes: list[Axis] = []
    for first, *more in given:
        address, equals, value = first.partition("=")
        if not equals or not address.strip():
            raise ConfigError(f"--set {first}: write it like KSampler.seed=42.")
        axes.append(Axis(address.strip(), tuple(_value(text) for text in (value, *more))))
    return combined(axes, most=JOBS_MAX)


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _body(options: argparse.Namespace) -> dict[str, Any]:
    document = read_workflow(options.file, remade=options.from_workflow)
    variations = changes_of(options.set)
    body: dict[str, Any] = {"peer": options.peer, "tags": options.tag}
    both = {"prompt": document.prompt, "workflow": document.workflow}
    body |= {name: graph for name, graph in both.items() if graph}
    body["title"] = options.file.name
    if len(variations) > 1:
        if options.count is not None:
            raise ConfigError("--count and several values of --set do not go together.")
        print(f"{len(variations)} variations", file=sys.stderr)
        return {**body, "variations": variations}
    body["parameters"] = variations[0]
    return body if options.count is None else {**body, "count": options.count}


def _stay(master: Master, ids: Sequence[str], options: argparse.Namespace) -> int:
    jobs = _wait(master, ids)
    for job in jobs:
        paths = []
        if options.out is not None and job["state"] == "done":
            paths = [master.save_output(job, n, options.out) for n in range(len(job["outputs"]))]
        if not options.json:
            print(_line(job, paths))
    if options.json:
        print(json.dumps(jobs, indent=2))
    return _code(jobs)


def _code(jobs: Sequence[Mapping[str, Any]]) -> int:
    failed = [job for job in jobs if job["state"] != "done"]
    if not failed:
        return DONE
    words = {(job.get("error") or {}).get("code") for job in failed}
    return NO_PEER if words == {NoEligiblePeerError.code} else JOB_FAILED


def _wait(master: Master, ids: Sequence[str]) -> list[dict[str, Any]]:
    jobs: dict[str, dict[str, Any]] = {}
    bar = _Bar()
    while True:
        for job_id in ids:
            if jobs.get(job_id, {}).get("state") not in _OVER:
                jobs[job_id] = master.job(job_id)
        bar.show([jobs[job_id] for job_id in ids])
        if all(job["state"] in _OVER for job in jobs.values()):
            bar.end()
            return [jobs[job_id] for job_id in ids]
        time.sleep(LOOK_EVERY_S)


class _Bar:
    """One bar over all jobs on a terminal; elsewhere a line for each job that is over."""

    def __init__(self) -> None:
        self._is_terminal = sys.stderr.isatty()
        self._told = 0

    def show(self, jobs: Sequence[Mapping[str, Any]]) -> None:
        over = sum(job["state"] in _OVER for job in jobs)
        if not self._is_terminal:
            if over > self._told:
                self._told = over
                print(f"{over} of {len(jobs)} over", file=sys.stderr, flush=True)
            return
        running = [job for job in jobs if job["state"] == "running"]
        share = (over + sum(float(job["progress"]) for job in running)) / len(jobs)
        filled = int(share * _BAR_WIDTH)
        doing = ", ".join(f"{job['peer']}: {job['progress_text']}" for job in running[:2])
        text = f"[{'#' * filled}{'.' * (_BAR_WIDTH - filled)}] {over} of {len(jobs)}  {doing}"
        print(f"\r\x1b[K{text[:110]}", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        if self._is_terminal:
            print(file=sys.stderr)


def _line(job: Mapping[str, Any], paths: Sequence[Path]) -> str:
    changes = (job.get("batch") or {}).get("changes") or {}
    which = "  ".join([job["job_id"][:8], *(f"{address}={value}" for address, value in changes.items())])
    if job["state"] != "done":
        reason = (job.get("error") or {}).get("message") or ""
        return f"{which}  {job['state']}  {reason}".rstrip()
    files = ", ".join(map(str, paths)) or ", ".join(str(output["filename"]) for output in job["outputs"])
    return f"{which}  done on {job['peer']}  {files or ' '.join(job['texts'])}".rstrip()


def _failed(exc: OrchestratorError, code: int) -> int:
    print(f"submit: {exc}", file=sys.stderr)
    return code
