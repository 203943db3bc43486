"""A real nginx before a peer, with a configuration of a test's own; it ends with the test."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from types import TracebackType

from .comfy import free_port
from .environment import RigError

PROGRAM = shutil.which(
    "nginx", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
)
READY_S = 10.0
_CONFIGURATION = """
{user}
worker_processes 1;
error_log {base}/error.log;
pid {base}/nginx.pid;
events {{ worker_connections 256; }}
http {{
    access_log {base}/access.log;
    client_body_temp_path {base}/body;
    proxy_temp_path {base}/proxy;
    fastcgi_temp_path {base}/fastcgi;
    uwsgi_temp_path {base}/uwsgi;
    scgi_temp_path {base}/scgi;
    {http}
    server {{
        listen 127.0.0.1:{port}{ssl};
        {server}
        location {path}/ {{
            proxy_pass {to}/;
            {location}
        }}
    }}
}}
"""


class Nginx:
    """``with Nginx(base, to=peer.url, …) as nginx:`` serves the peer at ``nginx.url``. `http`, `server` and
    `location` are directives of these blocks; nothing of them is what a package comes with."""

    def __init__(
        self, base: Path, *, to: str, http: str = "", server: str = "", location: str = "", path: str = "",
        tls: bool = False,
    ) -> None:  # fmt: skip
        base.mkdir(parents=True)
        self._base = base
        self._port = free_port()
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self._port}{path}"
        text = _CONFIGURATION.format(
            base=base, to=to, port=self._port, http=http, server=server, location=location, path=path,
            ssl=" ssl" if tls else "",
            # Else its worker would be somebody who may not read the files of a test.
            user="user root;" if os.geteuid() == 0 else "",
        )  # fmt: skip
        (base / "nginx.conf").write_text(text)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def answers(self) -> list[tuple[str, int]]:
        """The request line of each request that was answered, and how."""
        lines = (self._base / "access.log").read_text().splitlines()
        return [(line.split('"')[1], int(line.split('"')[2].split()[0])) for line in lines]

    def __enter__(self) -> Nginx:
        if PROGRAM is None:
            raise RigError("There is no nginx on this computer.")
        command = [PROGRAM, "-p", str(self._base), "-c", str(self._base / "nginx.conf"), "-g", "daemon off;"]
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        end = time.monotonic() + READY_S
        while time.monotonic() < end:
            try:
                socket.create_connection(("127.0.0.1", self._port), 1.0).close()
                return self
            except OSError:
                time.sleep(0.05)
        self.__exit__(None, None, None)
        raise RigError(f"nginx does not answer:\n{(self._base / 'error.log').read_text()}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
