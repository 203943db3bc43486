"""python -m orchestrator submit: run a saved workflow on the fleet, as it is or in variations."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from ..core.prompts.variations import Axis, combined
from ..core.workflow.documents import Document
from ..errors import ConfigError, OrchestratorError, PeerError
from .embedded.document import KINDS
from .fleet import Fleet, Wishes
from .options import DONE, EXIT_CODES, INTERRUPTED, Commands, common, exit_code_of, fleet_of
from .sources import add_from_workflow, read_workflow
from .terminal import as_json, shown, tell
from .waiting import add_out, stay

if TYPE_CHECKING:
    from ..host.api.answers import DryRunView

JOBS_MAX = 1_000  #: the master takes no more at once


def add_command(commands: Commands) -> None:
    command = commands.add_parser(
        "submit", help="run a workflow on the fleet, with changes", parents=[common()], epilog=EXIT_CODES
    )
    command.set_defaults(run=run, code_of=exit_code_of)
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
    command.add_argument("--peer", default="", help="only this peer, by name")
    command.add_argument("--tag", action="append", default=[], help="only peers with this tag")
    command.add_argument("--priority", type=float, default=0, help="a higher one goes first; 0 is usual")
    command.add_argument("--title", default="", help="what the jobs are called; by default as the file")
    command.add_argument("--count", type=int, help="how many jobs, each with its own seeds")
    command.add_argument(
        "--dry-run", action="store_true", help="only say whether it could run, and what the peer would get"
    )
    command.add_argument("--wait", action="store_true", help="stay until all are over, with a progress bar")
    add_out(command)


def run(options: argparse.Namespace) -> int:
    """Do it; returns the exit code."""
    fleet = fleet_of(options)
    document = read_workflow(options.file, remade=options.from_workflow)
    parameters, wishes = _asked(options)
    if options.dry_run:
        return _tell_of(fleet.check(document, parameters, **wishes), as_array=options.json)
    return _submit(fleet, document, parameters, wishes, options)


def _submit(
    fleet: Fleet,
    document: Document,
    parameters: dict[str, Any],
    wishes: Wishes,
    options: argparse.Namespace,
) -> int:
    ids: list[str] = []
    try:
        with _ctrl_c_waits():
            ids = fleet.submit(document, parameters, **wishes)
        tell(f"{len(ids)} job{'s' * (len(ids) != 1)} submitted to {fleet.url}")
        if not options.wait and options.out is None:
            print(as_json(ids) if options.json else "\n".join(map(shown, ids)))
            return DONE
        return stay(fleet, ids, out=options.out, json=options.json)
    except KeyboardInterrupt:
        _cancel(fleet, ids)
        return INTERRUPTED


def _tell_of(found: DryRunView, *, as_array: bool) -> int:
    if as_array:
        print(as_json([found]))
        return DONE
    count = found["count"]
    what = f"{count} job{'s' * (count != 1)} would {'wait' if found['waits_for'] else 'run'}"
    print(shown(f"{what}: {found['waits_for']}" if found["waits_for"] else f"{what}."))
    for note in found["notes"]:
        print(shown(note))
    return DONE


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


def _cancel(fleet: Fleet, ids: Sequence[str]) -> None:
    print(file=sys.stderr)
    if not ids:
        tell(f"{fleet.url} had not answered yet: see in its Fleet tab whether it has the jobs.")
        return
    tell("cancelling what was submitted")
    for number, job_id in enumerate(ids):
        try:
            fleet.cancel(job_id)
        except PeerError as exc:  # the others would only wait for the same silence
            tell(f"{len(ids) - number} of {len(ids)} are not cancelled: {exc}")
            return
        except OrchestratorError as exc:
            tell(f"{job_id[:8]} is not cancelled: {exc}")


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
    """JSON where it is JSON, else text. NaN is neither's number."""
    try:
        return json.loads(text, parse_constant=_refuse)
    except ValueError:
        return text


def _refuse(word: str) -> None:
    raise ValueError(word)


def _asked(options: argparse.Namespace) -> tuple[dict[str, Any], Wishes]:
    """The parameters of all jobs, and what else is asked for."""
    variations = changes_of(options.set)
    wishes: Wishes = {
        **({"title": options.title} if options.title else {"name": options.file.stem}),
        "peer": options.peer,
        "tags": options.tag,
        "priority": options.priority,
    }
    if len(variations) == 1:
        if options.count is not None:
            wishes["count"] = options.count
        return variations[0], wishes
    if options.count is not None:
        raise ConfigError("--count and several values of --set do not go together.")
    tell(f"{len(variations)} variations")
    wishes["variations"] = variations
    return {}, wishes
