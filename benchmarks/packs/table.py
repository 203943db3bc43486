"""All graphs, each way, as a table: starts the ComfyUIs, runs the graphs one by one, prints what it sees."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import aiohttp

from tests.e2e.session import Session, until
from tests.rig.comfy import ComfyProcess
from tests.rig.environment import Setup
from tests.rig.fleet import PEER_PACK, Fleet

from .cases import DISPATCHER, Case
from .compare import DIFFERS, EQUAL, SAID, Verdict, verdict
from .files import workflow_file
from .graphs import GRAPHS
from .material import fill_input, fill_models
from .runs import Machine, Seen

WAYS = ("fleet", "node", "value", "file")
LINE = "{:<26} {:<44} {:<22} {:<8} {:<8} {:<8} {:<8}"


def print_table(setup: Setup, packs: Path, only: str, ways: Sequence[str], base: Path | None) -> int:
    """Returns how many cells differ. `base`: keep the processes' files there."""
    counts = dict.fromkeys((EQUAL, SAID, DIFFERS), 0)
    print(LINE.format("pack", "graph", "plain", *WAYS))
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        for pack, cases in GRAPHS.items():
            chosen = [case for case in cases if only.lower() in f"{pack} {case.name}".lower()]
            if chosen and (packs / pack).is_dir():
                _print_pack(setup, packs / pack, chosen, ways, (base or Path(folder)) / pack, counts)
    print(", ".join(f"{count} {word}" for word, count in counts.items()))
    return counts[DIFFERS]


def _print_pack(
    setup: Setup, pack: Path, cases: Sequence[Case], ways: Sequence[str], base: Path, counts: dict[str, int]
) -> None:
    """Processes of its own for each pack: some change how all of ComfyUI runs."""
    fleet = Fleet(setup, base, peers=1)
    plain = fleet.new_peer("plain")
    for process in (fleet.master, plain, *fleet.peers):
        _install_copy(process, pack)
    shared = base / "shared"
    fill_input(shared)
    for process in (fleet.master, plain):  # films made twice are not the same
        shutil.copytree(shared, process.base / "input", dirs_exist_ok=True)
    fleet.master.install(PEER_PACK, "test-nodes")
    for process in (plain, *fleet.peers):
        fill_models(process.base / "models")
    plain.start()
    try:
        with fleet:
            plain.wait_ready()
            fleet.register_peers()
            asyncio.run(_rows(fleet, plain, pack.name, [case.placed(shared) for case in cases], ways, counts))
    finally:
        plain.stop()


def _install_copy(process: ComfyProcess, pack: Path) -> None:
    """A copy each: some packs write into their own folder."""
    target = process.base / "custom_nodes" / pack.name
    if not target.exists():
        shutil.copytree(pack, target, ignore=shutil.ignore_patterns(".git", "__pycache__"))


async def _rows(
    fleet: Fleet,
    plain: ComfyProcess,
    pack: str,
    cases: Sequence[Case],
    ways: Sequence[str],
    counts: dict[str, int],
) -> None:
    async with aiohttp.ClientSession() as http:
        there = Machine(Session(http, plain.url), plain)
        peers = [Session(http, peer.url) for peer in fleet.peers]
        master = Machine(Session(http, fleet.master.url, fleet.token), fleet.master, peers)
        await until(master.session.peers_are_up, "the peer is up", 120.0)
        for case in cases:
            wanted = await _run(there, case, case.alike or case.prompt)
            verdicts = {way: await _elsewhere(master, case, way, wanted, fleet.token) for way in ways}
            made = f"{len(wanted.written)} files, {len(wanted.listed)} told"
            words = [found.word if (found := verdicts.get(way)) else "-" for way in WAYS]
            print(LINE.format(pack[:26], case.name[:44], "fails" if wanted.failed else made, *words))
            for way, found in verdicts.items():
                if found:
                    counts[found.word] += 1
                    for difference in found.differences:
                        print(f"    {way}: {difference[:400]}", flush=True)


async def _elsewhere(master: Machine, case: Case, way: str, wanted: Seen, token: str) -> Verdict | None:
    """None where the graph is not for this way."""
    await until(master.session.peers_are_up, "the peer is up again", 60.0)
    await master.session.patch("/orchestrator/settings", {"fleet_mode": way == "fleet"})
    if way == "file":
        if case.drawn is None:
            return None
        definitions = await master.session.get("/object_info")
        seen = await master.run_file(workflow_file(case.prompt, definitions, case.drawn), token)
    elif way == "value":
        if case.value is None:
            return None
        seen = await _run(master, case, case.through())
    elif way == "node":
        seen = await _run(master, case, case.whole(), by_node=True)
    else:
        seen = await _run(master, case, case.prompt)
    seen.outputs.pop(DISPATCHER, None)
    return verdict(case, wanted, seen, by_node=way == "node", by_file=way == "file")


async def _run(machine: Machine, case: Case, prompt: dict[str, object], *, by_node: bool = False) -> Seen:
    try:
        return await machine.run(prompt, case.workflow(), by_node=by_node)
    except AssertionError as exc:
        return Seen(failed=str(exc))
