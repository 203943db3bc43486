"""``dev.py test``: style, types, the page's logic, then all Python tests, the page's beside the others."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from . import chromium
from .environment import Say, Setup
from .fleet import ROOT

FAST = ("tests/unit", "tests/integration", "tests/faults")
REAL = ("tests/e2e",)
PAGE = ("tests/browser",)
GRACE_S = 30.0
#: A test that hangs ends the run, and says where it hung; the longest takes two minutes or three.
HUNG = ("-o", "faulthandler_timeout=900", "-o", "faulthandler_exit_on_timeout=true")


@dataclass(frozen=True)
class Check:
    name: str
    command: tuple[str, ...]


def run(pytest_arguments: Sequence[str], *, fast: bool = False, long: bool = False, say: Say = print) -> int:
    """Set up, run every check even if one fails, sum up. Paths among the arguments replace ours.
    `long`: also what takes minutes.

    Returns the exit code: 0 when everything passed, else 1.
    """
    began = time.monotonic()
    setup = Setup(say)
    if not fast:
        setup.for_tests()
    python = str(setup.tools())
    own_paths = any((ROOT / argument.split("::")[0]).exists() for argument in pytest_arguments)
    if not fast and not own_paths and chromium.get_chromium(say) is None:
        say(chromium.HOW_TO)
    checks = [
        Check("ruff", (python, "-m", "ruff", "check", ".")),
        Check("format", (python, "-m", "ruff", "format", "--check", ".")),
        Check("mypy", (python, "-m", "mypy")),
        *_page_logic(say),
    ]
    failed = [check.name for check in checks if not _passes(check, say)]
    pytest = (python, "-m", "pytest", *(("-m", "") if long else HUNG))
    if fast or pytest_arguments:
        folders = () if own_paths else _with_tests(FAST if fast else FAST + REAL + PAGE)
        tests = [Check("pytest", (*pytest, *folders, *pytest_arguments))]
    else:
        # Both at once: a page mostly waits, and so do most tests without one.
        tests = [Check("pytest", (*pytest, *FAST, *REAL)), Check("pytest of the page", (*pytest, *PAGE))]
    failed += _failed_of(tests, say)
    names = ", ".join(check.name for check in checks + tests)
    verdict = f"FAILED: {', '.join(failed)}" if failed else f"passed: {names}"
    say(f"\n{verdict} ({time.monotonic() - began:.0f} s in all)")
    return 1 if failed else 0


def chaos(arguments: Sequence[str], *, say: Say = print) -> int:
    """The random soak of ``tests.faults.chaos``; its exit code."""
    setup = Setup(say)
    setup.for_tests()
    soak = Check("chaos", (str(setup.tools()), "-m", "tests.faults.chaos", *arguments))
    return 0 if _passes(soak, say) else 1


def _passes(check: Check, say: Say) -> bool:
    return not _failed_of([check], say)


def _failed_of(checks: Sequence[Check], say: Say) -> list[str]:
    """Run these at once; what the first one prints is seen as it comes, the others' when they are through."""
    with ExitStack() as stack:
        running: list[tuple[Check, subprocess.Popen[bytes], IO[bytes] | None]] = []
        for check in checks:
            if not running:
                say(f"\n== {check.name}")
            output = stack.enter_context(TemporaryFile()) if running else None
            errors = subprocess.STDOUT if output else None
            process = stack.enter_context(
                subprocess.Popen(check.command, cwd=ROOT, env=_environment(), stdout=output, stderr=errors)
            )
            stack.callback(process.kill)
            running.append((check, process, output))
        try:
            return [one[0].name for one in running if not _ends_well(*one, say)]
        except KeyboardInterrupt:
            # Ctrl-C reached them too; they end what they started.
            for _, process, _ in running:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(GRACE_S)
            raise


def _ends_well(check: Check, process: subprocess.Popen[bytes], output: IO[bytes] | None, say: Say) -> bool:
    code = process.wait()
    if output is not None:
        output.seek(0)
        say(f"\n== {check.name}\n{output.read().decode('utf-8', 'replace')}")
    return code == 0


def _environment() -> dict[str, str]:
    # What the user's shell has for other projects must not reach the tests.
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTEST_ADDOPTS")}


def _page_logic(say: Say) -> list[Check]:
    files = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "tests/web").glob("*.test.*js"))
    node = shutil.which("node")
    if files and node is None:
        say("Node is not installed, so the tests of the page's logic do not run.")
    return [Check("node", (node, "--test", "--test-reporter=spec", *files))] if files and node else []


def _with_tests(folders: Sequence[str]) -> tuple[str, ...]:
    return tuple(folder for folder in folders if any(Path(ROOT / folder).glob("test_*.py")))
