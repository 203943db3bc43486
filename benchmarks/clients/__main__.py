"""Runs the clients against a plain ComfyUI, then against a master in fleet mode, and prints a table."""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.request import Request, urlopen

from tests.rig.comfy import ComfyProcess, request
from tests.rig.environment import Setup, cache_dir
from tests.rig.fleet import Fleet

from .catalogue import CLIENTS, Client
from .compare import Outcome, differences, read
from .graphs import GraphName, graph
from .install import NotInstalled, Ready, install

LIMIT_S = 120.0
SOCKET_SAVER = "custom_nodes/websocket_image_save.py"  #: comes with ComfyUI, in no base folder of its own
TREES = ("comfyui", "krita", "tooling-nodes")
SEEDS = itertools.count(int(time.time()) % 1_000_000)


@dataclass(frozen=True)
class Servers:
    """Addresses: a plain ComfyUI, a master in fleet mode, and its peers."""

    plain: str
    master: str
    peers: tuple[str, ...]

    def empty_caches(self) -> None:
        """So that every node of the next run runs, on whichever peer."""
        for url in (self.plain, self.master, *self.peers):
            request(f"{url}/free", {"unload_models": True, "free_memory": True})


def main() -> int:
    options = _options()
    chosen = [c for c in CLIENTS if not options.only or any(word in c.name for word in options.only)]
    if options.list:
        for client in chosen:
            print(f"{client.name}: {client.needs}")
        return 0
    setup = Setup()
    named = {name: getattr(options, name.replace("-", "_")) for name in TREES}
    trees = {name: path.resolve() for name, path in named.items() if path}  # clients run in other folders
    trees.setdefault("comfyui", setup.for_role("peer").path)
    rows: list[list[str]] = []
    with _servers(options.running, setup, trees) as servers:
        for client in chosen:
            rows += _rows(client, servers, options.cache, trees, options.keep)
    print("\n| client | graph | plain | fleet | equal |\n|---|---|---|---|---|")
    print("\n".join(f"| {' | '.join(row)} |" for row in rows))
    return int(any(row[-1] == "NO" for row in rows))


@contextmanager
def _servers(running: list[str] | None, setup: Setup, trees: Mapping[str, Path]) -> Iterator[Servers]:
    if running:
        yield Servers(running[0], running[1], tuple(running[2:]))
        return
    os.environ["PYTHONHASHSEED"] = "0"  # ComfyUI takes nodes that are equally ready in the order of a set
    with tempfile.TemporaryDirectory() as base:
        fleet = Fleet(setup, Path(base), peers=2)
        plain = fleet.new_peer("plain")
        fleet.equip(fleet.master)
        for process in (plain, *fleet.all):
            _equip(process, trees)
        try:
            plain.start()
            with fleet:
                plain.wait_ready()
                fleet.register_peers()
                _wait_for_peers(fleet)
                _switch_on(fleet)
                versions = f"master {fleet.master.installation.version}, others {plain.installation.version}"
                print(f"ComfyUI: {versions}", flush=True)
                yield Servers(plain.url, fleet.master.url, tuple(peer.url for peer in fleet.peers))
        finally:
            plain.stop()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.clients", description=__doc__)
    parser.add_argument("--only", nargs="*", default=[], help="parts of clients' names")
    parser.add_argument("--list", action="store_true", help="name the clients and what they need")
    parser.add_argument(
        "--cache", type=Path, default=cache_dir() / "clients", help="where they are installed"
    )
    parser.add_argument("--comfyui", type=Path, help="a ComfyUI source tree with script_examples")
    parser.add_argument("--krita", type=Path, help="a checkout of krita-ai-diffusion")
    parser.add_argument("--tooling-nodes", type=Path, help="a checkout of comfyui-tooling-nodes, for krita")
    parser.add_argument(
        "--running",
        nargs="+",
        metavar="URL",
        help="a plain ComfyUI, a master, its peers",
    )
    parser.add_argument("--keep", type=Path, help="keep here what each client got")
    return parser.parse_args()


def _equip(process: ComfyProcess, trees: Mapping[str, Path]) -> None:
    """What clients need on the server, beside the models and nodes of the tests that peers have already."""
    saver = process.installation.path / SOCKET_SAVER
    shutil.copy(saver, process.base / SOCKET_SAVER)
    if "tooling-nodes" in trees:
        process.install(trees["tooling-nodes"], "comfyui-tooling-nodes")


def _wait_for_peers(fleet: Fleet) -> None:
    while any(peer["health"] != "up" for peer in fleet.master.get("/orchestrator/peers")["peers"]):
        time.sleep(0.1)


def _switch_on(fleet: Fleet) -> None:
    body, url = json.dumps({"fleet_mode": True}).encode(), f"{fleet.master.url}/orchestrator/settings"
    headers = {"Content-Type": "application/json", "X-Orchestrator-Token": fleet.token}
    urlopen(Request(url, body, headers, method="PATCH"), timeout=10).close()


def _rows(
    client: Client, servers: Servers, cache: Path, trees: Mapping[str, Path], keep: Path | None
) -> Iterator[list[str]]:
    try:
        ready = install(client, cache, trees)
    except NotInstalled as exc:
        yield [client.name, "", "", "", f"not run: {exc}"]
        return
    name = f"{client.name} {ready.version}".strip()
    for graph_name in client.graphs:
        seed = next(SEEDS)
        outcomes = []
        for side, url in (("plain", servers.plain), ("fleet", servers.master)):
            servers.empty_caches()
            kept = keep and keep / client.driver / Path(client.script).stem / graph_name / side
            outcomes.append(_run(ready, url, graph_name, seed, kept))
        found = differences(*outcomes)
        row = [name, graph_name, *(outcome.summary for outcome in outcomes), "NO" if found else "yes"]
        print("  ".join(row), *(f"    {line}" for line in found), sep="\n", flush=True)
        yield row


def _run(ready: Ready, url: str, name: GraphName, seed: int, kept: Path | None) -> Outcome:
    with tempfile.TemporaryDirectory() as base:
        folder = kept or Path(base) / "got"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        prompt = Path(base) / "graph.json"
        prompt.write_text(json.dumps(graph(name, seed)), encoding="utf-8")
        command = [*ready.command, url, str(prompt), str(folder), *ready.extra]
        environment = {**os.environ, "HOME": base, **ready.environment}
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                check=False,
                timeout=LIMIT_S,
                env=environment,
                cwd=base,
            )
        except subprocess.TimeoutExpired:
            return read(folder, -1, f"did not end within {LIMIT_S:.0f} s")
        return read(folder, done.returncode, done.stdout + done.stderr)


if __name__ == "__main__":
    sys.exit(main())
