"""Puts a client into an environment of its own, below a cache folder outside this repository."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .catalogue import Client

DRIVERS = Path(__file__).with_name("drivers")
COMMON = ("Pillow",)  #: what a driver itself needs
LIMIT_S = 600.0


class NotInstalled(Exception):
    """This client cannot be had here; the text says why."""


@dataclass(frozen=True)
class Ready:
    """`command` starts the driver; the address, the graph's file and the folder for results follow."""

    command: tuple[str, ...]
    extra: tuple[str, ...]
    environment: Mapping[str, str]
    version: str


def install(client: Client, cache: Path, trees: Mapping[str, Path]) -> Ready:
    """Raises NotInstalled."""
    extra = _tree(client, trees)
    driver = DRIVERS / client.driver
    if driver.suffix == ".go":
        return Ready((str(_built(driver, cache)),), extra, {}, "go")
    if driver.suffix == ".mjs":
        folder, version = _npm(client, cache)
        # Node looks for packages beside the file that asks for them.
        shutil.copy(driver, folder / driver.name)
        return Ready((_tool("node"), str(folder / driver.name)), extra, {}, version)
    python, version = _pip(client, cache)
    environment = {"PATH": f"{python.parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    return Ready((str(python), str(driver)), extra, environment, version)


def _tree(client: Client, trees: Mapping[str, Path]) -> tuple[str, ...]:
    if not client.checkout:
        return ()
    tree = trees.get(client.checkout)
    if tree is None:
        raise NotInstalled(f"--{client.checkout} names no source tree")
    path = tree / client.script
    if not path.exists():
        raise NotInstalled(f"{path} is not there")
    return (str(path),)


def _pip(client: Client, cache: Path) -> tuple[Path, str]:
    wanted = (*client.pip, *COMMON)
    folder = cache / f"pip-{_digest(wanted)}"
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    stamp = folder / "installed.json"
    if not stamp.is_file():
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True, symlinks=sys.platform != "win32")
        _run([str(python), "-m", "pip", "--disable-pip-version-check", "install", "-q", *wanted])
        stamp.write_text(_run([str(python), "-m", "pip", "list", "--format", "json"]), encoding="utf-8")
    installed = {item["name"].lower(): item["version"] for item in json.loads(stamp.read_text("utf-8"))}
    name = client.pip[0].split("[")[0].lower() if client.pip else ""
    return python, installed.get(name, "")


def _npm(client: Client, cache: Path) -> tuple[Path, str]:
    folder = cache / f"npm-{_digest(client.npm)}"
    if not (folder / "node_modules").is_dir():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text('{"private": true}', encoding="utf-8")
        _run([_tool("npm"), "install", "--no-audit", "--no-fund", "--prefix", str(folder), *client.npm])
    package = folder / "node_modules" / client.npm[0] / "package.json"
    return folder, str(json.loads(package.read_text("utf-8"))["version"])


def _built(source: Path, cache: Path) -> Path:
    program = cache / f"{source.stem}-{_digest((source.read_text('utf-8'),))}"
    program = program.with_suffix(".exe") if sys.platform == "win32" else program
    if not program.is_file():
        _run([_tool("go"), "build", "-o", str(program), str(source)])
    return program


def _tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise NotInstalled(f"{name} is not installed on this machine")
    return found


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LIMIT_S)
    if done.returncode:
        raise NotInstalled(f"{' '.join(command[:4])} …: {(done.stderr or done.stdout).strip()[-400:]}")
    return done.stdout


def _digest(parts: tuple[str, ...]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:10]
