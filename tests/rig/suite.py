"""``dev.py test``: style, types, the page's logic, then all Python tests in one run."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from . import chromium
from .environment import Say, Setup
from .fleet import ROOT

FAST = ("tests/unit", "tests/integration", "tests/faults")
REAL = ("tests/e2e", "tests/browser")
GRACE_S = 30.0


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
    folders = [] if own_paths else [name for name in (FAST if fast else FAST + REAL) if _has_tests(name)]
    checks = [
        Check("ruff", (python, "-m", "ruff", "check", ".")),
        Check("format", (python, "-m", "ruff", "format", "--check", ".")),
        Check("mypy", (python, "-m", "mypy")),
        *_page_logic(say),
        Check("pytest", (python, "-m", "pytest", *(("-m", "") if long else ()), *folders, *pytest_arguments)),
    ]
    failed = [check.name for check in checks if not _passes(check, say)]
    verdict = f"FAILED: {', '.join(failed)}" if failed else f"passed: {', '.join(c.name for c in checks)}"
    say(f"\n{verdict} ({time.monotonic() - began:.0f} s in all)")
    return 1 if failed else 0


def chaos(arguments: Sequence[str], *, say: Say = print) -> int:
    """The random soak of ``tests.faults.chaos``; its exit code."""
    setup = Setup(say)
    setup.for_tests()
    soak = Check("chaos", (str(setup.tools()), "-m", "tests.faults.chaos", *arguments))
    return 0 if _passes(soak, say) else 1


def _passes(check: Check, say: Say) -> bool:
    say(f"\n== {check.name}")
    with subprocess.Popen(check.command, cwd=ROOT, env=_environment()) as process:
        try:
            return process.wait() == 0
        except KeyboardInterrupt:
            # Ctrl-C reached it too; it ends what it started.
            with suppress(subprocess.TimeoutExpired):
                process.wait(GRACE_S)
            raise
        finally:
            process.kill()


def _environment() -> dict[str, str]:
    # What the user's shell has for other projects must not reach the tests.
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTEST_ADDOPTS")}


def _page_logic(say: Say) -> list[Check]:
    files = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "tests/web").glob("*.test.*js"))
    node = shutil.which("node")
    if files and node is None:
        say("Node is not installed, so the tests of the page's logic do not run.")
    return [Check("node", (node, "--test", "--test-reporter=spec", *files))] if files and node else []


def _has_tests(folder: str) -> bool:
    return any(Path(ROOT / folder).glob("test_*.py"))
