"""python -m orchestrator: workflows on the command line.

Exit codes of convert and inspect: 0 done, 1 the file or the server is wrong (one sentence on stderr), 2 wrong
usage, 130 Ctrl-C. Those of submit stand in its --help.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from .commands import listing, submit
from .commands.embedded.document import KINDS
from .commands.sources import add_from_workflow, fetch_definitions, read_definitions, read_workflow, unusable
from .core.workflow.converter import workflow_to_api
from .core.workflow.inspector import inspect_parameters
from .core.workflow.object_info import ObjectInfo
from .errors import OrchestratorError, WorkflowError

WRONG = 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code. Wrong usage raises SystemExit(2), as argparse does."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # not every terminal can show every character
            stream.reconfigure(errors="backslashreplace")
    options = _parser().parse_args(arguments)
    try:
        if options.command == "submit":
            return submit.run(options)
        if options.command == "convert":
            _convert(options)
        else:
            _inspect(options)
        sys.stdout.flush()
    except OrchestratorError as exc:
        print(f"{options.command}: {exc}", file=sys.stderr)
        return WRONG
    except KeyboardInterrupt:
        return submit.INTERRUPTED
    except BrokenPipeError:  # the reader of our output has seen enough (| head)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _convert(options: argparse.Namespace) -> None:
    graph = read_workflow(options.file, remade=options.from_workflow).graph
    prompt = workflow_to_api(graph, _definitions(options) or {}, now=datetime.now())
    text = _as_json(prompt)
    if options.out is None:
        print(text)
        return
    try:
        options.out.write_text(text + "\n", encoding="utf-8")
    except OSError as exc:
        raise unusable(options.out, exc) from exc


def _inspect(options: argparse.Namespace) -> None:
    graph = read_workflow(options.file, remade=options.from_workflow).graph
    parameters = inspect_parameters(graph, _definitions(options))
    if options.json:
        print(_as_json(listing.records(parameters)))
        return
    for line in listing.rows(parameters):
        print(line)


def _definitions(options: argparse.Namespace) -> ObjectInfo | None:
    if options.server is not None:
        return fetch_definitions(options.server)
    return None if options.object_info is None else read_definitions(options.object_info)


def _as_json(value: Any) -> str:
    try:
        return json.dumps(value, indent=2, allow_nan=False)
    except ValueError as exc:
        raise WorkflowError(
            "A value of the file is no number (NaN or infinite); JSON cannot hold it."
        ) from exc


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m orchestrator",
        description="Turn saved workflows into prompts, see what can be changed, run them on the fleet.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="convert|inspect|submit")
    convert = commands.add_parser(
        "convert", help="workflow to prompt (API format), as the page would send it"
    )
    _add_inputs(convert, definitions_required=True)
    convert.add_argument("--out", type=Path, metavar="FILE", help="write there, not to the terminal")
    inspect = commands.add_parser("inspect", help="list the parameters, the most wanted first")
    _add_inputs(inspect, definitions_required=False)
    inspect.add_argument("--json", action="store_true", help="everything that is known, for programs")
    sent = commands.add_parser(
        "submit", help="run a workflow on the fleet, with changes", epilog=submit.EXIT_CODES
    )
    submit.add_options(sent)
    return parser


def _add_inputs(command: argparse.ArgumentParser, *, definitions_required: bool) -> None:
    command.add_argument("file", type=Path, metavar="FILE", help=f"a file with a workflow: {KINDS}")
    add_from_workflow(command)
    source = command.add_mutually_exclusive_group(required=definitions_required)
    source.add_argument("--server", metavar="URL", help="ask this running ComfyUI what its nodes are")
    source.add_argument("--object-info", type=Path, metavar="FILE", help="a saved answer of GET /object_info")


if __name__ == "__main__":
    sys.exit(main())
