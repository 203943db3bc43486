"""The command line against a real master with real peers: a day's work."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.rig.fleet import ROOT, Fleet

from .graphs import node, stamp
from .session import Session

pytestmark = pytest.mark.e2e


@dataclass(frozen=True)
class Ended:
    code: int | None
    out: str
    err: str


async def run(fleet: Fleet, *arguments: object) -> Ended:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "orchestrator", *map(str, arguments)),
        cwd=ROOT,
        env={"ORCHESTRATOR_SERVER": fleet.master.url, "ORCHESTRATOR_TOKEN": fleet.token, "PATH": ""},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return Ended(process.returncode, out.decode(), err.decode())


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    """A picture by a class that only the peers have."""
    saved = {**stamp(7), "2": node("SaveImage", images=["1", 0], filename_prefix="commands")}
    path = tmp_path / "stamp.json"
    path.write_text(json.dumps(saved), encoding="utf-8")
    return path


async def test_a_days_work_on_the_command_line(
    fleet: Fleet, master: Session, graph: Path, tmp_path: Path
) -> None:
    out = tmp_path / "results"
    dry = await run(fleet, "submit", graph, "--set", "TestStamp.seed=1", "2", "--dry-run")
    assert (dry.code, dry.out) == (0, "2 jobs would run.\n"), dry.err
    wrong = await run(fleet, "submit", graph, "--set", "TestStamp.sede=1")
    assert (wrong.code, wrong.out) == (2, "") and "Did you mean 1.seed (TestStamp)?" in wrong.err
    before = len(await master.jobs())
    sent = await run(fleet, "submit", graph, "--set", "TestStamp.seed=1", "2", "--out", out, "--json")
    assert sent.code == 0, sent.err
    jobs: list[dict[str, Any]] = json.loads(sent.out)
    assert [job["state"] for job in jobs] == ["done", "done"] and len(list(out.iterdir())) == 2
    assert len(await master.jobs()) == before + 2
    batch, first = jobs[0]["batch"]["id"], jobs[0]["job_id"]
    listed = await run(fleet, "jobs", "list", "--batch", batch)
    assert listed.out.count("done") == 2, listed.err
    logs = await run(fleet, "jobs", "logs", first)
    assert "accepted: " in logs.out and "begun" in logs.out and logs.out.rstrip().endswith("done")
    again = await run(fleet, "jobs", "retry", first)
    waited = await run(fleet, "jobs", "wait", again.out.strip())
    assert waited.code == 0 and "done on peer-" in waited.out, waited.err


async def test_peers_on_the_command_line(fleet: Fleet, master: Session, graph: Path) -> None:
    tested = await run(fleet, "peers", "test", "peer-1")
    assert tested.code == 0 and tested.out.startswith("peer-1: Works ("), tested.err
    drained = await run(fleet, "peers", "drain", "peer-1", "peer-2")
    assert drained.out == "peer-1: draining\npeer-2: draining\n", drained.err
    try:
        assert (await run(fleet, "peers")).out.count("idle, draining") == 2
        waits = await run(fleet, "submit", graph, "--dry-run")
        assert waits.code == 0 and waits.out.startswith("1 job would wait: "), waits.err
        assert "which is draining" in waits.out
    finally:
        resumed = await run(fleet, "peers", "resume", "peer-1", "peer-2")
    assert resumed.code == 0
    unknown = await run(fleet, "submit", graph, "--peer", "peer-9")
    assert unknown.code == 4 and "peer-1, peer-2: the job is pinned to peer-9" in unknown.err


async def test_the_address_of_the_api_answers_links(fleet: Fleet, master: Session) -> None:
    answer = await master.get("/orchestrator/")
    assert "openapi.json" in [link["href"] for link in answer["links"]]
    async with master.http.get(f"{fleet.master.url}/orchestrator/explain") as wrong:
        assert (wrong.status, wrong.headers["Allow"]) == (405, "POST")
