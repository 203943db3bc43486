"""A master with this plugin and stock peers that alone have the models and the test nodes."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from .comfy import ComfyProcess, request
from .environment import RigError, Setup

ROOT = Path(__file__).resolve().parents[2]
PEER_PACK = Path(__file__).with_name("peer_pack")
REPORT_PACK = Path(__file__).with_name("report_pack")
SHARED_PACK = Path(__file__).with_name("shared_pack")


class Fleet:
    """All its processes and files live below `base`; leaving it ends every process it started."""

    def __init__(
        self,
        setup: Setup,
        base: Path,
        *,
        peers: int = 2,
        master_arguments: tuple[str, ...] = (),
        master_environment: Mapping[str, str] | None = None,
    ) -> None:
        self._setup = setup
        self.base = base
        self.frontend = ""  #: what a test calls the master's frontend
        self.token = os.environ.get("ORCHESTRATOR_TOKEN") or secrets.token_urlsafe(16)
        self.master = self.new_master("master", master_arguments, master_environment)
        self.peers = [self.new_peer(f"peer-{number + 1}") for number in range(peers)]

    def new_master(
        self, name: str, arguments: tuple[str, ...] = (), environment: Mapping[str, str] | None = None
    ) -> ComfyProcess:
        """A ComfyUI with the plugin; not started."""
        chosen = os.environ.get("REMOTE_DISPATCH_FRONTEND")
        if chosen and "--front-end-root" not in arguments:
            arguments = (*arguments, "--front-end-root", str(frontend_root(self._setup, chosen)))
        master = ComfyProcess(
            name,
            self._setup.for_role("master"),
            self.base / name,
            arguments=arguments,
            environment={"ORCHESTRATOR_TOKEN": self.token, **(environment or {})},
        )
        master.install(ROOT, "remote-dispatch")
        master.install(SHARED_PACK, "shared-nodes")
        return master

    def new_peer(self, name: str, environment: Mapping[str, str] | None = None) -> ComfyProcess:
        """A stock ComfyUI with the tiny models and the test nodes; not started."""
        peer = ComfyProcess(name, self._setup.for_role("peer"), self.base / name, environment=environment)
        self.equip(peer)
        return peer

    def equip(self, process: ComfyProcess) -> None:
        """Give one that is not started the tiny models and the test nodes."""
        process.install(PEER_PACK, "test-nodes")
        process.install(REPORT_PACK, "report-nodes")
        process.install(SHARED_PACK, "shared-nodes")
        # ComfyUI's own node that gives its pictures by websocket lies in a folder that ours replaces.
        shared = process.installation.path / "custom_nodes" / "websocket_image_save.py"
        if shared.is_file():
            shutil.copyfile(shared, process.base / "custom_nodes" / shared.name)
        models = self._setup.models()
        shutil.copytree(models, process.base / "models", dirs_exist_ok=True, copy_function=link_or_copy)

    @property
    def journal_folder(self) -> Path:
        """Where the master keeps its journal."""
        return self.master.base / "user" / "__remote_dispatch"

    @property
    def all(self) -> list[ComfyProcess]:
        return [self.master, *self.peers]

    def start(self) -> None:
        for process in self.all:
            process.start()
        for process in self.all:
            process.wait_ready()

    def register_peers(self) -> None:
        """As a person does it in the Fleet tab."""
        for peer in self.peers:
            self.add_peer(peer)

    def add_peer(self, peer: ComfyProcess) -> None:
        headers = {"X-Orchestrator-Token": self.token}
        self.master.post("/orchestrator/peers", {"name": peer.name, "url": peer.url}, headers)

    def account(self) -> str:
        """The peers, and the last jobs with why each went where it did: for the report of a failed test."""
        try:
            peers = request(f"{self.master.url}/orchestrator/peers")["peers"]
            jobs = request(f"{self.master.url}/orchestrator/jobs?limit=12")["jobs"]
        except (OSError, RigError) as exc:
            return f"The master does not say: {exc}"
        lines = [f"{peer['name']}: {peer['health']} {peer['reason']}" for peer in peers]
        for job in jobs:
            lines.append(
                f"{job['job_id']} {job['title']}: {job['state']}, {job['explanation'] or job['error']}"
            )
        return "\n".join(lines)

    def stop(self) -> None:
        for process in self.all:
            process.ask_to_stop()
        for process in self.all:
            process.stop()

    def __enter__(self) -> Fleet:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def link_or_copy(source: str, target: str) -> None:
    """For files nobody writes to: a fleet then costs no disk."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def frontend_root(setup: Setup, chosen: str) -> Path:
    """A version of comfyui-frontend-package, or a folder with an index.html."""
    if (Path(chosen) / "index.html").is_file():
        return Path(chosen).resolve()
    return setup.frontend(f"comfyui-frontend-package=={chosen}")
