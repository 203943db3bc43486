"""One real ComfyUI process on loopback."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from .environment import Installation, RigError

LAUNCHER = Path(__file__).with_name("launcher.py")
READY_S = 180.0
STOP_S = 15.0
FOLDERS = ("custom_nodes", "models", "input", "output", "temp", "user")


class ComfyProcess:
    """``start`` returns at once, ``wait_ready`` when it answers. All its files are below `base`."""

    def __init__(
        self,
        name: str,
        installation: Installation,
        base: Path,
        *,
        port: int = 0,
        arguments: tuple[str, ...] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.installation = installation
        self.base = base
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = base / f"{name}.log"
        self._arguments = arguments
        self._environment = dict(environment or {})
        self._process: subprocess.Popen[bytes] | None = None
        for folder in FOLDERS:
            (base / folder).mkdir(parents=True, exist_ok=True)

    @property
    def pid(self) -> int:
        if self._process is None:
            raise RigError(f"{self.name} was not started.")
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def install(self, pack: Path, name: str) -> None:
        """Put a node pack in, as a link where the system allows it."""
        target = self.base / "custom_nodes" / name
        if target.exists():
            return
        try:
            target.symlink_to(pack, target_is_directory=True)
        except OSError:
            shutil.copytree(pack, target, ignore=shutil.ignore_patterns(".git", "__pycache__", "artifacts"))

    def start(self) -> None:
        command = [
            *(str(self.installation.python), str(LAUNCHER), str(os.getpid()), str(self.installation.path)),
            *("--cpu", "--listen", "127.0.0.1", "--port", str(self.port), "--base-directory", str(self.base)),
            # Without it the database would be the one of the installation itself.
            *("--database-url", f"sqlite:///{(self.base / 'user' / 'comfyui.db').as_posix()}"),
            *("--disable-auto-launch", "--preview-method", "latent2rgb", *self._arguments),
        ]
        environment = {
            **os.environ,
            **{"PYTHONUNBUFFERED": "1", "HF_HUB_OFFLINE": "1"},
            # Several ComfyUIs share this computer; each on all cores would only hold the others up.
            "OMP_NUM_THREADS": "1",
            **self._environment,
        }
        environment.pop("PYTHONPATH", None)
        # A group of its own: Ctrl-C goes to us alone, and we end it in order.
        own_group: dict[str, Any] = (
            {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}  # type: ignore[attr-defined]
            if sys.platform == "win32"
            else {"start_new_session": True}
        )
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, **own_group)

    def wait_ready(self) -> None:
        end = time.monotonic() + READY_S
        while time.monotonic() < end:
            self.check_alive()
            try:
                self.get("/system_stats")
                return
            except (OSError, ValueError, RigError):
                time.sleep(0.1)
        raise RigError(f"{self.name} does not answer after {READY_S:.0f} s:\n{self.log_tail()}")

    def check_alive(self) -> None:
        """Raises RigError with the end of its log when it ended by itself."""
        if self._process is not None and self._process.poll() is not None:
            raise RigError(f"{self.name} ended by itself ({self._process.returncode}):\n{self.log_tail()}")

    def ask_to_stop(self) -> None:
        """Returns at once; `stop` waits."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def stop(self) -> None:
        """End it in order; what does not end is killed."""
        self.ask_to_stop()
        if self._process is not None:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_S)
        self.kill()

    def kill(self) -> None:
        """As a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def suspend(self) -> None:
        """It stands still and still accepts connections, as a machine does that swaps. Not on Windows."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def restart(self) -> None:
        self.stop()
        self.start()
        self.wait_ready()

    def log_tail(self, lines: int = 40) -> str:
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])

    def get(self, path: str) -> Any:
        return request(self.url + path)

    def post(self, path: str, body: Any, headers: Mapping[str, str] | None = None) -> Any:
        return request(self.url + path, body, headers)


def request(url: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Any:
    """GET, or POST `body` as JSON; returns the parsed answer."""
    data = None if body is None else json.dumps(body).encode()
    asked = urllib.request.Request(url, data, {"Content-Type": "application/json", **(headers or {})})
    try:
        with urllib.request.urlopen(asked, timeout=10) as answer:
            text = answer.read()
    except urllib.error.HTTPError as exc:
        raise RigError(f"{url} answered {exc.code}: {exc.read()[:1000].decode(errors='replace')}") from exc
    return json.loads(text) if text else None


def free_port() -> int:
    """A port of 127.0.0.1 nobody listens on, different at every call.

    Below the range that systems hand to outgoing connections: nothing grabs it before ComfyUI binds.
    """
    for port in _ports:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RigError("No free port between 20000 and 32000 on 127.0.0.1.")


_ports = iter(random.sample(range(20000, 32000), 12000))
