"""What all commands that talk to a master have in common: its options, and their exit codes."""

from __future__ import annotations

import argparse
from typing import Any

from ..errors import (
    ConfigError,
    NoEligiblePeerError,
    NotFoundError,
    OrchestratorError,
    PeerError,
    WorkflowError,
)
from .fleet import DEFAULT_SERVER, HEADERS_VARIABLE, SERVER_VARIABLE, Fleet, headers_from
from .master import TOKEN_VARIABLE

DONE, FAILED, WRONG, NO_MASTER, NO_PEER, INTERRUPTED = 0, 1, 2, 3, 4, 130
EXIT_CODES = (
    "exit codes: 0 all done; 1 a job failed or was cancelled, or it could not be done; 2 wrong usage, file, "
    "parameter or name; 3 the master cannot be reached or refuses; 4 no peer can run it; 130 Ctrl-C"
)
Commands = Any  #: what argparse gives for sub-commands; its class is private


def common(*, is_inner: bool = False) -> argparse.ArgumentParser:
    """The options of every such command. `is_inner`: of one below another one, which has them too."""
    parent = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS if is_inner else None)
    parent.add_argument(
        "--server", metavar="URL", help=f"the master; by default {SERVER_VARIABLE}, else {DEFAULT_SERVER}"
    )
    parent.add_argument("--token", help=f"the master's {TOKEN_VARIABLE}; by default what that says here")
    add_header(parent)
    parent.add_argument("--json", action="store_true", help="print one JSON array, and nothing else")
    return parent


def add_header(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--header",
        action="append",
        metavar="NAME=VALUE",
        help=f"for a login before the master; also in {HEADERS_VARIABLE}, one a line",
    )


def fleet_of(options: argparse.Namespace) -> Fleet:
    return Fleet(options.server or "", options.token or "", headers_from(options.header or ()))


def exit_code_of(exc: OrchestratorError) -> int:
    if isinstance(exc, (WorkflowError, ConfigError, NotFoundError)):
        return WRONG
    if isinstance(exc, NoEligiblePeerError):
        return NO_PEER
    return NO_MASTER if isinstance(exc, PeerError) else FAILED
