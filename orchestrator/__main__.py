"""python -m orchestrator: workflows and a fleet on the command line.

Exit codes of convert and inspect: 0 done, 1 the file or the server is wrong (one sentence on stderr), 2 wrong
usage, 130 Ctrl-C. Those of the others stand in their --help.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from .commands import jobs, listing, peers, submit
from .commands.embedded.document import KINDS
from .commands.fleet import HEADERS_VARIABLE, SERVER_VARIABLE, headers_from
from .commands.options import DONE, INTERRUPTED, Commands, add_header
from .commands.sources import add_from_workflow, fetch_definitions, read_definitions, read_workflow, unusable
from .commands.terminal import as_json, leave_quietly, prepare, tell
from .core.workflow.converter import workflow_to_api
from .core.workflow.inspector import inspect_parameters
from .core.workflow.object_info import ObjectInfo
from .errors import OrchestratorError
from .version import version

WRONG = 1
VERBS: Mapping[str, Sequence[str]] = {"jobs": jobs.VERBS, "peers": peers.VERBS}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code. Wrong usage raises SystemExit(2), as argparse does."""
    prepare()
    options = _parser().parse_args(_with_verb(sys.argv[1:] if arguments is None else arguments))
    try:
        code: int = options.run(options)
        sys.stdout.flush()
    except OrchestratorError as exc:
        tell(f"{options.command}: {exc}")
        return int(options.code_of(exc))
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        leave_quietly()
        return DONE
    return code


def _with_verb(arguments: Sequence[str]) -> list[str]:
    """`jobs --limit 5` means `jobs list --limit 5`."""
    group, *rest = arguments or [""]
    verbs = VERBS.get(group, ())
    is_bare = not {"-h", "--help", *verbs} & set(rest) and all(one.startswith("-") for one in rest[:1])
    return [group, "list", *rest] if verbs and is_bare else list(arguments)


def _convert(options: argparse.Namespace) -> int:
    definitions = _definitions(options)
    if definitions is None and (server := os.environ.get(SERVER_VARIABLE)):
        definitions = fetch_definitions(server, _headers(options, os.environ.get(HEADERS_VARIABLE, "")))
    graph = read_workflow(options.file, remade=options.from_workflow).graph
    text = as_json(workflow_to_api(graph, definitions or {}, now=datetime.now()))
    if options.out is None:
        print(text)
        return DONE
    try:
        options.out.write_text(text + "\n", encoding="utf-8")
    except OSError as exc:
        raise unusable(options.out, exc) from exc
    return DONE


def _inspect(options: argparse.Namespace) -> int:
    graph = read_workflow(options.file, remade=options.from_workflow).graph
    parameters = inspect_parameters(graph, _definitions(options))
    if options.json:
        print(as_json(listing.records(parameters)))
        return DONE
    for line in listing.rows(parameters):
        print(line)
    return DONE


def _definitions(options: argparse.Namespace) -> ObjectInfo | None:
    if options.server is not None:
        return fetch_definitions(options.server, _headers(options))
    return None if options.object_info is None else read_definitions(options.object_info)


def _headers(options: argparse.Namespace, of_environment: str = "") -> dict[str, str]:
    """Those of the environment are for the master of the environment, and for no other server."""
    return headers_from([*of_environment.splitlines(), *(options.header or ())])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m orchestrator",
        description="Run workflows on a fleet, look after its peers and jobs, turn workflows into prompts.",
    )
    parser.add_argument("--version", action="version", version=f"Remote Dispatch {version()}")
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="submit|jobs|peers|inspect|convert"
    )
    submit.add_command(commands)
    jobs.add_command(commands)
    peers.add_command(commands)
    _add_files(commands)
    return parser


def _add_files(commands: Commands) -> None:
    inspect = commands.add_parser("inspect", help="list the parameters, the most wanted first")
    _add_inputs(inspect, definitions_required=False)
    inspect.set_defaults(run=_inspect, code_of=lambda exc: WRONG)
    inspect.add_argument("--json", action="store_true", help="everything that is known, as a JSON array")
    convert = commands.add_parser(
        "convert", help="workflow to prompt (API format), as the page would send it"
    )
    _add_inputs(convert, definitions_required=not os.environ.get(SERVER_VARIABLE))
    convert.set_defaults(run=_convert, code_of=lambda exc: WRONG)
    convert.add_argument("--out", type=Path, metavar="FILE", help="write there, not to the terminal")


def _add_inputs(command: argparse.ArgumentParser, *, definitions_required: bool) -> None:
    command.add_argument("file", type=Path, metavar="FILE", help=f"a file with a workflow: {KINDS}")
    add_from_workflow(command)
    source = command.add_mutually_exclusive_group(required=definitions_required)
    source.add_argument("--server", metavar="URL", help="ask this running ComfyUI what its nodes are")
    source.add_argument("--object-info", type=Path, metavar="FILE", help="a saved answer of GET /object_info")
    add_header(command)


if __name__ == "__main__":
    sys.exit(main())
