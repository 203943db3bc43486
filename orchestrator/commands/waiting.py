"""Jobs that are waited for: a progress bar, their files, a line about each, and the exit code."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import NoEligiblePeerError
from .fleet import OVER, Fleet
from .options import DONE, FAILED, NO_PEER
from .terminal import as_json, shown

if TYPE_CHECKING:
    from ..host.api.answers import JobView

_BAR_WIDTH, _LINE_WIDTH = 30, 110


def add_out(command: argparse.ArgumentParser) -> None:
    command.add_argument("--out", type=Path, metavar="DIR", help="wait, and put all result files there")


def stay(fleet: Fleet, ids: Sequence[str], *, out: Path | None, json: bool) -> int:
    """Wait for the end of all; then fetch their files and tell of each."""
    bar = _Bar()
    jobs = fleet.wait(ids, bar.show)
    bar.end()
    for job in jobs:
        paths = fleet.save(job, out) if out is not None and job["state"] == "done" else []
        if not json:
            print(shown(line_of(job, paths)))
    if json:
        print(as_json(jobs))
    return _code(jobs)


def line_of(job: JobView, paths: Sequence[Path] = ()) -> str:
    batch = job["batch"]
    changes = batch["changes"] if batch else {}
    which = "  ".join([job["job_id"][:8], *(f"{address}={value}" for address, value in changes.items())])
    if job["state"] != "done":
        return f"{which}  {job['state']}  {reason_of(job)}".rstrip()
    files = ", ".join(map(str, paths)) or ", ".join(output["filename"] for output in job["outputs"])
    return f"{which}  done on {job['peer']}  {files or ' '.join(job['texts'])}".rstrip()


def reason_of(job: JobView) -> str:
    return str((job["error"] or {}).get("message") or "")


def _code(jobs: Sequence[JobView]) -> int:
    failed = [job for job in jobs if job["state"] != "done"]
    if not failed:
        return DONE
    words = {(job["error"] or {}).get("code") for job in failed}
    return NO_PEER if words == {NoEligiblePeerError.code} else FAILED


class _Bar:
    """One bar over all jobs on a terminal; elsewhere a line for each job that is over."""

    def __init__(self) -> None:
        self._is_terminal = sys.stderr.isatty()
        self._told = 0

    def show(self, jobs: Sequence[JobView]) -> None:
        over = sum(job["state"] in OVER for job in jobs)
        if not self._is_terminal:
            if over > self._told:
                self._told = over
                print(f"{over} of {len(jobs)} over", file=sys.stderr, flush=True)
            return
        running = [job for job in jobs if job["state"] == "running"]
        share = (over + sum(job["progress"] for job in running)) / len(jobs)
        filled = int(share * _BAR_WIDTH)
        doing = ", ".join(f"{job['peer']}: {job['progress_text']}" for job in running[:2])
        text = f"[{'#' * filled}{'.' * (_BAR_WIDTH - filled)}] {over} of {len(jobs)}  {doing}"
        print(f"\r\x1b[K{shown(text)[:_LINE_WIDTH]}", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        if self._is_terminal:
            print(file=sys.stderr)
