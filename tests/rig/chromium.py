"""Finds a Chromium for the browser tests; on Debian as root it can get one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from .environment import Say

VARIABLE = "REMOTE_DISPATCH_CHROMIUM"
COMMANDS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
HOW_TO = (
    "No Chromium was found, which the browser tests need. Install Chromium or Chrome (Debian: apt-get "
    f"install chromium; Windows and macOS: Chrome's own installer), or put its path into {VARIABLE}."
)


def find_chromium() -> Path | None:
    """The program to start: the one named in REMOTE_DISPATCH_CHROMIUM, else an installed one."""
    named = os.environ.get(VARIABLE)
    if named:
        return Path(named) if Path(named).is_file() else None
    on_path = (shutil.which(command) for command in COMMANDS)
    candidates = [*(Path(found) for found in on_path if found), *_usual_places()]
    return next((place for place in candidates if place.is_file()), None)


def get_chromium(say: Say) -> Path | None:
    """As `find_chromium`; where there is none and the system is Debian's, installs its package."""
    found = find_chromium()
    if found or not (shutil.which("apt-get") and _is_root()):
        return found
    say("  Chromium: installing Debian's package …")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (
        ["apt-get", "update"],
        ["apt-get", "install", "-y", "--no-install-recommends", "chromium"],
    ):
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        if done.returncode:
            say(f"  {' '.join(command)} failed:\n{done.stderr[-1000:]}")
            return None
    return find_chromium()


def _usual_places() -> list[Path]:
    if sys.platform == "win32":
        roots = (os.environ.get(name) for name in ("PROGRAMFILES", "PROGRAMFILES(X86)", "LOCALAPPDATA"))
        parts = ("Google/Chrome/Application/chrome.exe", "Microsoft/Edge/Application/msedge.exe")
        return [Path(root) / part for root in roots if root for part in parts]
    if sys.platform == "darwin":
        names = ("Chromium", "Google Chrome", "Microsoft Edge")
        return [Path(f"/Applications/{name}.app/Contents/MacOS/{name}") for name in names]
    return []


def _is_root() -> bool:
    return sys.platform != "win32" and os.geteuid() == 0
