"""`python dev.py test`: every check and test there is, one after the other."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from .environment import RigError, Setup

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
MAC_CHROME = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")
TESTS = ("tests/unit", "tests/integration", "tests/e2e", "tests/browser")


def run(root: Path, arguments: Sequence[str]) -> int:
    """Returns 0 when all is well. `arguments` replace the folders given to pytest."""
    setup = Setup()
    print("Set-up", flush=True)
    python = str(setup.tools())
    for role in ("master", "peer"):
        setup.for_role(role)
    environment = {**os.environ, "REMOTE_DISPATCH_CHROMIUM": find_chromium(setup)}
    steps: list[tuple[str, list[str]]] = [
        ("ruff", [python, "-m", "ruff", "check", "."]),
        ("ruff format", [python, "-m", "ruff", "format", "--check", "."]),
        ("mypy", [python, "-m", "mypy"]),
    ]
    pages = sorted(str(path) for path in (root / "tests" / "web").glob("*.test.js"))
    node = shutil.which("node")
    if pages and node:
        steps.append(("page logic", [node, "--test", *pages]))
    elif pages:
        print("  Node.js was not found: the page's logic is only tested in the browser.")
    steps.append(("pytest", [python, "-m", "pytest", *(arguments or TESTS)]))
    began = time.monotonic()
    failed = [name for name, command in steps if not _step(name, command, root, environment)]
    print(f"\n{'Failed: ' + ', '.join(failed) if failed else 'All green'} after {time.monotonic() - began:.0f} s")
    return 1 if failed else 0


def _step(name: str, command: list[str], root: Path, environment: dict[str, str]) -> bool:
    print(f"\n{name}", flush=True)
    return subprocess.run(command, cwd=root, env=environment, check=False).returncode == 0


def find_chromium(setup: Setup) -> str:
    """The browser of the browser tests; on Debian, as root, it is installed.

    Raises:
        RigError: there is none; says how to get one.
    """
    found = _installed_chromium()
    if found:
        return found
    apt = shutil.which("apt-get")
    if apt and hasattr(os, "geteuid") and os.geteuid() == 0:
        print("  Installing Chromium …", flush=True)
        with setup.log.open("a", encoding="utf-8") as log:
            for command in ([apt, "update"], [apt, "install", "-y", "--no-install-recommends", "chromium"]):
                subprocess.run(command, stdout=log, stderr=log, check=False)
        found = _installed_chromium()
        if found:
            return found
    how = {
        "linux": "Install it with your package manager (Debian: apt-get install chromium).",
        "darwin": "Install Google Chrome or Chromium.",
        "win32": "Install Google Chrome, or start from a prompt where msedge is found.",
    }.get(sys.platform, "Install Chromium.")
    raise RigError(
        f"The browser tests need Chromium, and none was found. {how} "
        "REMOTE_DISPATCH_CHROMIUM may name its program."
    )


def _installed_chromium() -> str | None:
    named = os.environ.get("REMOTE_DISPATCH_CHROMIUM")
    if named:
        return named
    if MAC_CHROME.is_file():
        return str(MAC_CHROME)
    return next((path for path in map(shutil.which, CHROMIUM_NAMES) if path), None)
