"""Machines that go away, on real ComfyUI processes of this test's own."""

from __future__ import annotations

from collections.abc import Iterator

import aiohttp
import pytest

from tests.rig.environment import Setup
from tests.rig.fleet import Fleet

from .graphs import dispatched, sleep, stamp
from .session import Session, until

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def fragile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A fleet that the tests of this module may damage; they run in order."""
    with Fleet(Setup(), tmp_path_factory.mktemp("fragile")) as running:
        running.register_peers()
        yield running


@pytest.fixture
def master(fragile: Fleet, http: aiohttp.ClientSession) -> Session:
    return Session(http, fragile.master.url, fragile.token)


async def all_up(master: Session) -> bool:
    peers = (await master.peers()).values()
    return bool(peers) and all(peer["health"] == "up" and peer["node_types"] for peer in peers)


async def test_peers_and_jobs_are_there_after_a_restart_of_the_master(
    fragile: Fleet, master: Session
) -> None:
    await until(lambda: all_up(master), "the peers are up")
    await master.run(dispatched(stamp(seed=1), ["1", 0]))
    before = (await master.jobs())[0]
    fragile.master.restart()
    assert set(await master.peers()) == {"peer-1", "peer-2"}
    after = (await master.jobs())[0]
    assert {key: after[key] for key in ("job_id", "state", "peer", "attempts")} == {
        key: before[key] for key in ("job_id", "state", "peer", "attempts")
    }
    await until(lambda: all_up(master), "the peers are up again")
    assert (await master.run(dispatched(stamp(seed=2), ["1", 0]))).succeeded


async def test_jobs_for_scripts_go_on_after_the_master_was_killed(fragile: Fleet, master: Session) -> None:
    short, long = await submit(master, 8.0), await submit(master, 600.0)

    async def have_begun() -> bool:
        return all([(await master.get(f"/orchestrator/jobs/{each}"))["begun_at"] for each in (short, long)])

    await until(have_begun, "the jobs run on the peers")
    fragile.master.kill()
    fragile.master.start()
    fragile.master.wait_ready()

    async def shows_progress() -> bool:
        return 0.0 < (await master.get(f"/orchestrator/jobs/{long}"))["progress"] < 1.0

    await until(shows_progress, "the progress of the long job is seen again")

    async def is_done() -> bool:
        return (await master.get(f"/orchestrator/jobs/{short}"))["state"] == "done"

    await until(is_done, "the short job is done")
    job = await master.get(f"/orchestrator/jobs/{short}")
    assert [attempt["outcome"] for attempt in job["attempts"]] == ["done"]  # found again where it ran
    saved = fragile.master.base / "output" / "after"
    assert [path.name for path in saved.iterdir()] == [job["outputs"][0]["filename"]]
    await master.post(f"/orchestrator/jobs/{long}/cancel", {})
    for peer in fragile.peers:
        await until(Session(master.http, peer.url).is_idle, "the peers are idle")


async def submit(master: Session, seconds: float) -> str:
    graph = sleep(seed=3, seconds=seconds)
    inputs = {"images": ["10", 0], "filename_prefix": "after/kill"}
    graph["9"] = {"class_type": "SaveImage", "inputs": inputs}
    return str((await master.post("/orchestrator/jobs", {"prompt": graph}, status=202))["job_id"])


async def test_a_peer_that_dies_is_replaced(fragile: Fleet, master: Session) -> None:
    await until(lambda: all_up(master), "the peers are up")
    fragile.peers[0].kill()
    # Still listed as up: the job is handed to it, and at once to the other.
    done = await master.run(dispatched(stamp(seed=4), ["1", 0]))
    assert done.succeeded, done.entry["status"]
    job = (await master.jobs())[0]
    assert job["peer"] == "peer-2"


async def test_a_peer_that_dies_while_it_runs_the_job_is_replaced_too(
    fragile: Fleet, master: Session
) -> None:
    fragile.peers[0].start()
    fragile.peers[0].wait_ready()
    await until(lambda: all_up(master), "the peers are up")
    graph = dispatched(sleep(seed=5, seconds=3.0), ["10", 0])
    prompt_id = await master.queue(graph)

    async def runs_on() -> str:
        job = (await master.jobs())[0]
        return job["peer"] if job["state"] == "running" and job["progress"] > 0.3 else ""

    victim = await until(runs_on, "the job runs")
    next(peer for peer in fragile.peers if peer.name == victim).kill()
    done = await master.finished(prompt_id)
    assert done.succeeded, done.entry["status"]
    job = (await master.jobs())[0]
    assert [attempt["outcome"] for attempt in job["attempts"]] == ["peer_died", "done"]
    assert job["peer"] != victim


async def test_without_any_peer_left_the_reason_for_each_is_given(fragile: Fleet, master: Session) -> None:
    for peer in fragile.peers:
        peer.kill()
    done = await master.run(dispatched(stamp(seed=6), ["1", 0]))
    message = done.error["exception_message"]
    assert "peer-1" in message or "peer-2" in message
    assert "refused the connection" in message
